//! Database instances: found on any page, changed as declared, waited for.

use aws_rds::AwsRds;
use relctl_sdk::testing::{FakeHost, change, step, subject};
use relctl_sdk::{Attempt, Failure, Plugin, Progress, Step, Subject, Value, Verb};
use serde_json::json;

use crate::cloud::{Answer, Cloud, instance, instances};

fn updating(cloud: &Cloud, there: &str, desired: Value) -> (FakeHost, Step) {
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "available", there)])]);
    cloud.script("ModifyDBInstance", [Answer::Result(String::new())]);
    let host = cloud.host();
    let mut declared = json!({ "identifier": "prod" });
    for (name, value) in desired.as_object().unwrap() {
        declared[name] = value.clone();
    }
    let declared = subject("resource.aws_db_instance.main", declared);
    let canonical = AwsRds::validate(&host, &declared).unwrap();
    let subject = Subject { desired: Some(canonical), ..declared };
    let observed = AwsRds::observe(&host, std::slice::from_ref(&subject)).remove(0).unwrap();
    (host, step(change(Verb::Update, subject, observed)))
}

#[test]
fn every_page_is_read_in_one_go() {
    let cloud = Cloud::default();
    let page = |from: usize, marker: &str| {
        let all: Vec<String> =
            (from..from + 60).map(|n| instance(&format!("db-{n}"), "available", "")).collect();
        Answer::Result(format!("<DBInstances>{}</DBInstances>{marker}", all.concat()))
    };
    cloud.script("DescribeDBInstances", [page(0, "<Marker>more</Marker>"), page(60, "")]);
    let host = cloud.host();
    let subjects: Vec<Subject> = ["db-3", "db-119", "db-999"]
        .iter()
        .map(|name| subject("lookup.aws_db_instance.x", json!({ "identifier": name })))
        .collect();
    let found = AwsRds::observe(&host, &subjects);
    assert_eq!(
        found.iter().map(|f| f.as_ref().unwrap().is_some()).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(cloud.count("DescribeDBInstances"), 2);
    assert_eq!(cloud.sent("DescribeDBInstances")["Marker"], "more");
    assert_eq!(host.writes(), 0);
}

#[test]
fn only_what_differs_is_sent_and_deferred_unless_declared() {
    let there =
        "<AllocatedStorage>20</AllocatedStorage><BackupRetentionPeriod>1</BackupRetentionPeriod>";
    let cloud = Cloud::default();
    let (host, step) =
        updating(&cloud, there, json!({ "allocated_storage": 20, "backup_retention_period": 7 }));
    assert!(matches!(AwsRds::apply(&host, &step), Ok(Progress::Pending { .. })));
    let sent = cloud.sent("ModifyDBInstance");
    assert_eq!(sent["BackupRetentionPeriod"], "7");
    assert_eq!(sent["ApplyImmediately"], "false");
    assert!(!sent.contains_key("AllocatedStorage"));
}

#[test]
fn what_waits_for_the_window_is_not_asked_for_again() {
    let there = "<DBInstanceClass>db.t3.micro</DBInstanceClass><PendingModifiedValues><DBInstanceClass>db.t3.small</DBInstanceClass></PendingModifiedValues>";
    let cloud = Cloud::default();
    let (host, step) = updating(&cloud, there, json!({ "instance_class": "db.t3.small" }));
    assert_eq!(step.change.observed_text("instance_class"), Some("db.t3.small"));
    assert!(matches!(AwsRds::apply(&host, &step), Ok(Progress::Pending { .. })));
    assert_eq!(cloud.count("ModifyDBInstance"), 0);
}

#[test]
fn done_is_available_and_as_wanted_more_than_once() {
    let cloud = Cloud::default();
    let (host, step) = updating(
        &cloud,
        "<BackupRetentionPeriod>1</BackupRetentionPeriod>",
        json!({ "backup_retention_period": 7 }),
    );
    let Ok(Progress::Pending { token, .. }) = AwsRds::apply(&host, &step) else {
        panic!("pending")
    };
    let look = |token: &str| AwsRds::poll(&host, &step, token);
    let Ok(Progress::Pending { token, message, .. }) = look(&token) else {
        panic!("available is not yet changed")
    };
    assert!(message.contains("backup_retention_period"), "{message}");
    cloud.script(
        "DescribeDBInstances",
        [instances(&[instance(
            "prod",
            "modifying",
            "<BackupRetentionPeriod>7</BackupRetentionPeriod>",
        )])],
    );
    let Ok(Progress::Pending { token, .. }) = look(&token) else { panic!("modifying is not done") };
    cloud.script(
        "DescribeDBInstances",
        [instances(&[instance(
            "prod",
            "available",
            "<BackupRetentionPeriod>7</BackupRetentionPeriod>",
        )])],
    );
    let Ok(Progress::Pending { token, .. }) = look(&token) else { panic!("once may be stale") };
    let Ok(Progress::Pending { token, .. }) = look(&token) else { panic!("twice as well") };
    assert!(matches!(look(&token), Ok(Progress::Done(_))));
}

/// R5: "available" right after a change proves nothing until RDS was seen to begin, or time passed.
#[test]
fn a_stale_available_is_not_believed() {
    let cloud = Cloud::default();
    let (host, step) = updating(
        &cloud,
        "<BackupRetentionPeriod>1</BackupRetentionPeriod>",
        json!({ "backup_retention_period": 7 }),
    );
    let mut token = pending(AwsRds::apply(&host, &step));
    let after = "<BackupRetentionPeriod>7</BackupRetentionPeriod>";
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "available", after)])]);
    for _ in 0..5 {
        token = pending(AwsRds::poll(&host, &step, &token));
    }
    host.set_now_ms(30_000);
    assert!(matches!(AwsRds::poll(&host, &step, &token), Ok(Progress::Done(_))));
}

/// R5: what was to happen at once is not done while it still waits.
#[test]
fn what_was_to_happen_at_once_and_waits_is_not_done() {
    let cloud = Cloud::default();
    let (host, step) = updating(
        &cloud,
        "<DBInstanceClass>db.t3.micro</DBInstanceClass>",
        json!({ "instance_class": "db.t3.small", "apply_immediately": true }),
    );
    let token = pending(AwsRds::apply(&host, &step));
    assert_eq!(cloud.sent("ModifyDBInstance")["ApplyImmediately"], "true");
    let waits = "<DBInstanceClass>db.t3.micro</DBInstanceClass><PendingModifiedValues><DBInstanceClass>db.t3.small</DBInstanceClass></PendingModifiedValues>";
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "available", waits)])]);
    host.set_now_ms(40_000);
    let Ok(Progress::Pending { mut token, message, .. }) = AwsRds::poll(&host, &step, &token)
    else {
        panic!("it has not begun")
    };
    assert!(message.contains("not yet changed: instance_class"), "{message}");
    let done = "<DBInstanceClass>db.t3.small</DBInstanceClass>";
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "available", done)])]);
    for _ in 0..2 {
        token = pending(AwsRds::poll(&host, &step, &token));
    }
    assert!(matches!(AwsRds::poll(&host, &step, &token), Ok(Progress::Done(_))));
}

fn pending(progress: Result<Progress, Failure>) -> String {
    match progress {
        Ok(Progress::Pending { token, .. }) => token,
        other => panic!("not pending: {other:?}"),
    }
}

#[test]
fn a_broken_database_is_said_with_what_is_there() {
    let cloud = Cloud::default();
    let (host, step) = updating(&cloud, "", json!({ "backup_retention_period": 7 }));
    let Ok(Progress::Pending { token, .. }) = AwsRds::apply(&host, &step) else {
        panic!("pending")
    };
    cloud.script(
        "DescribeDBInstances",
        [instances(&[instance("prod", "incompatible-parameters", "")])],
    );
    assert!(
        matches!(AwsRds::poll(&host, &step, &token), Err(Failure::Partial(_, message)) if message.contains("incompatible-parameters"))
    );
}

#[test]
fn a_database_that_is_busy_is_not_changed() {
    let cloud = Cloud::default();
    let (host, step) = updating(&cloud, "", json!({ "backup_retention_period": 7 }));
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "upgrading", "")])]);
    assert!(
        matches!(AwsRds::apply(&host, &step), Err(Failure::Precondition(message)) if message.contains("upgrading"))
    );
    assert_eq!(cloud.count("ModifyDBInstance"), 0);
}

#[test]
fn deletion_takes_the_declared_last_snapshot() {
    let cloud = Cloud::default();
    let (host, mut step) =
        updating(&cloud, "", json!({ "final_snapshot_identifier": "prod-last" }));
    cloud.script("DeleteDBInstance", [Answer::Result(String::new())]);
    step.change.verb = Verb::Delete;
    step.change.desired = None;
    step.change.subject.prior = step.change.observed.clone();
    assert!(matches!(AwsRds::apply(&host, &step), Ok(Progress::Pending { .. })));
    let sent = cloud.sent("DeleteDBInstance");
    assert_eq!(sent["FinalDBSnapshotIdentifier"], "prod-last");
    assert!(!sent.contains_key("SkipFinalSnapshot"));
}

#[test]
fn a_restore_sends_every_setting_and_tells_the_rest_afterwards() {
    let cloud = Cloud::default();
    cloud.script("DescribeDBInstances", [instances(&[])]);
    cloud.script("RestoreDBInstanceFromDBSnapshot", [Answer::Result(String::new())]);
    cloud.script("ModifyDBInstance", [Answer::Result(String::new())]);
    let host = cloud.host();
    let declared = subject(
        "resource.aws_db_instance.main",
        json!({ "identifier": "prod", "snapshot_identifier": "before", "multi_az": true,
        "db_subnet_group_name": "private", "parameter_group_name": "pg15", "vpc_security_group_ids": ["sg-7"], "deletion_protection": true, "backup_retention_period": 7 }),
    );
    let step = step(change(Verb::Create, declared, None));
    let Ok(Progress::Pending { token, .. }) = AwsRds::apply(&host, &step) else {
        panic!("pending")
    };
    let sent = cloud.sent("RestoreDBInstanceFromDBSnapshot");
    for (name, value) in [
        ("DBSnapshotIdentifier", "before"),
        ("MultiAZ", "true"),
        ("DBSubnetGroupName", "private"),
        ("DBParameterGroupName", "pg15"),
        ("VpcSecurityGroupIds.VpcSecurityGroupId.1", "sg-7"),
        ("DeletionProtection", "true"),
    ] {
        assert_eq!(sent[name], value, "{name}");
    }
    let restored = "<MultiAZ>true</MultiAZ><DeletionProtection>true</DeletionProtection><BackupRetentionPeriod>1</BackupRetentionPeriod><DBSubnetGroup><DBSubnetGroupName>private</DBSubnetGroupName></DBSubnetGroup><DBParameterGroups><DBParameterGroup><DBParameterGroupName>pg15</DBParameterGroupName></DBParameterGroup></DBParameterGroups><VpcSecurityGroups><VpcSecurityGroupMembership><VpcSecurityGroupId>sg-7</VpcSecurityGroupId></VpcSecurityGroupMembership></VpcSecurityGroups>";
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "available", restored)])]);
    let Ok(Progress::Pending { token, .. }) = AwsRds::poll(&host, &step, &token) else {
        panic!("pending")
    };
    assert_eq!(cloud.sent("ModifyDBInstance")["BackupRetentionPeriod"], "7");
    assert!(matches!(AwsRds::poll(&host, &step, &token), Ok(Progress::Pending { .. })));
    assert_eq!(cloud.count("ModifyDBInstance"), 1, "told once");
}

/// A lost reply, and an attempt that was cut off: what is there is only taken for the step's own
/// where its tag says so.
#[test]
fn what_somebody_else_made_meanwhile_is_not_taken_over() {
    let with_tag = |lineage: &str| {
        let tags = format!(
            "<TagList><Tag><Key>relctl:lineage</Key><Value>{lineage}</Value></Tag></TagList>"
        );
        instances(&[instance("prod", "available", &tags)])
    };
    for (lineage, is_ours) in [("test", true), ("of-another-team", false)] {
        let cloud = Cloud::default();
        cloud.script("CreateDBInstance", [Answer::Lost]);
        cloud.script("DescribeDBInstances", [instances(&[]), with_tag(lineage)]);
        let host = cloud.host();
        let declared = subject(
            "resource.aws_db_instance.main",
            json!({ "identifier": "prod", "engine": "postgres", "username": "app" }),
        );
        let mut step = step(change(Verb::Create, declared, None));
        for attempt in [Attempt::First, Attempt::Again] {
            step.attempt = attempt;
            match AwsRds::apply(&host, &step) {
                Ok(Progress::Pending { .. }) if is_ours => {}
                Err(Failure::Precondition(message)) if !is_ours => {
                    assert!(message.contains("exists already"), "{message}");
                }
                other => panic!("{lineage} {attempt:?}: {other:?}"),
            }
        }
        assert_eq!(cloud.count("CreateDBInstance"), 1);
    }
}
