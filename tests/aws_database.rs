//! Databases: what RDS would take without a word is shown, guarded, or refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use relctl_test::proxy::ProxyRules;
use serde_json::json;

use crate::moto::elements;
use crate::production::{DATABASE, DEFINITION, HEAD, Production, SERVICE, roll_out};

/// The database with these fields.
fn database(fields: &str) -> String {
    format!("\n[resource.aws_db_instance.main]\nidentifier = \"production-db\"\n{fields}\n")
}

/// Shows the database busy once after it was told something, as RDS does.
fn busy(rules: ProxyRules) -> ProxyRules {
    let told: Arc<AtomicBool> = Arc::default();
    let telling = Arc::clone(&told);
    rules.rewrite("ModifyDBInstance", move |_, _| telling.store(true, Ordering::SeqCst)).rewrite(
        "DescribeDBInstances",
        move |_, reply| {
            if told.swap(false, Ordering::SeqCst) {
                reply.edit_text(|text| {
                    text.replace(
                        "<DBInstanceStatus>available</DBInstanceStatus>",
                        "<DBInstanceStatus>modifying</DBInstanceStatus>",
                    )
                });
            }
        },
    )
}

/// Shows that the maintenance window waits for a larger class.
fn pending(rules: ProxyRules) -> ProxyRules {
    rules.rewrite("DescribeDBInstances", |_, reply| {
        reply.edit_text(|text| {
            let waits = "<PendingModifiedValues><DBInstanceClass>db.r6g.large</DBInstanceClass></PendingModifiedValues></DBInstance>";
            text.replace("</DBInstance>", waits)
        });
    })
}

fn refused(fields: &str, parts: &[&str]) {
    let production = Production::start(&(HEAD.to_owned() + &database(fields)));
    let plan = production.relctl("plan");
    assert_ne!(plan.code, Some(0), "{plan}");
    plan.says(parts);
    assert_eq!(production.writes(), Vec::<String>::new());
}

/// Adopted with what is declared of it, and changed in place; nothing else is sent. R5: waited for
/// until it is available and as wanted.
#[test]
fn a_database_is_adopted_and_modified() {
    let release = HEAD.to_owned() + &database("backup_retention_period = 7");
    let production = Production::behind(&release, busy(ProxyRules::default()));
    let plan = production.relctl("plan").success();
    plan.says(&["exists already and is adopted", "backup_retention_period", "maintenance window"]);
    let applied = production.relctl("apply --auto-approve").success();
    applied.says(&["modifying"]);
    let calls = production.proxy.calls();
    let modify = calls.iter().find(|call| call.operation == "ModifyDBInstance").unwrap();
    assert_eq!(modify.field("BackupRetentionPeriod"), Some("7"));
    assert_eq!(modify.field("ApplyImmediately"), Some("false"));
    assert_eq!(modify.field("DeletionProtection"), None);
    production.relctl("plan --detailed-exitcode").success();
    production.relctl("revert --auto-approve").success();
    let shown = production.moto.rds("Action=DescribeDBInstances");
    assert_eq!(elements(&shown, "BackupRetentionPeriod"), ["1"]);
}

/// R2: what waits for the window is shown, and what is declared of it is not asked for again.
#[test]
fn what_waits_for_the_window_is_shown_and_not_sent_again() {
    let release = HEAD.to_owned() + &database("backup_retention_period = 7");
    let production = Production::behind(&release, pending(ProxyRules::default()));
    let plan = production.relctl("plan").success();
    plan.says(&["waiting for the maintenance window: instance_class → \"db.r6g.large\""]);

    let release = HEAD.to_owned() + &database("instance_class = \"db.r6g.large\"");
    let production = Production::behind(&release, pending(ProxyRules::default()));
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.proxy.count("ModifyDBInstance"), 0);
    production.relctl("plan --detailed-exitcode").success();
}

/// R2: `apply_immediately` flushes what others left waiting, and that is a risk line.
#[test]
fn what_apply_immediately_would_flush_is_a_risk() {
    let release =
        HEAD.to_owned() + &database("backup_retention_period = 7\napply_immediately = true");
    let production = Production::behind(&release, pending(ProxyRules::default()));
    let plan = production.relctl("plan").success();
    plan.says(&[
            "! downtime",
            "`apply_immediately` also carries out what waits for the maintenance window of production-db: instance_class → \"db.r6g.large\"",
        ],
    );
}

/// R3: RDS has no way down, and says so only when it is too late; moto would take it.
#[test]
fn a_downgrade_is_refused() {
    refused("engine_version = \"14.9\"", &["runs postgres 15.4", "no way down to 14.9"]);
}

/// R3: storage cannot shrink.
#[test]
fn shrinking_is_refused() {
    refused("allocated_storage = 10", &["has 20 GiB", "cannot shrink it to 10"]);
}

/// R3: a major upgrade needs to be allowed.
#[test]
fn an_unflagged_major_upgrade_is_refused() {
    refused(
        "engine_version = \"16.1\"",
        &["major upgrade", "allow_major_version_upgrade = true", "parameter_group_name"],
    );
}

/// R3, R4: a major upgrade is a point of no return and is marked so. Going back never sends a lower
/// version: the database stays, the plan prints how to restore it with the recorded settings and what
/// that loses, and everything else goes back.
#[test]
fn a_major_upgrade_is_not_taken_back_by_modifying() {
    let upgrade = database("engine_version = \"16.1\"\nallow_major_version_upgrade = true");
    let release = roll_out() + &upgrade;
    let production = Production::behind(&release, busy(ProxyRules::default()));
    let plan = production.relctl("plan").success();
    plan.says(&["point of no return", "postgres 15.4 → 16.1", "no downgrade"]);
    production.relctl("apply --auto-approve").success();
    production.proxy.clear();
    let reverted = production.relctl("revert --auto-approve").success();
    reverted.says(&[
            "resource.aws_db_instance.main stays as it is: database production-db runs 16.1, and RDS has no way down to 15.4",
            "To take production-db back by hand, losing everything that was written since",
            "1. stop what writes to production-db",
            "class db.t3.medium",
            "parameter group default.postgres15",
            "Multi-AZ false",
            "deletion protection true",
            "aws rds restore-db-instance-from-db-snapshot",
        ],
    );
    assert_eq!(production.proxy.count("ModifyDBInstance"), 0);
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 1), "the code went back");
    let shown = production.moto.rds("Action=DescribeDBInstances");
    assert_eq!(elements(&shown, "EngineVersion"), ["16.1"]);
}

/// R6: deletion protection is never taken away by itself, and a final snapshot never skipped.
#[test]
fn protection_and_final_snapshots_are_never_bypassed() {
    let release = HEAD.to_owned() + &database("backup_retention_period = 1");
    let production = Production::start(&release);
    production.relctl("apply --auto-approve").success();
    let removed = "\n[removed.\"resource.aws_db_instance.main\"]\ndelete = true\n";
    production.environment.write("release.toml", &(HEAD.to_owned() + removed));
    let plan = production.relctl("plan");
    assert_ne!(plan.code, Some(0), "{plan}");
    plan.says(&["has deletion protection, which relctl never takes away by itself"]);

    production.moto.rds(&format!(
        "Action=ModifyDBInstance&DBInstanceIdentifier={DATABASE}&DeletionProtection=false&ApplyImmediately=true"
    ));
    let plan = production.relctl("plan");
    assert_ne!(plan.code, Some(0), "{plan}");
    plan.says(&["nothing says what becomes of the data", "final_snapshot_identifier"]);
    assert_eq!(production.writes(), Vec::<String>::new());
    let shown = production.moto.rds("Action=DescribeDBInstances");
    assert_eq!(elements(&shown, "DBInstanceIdentifier"), [DATABASE]);
}

/// A database is made only where that was asked for; from a snapshot with every declared setting,
/// and with what is lost said before.
#[test]
fn a_database_is_restored_from_a_snapshot() {
    let restored = |lifecycle: &str| {
        HEAD.to_owned()
            + "\n[resource.aws_db_instance.copy]\nidentifier = \"production-db-copy\"\n"
            + "snapshot_identifier = \"nightly\"\ninstance_class = \"db.t3.medium\"\nengine = \"postgres\"\n"
            + "multi_az = true\ndeletion_protection = true\n"
            + lifecycle
    };
    let production = Production::start(&restored(""));
    production.moto.rds(&format!(
        "Action=CreateDBSnapshot&DBInstanceIdentifier={DATABASE}&DBSnapshotIdentifier=nightly"
    ));
    let plan = production.relctl("plan");
    assert_ne!(plan.code, Some(0), "{plan}");
    plan.says(&["is not there", "lifecycle = { create = true }"]);

    production.environment.write("release.toml", &restored("lifecycle = { create = true }\n"));
    let plan = production.relctl("plan").success();
    plan.says(&["is restored from snapshot nightly", "what was written after snapshot nightly"]);
    production.relctl("apply --auto-approve").success();
    let calls = production.proxy.calls();
    let restore = calls.iter().find(|c| c.operation == "RestoreDBInstanceFromDBSnapshot").unwrap();
    for (name, value) in [("MultiAZ", "true"), ("DeletionProtection", "true")] {
        assert_eq!(restore.field(name), Some(value), "{name}");
    }
    production.relctl("plan --detailed-exitcode").success();
    // It holds data: going back keeps it.
    production.relctl("revert --auto-approve").success();
    assert_eq!(production.proxy.count("DeleteDBInstance"), 0);
}

/// Lookups: a database and its newest snapshot as they are, for others to refer to.
#[test]
fn lookups_of_a_database_and_its_newest_snapshot() {
    let release = HEAD.to_owned()
        + "\n[lookup.aws_db_instance.main]\nidentifier = \"production-db\"\n"
        + "\n[lookup.aws_db_snapshot.newest]\ndb_instance_identifier = \"production-db\"\n"
        + &DEFINITION.replace(
            "container_definitions.api.image",
            "container_definitions.api.environment.SNAPSHOT.value = \"${lookup.aws_db_snapshot.newest.db_snapshot_identifier}\"\ncontainer_definitions.api.environment.DATABASE.value = \"${lookup.aws_db_instance.main.address}\"\ncontainer_definitions.api.image",
        )
        + SERVICE;
    let production = Production::start(&release);
    let missing = production.relctl("plan");
    assert_ne!(missing.code, Some(0), "no snapshot yet: {missing}");
    missing.says(&["lookup.aws_db_snapshot.newest", "finds nothing"]);
    production.moto.rds(&format!(
        "Action=CreateDBSnapshot&DBInstanceIdentifier={DATABASE}&DBSnapshotIdentifier=nightly"
    ));
    production.relctl("apply --auto-approve").success();
    let definition = production.definition(&json!("api:2"));
    let environment = definition["containerDefinitions"][0]["environment"].to_string();
    for part in ["nightly", "production-db.", "NODE_ENV"] {
        assert!(environment.contains(part), "{part}: {environment}");
    }
}
