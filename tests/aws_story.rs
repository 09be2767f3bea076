//! Releases of a production that lives: other tools register, an autoscaler scales, a name is wrong.

use relctl_test::proxy::ProxyRules;
use serde_json::json;

use crate::moto::{ACCOUNT, Moto};
use crate::production::{
    CLUSTER, DATABASE, DEFINITION, HEAD, MIGRATION, Production, SERVICE, SNAPSHOT, definition,
    roll_out, whole,
};

/// E1, C3: after an apply a plan has no change, registers nothing and updates nothing. Nothing of it
/// reads a secret's value, although the task definition names one.
#[test]
fn a_second_plan_is_empty() {
    let production = Production::start(&whole());
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 2));
    assert!(production.proxy.calls().iter().all(|call| call.service != "secretsmanager"));
    production.proxy.clear();
    let again = production.relctl("plan --detailed-exitcode").success();
    assert!(again.stdout.contains("no changes"), "{again}");
    assert_eq!(production.writes(), Vec::<String>::new());
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.writes(), Vec::<String>::new(), "and an apply does nothing");
}

/// C2, C3: planning looks, and nothing else: Describe and List of the two services, and who is
/// calling. No secret is read, although the task definition names one.
#[test]
fn planning_only_looks() {
    let production = Production::start(&whole());
    production.relctl("plan -o plan.json").success();
    production.relctl("drift").success();
    for call in production.proxy.calls() {
        let name = call.operation.as_str();
        let looks = name.starts_with("Describe") || name.starts_with("List");
        assert!(looks || name == "GetCallerIdentity", "{name}");
        assert!(["ecs", "rds", "sts"].contains(&call.service.as_str()), "{name}");
    }
}

/// A service is made only where that was asked for, with all that ECS wants to know then. Going back
/// takes it away again.
#[test]
fn a_new_service_is_made_and_taken_back() {
    let new = SERVICE.replace("name = \"api\"", "name = \"canary\"")
        + "launch_type = \"FARGATE\"\nnetwork_configuration = \"${lookup.aws_ecs_service.now.network}\"\n";
    let lookup = "\n[lookup.aws_ecs_service.now]\ncluster = \"production\"\nname = \"api\"\n";
    let release = |more: &str| [HEAD, lookup, DEFINITION, &new, more].concat();
    let production = Production::start(&release(""));
    let refused = production.relctl("plan").exits(1);
    assert!(refused.to_string().contains("lifecycle = { create = true }"), "{refused}");
    production.environment.write("release.toml", &release("lifecycle = { create = true }\n"));
    let refused = production.relctl("plan").exits(1);
    assert!(refused.to_string().contains("desired_count"), "{refused}");
    let whole = release("desired_count = 2\nlifecycle = { create = true }\n");
    production.environment.write("release.toml", &whole);
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.runs("canary"), ("v1.1.0".to_owned(), 2));
    assert!(production.service("canary")["tags"].to_string().contains("relctl:lineage"));
    production.relctl("revert --auto-approve").success();
    assert_ne!(production.service("canary")["status"], json!("ACTIVE"));
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 1));
}

/// What runs as declared is adopted without a single write, and from then on is known.
#[test]
fn what_exists_is_adopted() {
    let release = roll_out().replace("version = \"v1.1.0\"", "version = \"v1.0.0\"");
    let production = Production::start(&release);
    let plan = production.relctl("plan").success();
    assert!(plan.stdout.contains("2 to adopt"), "{plan}");
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.writes(), Vec::<String>::new());
    assert_eq!(production.revisions("api"), ["api:1"]);
    production.relctl("plan --detailed-exitcode").success();
}

/// What another ledger manages is not adopted in silence, and one's own is no stranger.
#[test]
fn what_another_ledger_manages_is_not_adopted_silently() {
    let release = roll_out().replace("version = \"v1.1.0\"", "version = \"v1.0.0\"");
    let production = Production::start(&release);
    let tag = |value: &str| {
        let arn = &production.service("api")["serviceArn"];
        let tags = json!([{ "key": "relctl:lineage", "value": value }]);
        production.moto.ecs("TagResource", &json!({ "resourceArn": arn, "tags": tags }));
    };
    tag("of-another-team");
    for version in ["v1.0.0", "v1.1.0"] {
        if version == "v1.1.0" {
            production.bump("v1.0.0", version);
        }
        let plan = production.relctl("plan").success();
        assert!(plan.stdout.contains("of-another-team"), "{version}: {plan}");
        assert!(plan.stdout.contains("another relctl ledger"), "{version}: {plan}");
    }
    let plan = production.relctl("plan --json").success().json();
    tag(plan["body"]["base"]["lineage"].as_str().unwrap());
    let plan = production.relctl("plan").success();
    assert!(!plan.stdout.contains("another relctl ledger"), "{plan}");
}

/// A base is what the service runs. A newer revision that was never rolled out is a risk line; one
/// that was rolled out by another tool is the base of the next release, and what it set is kept.
#[test]
fn foreign_revisions_between_releases() {
    let production = Production::start(&roll_out());
    let mut foreign = definition("api", "v1.0.0");
    foreign["containerDefinitions"][0]["environment"] =
        json!([{ "name": "NODE_ENV", "value": "production" }, { "name": "FLAG", "value": "on" }]);
    production.moto.ecs("RegisterTaskDefinition", &foreign);
    let plan = production.relctl("plan").success();
    for part in ["made from api:1, which service api runs", "api:2", "never rolled out"] {
        assert!(plan.stdout.contains(part), "{part}: {plan}");
    }
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 3));
    let environment = |revision: &str| {
        production.definition(&json!(revision))["containerDefinitions"][0]["environment"].clone()
    };
    assert_eq!(environment("api:3").as_array().unwrap().len(), 1, "api:2 is not part of it");

    // Another tool deploys between the releases.
    foreign["containerDefinitions"][0]["image"] =
        json!("123456789012.dkr.ecr.us-east-1.amazonaws.com/api:hotfix");
    production.moto.ecs("RegisterTaskDefinition", &foreign);
    production.moto.ecs(
        "UpdateService",
        &json!({ "cluster": CLUSTER, "service": "api", "taskDefinition": "api:4" }),
    );
    production.bump("v1.1.0", "v1.2.0");
    let plan = production.relctl("plan").success();
    for part in ["made from api:4", "Drift since the last entry", "hotfix"] {
        assert!(plan.stdout.contains(part), "{part}: {plan}");
    }
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.2.0".to_owned(), 5));
    assert_eq!(environment("api:5").as_array().unwrap().len(), 2, "what the hotfix set is kept");

    // What the release owned goes back. What the hotfix set was never this release's.
    let reverted = production.relctl("revert --auto-approve").success();
    assert!(reverted.stdout.contains("goes back to what api:4 was, from api:5"), "{reverted}");
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 6));
    assert_eq!(environment("api:6").as_array().unwrap().len(), 2, "the hotfix's flag is kept");
    assert_eq!(production.proxy.count("DeregisterTaskDefinition"), 0, "E7");
}

/// E6: the count that the autoscaler moves is no reason for staleness, and is never sent.
#[test]
fn an_autoscaler_changes_the_count_between_plan_and_apply() {
    let production = Production::start(&roll_out());
    production.relctl("plan -o plan.json").success();
    production
        .moto
        .ecs("UpdateService", &json!({ "cluster": CLUSTER, "service": "api", "desiredCount": 5 }));
    production.relctl("apply plan.json").success();
    production.relctl("revert --auto-approve").success();
    let updates: Vec<_> =
        production.proxy.calls().into_iter().filter(|c| c.operation == "UpdateService").collect();
    assert_eq!(updates.len(), 2);
    for update in updates {
        assert_eq!(update.json().get("desiredCount"), None, "{}", update.body);
    }
    assert_eq!(production.service("api")["desiredCount"], json!(5));
}

/// C1: the caller's identity is compared with the configured account before any other call, while
/// planning, applying and reverting.
#[test]
fn another_account_is_refused_before_any_other_call() {
    let mut production = Production::start(&roll_out());
    let only_identity = |production: &Production, what: &str| {
        let calls = production.proxy.calls();
        assert!(!calls.is_empty(), "{what}");
        for call in calls {
            assert_eq!(call.operation, "GetCallerIdentity", "{what}");
        }
    };
    let release = production.environment.read("release.toml");
    production.environment.write("release.toml", &release.replace(ACCOUNT, "999999999999"));
    production.relctl("init --upgrade").success();
    production.proxy.clear();
    let plan = production.relctl("plan").exits(1);
    // Digits of that length are replaced in what the test sees.
    assert!(plan.stderr.contains("the credentials belong to account"), "{plan}");
    only_identity(&production, "plan");

    // The same while going back: somebody else's credentials are in the environment by now.
    production.environment.write("release.toml", &release);
    production.relctl("init --upgrade").success();
    production.relctl("apply --auto-approve").success();
    let other = ProxyRules::default()
        .rewrite("GetCallerIdentity", |_, reply| {
            reply.edit_text(|text| text.replace(ACCOUNT, "999999999999"));
        })
        .before(&production.moto.url())
        .unwrap();
    production.proxy = other;
    for command in ["revert --auto-approve", "plan"] {
        production.proxy.clear();
        let refused = production.relctl(command);
        assert_ne!(refused.code, Some(0), "{refused}");
        assert!(refused.stderr.contains("the credentials belong to account"), "{refused}");
        only_identity(&production, command);
    }
}

/// A cluster that is not there is named, with what to check.
#[test]
fn a_missing_cluster_stops_the_plan() {
    let production = Production::start(&roll_out().replace("\"production\"", "\"prod\""));
    let plan = production.relctl("plan").exits(1);
    for part in ["`prod`", "account and region"] {
        assert!(plan.stderr.contains(part), "{part}: {plan}");
    }
    assert_eq!(production.writes(), Vec::<String>::new());
}

/// Lookups of every kind: what is there, for others to refer to, and owned by nobody.
#[test]
fn what_is_looked_up_can_be_referred_to() {
    let lookups = r#"
[lookup.aws_ecs_cluster.main]
name = "production"

[lookup.aws_ecs_task_definition.newest]
family = "api"

[lookup.aws_db_cluster_snapshot.newest]
db_cluster_identifier = "production-cluster"
"#;
    let service = SERVICE.replace(
        "task_definition = \"${resource.aws_ecs_task_definition.api.arn}\"",
        "tags = { arn = \"${lookup.aws_ecs_cluster.main.arn}\", runs = \"${lookup.aws_ecs_task_definition.newest.family_revision}\", snapshot = \"${lookup.aws_db_cluster_snapshot.newest.db_cluster_snapshot_identifier}\" }",
    );
    let production = Production::start(&[HEAD, lookups, &service].concat());
    production.moto.rds("Action=CreateDBCluster&DBClusterIdentifier=production-cluster&Engine=aurora-postgresql&MasterUsername=app&MasterUserPassword=canary-of-the-test");
    let missing = production.relctl("plan").exits(1);
    assert!(missing.stderr.contains("lookup.aws_db_cluster_snapshot.newest"), "{missing}");
    production.moto.rds("Action=CreateDBClusterSnapshot&DBClusterIdentifier=production-cluster&DBClusterSnapshotIdentifier=nightly");
    production.relctl("apply --auto-approve").success();
    let tags = production.service("api")["tags"].to_string();
    for part in ["cluster/production", "\"api:1\"", "\"nightly\""] {
        assert!(tags.contains(part), "{part}: {tags}");
    }
    assert_eq!(production.writes(), ["TagResource"]);
}

/// Two services wait for one migration, which runs once.
#[test]
fn two_services_and_one_migration() {
    let after = "depends_on = [\"action.aws_ecs_task.migrate\"]\n";
    let worker = [DEFINITION, SERVICE, after]
        .concat()
        .replace("definition.api", "definition.worker")
        .replace("service.api", "service.worker")
        .replace("service = \"api\"", "service = \"worker\"")
        .replace("family = \"api\"", "family = \"worker\"")
        .replace("name = \"api\"", "name = \"worker\"");
    let production = Production::start(&(whole() + &worker));
    production.create_service("worker");
    production.relctl("apply --auto-approve").success();
    for name in ["api", "worker"] {
        assert_eq!(production.runs(name).0, "v1.1.0", "{name}");
    }
    let writes = production.writes();
    let at = |name: &str| writes.iter().position(|write| write == name).unwrap();
    assert_eq!(writes.iter().filter(|write| *write == "RunTask").count(), 1);
    assert!(at("CreateDBSnapshot") < at("RunTask") && at("RunTask") < at("UpdateService"));
}

/// E9: 25 services of one cluster are asked for in batches of at most ten, whatever the endpoint
/// would take.
#[test]
fn twenty_five_services() {
    let mut release = HEAD.to_owned();
    let name = |n: usize| format!("svc-{n:02}");
    for n in 0..25 {
        let pieces = [DEFINITION, SERVICE].concat();
        release += &pieces
            .replace("definition.api", &format!("definition.{}", name(n)))
            .replace("service.api", &format!("service.{}", name(n)))
            .replace("\"api\"", &format!("\"{}\"", name(n)));
    }
    let production = Production::start(&release);
    for n in 0..25 {
        production.create_service(&name(n));
    }
    let plan = production.relctl("plan").success();
    assert!(plan.stdout.contains("50 to update"), "{plan}");
    assert!(plan.stdout.lines().count() <= 60, "R7: noise is folded: {plan}");
    production.relctl("apply --auto-approve").success();
    for n in 0..25 {
        assert_eq!(production.runs(&name(n)), ("v1.1.0".to_owned(), 2));
    }
    for call in production.proxy.calls().iter().filter(|c| c.operation == "DescribeServices") {
        assert!(call.json()["services"].as_array().unwrap().len() <= 10, "{}", call.body);
    }
    production.relctl("plan --detailed-exitcode").success();
}

/// 120 databases, and an endpoint that does not filter: the one on the second page is found, and no
/// other is taken for it.
#[test]
fn a_hundred_and_twenty_databases_and_the_target_on_page_two() {
    let moto = Moto::start();
    let port = moto.port();
    let rules = ProxyRules::default().answer("DescribeDBInstances", move |call| {
        let unfiltered: Vec<&str> =
            call.body.split('&').filter(|field| !field.starts_with("Filters.")).collect();
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let answer = crate::moto::post(port, "rds", headers, &unfiltered.join("&"));
        relctl_test::proxy::Reply::xml(200, &answer)
    });
    let release = HEAD.to_owned()
        + &SNAPSHOT.replace(DATABASE, "${lookup.aws_db_instance.main.identifier}").replace(
            "name_prefix = \"${lookup.aws_db_instance.main.identifier}",
            "name_prefix = \"production-db",
        )
        + "\n[lookup.aws_db_instance.main]\nidentifier = \"production-db\"\n"
        + DEFINITION
        + MIGRATION
        + SERVICE;
    let production = Production::on(moto, &release, rules);
    for n in 0..119 {
        production.create_database(&format!("another-{n:03}"), "15.4");
    }
    production.relctl("apply --auto-approve").success();
    let pages = production.proxy.calls();
    let second = |body: &str| body.split('&').any(|field| field.starts_with("Marker="));
    assert!(pages.iter().any(|c| c.operation == "DescribeDBInstances" && second(&c.body)));
    let taken = production.moto.rds("Action=DescribeDBSnapshots&SnapshotType=manual");
    assert_eq!(crate::moto::elements(&taken, "DBInstanceIdentifier"), [DATABASE]);
}
