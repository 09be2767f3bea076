//! Where requests go and as whom: AWS's own settings are heeded, and the host assumes the roles.

use relctl_test::proxy::{Proxy, ProxyRules};

use crate::environment::Output;
use crate::production::{HEAD, Production};

/// Reads a service and a database.
const LOOKUPS: &str = r#"
[lookup.aws_ecs_service.now]
cluster = "production"
name = "api"

[lookup.aws_db_instance.main]
identifier = "production-db"

[resource.aws_ecs_cluster.main]
name = "production"
"#;

/// An address at which nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9";

fn run(production: &Production, arguments: &str, variables: &[(&str, &str)]) -> Output {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let mut command = production.environment.command(&arguments);
    command.envs(variables.iter().copied());
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "canary-secret-of-the-test");
    production.environment.run(&mut command)
}

/// The services that were called through a proxy.
fn services(proxy: &Proxy) -> Vec<String> {
    let mut services: Vec<String> = proxy.calls().into_iter().map(|call| call.service).collect();
    services.sort_unstable();
    services.dedup();
    proxy.clear();
    services
}

#[test]
fn every_setting_of_an_endpoint_is_heeded() {
    let production = Production::start(&[HEAD, LOOKUPS].concat());
    let other = ProxyRules::default().before(&production.moto.url()).unwrap();
    let (one, two) = (&production.proxy, &other);

    run(&production, "plan", &[("AWS_ENDPOINT_URL", one.url())]).success();
    assert_eq!(
        (services(one).join(" "), services(two).join(" ")),
        ("ecs rds sts".into(), String::new())
    );

    // One service's own goes before that of all.
    let own = [("AWS_ENDPOINT_URL", one.url()), ("AWS_ENDPOINT_URL_RDS", two.url())];
    run(&production, "plan", &own).success();
    assert_eq!(
        (services(one).join(" "), services(two).join(" ")),
        ("ecs sts".into(), "rds".into())
    );

    // A profile's.
    let config = "[profile ci]\nservices = moto\nendpoint_url = ONE\n\n[services moto]\necs =\n  endpoint_url = TWO\n";
    production
        .environment
        .write("aws.ini", &config.replace("ONE", one.url()).replace("TWO", two.url()));
    let file = production.environment.path("aws.ini");
    let profile = [("AWS_CONFIG_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "ci")];
    run(&production, "plan", &profile).success();
    assert_eq!(
        (services(one).join(" "), services(two).join(" ")),
        ("rds sts".into(), "ecs".into())
    );

    // The release file's goes before all of them; for the plugin that has it.
    let line = format!(
        "account = \"123456789012\", endpoint_url = \"{}\" }}\n\n[plugins.aws-rds]",
        two.url()
    );
    production.environment.edit(
        "release.toml",
        "account = \"123456789012\" }\n\n[plugins.aws-rds]",
        &line,
    );
    run(&production, "plan", &[("AWS_ENDPOINT_URL", one.url())]).success();
    assert_eq!(
        (services(one).join(" "), services(two).join(" ")),
        ("rds sts".into(), "ecs sts".into())
    );

    let refused = run(&production, "plan", &[("AWS_ENDPOINT_URL", NOWHERE)]).exits(1);
    assert!(refused.stderr.contains("was not sent"), "{refused}");
    let refused =
        run(&production, "plan", &[("AWS_ENDPOINT_URL", "http://169.254.169.254")]).exits(1);
    assert!(refused.stderr.contains("relctl does not connect to it"), "{refused}");
}

#[test]
fn each_phase_has_its_role_and_no_credential_shows() {
    let production = Production::start(&[HEAD, LOOKUPS].concat());
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    let auth = format!(
        "account = \"123456789012\" }}\nauth = {{ plan_role = \"{}\", apply_role = \"{}\" }}\n\n[plugins.aws-rds]",
        role("plan"),
        role("apply")
    );
    let plain = "account = \"123456789012\" }\n\n[plugins.aws-rds]";
    production.environment.edit("release.toml", plain, &auth);
    production.environment.edit(
        "release.toml",
        "[resource.aws_ecs_cluster.main]\n",
        "[resource.aws_ecs_cluster.main]\ntags = { team = \"web\" }\n",
    );
    let environment = [
        ("AWS_ENDPOINT_URL", production.proxy.url()),
        ("AWS_SESSION_TOKEN", "canary-token-of-the-test"),
        ("RELCTL_LOG", "trace"),
    ];
    let assumed = || {
        let calls = production.proxy.calls();
        let roles = calls.iter().filter_map(|call| call.field("RoleArn"));
        let roles: Vec<String> =
            roles.map(|role| role.rsplit("%2F").next().unwrap().to_owned()).collect();
        // Whose account it is, before anything else.
        let ecs = calls.iter().position(|call| call.service == "ecs").unwrap();
        assert!(calls[..ecs].iter().any(|call| call.operation == "GetCallerIdentity"));
        production.proxy.clear();
        roles
    };
    let planned = run(&production, "plan -vvv -o plan.json", &environment).success();
    assert_eq!(assumed(), ["plan"]);
    let applied = run(&production, "apply -vvv plan.json", &environment).success();
    assert_eq!(assumed(), ["plan", "apply"]);

    assert!(planned.stderr.contains("ecs:DescribeServices"), "the log is silent: {planned}");
    let plan = production.environment.read("plan.json");
    for text in [&planned.raw, &planned.stderr, &applied.raw, &applied.stderr, &plan] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains("Signature=") || text.contains("[redacted]"), "{text}");
    }
}
