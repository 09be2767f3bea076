//! What can be read of the past: status, log, show, diff, drift.

use insta::assert_snapshot;
use serde_json::Value;

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
    assert_snapshot!(site.relctl("status"), @"
    exit code: 0
    ----- stdout
    site

      in force    nothing
      ledger      state/site/default/
      lock        free
      revert      has nowhere to go
      drift       none
    ----- stderr
    ");
    assert_snapshot!(site.relctl("log"), @"
    exit code: 0
    ----- stdout
    no entries yet
    ----- stderr
    ");
    assert_snapshot!(site.relctl("show"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: nothing was ever applied

    hint: see what would be: relctl plan
    ");
    assert_snapshot!(site.relctl("revert --auto-approve"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: nothing was ever applied

    hint: `relctl plan` shows what would be
    ");
    assert_snapshot!(site.relctl("drift"), @"
    exit code: 0
    ----- stdout
    no drift: what is owned is as it was recorded
    ----- stderr
    ");
}

#[test]
fn log_lists_the_newest_first() {
    let site = two_releases();
    assert_snapshot!(site.relctl("log"), @"
    exit code: 0
    ----- stdout
    #2  v1.1.0  applied, verified  2026-11-22T10:00:00Z  ada  [short]  in force
        new
    #1  v1.0.0  applied, verified  2026-11-22T10:00:00Z  ada  [short]
    ----- stderr
    ");
    assert_snapshot!(site.relctl("log -n 1"), @"
    exit code: 0
    ----- stdout
    #2  v1.1.0  applied, verified  2026-11-22T10:00:00Z  ada  [short]  in force
        new
    ----- stderr
    1 older: relctl log -n 2
    ");
    let log = site.relctl("log --json").success().json();
    assert_eq!(log["entries"][0]["version"], "v1.1.0");
    assert_eq!(log["entries"][0]["reason"], "new");
    assert_eq!(log["entries"][1]["serial"], 1);
}

#[test]
fn show_finds_an_entry_by_serial_version_or_hash() {
    let site = two_releases();
    assert_snapshot!(site.relctl("show v1.0.0"), @r#"
    exit code: 0
    ----- stdout
    #1 site v1.0.0: applied, verified
      entry     [sha256]
      parent    none, it is the first
      plan      [sha256]
      by        ada
      started   2026-11-22T10:00:00Z
      finished  2026-11-22T10:00:00Z

    Checks
      pass          check.local_match.served: `current/index.html` has "site v1.0.0"

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

    Left behind: 2 objects
      resource.local_file.index   changed by #1
      resource.local_link.current   changed by #1
    ----- stderr
    "#);
    let by_version = site.relctl("show v1.0.0").success().raw;
    assert_eq!(site.relctl("show 1").success().raw, by_version);
    assert_eq!(site.relctl("show #1").success().raw, by_version);
    let log = site.relctl("log --json").success().json();
    let hash = log["entries"][1]["entry"].as_str().unwrap().to_owned();
    assert_eq!(site.relctl(&format!("show {}", &hash[..12])).success().raw, by_version);
    assert_snapshot!(site.relctl("show v9"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: no entry is meant by `v9`

    hint: give a serial from 1 to 2, a version, at least 4 digits of a hash, or `start`; `relctl log` lists them
    ");
    assert_snapshot!(site.relctl("show 9"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: no entry is meant by `9`

    hint: give a serial from 1 to 2, a version, at least 4 digits of a hash, or `start`; `relctl log` lists them
    ");
}

/// Whatever an entry is made of, one byte less of it is noticed by whoever looks at the entry.
#[test]
fn show_notices_what_is_cut() {
    let site = two_releases();
    let ledger = site.path("state/site/default");
    let shown = site.relctl("show 1 --json").success().json();
    let entry = &shown["entry"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = [
        format!("entries/{}.json", text(&shown["digest"])),
        format!("plans/{}.json", text(&entry["plan"])),
        format!("snapshots/{}.json.zst", text(&entry["snapshot"])),
        format!("journal/{}/00000000.jsonl", text(&entry["operation"])),
        "history/00000000.json.zst".to_owned(),
    ];
    for file in files {
        let path = ledger.join(&file);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        let refused = site.relctl("show 1").exits(1);
        let name = file.split('/').next().unwrap();
        assert!(refused.stderr.contains(&format!("default/{name}/")), "{file}: {refused}");
        assert!(refused.stderr.contains("hint: "), "{file}: {refused}");
        std::fs::write(&path, &bytes).unwrap();
    }
    drop(site.relctl("show 1").success());
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
    assert_snapshot!(site.relctl("diff"), @"
    exit code: 0
    ----- stdout
    v1.0.0 #1 → v1.1.0 #2
    ~ resource.local_file.index
        ~ content   (1 line added, 1 removed)
            - <h1>site v1.0.0</h1>
            + <h1>site v1.1.0</h1>
              <p>blue</p>
        ~ path   v1.0.0/index.html → v1.1.0/index.html
    ~ resource.local_link.current
        ~ target   v1.0.0 → v1.1.0
      resource.local_file.index is there still, no longer managed
    ▶ action.local_append.migrate was run by #2
    ----- stderr
    ");
    let newest = site.relctl("diff").success().raw;
    assert_eq!(site.relctl("diff v1.0.0 v1.1.0").success().raw, newest);
    assert_snapshot!(site.relctl("diff start 1"), @"
    exit code: 0
    ----- stdout
    start → v1.0.0 #1
    + resource.local_file.index
        + content   (2 lines)
            + <h1>site v1.0.0</h1>
            + <p>blue</p>
        + path   v1.0.0/index.html
    + resource.local_link.current
        + path     current
        + target   v1.0.0
    ▶ action.local_append.migrate was run by #1
    ----- stderr
    ");
}

#[test]
fn drift_is_seen_and_planned_away() {
    let site = site::released();
    assert_snapshot!(site.relctl("drift"), @"
    exit code: 0
    ----- stdout
    no drift: what is owned is as it was recorded
    ----- stderr
    ");
    site.write("www/v1.0.0/index.html", "<h1>hacked</h1>\n");
    assert_snapshot!(site.relctl("drift"), @"
    exit code: 3
    ----- stdout
    resource.local_file.index
      ~ content   (1 line added, 2 removed)
          - <h1>site v1.0.0</h1>
          - <p>blue</p>
          + <h1>hacked</h1>
    ----- stderr
    ");
    assert_snapshot!(site.relctl("status"), @"
    exit code: 0
    ----- stdout
    site

      in force    v1.0.0 #1, verified
                  2026-11-22T10:00:00Z by ada
      entry       [sha256]
      ledger      state/site/default/
      lock        free
      revert      would go to what was there before the first entry
      drift       1 field
        resource.local_file.index
          ~ content   (1 line added, 2 removed)
              - <h1>site v1.0.0</h1>
              - <p>blue</p>
              + <h1>hacked</h1>
    ----- stderr
    ");
    assert_snapshot!(site.relctl("plan --detailed-exitcode"), @"
    exit code: 2
    ----- stdout
    site v1.0.0                                                            in force: v1.0.0 #1, verified

    Risks: none

    Steps
      1  ~ update  resource.local_file.index   v1.0.0/index.html
           ~ content   (2 lines added, 1 removed)
               - <h1>hacked</h1>
               + <h1>site v1.0.0</h1>
               + <p>blue</p>
      2  ✓ check   check.local_match.served                                                      after 1
             matches = site v1.0.0, path = current/index.html

    Undo
      exact   step 1: back to what was there

    Plugins
      local 0.1.0, [short]   root = www

    Drift since the last entry
      resource.local_file.index
        ~ content   (1 line added, 2 removed)
            - <h1>site v1.0.0</h1>
            - <p>blue</p>
            + <h1>hacked</h1>

    1 to update, 1 check, 2 unchanged.  plan [short]…
    To apply exactly this: relctl apply --expect [sha256]
    ----- stderr
    ");
    site.relctl("apply --auto-approve").success();
    site.relctl("drift").success();
}
