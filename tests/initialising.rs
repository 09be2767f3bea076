//! `relctl init` and `relctl.lock`.

use insta::assert_snapshot;

use crate::site;

#[test]
fn init_is_idempotent() {
    let site = site::initialised();
    let (lock, head) = (site.read("relctl.lock"), site.read("state/site/default/HEAD"));
    assert_snapshot!(site.relctl("init"), @"");
    assert_eq!(site.read("relctl.lock"), lock);
    assert_eq!(site.read("state/site/default/HEAD"), head);
}

#[test]
fn each_environment_has_its_ledger() {
    let site = site::uninitialised();
    site.write("environments/staging.toml", "");
    site.write("environments/production.toml", "");
    assert_snapshot!(site.relctl("init -e staging"), @"");
    assert_snapshot!(site.relctl("init -e production"), @"");
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
    assert_snapshot!(site.relctl("plan"), @"");
    assert_snapshot!(site.relctl("init"), @"");
    assert_snapshot!(site.relctl("init --upgrade"), @"");
    assert_snapshot!(site.relctl("plan"), @"");
}

#[test]
fn plugins_are_listed_and_inspected() {
    let site = site::initialised();
    assert_snapshot!(site.relctl("plugin list"), @"");
    assert_snapshot!(site.relctl("plugin inspect local"), @"");
    assert_snapshot!(site.relctl("plugin inspect locl"), @"");
    site.write("broken.wasm", "not wasm");
    assert_snapshot!(site.relctl("plugin inspect broken.wasm"), @"");
}
