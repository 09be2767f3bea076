//! What a right release file becomes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of tests may stop the test"
)]

#[cfg(test)]
mod common;

use common::{descriptions, finish, folder, options};
use relctl_config::{LoadOptions, load, schema};
use relctl_plan::{Address, CheckWhen, OnRevert, Path, Release, Role, Value};
use serde_json::json;

const RELEASE: &str = r#"
[release]
name = "shop"
version = "${vars.tag}"

[vars]
tag = "v1.2.0"
replicas = 2
registry = "example.com"
day = 2026-11-22

[plugins.world]
source = "world"
config = { region = "eu", price = "$${x}" }
auth.profile = "${vars.registry}"

[plugins.other]

[ledger]
url = "s3://bucket/${release.name}"

[lookup.find.now]
name = "shop-${release.version | replace('.', '-')}"

[defaults.service]
cluster = "main"
tags = { team = "a", day = "${vars.day}" }
lifecycle = { protect = true }

[resource.service.api]
name = "api"
count = "${vars.replicas}"
ratio = 0.5
tags.note = "costs $${5}"
extra = { nested = [1, { deep = "${lookup.find.now.network.id}" }] }
containers = [
    { name = "web", image = "${vars.registry}/web:${release.version}" },
    { name = "log", image = "log" },
]
ports."80/tcp" = { port = 80, protocol = "tcp" }
listeners.443 = {}
depends_on = ["action.job.migrate"]
on_revert = "keep"
lifecycle = { absent = ["tags.old"], external = ["count"], create = true }

[action.job.migrate]
command = ["migrate", "${file('to.txt') | trim}", "${json('config.json').target}"]
network = "${lookup.find.now.network}"
triggers = { tag = "${release.version}" }
undo = { command = ["back", "${action.job.migrate.exit_code}"] }

[check.http.health]
plugin = "other"
url = "https://${release.environment}.example.com"
when = "before"
blocking = false

[removed."resource.service.old"]
delete = true
[removed.resource.service.older]
"#;

const PRODUCTION: &str = r#"
[vars]
replicas = 6
[defaults.service.tags]
stage = "production"
[resource.service.api]
ratio = 0.25
ports."80/tcp" = { protocol = "tcp" }
ports."443/tcp" = { port = 443, protocol = "tcp" }
"#;

fn read(adapt: impl Fn(&mut LoadOptions)) -> Release {
    let folder = folder(&[
        ("release.toml", RELEASE),
        ("environments/production.toml", PRODUCTION),
        ("to.txt", "head\n"),
        ("config.json", "{\"target\": \"db\"}"),
    ]);
    let mut options = options(folder.path());
    options.environment = Some("production".to_owned());
    adapt(&mut options);
    finish(&options).unwrap_or_else(|diagnostics| panic!("{diagnostics}")).1
}

fn inputs(release: &Release, address: &str) -> Value {
    let address: Address = address.parse().unwrap();
    Value::Object(release.objects[&address].inputs.as_map().clone())
}

#[test]
fn sections_and_relctl_s_own_keys() {
    let release = read(|_| {});
    assert_eq!((release.name.as_str(), release.version.as_str()), ("shop", "v1.2.0"));
    assert_eq!(release.environment.as_deref(), Some("production"));
    assert_eq!(
        serde_json::to_value(&release.plugins).unwrap(),
        json!({
            "other": { "source": "other", "config": {} },
            "world": {
                "source": "world",
                "config": { "region": "eu", "price": "${x}" },
                "auth": { "profile": "example.com" },
            },
        })
    );
    assert_eq!(
        serde_json::to_value(&release.removed).unwrap(),
        json!({
            "resource.service.old": { "delete": true },
            "resource.service.older": { "delete": false },
        })
    );
    let object = |address: &str| &release.objects[&address.parse::<Address>().unwrap()];
    let api = object("resource.service.api");
    assert_eq!(
        serde_json::to_value(&api.lifecycle).unwrap(),
        json!({ "protect": true, "create": true, "absent": ["tags.old"], "external": ["count"] })
    );
    assert_eq!(api.on_revert, Some(OnRevert::Keep));
    assert_eq!(api.depends_on, ["action.job.migrate".parse().unwrap()]);
    let migrate = object("action.job.migrate");
    assert_eq!(
        serde_json::to_value((&migrate.undo, &migrate.triggers)).unwrap(),
        json!([{ "command": ["back", "${action.job.migrate.exit_code}"] }, { "tag": "v1.2.0" }])
    );
    let health = object("check.http.health");
    assert_eq!((health.when, health.blocking), (CheckWhen::Before, false));
    assert_eq!(health.plugin, "other");
    assert_eq!(
        Value::Object(health.inputs.as_map().clone()),
        json!({ "url": "https://production.example.com" })
    );
}

#[test]
fn fields_are_layered_substituted_and_keyed() {
    let release = read(|_| {});
    assert_eq!(
        inputs(&release, "resource.service.api"),
        json!({
            "cluster": "main",
            "name": "api",
            "count": 6,
            "ratio": 0.25,
            "tags": { "team": "a", "day": "2026-11-22", "stage": "production", "note": "costs $${5}" },
            "extra": { "nested": [1, { "deep": "${lookup.find.now.network.id}" }] },
            "containers": {
                "web": { "name": "web", "image": "example.com/web:v1.2.0" },
                "log": { "name": "log", "image": "log" },
            },
            "ports": {
                "80/tcp": { "port": 80, "protocol": "tcp" },
                "443/tcp": { "port": 443, "protocol": "tcp" },
            },
            "listeners": { "443": { "port": 443 } },
        })
    );
    assert_eq!(
        inputs(&release, "action.job.migrate"),
        json!({ "command": ["migrate", "head", "db"], "network": "${lookup.find.now.network}" })
    );
    assert_eq!(inputs(&release, "lookup.find.now"), json!({ "name": "shop-v1-2-0" }));
}

#[test]
fn variables_from_outside_reach_the_release() {
    let release = read(|options| {
        options.vars = vec![("tag".to_owned(), "v2".to_owned())];
        options.env = [("RELCTL_VAR_replicas".to_owned(), "9".to_owned())].into();
    });
    assert_eq!(release.version, "v2");
    assert_eq!(inputs(&release, "resource.service.api")["count"], json!(9));
}

#[test]
fn an_overlay_merges_the_entries_of_a_table() {
    let base = "[release]\nname='a'\nversion='1'\n[plugins.world]\n[resource.service.a]\ncluster='c'\nname='a'\n\
                containers.api.image='one'\n";
    let over = "[resource.service.a]\ncontainers.api.memory=5\ncontainers.web.image='two'\n";
    let folder = folder(&[("release.toml", base), ("environments/p.toml", over)]);
    let mut options = options(folder.path());
    options.environment = Some("p".to_owned());
    let (_, release) = finish(&options).unwrap();
    assert_eq!(
        inputs(&release, "resource.service.a")["containers"],
        json!({
            "api": { "name": "api", "image": "one", "memory": 5 },
            "web": { "name": "web", "image": "two" },
        })
    );
}

#[test]
fn without_plugins_there_is_local_in_the_release_s_folder() {
    let folder = folder(&[("release.toml", "[release]\nname='a'\nversion='1'\n[lookup.find.x]\n")]);
    let draft = load(&options(folder.path())).unwrap();
    let plugins: Vec<_> =
        draft.header().plugins().iter().map(|(i, p)| (i.as_str(), &p.config)).collect();
    assert_eq!(plugins, [("local", &json!({ "root": "." }))]);
    assert_eq!(draft.kinds_needed(), [(Role::Lookup, "find")].into());
    assert_eq!(draft.header().ledger_url(), None);
}

#[test]
fn a_plugin_s_mistake_gets_the_place_of_the_layer_that_set_the_field() {
    let folder = folder(&[
        (
            "release.toml",
            "[release]\nname='a'\nversion='1'\n[plugins.world]\n[defaults.service]\ncluster='c'\n[resource.service.a]\nname='a'\ncontainers=[{name='x', image='i'}]\n",
        ),
        ("environments/p.toml", "[resource.service.a]\ncount=3\n"),
    ]);
    let mut options = options(folder.path());
    options.environment = Some("p".to_owned());
    let (draft, _) = finish(&options).unwrap();
    let address: Address = "resource.service.a".parse().unwrap();
    let place = |path: &str| {
        let path: Path = path.parse().unwrap();
        let location = draft.diagnostic(&address, &path, "wrong", None).location.unwrap();
        format!("{}:{}:{}", location.file, location.line, location.column)
    };
    assert_eq!(place("cluster"), "release.toml:6:9");
    assert_eq!(place("count"), "environments/p.toml:2:7");
    assert_eq!(place("containers.x.image"), "release.toml:9:30");
    assert_eq!(place("containers.x.memory"), "release.toml:9:13");
    assert_eq!(place("launch"), "release.toml:7:1");
    assert_eq!(place(""), "release.toml:7:1");
    let elsewhere = "resource.service.gone".parse().unwrap();
    let mistake = draft.diagnostic(&elsewhere, &Path::ROOT, "wrong", Some("look".to_owned()));
    assert_eq!(mistake.location, None);
    assert_eq!(mistake.message, "resource.service.gone: wrong");
}

#[test]
fn the_schema_of_the_whole_file() {
    let schema = schema(&descriptions());
    insta::assert_snapshot!(serde_json::to_string_pretty(&schema).unwrap());
}
