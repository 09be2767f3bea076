//! Plans that must not be applied: each changes nothing and exits as the table says.

use std::process::Stdio;

use insta::assert_snapshot;

use crate::environment::TestEnvironment;
use crate::site;

/// What is there: everything below `www`, and the ledger's HEAD but for its epoch.
fn world(site: &TestEnvironment) -> String {
    fn collect(folder: &std::path::Path, found: &mut Vec<String>) {
        let Ok(entries) = folder.read_dir() else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let name = path.display();
            if metadata.is_dir() {
                collect(&path, found);
            } else if metadata.is_symlink() {
                found.push(format!("{name} -> {}", path.read_link().unwrap().display()));
            } else {
                found.push(format!("{name} {:?}", std::fs::read(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    collect(&site.path("www"), &mut found);
    collect(&site.path("state/site"), &mut found);
    // What taking the lock leaves behind.
    found.retain(|line| !["/HEAD", "/lock", "/.lock", "/.swap"].iter().any(|n| line.contains(n)));
    found.sort();
    found.join("\n")
}

/// A folder with v1.0.0 in force and v1.1.0 planned in `plan.json`.
fn planned() -> TestEnvironment {
    let site = site::released();
    site::bump(&site);
    site.relctl("plan -o plan.json").success();
    site
}

#[test]
fn a_plan_whose_ground_has_changed_is_stale() {
    let site = planned();
    std::fs::remove_file(site.path("www/current")).unwrap();
    std::os::unix::fs::symlink("elsewhere", site.path("www/current")).unwrap();
    let before = world(&site);
    assert_snapshot!(site.relctl("apply plan.json"), @r#"
    exit code: 5
    ----- stdout
    ----- stderr
    error: the plan is stale: 1 thing(s) changed since
           resource.local_link.current.target: planned with "v1.0.0", now "elsewhere"

    hint: nothing was changed; plan again and have the new plan reviewed
    "#);
    assert_eq!(world(&site), before);
}

#[test]
fn a_plan_made_before_another_entry_is_stale() {
    let site = planned();
    site.relctl("apply --auto-approve --var color=red").success();
    let before = world(&site);
    assert_snapshot!(site.relctl("apply plan.json"), @"
    exit code: 5
    ----- stdout
    ----- stderr
    error: the plan was made after entry #1, the ledger is at #2 now

    hint: plan again, and have that plan approved
    ");
    assert_eq!(world(&site), before);
}

#[test]
fn a_plan_is_applied_once() {
    let site = planned();
    site.relctl("apply plan.json").success();
    let before = world(&site);
    assert_snapshot!(site.relctl("apply plan.json"), @"
    exit code: 5
    ----- stdout
    ----- stderr
    error: plan [short] was applied before, by entry #2

    hint: nothing was changed; plan again to see what differs now
    ");
    assert_eq!(world(&site), before);
}

#[test]
fn an_edited_plan_is_refused() {
    let site = planned();
    let plan = site.read("plan.json");
    site.write("plan.json", &plan.replace("migrated to v1.1.0", "migrated to v6.6.6"));
    let before = world(&site);
    assert_snapshot!(site.relctl("apply plan.json"), @"
    exit code: 5
    ----- stdout
    ----- stderr
    error: the plan's body does not match its id [sha256]: it was changed after planning; plan again
    ");
    assert_eq!(world(&site), before);
}

#[test]
fn a_plan_for_another_environment_is_refused() {
    let site = site::uninitialised();
    site.write("environments/staging.toml", "");
    site.write("environments/production.toml", "");
    site.relctl("init -e staging").success();
    site.relctl("init -e production").success();
    site.relctl("plan -e staging -o plan.json").success();
    let before = world(&site);
    assert_snapshot!(site.relctl("apply -e production plan.json"), @"
    exit code: 5
    ----- stdout
    ----- stderr
    error: the plan was made for environment `staging`, not for `production`

    hint: nothing was changed; plan for it: relctl plan -o FILE -e production
    ");
    assert_eq!(world(&site), before);
}

#[test]
fn a_plan_for_another_ledger_is_refused() {
    let (site, other) = (planned(), site::initialised());
    other.write("plan.json", &site.read("plan.json"));
    let before = world(&other);
    assert_snapshot!(other.relctl("apply plan.json"), @"
    exit code: 5
    ----- stdout
    ----- stderr
    error: the plan was made against another ledger

    hint: plan again, and have that plan approved
    ");
    assert_eq!(world(&other), before);
}

#[test]
fn a_plan_made_with_another_plugin_is_refused() {
    let site = site::with_own_plugin();
    site.relctl("init").success();
    site.relctl("plan -o plan.json").success();
    site::change_own_plugin(&site);
    let before = world(&site);
    assert_snapshot!(site.relctl("apply plan.json"), @"
    exit code: 5
    ----- stdout
    ----- stderr
    error: plugin `local` (local 0.1.0) is not here with the bytes that were reviewed
           wanted sha256 [sha256]

    hint: put that `local.wasm` into a folder of RELCTL_PLUGIN_PATH, or plan again with the one that is here
    ");
    assert_eq!(world(&site), before);
}

#[test]
fn expecting_another_plan_is_no_approval() {
    let site = planned();
    let before = world(&site);
    let other = "0".repeat(64);
    assert_snapshot!(site.relctl(&format!("apply plan.json --expect {other}")), @"
    exit code: 7
    ----- stdout
    ----- stderr
    error: the plan is [sha256], approved was [sha256]

    hint: nothing was changed; have the plan reviewed as it is now: relctl plan
    ");
    assert_snapshot!(site.relctl(&format!("apply --expect {other}")), @"
    exit code: 7
    ----- stdout
    ----- stderr
    error: the plan is [sha256], approved was [sha256]

    hint: nothing was changed; have the plan reviewed as it is now: relctl plan
    ");
    assert_snapshot!(site.relctl("apply --expect 9c1e"), @"
    exit code: 7
    ----- stdout
    ----- stderr
    error: `9c1e` is too short for a plan id

    hint: give all 64 digits, or at least the first 12
    ");
    assert_eq!(world(&site), before);
}

#[test]
fn expecting_this_plan_is_approval() {
    let site = planned();
    let planned = site.relctl("plan --json").json();
    let id = planned["plan_id"].as_str().unwrap();
    site.relctl(&format!("apply --expect {}", &id[..12])).success();
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\nmigrated to v1.1.0\n");
}

#[test]
fn without_a_terminal_nothing_is_approved() {
    let site = site::initialised();
    let before = world(&site);
    assert_snapshot!(site.relctl("apply"), @"
    exit code: 7
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
    ----- stderr
    error: nobody can be asked here: this is no terminal

    hint: approve what is planned now: --auto-approve
    hint: approve exactly one plan: --expect PLAN_ID, as `relctl plan` shows it
    ");
    assert_eq!(world(&site), before);
}

#[test]
fn two_applies_of_one_plan_have_one_winner() {
    let site = planned();
    let start = || {
        let mut command = site.command(&["apply", "plan.json", "--lock-timeout", "60s"]);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let (one, two) = (start(), start());
    let mut codes =
        [one, two].map(|child| child.wait_with_output().unwrap().status.code().unwrap());
    codes.sort_unstable();
    assert_eq!(codes, [0, 5]);
    assert_eq!(site.read("www/migrations.log"), "migrated to v1.0.0\nmigrated to v1.1.0\n");
}

#[test]
fn a_failing_gate_stops_everything_before_it_starts() {
    let site = site::initialised();
    let release = site.read("release.toml");
    site.write(
        "release.toml",
        &format!("{release}\n[check.local_match.ready]\nwhen = \"before\"\npath = \"ready\"\nequals = \"yes\"\n"),
    );
    site.write("www/ready", "no");
    let before = world(&site);
    assert_snapshot!(site.relctl("apply --auto-approve"), @r#"
    exit code: 4
    ----- stdout
    site v1.0.0                                                                        in force: nothing

    Risks: none

    Steps
      1  ▶ run     action.local_append.migrate   line = migrated to v1.0.0, path = migrations.log
      2  ✓ gate    check.local_match.ready       equals = yes, path = ready
      3  + create  resource.local_file.index
           + content   (2 lines)
               + <h1>site v1.0.0</h1>
               + <p>blue</p>
           + path   v1.0.0/index.html
      4  + create  resource.local_link.current                                                after 1, 3
           + path     current
           + target   v1.0.0
      5  ✓ check   check.local_match.served                                                      after 4
             matches = site v1.0.0, path = current/index.html

    Undo
      exact   steps 3, 4: back to what was there
      kept    step 1: stays, and does no harm

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    2 to create, 1 to run, 2 checks.  plan [short]…
    ----- stderr
    error: 1 gate(s) failed
           check.local_match.ready: `ready` holds "no", expected "yes"

    hint: nothing was changed
    "#);
    assert_eq!(world(&site), before);
}

/// Whoever writes a plan file and computes its id anew grants nothing with it.
#[test]
fn a_plan_file_brings_no_grants() {
    let site = site::initialised();
    site.relctl("plan -o plan.json").success();
    let plan: relctl_plan::Plan = serde_json::from_str(&site.read("plan.json")).unwrap();
    let mut body = plan.body.clone();
    let pin = body.plugins.get_mut("local").unwrap();
    pin.grants = serde_json::json!({
        "files": true,
        "http": { "sts": { "read": ["GetCallerIdentity"], "write": [] } },
    });
    let forged = relctl_plan::Plan::new(body, plan.meta.clone()).unwrap();
    site.write("forged.json", &serde_json::to_string(&forged).unwrap());
    assert_snapshot!(site.relctl("apply forged.json").stderr, @"
    error: plugin `local` of the plan was not granted what the plan says
           the plan names 0.1.0 [sha256]
           neither `relctl.lock` nor the ledger has it with these grants

    hint: nothing was changed; plan again with what is granted here: relctl plan
    ");
    site.relctl("apply plan.json").success();
}
