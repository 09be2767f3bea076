//! Going back in a production that lives, and what going back cannot bring back.

use serde_json::{Value, json};

use crate::production::{
    CLUSTER, DATABASE, DEFINITION, Production, SERVICE, definition, roll_out, whole,
};

/// A revision's content, without what AWS says about it.
fn content(production: &Production, revision: &str) -> Value {
    let mut content = production.definition(&json!(revision));
    for name in ["taskDefinitionArn", "revision", "status", "registeredAt", "compatibilities"] {
        content.as_object_mut().unwrap().remove(name);
    }
    content
}

/// E5, E7: what another tool registered and deregistered since is registered again, as it was; and
/// an earlier release of relctl's own as well. relctl itself deregisters nothing.
#[test]
fn a_revision_that_was_deregistered_since() {
    let production = Production::start(&roll_out());
    let was = content(&production, "api:1");
    production.relctl("apply --auto-approve").success();
    production.bump("v1.1.0", "v1.2.0");
    production.relctl("apply --auto-approve").success();
    for revision in ["api:1", "api:2"] {
        let body = json!({ "taskDefinition": revision });
        production.moto.ecs("DeregisterTaskDefinition", &body);
    }
    production.relctl("revert --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 4));
    production.relctl("revert --to start --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 5));
    assert_eq!(content(&production, "api:5"), was);
    assert_eq!(production.proxy.count("DeregisterTaskDefinition"), 0);
}

/// E5: it is deleted: its content is in the ledger, but for plain-text values, which may be secrets.
/// Those that still run are taken from there, and the recorded hash proves that they are the same.
#[test]
fn a_revision_that_was_deleted_since() {
    let production = Production::start(&roll_out());
    let was = content(&production, "api:1");
    let plan = production.relctl("plan").success();
    assert!(plan.stdout.contains("plain-text values are not recorded"), "{plan}");
    production.relctl("apply --auto-approve").success();
    delete(&production, "api:1");
    production.relctl("revert --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 3));
    assert_eq!(content(&production, "api:3"), was);
}

/// E5: the same where a value is another one by now: it is named, nothing is made up, and once it is
/// there again the way back goes on.
#[test]
fn a_deleted_revision_whose_plain_text_is_gone_is_refused_by_name() {
    let production = Production::start(&roll_out());
    production.relctl("apply --auto-approve").success();
    let mut hotfix = definition("api", "v1.1.1");
    hotfix["containerDefinitions"][0]["environment"][0]["value"] = json!("emergency");
    production.moto.ecs("RegisterTaskDefinition", &hotfix);
    production.moto.ecs(
        "UpdateService",
        &json!({ "cluster": CLUSTER, "service": "api", "taskDefinition": "api:3" }),
    );
    delete(&production, "api:1");
    let refused = production.relctl("revert --auto-approve").exits(9);
    for part in ["api:1 is deleted", "NODE_ENV", "container api", "register it again"] {
        assert!(refused.stderr.contains(part), "{part}: {refused}");
    }
    assert_eq!(production.runs("api").0, "v1.1.1", "nothing was made up");
    production.moto.ecs("RegisterTaskDefinition", &definition("api", "v1.0.0"));
    production.relctl("revert --to start --auto-approve").success();
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 4));
}

fn delete(production: &Production, revision: &str) {
    let body = json!({ "taskDefinition": revision });
    production.moto.ecs("DeregisterTaskDefinition", &body);
    let body = json!({ "taskDefinitions": [revision] });
    production.moto.ecs("DeleteTaskDefinitions", &body);
}

/// What a release changed of a service goes back, and what it did not mention was never touched.
#[test]
fn the_services_attributes_go_back() {
    let production = Production::start(&roll_out());
    production.relctl("apply --auto-approve").success();
    let was = production.service("api");
    production
        .environment
        .write("release.toml", &(roll_out() + "desired_count = 3\ntags = { team = \"shop\" }\n"));
    production.bump("v1.1.0", "v1.2.0");
    production.relctl("apply --auto-approve").success();
    let now = production.service("api");
    assert_eq!(now["desiredCount"], json!(3));
    assert!(now["tags"].to_string().contains("team"), "{now}");
    production.relctl("revert --auto-approve").success();
    let back = production.service("api");
    assert_eq!(back["desiredCount"], json!(2));
    assert_eq!(back["networkConfiguration"], was["networkConfiguration"]);
    assert!(!back["tags"].to_string().contains("team"), "{back}");
    assert_eq!(production.runs("api"), ("v1.1.0".to_owned(), 2));
}

/// Said before the apply: after the migration, going back means restoring, and what is written since
/// is lost. Said before the revert: what stays, which snapshot there is, from when, and how to restore
/// it with the settings that the database had then.
#[test]
fn what_a_migration_without_an_undo_means_is_said_before() {
    let production = Production::start(&whole());
    let plan = production.relctl("plan").success();
    let text = plan.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "point of no return",
        "action.aws_ecs_task.migrate declares no undo",
        "going back means restoring production-db from what action.aws_db_snapshot.before takes; what is written since is lost",
    ] {
        assert!(text.contains(part), "{part}: {plan}");
    }
    production.relctl("apply --auto-approve").success();
    // The settings of then, whatever was changed since.
    production.moto.rds(&format!(
        "Action=ModifyDBInstance&DBInstanceIdentifier={DATABASE}&DBInstanceClass=db.t3.large&DeletionProtection=false&ApplyImmediately=true"
    ));
    let snapshot = production.snapshots().remove(0);
    let revert = production.relctl("revert -o revert.json").success();
    let text = revert.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let part = format!("took {snapshot} of production-db at 20");
    assert!(production.environment.read("revert.json").contains(&part), "{revert}");
    for part in [
        "action.aws_ecs_task.migrate ran in entry #1 and declares no undo: what it did, and what was written since, stays",
        "Restoring it loses everything that was written after that time:",
        "1. stop what writes to production-db",
        "class db.t3.medium",
        "subnet group",
        "security groups",
        "parameter group default.postgres15",
        "Multi-AZ false",
        "deletion protection true",
        "aws rds restore-db-instance-from-db-snapshot",
        "--no-multi-az",
        "--deletion-protection",
        "rename production-db to production-db-old: `aws rds modify-db-instance --db-instance-identifier production-db --new",
    ] {
        assert!(text.contains(part), "{part}: {revert}");
    }
    production.relctl("apply revert.json").success();
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 1));
    assert_eq!(production.snapshots(), [snapshot], "the snapshot is kept");
}

/// A migration with an undo is undone by the image that knows it, after the service has left it.
#[test]
fn a_migration_with_an_undo_is_undone_with_the_newer_image() {
    let release = whole()
        + "\n[action.aws_ecs_task.migrate.undo]\ncommand = [\"npm\", \"run\", \"migrate:down\"]\n";
    let production = Production::start(&release);
    let plan = production.relctl("plan").success();
    assert!(!plan.stdout.contains("point of no return"), "{plan}");
    production.relctl("apply --auto-approve").success();
    production.proxy.clear();
    production.relctl("revert --auto-approve").success();
    let calls = production.proxy.calls();
    let at = |name: &str| calls.iter().position(|call| call.operation == name).unwrap();
    let undo = &calls[at("RunTask")];
    assert!(undo.body.contains("migrate:down"), "{}", undo.body);
    assert!(undo.body.contains("task-definition/api:2"), "{}", undo.body);
    assert!(
        at("UpdateService") < at("RunTask"),
        "the old code never meets the old schema's absence"
    );
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 1));
}

/// Each of two services goes back to what it ran, and other services are not touched.
#[test]
fn two_services_go_back_and_a_third_stays() {
    let worker = [DEFINITION, SERVICE]
        .concat()
        .replace("definition.api", "definition.worker")
        .replace("service.api", "service.worker")
        .replace("\"api\"", "\"worker\"");
    let production = Production::start(&(roll_out() + &worker));
    production.create_service("worker");
    production.create_service("other");
    production.relctl("apply --auto-approve").success();
    production.relctl("revert --auto-approve").success();
    for name in ["api", "worker", "other"] {
        assert_eq!(production.runs(name), ("v1.0.0".to_owned(), 1), "{name}");
    }
    for call in production.proxy.calls().iter().filter(|call| call.operation == "UpdateService") {
        assert!(!call.body.contains("other"), "{}", call.body);
    }
}
