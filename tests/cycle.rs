//! The whole way: init, plan, apply, plan, apply, revert.

use insta::assert_snapshot;

use crate::site;

#[test]
fn plan_apply_change_apply_revert() {
    let site = site::uninitialised();
    assert_snapshot!(site.relctl("init"), @"");
    assert_snapshot!(site.relctl("plan -o plan.json"), @"");
    assert_snapshot!(site.relctl("apply plan.json"), @"");
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\n");

    // What was applied is there: nothing is left to do.
    assert_snapshot!(site.relctl("plan --detailed-exitcode"), @"");

    site::bump(&site);
    assert_snapshot!(site.relctl("plan -o plan.json --detailed-exitcode"), @"");
    assert_snapshot!(site.relctl("apply plan.json"), @"");
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.1.0</h1>\n<p>blue</p>\n");

    assert_snapshot!(site.relctl("status"), @"");
    assert_snapshot!(site.relctl("revert --auto-approve --reason typo"), @"");
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    assert_snapshot!(site.relctl("revert --auto-approve"), @"");
    assert_snapshot!(site.relctl("log"), @"");
}

#[test]
fn applying_a_release_without_changes_says_so() {
    let site = site::released();
    assert_snapshot!(site.relctl("apply --auto-approve"), @"");
}

#[test]
fn variables_come_from_the_line_a_file_and_the_environment() {
    let site = site::released();
    site.write("blue.toml", "color = \"green\"\n");
    let applied = |arguments: &str, environment: Option<&str>| {
        let mut command = site.command(&arguments.split_whitespace().collect::<Vec<_>>());
        if let Some(color) = environment {
            command.env("RELCTL_VAR_color", color);
        }
        site.run(&mut command).success();
        site.read("www/current/index.html")
    };
    let apply = "apply --auto-approve";
    assert_eq!(applied(apply, Some("red")), "<h1>site v1.0.0</h1>\n<p>red</p>\n");
    let file = format!("{apply} --var-file blue.toml");
    assert_eq!(applied(&file, Some("red")), "<h1>site v1.0.0</h1>\n<p>green</p>\n");
    let line = format!("{file} --var color=pink");
    assert_eq!(applied(&line, Some("red")), "<h1>site v1.0.0</h1>\n<p>pink</p>\n");
}

#[test]
fn a_plan_is_applied_without_its_release_file() {
    let site = site::initialised();
    site.relctl("plan -o plan.json").success();
    std::fs::remove_file(site.path("release.toml")).unwrap();
    site.relctl("apply plan.json").success();
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\n");
}

#[test]
fn a_revert_needs_no_release_file() {
    let site = site::released();
    site::bump(&site);
    site.relctl("apply --auto-approve").success();
    site.write("release.toml", "this is not TOML");
    site.relctl("revert --auto-approve").success();
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
}

#[test]
fn a_revert_needs_no_plugin_beside_relctl() {
    let site = site::released();
    site::bump(&site);
    site.relctl("apply --auto-approve").success();
    // A bare machine: the plugin is only in the ledger.
    let mut revert = site.bare_command(&["revert", "--auto-approve"]);
    site.run(&mut revert).success();
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
}

#[test]
fn a_reviewed_revert_is_applied_like_any_plan() {
    let site = site::released();
    site::bump(&site);
    site.relctl("apply --auto-approve").success();
    assert_snapshot!(site.relctl("revert --to v1.0.0 -o revert.json"), @"");
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.1.0</h1>\n<p>blue</p>\n");
    assert_snapshot!(site.relctl("apply revert.json"), @"");
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
}

#[test]
fn revert_to_start_takes_everything_back() {
    let site = site::released();
    assert_snapshot!(site.relctl("revert --to start --auto-approve"), @"");
    assert!(!site.exists("www/current"));
    assert!(!site.exists("www/v1.0.0/index.html"));
    // What was appended has no undo, and stays.
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\n");
}
