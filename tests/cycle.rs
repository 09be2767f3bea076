//! The whole way: init, plan, apply, plan, apply, revert.

use insta::assert_snapshot;

use crate::site;

#[test]
fn plan_apply_change_apply_revert() {
    let site = site::uninitialised();
    assert_snapshot!(site.relctl("init"), @"
    exit code: 0
    ----- stdout
    plugin `local`: local 0.1.0
      sha256    [sha256]
      contract  0.1
      asks for
        files     below the folder that `config.root` names
    ledger made: state/site/default/
    `relctl.lock` written; commit it.
    Next: relctl plan
    ----- stderr
    ");
    assert_snapshot!(site.relctl("plan -o plan.json"), @"
    exit code: 0
    ----- stdout
    site v1.0.0                                                                        in force: nothing

    Risks: none

    Steps
      1  ▶ run     action.local_append.migrate   line = migrated to v1.0.0, path = migrations.log
      2  + create  resource.local_file.index
           + content   (2 lines)
               + <h1>site v1.0.0</h1>
               + <p>blue</p>
           + path   v1.0.0/index.html
      3  + create  resource.local_link.current                                                after 1, 2
           + path     current
           + target   v1.0.0
      4  ✓ check   check.local_match.served                                                      after 3
             matches = site v1.0.0, path = current/index.html

    Undo
      exact   steps 2, 3: back to what was there
      kept    step 1: stays, and does no harm

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    2 to create, 1 to run, 1 check.  plan [short]…
    To apply exactly this: relctl apply plan.json
    ----- stderr
    ");
    assert_snapshot!(by_step(&site.relctl("apply plan.json --parallelism 1")), @r#"
    exit code: 0
    ----- stdout
    site v1.0.0 is in force, verified; 3 steps done
      entry     #1 [sha256]
      go back   relctl revert
    ----- stderr
    site v1.0.0: 4 steps, plan [short]
    1 ▶ run action.local_append.migrate started
    1 ▶ run action.local_append.migrate done, [time]
    2 + create resource.local_file.index started
    2 + create resource.local_file.index done, [time]
    3 + create resource.local_link.current started
    3 + create resource.local_link.current done, [time]
    check.local_match.served pass: `current/index.html` has "site v1.0.0"
    entry #1 [short]: succeeded, verified
    "#);
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\n");

    // What was applied is there: nothing is left to do.
    assert_snapshot!(site.relctl("plan --detailed-exitcode"), @"
    exit code: 0
    ----- stdout
    no changes: site v1.0.0, 3 objects as declared
    1 check would run: check.local_match.served
    ----- stderr
    ");

    site::bump(&site);
    assert_snapshot!(site.relctl("plan -o plan.json --detailed-exitcode"), @"
    exit code: 2
    ----- stdout
    site v1.1.0                                                            in force: v1.0.0 #1, verified

    Risks: none

    Steps
      1  ▶ run     action.local_append.migrate   line = migrated to v1.1.0, path = migrations.log
      2  + create  resource.local_file.index
           + content   (2 lines)
               + <h1>site v1.1.0</h1>
               + <p>blue</p>
           + path   v1.1.0/index.html
      3  ~ update  resource.local_link.current   current                                      after 1, 2
           ~ target   v1.0.0 → v1.1.0
      4  ✓ check   check.local_match.served                                                      after 3
             matches = site v1.1.0, path = current/index.html

    Record only: nothing is touched
      no longer managed, stays as it is   resource.local_file.index

    Undo
      exact   steps 2, 3: back to what was there
      kept    step 1: stays, and does no harm

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    1 to create, 1 to update, 1 to run, 1 check, 1 record only.  plan [short]…
    To apply exactly this: relctl apply plan.json
    ----- stderr
    ");
    assert_snapshot!(by_step(&site.relctl("apply plan.json --parallelism 1")), @r#"
    exit code: 0
    ----- stdout
    site v1.1.0 is in force, verified; 3 steps done
      entry     #2 [sha256]
      go back   relctl revert
    ----- stderr
    site v1.1.0: 4 steps, plan [short]
    1 ▶ run action.local_append.migrate started
    1 ▶ run action.local_append.migrate done, [time]
    2 + create resource.local_file.index started
    2 + create resource.local_file.index done, [time]
    3 ~ update resource.local_link.current started
    3 ~ update resource.local_link.current done, [time]
    check.local_match.served pass: `current/index.html` has "site v1.1.0"
    entry #2 [short]: succeeded, verified
    "#);
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.1.0</h1>\n<p>blue</p>\n");

    assert_snapshot!(site.relctl("status"), @"
    exit code: 0
    ----- stdout
    site

      in force    v1.1.0 #2, verified
                  2026-11-22T10:00:00Z by ada
      entry       [sha256]
      ledger      state/site/default/
      lock        free
      revert      would go to v1.0.0 #1
      drift       none
    ----- stderr
    ");
    assert_snapshot!(site.relctl("revert --auto-approve --reason typo --parallelism 1"), @r#"
    exit code: 0
    ----- stdout
    revert site: back to v1.0.0 #1                                         in force: v1.1.0 #2, verified

    Risks
      ! destructive   step 4: resource.local_file.index is deleted
      ! caution       action.local_append.migrate ran in entry #2 and declares no undo: what it did, and
                      what was written since, stays, and is what the older version meets

    Steps
      1  = adopt   resource.local_file.index     v1.0.0/index.html
      2  ~ update  resource.local_link.current   current                                         after 1
           ~ target   v1.1.0 → v1.0.0
      3  ✓ check   check.local_match.served                                                      after 2
             matches = site v1.0.0, path = current/index.html
      4  - delete  resource.local_file.index     v1.1.0/index.html                               after 2

    Undo of this revert
      exact   steps 1, 2, 4: back to what was there

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    1 to update, 1 to delete, 1 to adopt, 1 check.  plan [short]…
    site is back at v1.0.0 #1, verified; 3 steps done
      entry     #3 [sha256]
      go back   relctl revert --to 2
    ----- stderr
    revert site: back to v1.0.0 #1: 4 steps, plan [short]
    1 = adopt resource.local_file.index done, [time]
    2 ~ update resource.local_link.current started
    2 ~ update resource.local_link.current done, [time]
    4 - delete resource.local_file.index started
    4 - delete resource.local_file.index done, [time]
    check.local_match.served pass: `current/index.html` has "site v1.0.0"
    entry #3 [short]: succeeded, verified
    "#);
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    assert_snapshot!(site.relctl("revert --auto-approve --parallelism 1"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: the newest entry, #3, is a revert already: v1.0.0 runs

    hint: to go further back, name an entry: `relctl revert --to SERIAL`; `relctl log` lists them
    ");
    assert_snapshot!(site.relctl("log"), @"
    exit code: 0
    ----- stdout
    #3  v1.0.0  reverted to #1, verified  2026-11-22T10:00:00Z  ada  [short]  in force
        typo
    #2  v1.1.0  applied, verified         2026-11-22T10:00:00Z  ada  [short]
    #1  v1.0.0  applied, verified         2026-11-22T10:00:00Z  ada  [short]
    ----- stderr
    ");
}

#[test]
fn applying_a_release_without_changes_says_so() {
    let site = site::released();
    assert_snapshot!(site.relctl("apply --auto-approve --parallelism 1"), @"
    exit code: 0
    ----- stdout
    site v1.0.0 is in force, verified; nothing had to change
    ----- stderr
    ");
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
    assert_snapshot!(site.relctl("revert --to v1.0.0 -o revert.json --parallelism 1"), @"
    exit code: 0
    ----- stdout
    revert site: back to v1.0.0 #1                                         in force: v1.1.0 #2, verified

    Risks
      ! destructive   step 4: resource.local_file.index is deleted
      ! caution       action.local_append.migrate ran in entry #2 and declares no undo: what it did, and
                      what was written since, stays, and is what the older version meets

    Steps
      1  = adopt   resource.local_file.index     v1.0.0/index.html
      2  ~ update  resource.local_link.current   current                                         after 1
           ~ target   v1.1.0 → v1.0.0
      3  ✓ check   check.local_match.served                                                      after 2
             matches = site v1.0.0, path = current/index.html
      4  - delete  resource.local_file.index     v1.1.0/index.html                               after 2

    Undo of this revert
      exact   steps 1, 2, 4: back to what was there

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    1 to update, 1 to delete, 1 to adopt, 1 check.  plan [short]…
    To apply exactly this: relctl apply revert.json
    ----- stderr
    ");
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.1.0</h1>\n<p>blue</p>\n");
    assert_snapshot!(site.relctl("apply revert.json --parallelism 1"), @r#"
    exit code: 0
    ----- stdout
    site is back at v1.0.0 #1, verified; 3 steps done
      entry     #3 [sha256]
      go back   relctl revert --to 2
    ----- stderr
    revert site: back to v1.0.0 #1: 4 steps, plan [short]
    1 = adopt resource.local_file.index done, [time]
    2 ~ update resource.local_link.current started
    2 ~ update resource.local_link.current done, [time]
    4 - delete resource.local_file.index started
    4 - delete resource.local_file.index done, [time]
    check.local_match.served pass: `current/index.html` has "site v1.0.0"
    entry #3 [short]: succeeded, verified
    "#);
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
}

#[test]
fn revert_to_start_takes_everything_back() {
    let site = site::released();
    assert_snapshot!(site.relctl("revert --to start --auto-approve --parallelism 1"), @"
    exit code: 0
    ----- stdout
    revert site: back to what was there before the first entry             in force: v1.0.0 #1, verified

    Risks
      ! destructive   steps 1, 2: each of resource.local_file.index, resource.local_link.current is
                      deleted
      ! caution       action.local_append.migrate ran in entry #1 and declares no undo: what it did, and
                      what was written since, stays, and is what the older version meets

    Steps
      1  - delete  resource.local_link.current   current
      2  - delete  resource.local_file.index     v1.0.0/index.html                               after 1

    Undo of this revert
      exact   steps 1, 2: back to what was there

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    2 to delete.  plan [short]…
    site is back at what was there before the first entry; 2 steps done
      entry     #2 [sha256]
      go back   relctl revert --to 1
    ----- stderr
    revert site: back to what was there before the first entry: 2 steps, plan [short]
    1 - delete resource.local_link.current started
    1 - delete resource.local_link.current done, [time]
    2 - delete resource.local_file.index started
    2 - delete resource.local_file.index done, [time]
    entry #2 [short]: succeeded
    ");
    assert!(!site.exists("www/current"));
    assert!(!site.exists("www/v1.0.0/index.html"));
    // What was appended has no undo, and stays.
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\n");
}

/// Numbers go through a plan file, the ledger and a plugin, and are themselves to the last bit.
#[test]
fn numbers_are_applied_as_they_were_planned() {
    let site = site::initialised();
    let numbers = ["0.30000000000000004", "123456789.12345679", "5e-324", "1234567890123456.7"];
    let value = |(index, number)| format!("\n[resource.local_value.n{index}]\ninput = {number}\n");
    let values: String = numbers.iter().enumerate().map(value).collect();
    site.write("release.toml", &format!("{}{values}", site::RELEASE));
    site.relctl("plan -o plan.json").success();
    site.relctl("apply plan.json").success();
    let plan = site.relctl("plan --detailed-exitcode").success();
    assert!(plan.stdout.contains("no changes"), "{plan}");
    assert!(!plan.stdout.contains("drift"), "{plan}");
}

/// A transcript with what is said of each of the first two steps together: they are ready together, and
/// which of them is heard of first depends on how fast the ledger's disk is.
fn by_step(transcript: &impl ToString) -> String {
    let step = |line: &str| line.split_once(' ')?.0.parse::<u32>().ok().filter(|step| *step <= 2);
    let transcript = transcript.to_string();
    let mut lines: Vec<&str> = transcript.lines().collect();
    for progress in lines.chunk_by_mut(|a, b| step(a).is_some() && step(b).is_some()) {
        progress.sort_by_key(|line| step(line));
    }
    lines.join("\n")
}
