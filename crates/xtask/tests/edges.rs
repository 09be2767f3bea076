//! The walls between the crates: ARCHITECTURE.md says why, this says when one is broken.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Which of the workspace's crates each may depend on. A crate that is not here fails the test.
const ALLOWED: [(&str, &[&str]); 8] = [
    ("relctl-plan", &[]),
    ("relctl-broker", &[]),
    ("relctl-config", &["relctl-plan"]),
    ("relctl-render", &["relctl-plan"]),
    ("relctl-engine", &["relctl-plan"]),
    ("relctl-ledger", &["relctl-engine", "relctl-plan"]),
    ("relctl-host", &["relctl-broker", "relctl-engine", "relctl-plan"]),
    ("relctl-test", &["relctl-engine", "relctl-plan"]),
];

/// May depend on every crate of the workspace; nothing may depend on them.
const TOP: [&str; 4] = ["relctl", "relctl-fuzz", "relctl-tests", "xtask"];

/// What each crate must not see, however far away: wasm runtimes, clouds, terminals.
const FORBIDDEN: [(&str, &[&str]); 6] = [
    ("relctl-plan", &["wasmtime", "hyper", "tokio", "cap-std", "rustix", "clap", "console"]),
    ("relctl-engine", &["wasmtime", "hyper", "cap-std", "rustix", "clap", "console"]),
    ("relctl-config", &["wasmtime", "hyper", "tokio", "cap-std", "clap"]),
    ("relctl-render", &["wasmtime", "hyper", "tokio", "cap-std", "clap"]),
    ("relctl-ledger", &["wasmtime", "clap", "console"]),
    ("relctl-broker", &["wasmtime", "clap", "console"]),
];

#[test]
fn crates_depend_on_each_other_only_as_designed() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into_iter().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if TOP.contains(&name) || package["source"].is_string() {
            continue;
        }
        let Some(may) = allowed.get(name) else {
            wrong.push(format!("{name} is not in this test's table"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let dev = dependency["kind"] == "dev";
            let ours = dependency["path"].is_string();
            if ours && !may.contains(&to) && !(dev && to == "relctl-test") {
                wrong.push(format!("{name} → {to}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "edges that the design does not allow");
}

#[test]
fn the_walls_hold_through_dependencies_too() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for (name, forbidden) in FORBIDDEN {
        let reached = reached(&metadata, name);
        assert!(reached.contains(name), "{name} is not in the workspace");
        wrong.extend(
            forbidden
                .iter()
                .filter(|crate_name| reached.contains(**crate_name))
                .map(|crate_name| format!("{name} → … → {crate_name}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new(), "what these crates must never see");
}

/// The names of all packages that one is built from: its own, and all that its normal dependencies need.
fn reached<'a>(metadata: &'a Value, name: &str) -> BTreeSet<&'a str> {
    let names: BTreeMap<&str, &str> = list(&metadata["packages"])
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> =
        names.iter().filter(|(_, found)| **found == name).map(|(id, _)| *id).collect();
    while let Some(id) = open.pop() {
        if !found.insert(id) {
            continue;
        }
        for dependency in list(&nodes[id]["deps"]) {
            if list(&dependency["dep_kinds"]).any(|kind| kind["kind"].is_null()) {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    found.into_iter().map(|id| names[id]).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--filter-platform=x86_64-unknown-linux-gnu"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
