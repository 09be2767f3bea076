//! Snapshots: waited for, verified to be this run's, pruned as the plan said.

use aws_rds::AwsRds;
use relctl_sdk::testing::{FakeHost, change, step, subject};
use relctl_sdk::{Failure, Plugin, Progress, Step, Subject, Value, Verb};
use serde_json::json;

use crate::cloud::{Answer, Cloud, instance, instances, snapshots};

const RUN: &str = "fedcba9876543210fedcba9876543210";
const NAME: &str = "prod-v1-fedcba987654";
const ABSENT: Answer = Answer::Error(404, "DBSnapshotNotFound", "DBSnapshot prod not found.");

fn production(desired: Value) -> (Cloud, FakeHost, Step) {
    let cloud = Cloud::default();
    cloud.script("DescribeDBSnapshots", [ABSENT]);
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "available", "")])]);
    cloud.script("CreateDBSnapshot", [Answer::Result(String::new())]);
    let host = cloud.host();
    let mut declared = json!({ "db_instance_identifier": "Prod", "name_prefix": "prod-v1" });
    for (name, value) in desired.as_object().unwrap() {
        declared[name] = value.clone();
    }
    let declared = subject("action.aws_db_snapshot.before", declared);
    let canonical = AwsRds::validate(&host, &declared).unwrap();
    let mut step = step(change(Verb::Run, Subject { desired: Some(canonical), ..declared }, None));
    step.run_key = Some(RUN.to_owned());
    (cloud, host, step)
}

fn ours(status: &str) -> Answer {
    snapshots(&[(NAME, "prod", status, &[("relctl:run", RUN)])])
}

fn token(progress: Result<Progress, Failure>) -> String {
    match progress {
        Ok(Progress::Pending { token, .. }) => token,
        other => panic!("not pending: {other:?}"),
    }
}

#[test]
fn a_snapshot_is_tagged_and_waited_for() {
    let (cloud, host, step) = production(json!({ "tags": { "Project": "x" } }));
    let waiting = token(AwsRds::apply(&host, &step));
    let sent = cloud.sent("CreateDBSnapshot");
    assert_eq!(
        (sent["DBInstanceIdentifier"].as_str(), sent["DBSnapshotIdentifier"].as_str()),
        ("prod", NAME)
    );
    let tags: Vec<(&str, &str)> = (1..=4)
        .map(|n| {
            (
                sent[&format!("Tags.Tag.{n}.Key")].as_str(),
                sent[&format!("Tags.Tag.{n}.Value")].as_str(),
            )
        })
        .collect();
    assert_eq!(
        tags,
        [
            ("Project", "x"),
            ("relctl:lineage", "test"),
            ("relctl:run", RUN),
            ("relctl:step", "action.aws_db_snapshot.before")
        ]
    );
    cloud.script("DescribeDBSnapshots", [ours("creating"), ours("available")]);
    let Ok(Progress::Pending { message, .. }) = AwsRds::poll(&host, &step, &waiting) else {
        panic!("not yet")
    };
    assert!(message.contains("40 %"), "{message}");
    let Ok(Progress::Done(document)) = AwsRds::poll(&host, &step, &waiting) else { panic!("done") };
    assert_eq!(document.value["db_snapshot_identifier"], json!(NAME));
    let procedure = document.value["restore_procedure"].to_string();
    assert!(procedure.contains(&format!("--db-snapshot-identifier {NAME}")), "{procedure}");
}

#[test]
fn a_failed_or_foreign_snapshot_is_no_backup() {
    for (there, part) in [
        (ours("failed"), "is failed"),
        (snapshots(&[(NAME, "prod", "available", &[])]), "not this run's"),
        (snapshots(&[(NAME, "another", "available", &[("relctl:run", RUN)])]), "`another`"),
        (ABSENT, "is gone"),
    ] {
        let (cloud, host, step) = production(json!({}));
        let waiting = token(AwsRds::apply(&host, &step));
        cloud.script("DescribeDBSnapshots", [there]);
        match AwsRds::poll(&host, &step, &waiting) {
            Err(Failure::Partial(_, message) | Failure::Precondition(message)) => {
                assert!(message.contains(part), "{message}");
            }
            other => panic!("{part}: {other:?}"),
        }
    }
}

/// Snapshots with more XML in each.
fn with(there: Answer, more: &str) -> Answer {
    let Answer::Result(xml) = there else { panic!("no snapshots") };
    Answer::Result(xml.replace("</DBSnapshot>", &format!("{more}</DBSnapshot>")))
}

const TRAITS: &str = "<DbiResourceId>db-1</DbiResourceId><Engine>postgres</Engine><EngineVersion>15.4</EngineVersion><AllocatedStorage>20</AllocatedStorage>";

/// R18: what is available is still not the database.
#[test]
fn a_snapshot_that_is_not_what_the_database_is_is_no_backup() {
    let database = instance(
        "prod",
        "available",
        "<DbiResourceId>db-1</DbiResourceId><AllocatedStorage>20</AllocatedStorage><StorageEncrypted>true</StorageEncrypted>",
    );
    for (from, to, part) in [
        ("db-1", "db-2", r#"its resource id is "db-2", the database's "db-1""#),
        ("postgres", "mysql", r#"its engine is "mysql", the database's "postgres""#),
        ("15.4", "15.3", r#"its engine version is "15.3", the database's "15.4""#),
        (">20<", ">5<", "its size in GiB is 5, the database's 20"),
        (">true<", ">false<", "its encryption is false, the database's true"),
        ("", "", ""),
    ] {
        let (cloud, host, step) = production(json!({}));
        let waiting = token(AwsRds::apply(&host, &step));
        cloud.script("DescribeDBInstances", [instances(std::slice::from_ref(&database))]);
        let traits = format!("{TRAITS}<Encrypted>true</Encrypted>").replace(from, to);
        cloud.script("DescribeDBSnapshots", [with(ours("available"), &traits)]);
        match AwsRds::poll(&host, &step, &waiting) {
            Err(Failure::Partial(document, message)) if !part.is_empty() => {
                assert!(message.contains(part), "{part}: {message}");
                assert_eq!(document.value["db_snapshot_identifier"], NAME);
            }
            Ok(Progress::Done(_)) if part.is_empty() => {}
            other => panic!("{part}: {other:?}"),
        }
    }
    let (cloud, host, step) = production(json!({}));
    let waiting = token(AwsRds::apply(&host, &step));
    cloud.script("DescribeDBInstances", [instances(&[])]);
    cloud.script("DescribeDBSnapshots", [ours("available")]);
    assert!(
        matches!(AwsRds::poll(&host, &step, &waiting), Err(Failure::Partial(_, message)) if message.contains("is gone"))
    );
}

/// `max_age`: one from before an upgrade is young, and no way back to what is there now.
#[test]
fn a_young_snapshot_of_another_version_does_not_serve() {
    for (version, serves) in [("15.4", true), ("14.9", false)] {
        let (cloud, host, step) = production(json!({ "max_age": "24h" }));
        // 2026-11-22, when the snapshot was taken.
        host.set_now_ms(1_795_305_600_000 + 60_000);
        let young = snapshots(&[("nightly", "prod", "available", &[])]);
        let young = with(young, &TRAITS.replace("15.4", version));
        cloud.script("DescribeDBSnapshots", [ABSENT, young]);
        let applied = AwsRds::apply(&host, &step);
        assert_eq!(matches!(applied, Ok(Progress::Done(_))), serves, "{version}: {applied:?}");
        assert_eq!(cloud.count("CreateDBSnapshot"), usize::from(!serves), "{version}");
    }
}

/// R18: what a run left is looked at again before something that cannot be undone starts.
#[test]
fn what_a_run_left_is_there_or_not() {
    let (cloud, host, step) = production(json!({}));
    let left = json!({ "db_instance_identifier": "prod", "db_snapshot_identifier": NAME });
    let subject = Subject { prior: left.as_object().cloned(), ..step.change.subject };
    for (there, found) in
        [(ours("available"), Some(NAME)), (ours("deleting"), None), (ABSENT, None)]
    {
        cloud.script("DescribeDBSnapshots", [there]);
        let observed = AwsRds::observe(&host, std::slice::from_ref(&subject)).remove(0).unwrap();
        let name = observed.as_ref().and_then(|map| map["db_snapshot_identifier"].as_str());
        assert_eq!(name, found);
        assert_eq!(cloud.sent("DescribeDBSnapshots")["DBSnapshotIdentifier"], NAME);
    }
}

#[test]
fn a_lost_reply_is_looked_into() {
    let (cloud, host, step) = production(json!({}));
    cloud.script("CreateDBSnapshot", [Answer::Lost]);
    cloud.script("DescribeDBSnapshots", [ABSENT, ours("creating")]);
    token(AwsRds::apply(&host, &step));
    token(AwsRds::apply(&host, &step));
    assert_eq!(cloud.count("CreateDBSnapshot"), 1, "the run has its snapshot");

    let (cloud, host, step) = production(json!({}));
    cloud.script("CreateDBSnapshot", [Answer::Lost]);
    assert!(matches!(AwsRds::apply(&host, &step), Err(Failure::Unknown(_))));
}

#[test]
fn a_name_that_another_database_has_is_refused() {
    let (cloud, host, step) = production(json!({}));
    cloud.script(
        "CreateDBSnapshot",
        [Answer::Error(400, "DBSnapshotAlreadyExists", "Cannot create the snapshot")],
    );
    cloud
        .script("DescribeDBSnapshots", [ABSENT, snapshots(&[(NAME, "another", "available", &[])])]);
    assert!(
        matches!(AwsRds::apply(&host, &step), Err(Failure::Precondition(message)) if message.contains("`another`"))
    );
}

#[test]
fn a_database_that_is_not_there_or_not_available_is_said() {
    let (cloud, host, step) = production(json!({}));
    cloud.script("DescribeDBInstances", [instances(&[])]);
    assert!(
        matches!(AwsRds::apply(&host, &step), Err(Failure::NotFound(message)) if message.contains("`prod`"))
    );
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "stopped", "")])]);
    assert!(
        matches!(AwsRds::apply(&host, &step), Err(Failure::Precondition(message)) if message.contains("stopped"))
    );
    assert_eq!(cloud.count("CreateDBSnapshot"), 0);
}

#[test]
fn a_fresh_enough_snapshot_serves() {
    const TAKEN_MS: u64 = 1_795_305_600_000;
    for (age_ms, serves) in [(3_599_000, true), (3_601_000, false)] {
        let (cloud, host, step) = production(json!({ "max_age": "1h" }));
        host.set_now_ms(TAKEN_MS + age_ms);
        cloud.script(
            "DescribeDBSnapshots",
            [ABSENT, snapshots(&[("nightly", "prod", "available", &[])])],
        );
        let result = AwsRds::apply(&host, &step);
        match result {
            Ok(Progress::Done(document)) if serves => {
                assert_eq!(document.value["db_snapshot_identifier"], json!("nightly"));
            }
            Ok(Progress::Pending { .. }) if !serves => {}
            other => panic!("{age_ms}: {other:?}"),
        }
        assert_eq!(cloud.count("CreateDBSnapshot"), usize::from(!serves));
    }
}

#[test]
fn it_prunes_its_own_and_only_when_it_has_the_new_one() {
    let (cloud, host, step) = production(json!({ "keep": 1 }));
    let own: &[(&str, &str)] = &[
        ("relctl:lineage", "test"),
        ("relctl:step", "action.aws_db_snapshot.before"),
        ("relctl:run", RUN),
    ];
    let waiting = token(AwsRds::apply(&host, &step));
    cloud.script("DeleteDBSnapshot", [Answer::Result(String::new())]);
    cloud.script("DescribeDBSnapshots", [ours("creating")]);
    token(AwsRds::poll(&host, &step, &waiting));
    assert_eq!(cloud.count("DeleteDBSnapshot"), 0);
    cloud.script(
        "DescribeDBSnapshots",
        [
            ours("available"),
            snapshots(&[
                (NAME, "prod", "available", own),
                ("older", "prod", "available", own),
                ("manual", "prod", "available", &[]),
            ]),
        ],
    );
    assert!(matches!(AwsRds::poll(&host, &step, &waiting), Ok(Progress::Done(_))));
    assert_eq!(cloud.count("DeleteDBSnapshot"), 1);
}

/// What a run would find, as planning sees it.
fn found(cloud: &Cloud, desired: Value) -> Result<relctl_sdk::Assessment, Failure> {
    let host = cloud.host();
    let declared = subject("action.aws_db_snapshot.before", desired);
    let canonical = AwsRds::validate(&host, &declared).unwrap();
    let subject = Subject { desired: Some(canonical), ..declared };
    let observed = AwsRds::observe(&host, std::slice::from_ref(&subject)).remove(0).unwrap();
    assert_eq!(host.writes(), 0);
    AwsRds::assess(&host, &change(Verb::Run, subject, observed))
}

#[test]
fn what_a_run_would_find_is_said_while_planning() {
    let own: &[(&str, &str)] = &[("relctl:step", "action.aws_db_snapshot.before")];
    let cloud = Cloud::default();
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "available", "")])]);
    cloud.script(
        "DescribeDBSnapshots",
        [snapshots(&[
            ("manual", "prod", "available", &[]),
            ("own-1", "prod", "available", own),
            ("own-2", "prod", "available", own),
        ])],
    );
    let keeping =
        |keep: u64| json!({ "db_instance_identifier": "prod", "name_prefix": "a", "keep": keep });
    let risks = found(&cloud, keeping(1)).unwrap().risks;
    assert!(risks[0].message.ends_with("deleted: own-1, own-2"), "{risks:?}");
    let risks = found(&cloud, keeping(2)).unwrap().risks;
    assert!(risks[0].message.ends_with("deleted: own-2"), "{risks:?}");
    assert!(found(&cloud, keeping(3)).unwrap().risks.is_empty());

    let named = json!({ "db_instance_identifier": "prod", "db_snapshot_identifier": "taken" });
    cloud.script("DescribeDBSnapshots", [snapshots(&[("taken", "other", "available", &[])])]);
    assert!(
        matches!(found(&cloud, named.clone()), Err(Failure::Precondition(message)) if message.contains("`other`"))
    );
    cloud.script("DescribeDBSnapshots", [ABSENT]);
    cloud.script("DescribeDBInstances", [instances(&[instance("prod", "stopped", "")])]);
    assert!(found(&cloud, named.clone()).unwrap().risks[0].message.contains("not available"));
    cloud.script("DescribeDBInstances", [instances(&[])]);
    assert!(matches!(found(&cloud, named), Err(Failure::NotFound(_))));
}

#[test]
fn what_cannot_be_is_refused_while_planning() {
    let host = Cloud::default().host();
    for (declared, at) in [
        (json!({ "db_instance_identifier": "prod" }), ""),
        (
            json!({ "db_instance_identifier": "prod", "name_prefix": "a", "db_snapshot_identifier": "b" }),
            "",
        ),
        (json!({ "db_instance_identifier": "prod", "name_prefix": "1a" }), "/name_prefix"),
        (
            json!({ "db_instance_identifier": "prod", "name_prefix": "a", "max_age": "soon" }),
            "/max_age",
        ),
        (json!({ "db_instance_identifier": "prod", "name_prefix": "a", "keep": 0 }), "/keep"),
    ] {
        let problems =
            AwsRds::validate(&host, &subject("action.aws_db_snapshot.before", declared.clone()))
                .unwrap_err();
        assert_eq!(
            problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(),
            [at],
            "{declared}"
        );
    }
}
