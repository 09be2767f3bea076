//! Snapshots before a migration: available and this run's own, or nothing goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relctl_test::proxy::{ProxyRules, Reply};

use crate::environment::Output;
use crate::moto::{Moto, elements};
use crate::production::{DATABASE, Production, SNAPSHOT, whole};

/// Scripts what status a snapshot shows, look by look, once it was asked for; the last one stays.
fn statuses(rules: ProxyRules, statuses: &'static [&'static str]) -> ProxyRules {
    let begun: Arc<AtomicUsize> = Arc::default();
    let looks = Arc::clone(&begun);
    let rules = rules.rewrite("CreateDBSnapshot", move |_, _| begun.store(1, Ordering::SeqCst));
    rules.rewrite("DescribeDBSnapshots", move |_, reply| {
        let look = looks.load(Ordering::SeqCst);
        if look == 0 {
            return;
        }
        looks.store(look + 1, Ordering::SeqCst);
        let status = statuses.get(look - 1).or(statuses.last()).unwrap();
        reply.edit_text(|text| {
            text.replace("<Status>available</Status>", &format!("<Status>{status}</Status>"))
        });
    })
}

/// Applies; asserts that the migration never started and the service is untouched.
fn stops(production: &Production, arguments: &str) -> Output {
    let applied = production.relctl(&format!("apply --auto-approve {arguments}")).exits(9);
    assert_eq!(production.proxy.count("RunTask"), 0, "{applied}");
    assert_eq!(production.proxy.count("UpdateService"), 0, "{applied}");
    assert_eq!(production.runs("api"), ("v1.0.0".to_owned(), 1));
    applied
}

fn says(applied: &Output, parts: &[&str]) {
    for part in parts {
        assert!(applied.to_string().contains(part), "`{part}` is not said: {applied}");
    }
}

/// R1, R18: the snapshot is waited for, and says whose it is: its run, its step, its ledger.
#[test]
fn the_snapshot_is_available_and_tagged_before_the_migration() {
    let rules = statuses(ProxyRules::default(), &["creating", "creating", "available"]);
    let production = Production::behind(&whole(), rules);
    production.relctl("apply --auto-approve").success();
    let calls: Vec<String> =
        production.proxy.calls().into_iter().map(|call| call.operation).collect();
    let at = |name: &str| calls.iter().position(|call| call == name).unwrap();
    let looks = calls.get(at("CreateDBSnapshot")..at("RunTask")).unwrap().iter();
    // Three to wait for it, and one just before what it guards starts.
    assert_eq!(looks.filter(|call| *call == "DescribeDBSnapshots").count(), 4);
    let shown = production.moto.rds("Action=DescribeDBSnapshots&SnapshotType=manual");
    let keys = elements(&shown, "Key");
    for key in ["relctl:lineage", "relctl:run", "relctl:step"] {
        assert!(keys.contains(&key.to_owned()), "{key}: {shown}");
    }
    assert!(production.snapshots()[0].starts_with("production-db-v1-1-0-"), "{shown}");
}

/// R1, R18: it fails on the way: nothing goes on, and RDS's word for it is said.
#[test]
fn a_snapshot_that_is_creating_and_then_failed() {
    let rules = statuses(ProxyRules::default(), &["creating", "failed"]);
    let production = Production::behind(&whole(), rules);
    let applied = stops(&production, "");
    says(&applied, &["snapshot `production-db-v1-1-0-", "is failed", "held", "relctl revert"]);
}

/// R18: it stalls: nothing goes on.
#[test]
fn a_snapshot_that_stalls() {
    let production = Production::behind(&whole(), statuses(ProxyRules::default(), &["creating"]));
    let applied = stops(&production, "--step-timeout 11s");
    says(&applied, &["is creating after"]);
}

/// Has snapshots be gone from the `nth` look on.
fn gone_from(nth: usize) -> ProxyRules {
    ProxyRules::default().rewrite("DescribeDBSnapshots", move |call, reply| {
        if call.nth >= nth {
            reply.edit_text(|text| {
                let (head, rest) = text.split_once("<DBSnapshots>").unwrap_or((&text, ""));
                let tail = rest.split_once("</DBSnapshots>").map_or("", |(_, tail)| tail);
                format!("{head}<DBSnapshots></DBSnapshots>{tail}")
            });
        }
    })
}

/// R18: it is deleted while it is waited for.
#[test]
fn a_snapshot_that_is_gone_again() {
    let production = Production::behind(&whole(), gone_from(2));
    let applied = stops(&production, "");
    says(&applied, &["was begun and is gone"]);
}

/// R18: it was available, and is deleted before the migration starts.
#[test]
fn a_snapshot_that_is_deleted_before_the_migration() {
    let production = Production::behind(&whole(), gone_from(3));
    let applied = stops(&production, "");
    says(
        &applied,
        &[
            "action.aws_ecs_task.migrate FAILED: nothing was started: what action.aws_db_snapshot.before left to go back to is not there any more",
            "plan again",
            "relctl revert",
        ],
    );
    let looks = production.proxy.count("DescribeDBSnapshots");
    assert_eq!(looks, 3, "is the name taken, is it available, is it still there");
}

/// R18: what is available is compared with the database: another engine, size or encryption is no
/// way back to it.
#[test]
fn a_snapshot_that_is_not_what_the_database_is() {
    for (from, to, part) in [
        (
            "<AllocatedStorage>20<",
            "<AllocatedStorage>5<",
            "its size in GiB is 5, the database's 20",
        ),
        ("<Engine>postgres<", "<Engine>mysql<", "its engine is \"mysql\""),
        ("<EngineVersion>15.4<", "<EngineVersion>14.9<", "its engine version is \"14.9\""),
        ("<Encrypted>false<", "<Encrypted>true<", "its encryption is true, the database's false"),
    ] {
        let rules = ProxyRules::default().rewrite("DescribeDBSnapshots", move |call, reply| {
            reply.edit_text(|text| {
                assert!(call.nth == 1 || text.contains(from), "{text}");
                text.replace(from, to)
            });
        });
        let production = Production::behind(&whole(), rules);
        let applied = stops(&production, "");
        says(&applied, &["is available, and not what `production-db` is", part]);
    }
}

/// R1, R14, R18: the name is that of another database's snapshot: it is not taken for ours. Seen
/// while planning, before an apply of an older plan starts anything, and by RDS's own answer.
#[test]
fn a_name_that_another_instance_has_taken() {
    let release = whole().replace(
        "name_prefix = \"production-db-${release.version | replace('.', '-')}\"",
        "db_snapshot_identifier = \"before-v1-1-0\"",
    );
    let take = "Action=CreateDBSnapshot&DBInstanceIdentifier=another-db&DBSnapshotIdentifier=before-v1-1-0";
    let said = ["before-v1-1-0", "it is of `another-db`", "name_prefix"];

    let production = Production::start(&release);
    production.create_database("another-db", "15.4");
    production.relctl("plan -o plan.json").success();
    production.moto.rds(take);
    for command in ["plan", "apply plan.json", "apply --auto-approve"] {
        let refused = production.relctl(command);
        assert_ne!(refused.code, Some(0), "{command}: {refused}");
        says(&refused, &said);
    }
    assert_eq!(production.writes(), Vec::<String>::new());

    // Somebody is quicker by a moment.
    let moto = Moto::start();
    let port = moto.port();
    let rules = ProxyRules::default().answer("CreateDBSnapshot", move |_| {
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        crate::moto::post(port, "rds", form, &format!("{take}&Version=2014-10-31"));
        Reply::xml(400, "<ErrorResponse><Error><Code>DBSnapshotAlreadyExists</Code><Message>Cannot create the snapshot because a snapshot with the identifier before-v1-1-0 already exists.</Message></Error></ErrorResponse>")
    });
    let production = Production::on(moto, &release, rules);
    production.create_database("another-db", "15.4");
    let applied = stops(&production, "");
    says(&applied, &said);
}

/// The whole release, of a cluster.
fn of_cluster() -> String {
    whole()
        .replace("action.aws_db_snapshot", "action.aws_db_cluster_snapshot")
        .replace("db_instance_identifier", "db_cluster_identifier")
        .replace("\"production-db\"", "\"production-cluster\"")
}

const CREATE_CLUSTER: &str = "Action=CreateDBCluster&DBClusterIdentifier=production-cluster&Engine=aurora-postgresql&EngineVersion=15.4&MasterUsername=app&MasterUserPassword=canary-of-the-test";

/// R18: the same for a cluster: waited for, its own, looked at again before the migration; the way
/// back is a cluster's.
#[test]
fn a_snapshot_of_a_cluster() {
    let take = |name: &str| {
        format!(
            "Action=CreateDBClusterSnapshot&DBClusterIdentifier=production-cluster&DBClusterSnapshotIdentifier={name}"
        )
    };

    let production = Production::start(&of_cluster());
    let refused = production.relctl("plan").exits(1);
    says(&refused, &["database `production-cluster` is not there"]);
    production.moto.rds(CREATE_CLUSTER);
    production.moto.rds(&take("by-hand"));
    production.relctl("apply --auto-approve").success();
    let calls: Vec<String> =
        production.proxy.calls().into_iter().map(|call| call.operation).collect();
    let at = |name: &str| calls.iter().position(|call| call == name).unwrap();
    let looks = calls.get(at("CreateDBClusterSnapshot")..at("RunTask")).unwrap().iter();
    assert_eq!(looks.filter(|call| *call == "DescribeDBClusterSnapshots").count(), 2);
    let names = || {
        let shown = production.moto.rds("Action=DescribeDBClusterSnapshots&SnapshotType=manual");
        elements(&shown, "DBClusterSnapshotIdentifier")
    };
    let taken = names();
    let [_, ours] = taken.as_slice() else { panic!("{taken:?}") };
    assert!(ours.starts_with("production-db-v1-1-0-"), "{taken:?}");

    let revert = production.relctl("revert --to start -o revert.json").success();
    // On one line, to be copied, and without an option that has no value.
    let command = format!(
        "`aws rds restore-db-cluster-from-snapshot --db-cluster-identifier production-cluster-restored --snapshot-identifier {ours} --engine aurora-postgresql --db-subnet-group-name default --db-cluster-parameter-group-name "
    );
    assert!(revert.raw.contains(&command), "{command}: {revert}");
    production.relctl("apply revert.json").success();
    assert_eq!(names(), taken, "they are kept");
}

/// R1, R18: of a cluster too: a failed one, one that is gone, a name that another cluster has.
#[test]
fn a_snapshot_of_a_cluster_that_is_no_backup() {
    let status = |status: &'static str| {
        ProxyRules::default().rewrite("DescribeDBClusterSnapshots", move |_, reply| {
            reply.edit_text(|text| {
                text.replace("<Status>available</Status>", &format!("<Status>{status}</Status>"))
            });
        })
    };
    let absent = |from: usize| {
        ProxyRules::default().rewrite("DescribeDBClusterSnapshots", move |call, reply| {
            if call.nth >= from {
                *reply = Reply::xml(404, "<ErrorResponse><Error><Code>DBClusterSnapshotNotFoundFault</Code><Message>no</Message></Error></ErrorResponse>");
            }
        })
    };
    for (rules, part) in [
        (status("failed"), "is failed"),
        (absent(2), "was begun and is gone"),
        (absent(3), "left to go back to is not there any more"),
    ] {
        let production = Production::behind(&of_cluster(), rules);
        production.moto.rds(CREATE_CLUSTER);
        let applied = stops(&production, "");
        says(&applied, &[part]);
    }
}

/// The reply to `CreateDBSnapshot` is lost: the snapshot that was begun is found, and no second one.
#[test]
fn a_lost_reply_of_create_db_snapshot() {
    let rules = ProxyRules::default().lose_reply("CreateDBSnapshot", 1);
    let production = Production::behind(&whole(), rules);
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.proxy.count("CreateDBSnapshot"), 1);
    assert_eq!(production.snapshots().len(), 1);
}

/// RDS takes snapshots of available databases only: moto takes one of a stopped one.
#[test]
fn a_database_that_is_stopped_has_no_snapshot_taken() {
    let production = Production::start(&whole());
    production.moto.rds(&format!("Action=StopDBInstance&DBInstanceIdentifier={DATABASE}"));
    let applied = stops(&production, "");
    says(&applied, &["is stopped"]);
    assert_eq!(production.proxy.count("CreateDBSnapshot"), 0);
}

/// `max_age`: a snapshot that is young enough serves, and the release says which.
#[test]
fn a_young_snapshot_serves() {
    let production =
        Production::start(&whole().replace(SNAPSHOT, &format!("{SNAPSHOT}max_age = \"24h\"\n")));
    production.moto.rds(&format!(
        "Action=CreateDBSnapshot&DBInstanceIdentifier={DATABASE}&DBSnapshotIdentifier=nightly"
    ));
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.proxy.count("CreateDBSnapshot"), 0);
    let shown = production.relctl("show --json").success();
    assert!(shown.raw.contains("nightly"), "{shown}");
}

/// `keep = N`: the plan shows it as a risk, and only snapshots of this very step are pruned.
#[test]
fn only_its_own_snapshots_are_pruned() {
    let production =
        Production::start(&whole().replace(SNAPSHOT, &format!("{SNAPSHOT}keep = 2\n")));
    production.moto.rds(&format!(
        "Action=CreateDBSnapshot&DBInstanceIdentifier={DATABASE}&DBSnapshotIdentifier=by-hand"
    ));
    let mut version = "v1.1.0".to_owned();
    for next in ["v1.2.0", "v1.3.0", "v1.4.0"] {
        production.relctl("apply --auto-approve").success();
        production.bump(&version, next);
        next.clone_into(&mut version);
    }
    let plan = production.relctl("plan").success();
    for part in ["destructive", "production-db-v1-2-0-", "are deleted"] {
        assert!(plan.stdout.contains(part), "{part}: {plan}");
    }
    production.relctl("apply --auto-approve").success();
    let mut left = production.snapshots();
    for name in &mut left {
        name.truncate("production-db-v1-4-0".len());
    }
    left.sort();
    assert_eq!(left, ["by-hand", "production-db-v1-3-0", "production-db-v1-4-0"]);
}
