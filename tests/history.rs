//! What can be read of the past: status, log, show, diff, drift.

use insta::assert_snapshot;

use crate::environment::TestEnvironment;
use crate::site;

/// v1.0.0, then v1.1.0.
fn two_releases() -> TestEnvironment {
    let site = site::released();
    site::bump(&site);
    site.relctl("apply --auto-approve --reason new").success();
    site
}

#[test]
fn before_the_first_release() {
    let site = site::initialised();
    assert_snapshot!(site.relctl("status"), @"");
    assert_snapshot!(site.relctl("log"), @"");
    assert_snapshot!(site.relctl("show"), @"");
    assert_snapshot!(site.relctl("revert --auto-approve"), @"");
    assert_snapshot!(site.relctl("drift"), @"");
}

#[test]
fn log_lists_the_newest_first() {
    let site = two_releases();
    assert_snapshot!(site.relctl("log"), @"");
    assert_snapshot!(site.relctl("log -n 1"), @"");
    let log = site.relctl("log --json").success().json();
    assert_eq!(log["entries"][0]["version"], "v1.1.0");
    assert_eq!(log["entries"][0]["reason"], "new");
    assert_eq!(log["entries"][1]["serial"], 1);
}

#[test]
fn show_finds_an_entry_by_serial_version_or_hash() {
    let site = two_releases();
    assert_snapshot!(site.relctl("show v1.0.0"), @"");
    let by_version = site.relctl("show v1.0.0").success().raw;
    assert_eq!(site.relctl("show 1").success().raw, by_version);
    assert_eq!(site.relctl("show #1").success().raw, by_version);
    let log = site.relctl("log --json").success().json();
    let hash = log["entries"][1]["digest"].as_str().unwrap().to_owned();
    assert_eq!(site.relctl(&format!("show {}", &hash[..12])).success().raw, by_version);
    assert_snapshot!(site.relctl("show v9"), @"");
    assert_snapshot!(site.relctl("show 9"), @"");
}

#[test]
fn show_reads_a_plan_file() {
    let site = site::initialised();
    let planned = site.relctl("plan -o plan.json").success();
    let shown = site.relctl("show plan.json").success();
    assert_eq!(shown.stdout.lines().next(), planned.stdout.lines().next());
}

#[test]
fn diff_compares_what_two_entries_left() {
    let site = two_releases();
    assert_snapshot!(site.relctl("diff"), @"");
    let newest = site.relctl("diff").success().raw;
    assert_eq!(site.relctl("diff v1.0.0 v1.1.0").success().raw, newest);
    assert_snapshot!(site.relctl("diff start 1"), @"");
}

#[test]
fn drift_is_seen_and_planned_away() {
    let site = site::released();
    assert_snapshot!(site.relctl("drift"), @"");
    site.write("www/v1.0.0/index.html", "<h1>hacked</h1>\n");
    assert_snapshot!(site.relctl("drift"), @"");
    assert_snapshot!(site.relctl("status"), @"");
    assert_snapshot!(site.relctl("plan --detailed-exitcode"), @"");
    site.relctl("apply --auto-approve").success();
    site.relctl("drift").success();
}
