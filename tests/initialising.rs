//! `relctl init` and `relctl.lock`.

use insta::assert_snapshot;

use crate::site;

#[test]
fn init_is_idempotent() {
    let site = site::initialised();
    let (lock, head) = (site.read("relctl.lock"), site.read("state/site/default/HEAD"));
    assert_snapshot!(site.relctl("init"), @"
    exit code: 0
    ----- stdout
    ledger is there already: state/site/default/
    `relctl.lock` is up to date.
    Next: relctl plan
    ----- stderr
    ");
    assert_eq!(site.read("relctl.lock"), lock);
    assert_eq!(site.read("state/site/default/HEAD"), head);
}

#[test]
fn each_environment_has_its_ledger() {
    let site = site::uninitialised();
    site.write("environments/staging.toml", "");
    site.write("environments/production.toml", "");
    assert_snapshot!(site.relctl("init -e staging"), @"
    exit code: 0
    ----- stdout
    plugin `local`: local 0.1.0
      sha256    [sha256]
      contract  0.1
      asks for
        files     below the folder that `config.root` names
    ledger made: state/site/staging/
    `relctl.lock` written; commit it.
    Next: relctl plan -e staging
    ----- stderr
    ");
    assert_snapshot!(site.relctl("init -e production"), @"
    exit code: 0
    ----- stdout
    ledger made: state/site/production/
    `relctl.lock` written; commit it.
    Next: relctl plan -e production
    ----- stderr
    ");
    let lineages = |lock: &str| {
        let lock: toml::Value = toml::from_str(lock).unwrap();
        lock.to_string().matches("lineage").count().max(1)
    };
    assert!(lineages(&site.read("relctl.lock")) >= 1);
    assert!(site.exists("state/site/staging/HEAD"));
    assert!(site.exists("state/site/production/HEAD"));
}

#[test]
fn a_changed_plugin_waits_for_upgrade() {
    let site = site::with_own_plugin();
    site.relctl("init").success();
    site::change_own_plugin(&site);
    assert_snapshot!(site.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: plugin `local` is not the one in `relctl.lock`
           in `relctl.lock`  0.1.0 [sha256]
           `mine.wasm`  [sha256]

    hint: see what is new about it, and accept it: relctl init --upgrade
    ");
    assert_snapshot!(site.relctl("init"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: a plugin is not the one in `relctl.lock`; nothing was changed
           plugin `local`
             ~ sha256: [sha256] → [sha256]

    hint: accept what is new: relctl init --upgrade
    ");
    assert_snapshot!(site.relctl("init --upgrade"), @"
    exit code: 0
    ----- stdout
    plugin `local`
      ~ sha256: [sha256] → [sha256]
    ledger is there already: state/site/default/
    `relctl.lock` written; commit it.
    Next: relctl plan
    ----- stderr
    ");
    assert_snapshot!(site.relctl("plan"), @"
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
    To apply exactly this: relctl apply --expect [sha256]
    ----- stderr
    ");
}

#[test]
fn plugins_are_listed_and_inspected() {
    let site = site::initialised();
    assert_snapshot!(site.relctl("plugin list"), @"
    exit code: 0
    ----- stdout
    local  0.1.0  [short]  as in relctl.lock
    ----- stderr
    ");
    assert_snapshot!(site.relctl("plugin inspect local"), @"
    exit code: 0
    ----- stdout
    local 0.1.0
      file      $PLUGINS/local.wasm
      sha256    [sha256]
      size      [size]
      contract  0.1
      imports   files, host, types
      compiled  in [time], once on a machine
      loaded    in [time], from then on
      granted   all of it, as `local` of relctl.lock
    Asks for
      files     below the folder that `config.root` names
    Serves
      lookup.local_file  path → content, mode, sha256
      resource.local_file  content, path, mode? → sha256
      resource.local_link  path, target
      resource.local_value  input → output
      action.local_append  line, path
      check.local_match  path, equals?, matches?
    ----- stderr
    ");
    assert_snapshot!(site.relctl("plugin inspect locl"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: plugin `locl` was not found
           no `$PLUGINS/locl.wasm`
           no `$PLUGINS/locl.wasm`

    hint: did you mean `local`?
    hint: put `locl.wasm` beside relctl in `plugins/`, name its folder in RELCTL_PLUGIN_PATH, or write `source = "path/to/locl.wasm"`
    "#);
    site.write("broken.wasm", "not wasm");
    assert_snapshot!(site.relctl("plugin inspect broken.wasm"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: plugin `broken` is not WebAssembly, or was cut off; fetch it again, or build it again
      caused by: magic header not detected: bad magic number - expected=[
                     0x0,
                     0x61,
                     0x73,
                     0x6d,
                 ] actual=[
                     0x6e,
                     0x6f,
                     0x74,
                     0x20,
                 ] (at offset 0x0)
    ");
}
