//! `relctl import` of what AWS has: what it prints adopts the object without a change, and says how
//! Terraform lives beside it.

use crate::production::{HEAD, Production};

/// The part of a release file that an import prints.
fn imported(production: &Production, what: &str) -> String {
    production.relctl(&format!("import {what}")).success().raw
}

#[test]
fn what_is_imported_is_adopted_without_a_change() {
    let production = Production::start(HEAD);
    let printed: Vec<String> = [
        "aws_ecs_cluster production",
        "aws_ecs_task_definition api from.cluster=production from.service=api",
        "aws_ecs_service production api",
        "aws_db_instance production-db",
    ]
    .map(|what| imported(&production, what))
    .to_vec();
    production.environment.write("release.toml", &(HEAD.to_owned() + &printed.concat()));
    let plan = production.relctl("plan").success();
    assert!(plan.stdout.contains("4 to adopt"), "{plan}");
    assert!(!plan.stdout.contains("to update") && !plan.stdout.contains("to create"), "{plan}");
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.writes(), Vec::<String>::new());
    production.relctl("plan --detailed-exitcode").success();
    // It holds data: nobody who forgets a line shall lose it.
    assert!(printed[3].contains("lifecycle = { protect = true }"), "{}", printed[3]);
}

/// For a service, what to add to Terraform: it leaves alone what relctl changes, and does not
/// deregister what a revert needs.
#[test]
fn a_service_says_how_terraform_lives_beside_it() {
    let production = Production::start(HEAD);
    let printed = imported(&production, "aws_ecs_service production api");
    for part in ["ignore_changes = [", "task_definition", "skip_destroy = true"] {
        let is_said = printed.lines().any(|line| line.starts_with('#') && line.contains(part));
        assert!(is_said, "{part}: {printed}");
    }
    assert!(printed.contains("# desired_count"), "autoscaling may move it: {printed}");
}

/// A plain-text value may be a secret, and its name says so: it is left out, and that is said.
#[test]
fn what_looks_like_a_credential_is_left_out() {
    let production = Production::start(HEAD);
    let mut definition = crate::production::definition("api", "v1.0.0");
    definition["containerDefinitions"][0]["environment"] =
        serde_json::json!([{ "name": "DB_PASSWORD", "value": "canary-of-the-test" }]);
    production.moto.ecs("RegisterTaskDefinition", &definition);
    let output = production.relctl("import aws_ecs_task_definition api").success();
    let said = "# environment is left out: it looks like a credential";
    assert!(output.stdout.contains(said), "{output}");
    assert!(!output.to_string().contains("canary-of-the-test"), "{output}");
}

#[test]
fn what_is_not_there_is_said() {
    let production = Production::start(HEAD);
    for (what, part) in [
        ("aws_ecs_service production web", "there is no aws_ecs_service with"),
        ("aws_ecs_service other api", "cluster `other` is not there"),
        ("aws_db_instance other-db", "there is no aws_db_instance with"),
    ] {
        let refused = production.relctl(&format!("import {what}")).exits(1);
        assert!(refused.stderr.contains(part), "{what}: {refused}");
    }
}
