//! What relctl calls, beside what its policies allow: planning reads what the plugins were granted,
//! applying writes no more, and nobody reads a secret.

use std::collections::BTreeSet;

use relctl_test::proxy::ProxyRules;

use crate::environment::Output;
use crate::moto::Moto;
use crate::production::{Production, whole};

/// The policy that `relctl plugin inspect --iam` prints.
fn policy(production: &Production, phase: &str) -> String {
    production.relctl(&format!("plugin inspect aws-ecs aws-rds --iam {phase}")).success().raw
}

/// The actions that it allows.
fn allowed(production: &Production, phase: &str) -> BTreeSet<String> {
    let policy: serde_json::Value = serde_json::from_str(&policy(production, phase)).unwrap();
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).collect()
}

/// What the command called.
fn called(production: &Production, command: &str) -> BTreeSet<String> {
    production.moto.record();
    production.relctl(command).success();
    production.moto.recorded().into_iter().collect()
}

#[test]
fn planning_calls_what_its_policy_allows_and_applying_no_more() {
    let production = Production::start(&whole());
    let (plan, apply) = (allowed(&production, "plan"), allowed(&production, "apply"));
    let writes: BTreeSet<&String> = apply.difference(&plan).collect();
    assert!(plan.is_subset(&apply) && !writes.is_empty());
    let before = production.service("api");

    let mut read = BTreeSet::new();
    for command in [
        "validate",
        "plan -o plan.json",
        "plan --format markdown",
        "status",
        "drift",
        "schema",
        "import aws_ecs_service production api",
        "import aws_ecs_task_definition api",
        "import aws_db_instance production-db",
    ] {
        let called = called(&production, command);
        assert!(called.is_subset(&plan), "{command}: {called:?}");
        read.extend(called);
    }
    assert!(read.contains("ecs:DescribeServices") && read.contains("rds:DescribeDBInstances"));
    assert_eq!(production.service("api"), before);

    let first = called(&production, "apply plan.json");
    let status = called(&production, "status");
    assert!(status.is_subset(&plan), "{status:?}");
    production.bump("v1.1.0", "v1.2.0");
    let second = called(&production, "apply --auto-approve");
    let planned = called(&production, "revert -o revert.json");
    assert!(planned.is_subset(&plan), "planning a revert: {planned:?}");
    let back = called(&production, "apply revert.json");
    for called in [&first, &second, &back] {
        assert!(called.is_subset(&apply), "{called:?}");
        assert!(called.iter().any(|action| writes.contains(action)), "{called:?}");
    }
    let all: Vec<&String> = [&read, &first, &second, &back].into_iter().flatten().collect();
    let secrets = ["secretsmanager:", "ssm:", "kms:"];
    assert!(!all.iter().any(|action| secrets.iter().any(|secret| action.starts_with(secret))));
}

/// Allows something else.
const NOTHING: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:ListAllMyBuckets"],"Resource":"*"}]}"#;

/// Runs relctl as the user that has this key.
fn as_user(production: &Production, key: &(String, String), arguments: &str) -> Output {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let mut command = production.environment.command(&arguments);
    command
        .env("AWS_ENDPOINT_URL", production.proxy.url())
        .env("AWS_ACCESS_KEY_ID", &key.0)
        .env("AWS_SECRET_ACCESS_KEY", &key.1);
    production.environment.run(&mut command)
}

#[test]
fn the_generated_policies_are_enough_and_a_refusal_names_the_action() {
    let production = Production::on(Moto::start(), &whole(), ProxyRules::default());
    let nobody = production.moto.user("nobody", NOTHING);
    let planner = production.moto.user("planner", &policy(&production, "plan"));
    let applier = production.moto.user("applier", &policy(&production, "apply"));
    production.moto.enforce();

    // Whose account it is, everyone may ask; more, `nobody` may not.
    let refused = as_user(&production, &nobody, "plan").exits(1);
    assert!(refused.stderr.contains("AccessDenied"), "{refused}");
    assert!(refused.stderr.contains("ecs:Describe"), "{refused}");

    as_user(&production, &planner, "plan -o plan.json").success();
    let refused = as_user(&production, &planner, "apply plan.json");
    assert_ne!(refused.code, Some(0), "{refused}");
    assert!(refused.to_string().contains("rds:CreateDBSnapshot"), "{refused}");
    assert!(!refused.to_string().contains(&planner.1), "{refused}");

    as_user(&production, &applier, "apply --auto-approve").success();
    as_user(&production, &planner, "plan --detailed-exitcode").success();
    as_user(&production, &applier, "revert --to start --auto-approve").success();
}
