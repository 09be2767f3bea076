//! The laws of the engine, on random releases, against the real component and a real ledger: a plan
//! after its apply is empty; a revert brings back the tree of files as it was; a plan's id depends
//! on nothing but what is planned.
//!
//! `crates/relctl-engine/tests/engine/laws.rs` has the same laws against a cloud in memory, with
//! what files have not: keyed lists, values that are unknown until they are made.
//! `RELCTL_TEST_CASES` sets how many releases are tried; the default keeps the suite fast.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;
use relctl_plan::{Address, CheckWhen, Lifecycle, Map, Object, PluginConfig, Release, Removed};
use relctl_plan::{Template, Value};
use serde_json::json;

use crate::real::{Node, Site, copy};

/// One object of a random release. What is at a name is always of one kind.
#[derive(Debug, Clone)]
struct Thing {
    /// Its address is not its name, so that addresses can change while names stay.
    label: u8,
    text: u8,
    mode: Option<u8>,
    uses: Option<u8>,
    depends: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    File,
    Link,
    Value,
    Line,
}

/// Names with their objects: a release. References point to smaller names only.
type Things = BTreeMap<u8, Thing>;

fn thing() -> impl Strategy<Value = Thing> {
    let seed = || prop::option::of(any::<u8>());
    (0..3_u8, 0..3_u8, prop::option::of(0..3_u8), seed(), seed())
        .prop_map(|(label, text, mode, uses, depends)| Thing { label, text, mode, uses, depends })
}

fn things(most: usize) -> impl Strategy<Value = Things> {
    prop::collection::btree_map(0..40_u8, thing(), 1..=most)
}

fn sort(name: u8) -> Sort {
    match name % 8 {
        0..4 => Sort::File,
        4 | 5 => Sort::Link,
        6 => Sort::Value,
        _ => Sort::Line,
    }
}

/// Whether someone else moves the mode: in every release or in none.
fn is_external(name: u8) -> bool {
    sort(name) == Sort::File && name.is_multiple_of(5)
}

fn path(name: u8) -> String {
    match sort(name) {
        Sort::File => format!("d{}/e{}/file-{name}", name % 3, name % 2),
        Sort::Link => format!("d{}/link-{name}", name % 3),
        Sort::Value | Sort::Line => "log".to_owned(),
    }
}

fn address(name: u8, thing: &Thing) -> Address {
    let text = match sort(name) {
        Sort::File => format!("resource.local_file.n{name}_{}", thing.label),
        Sort::Link => format!("resource.local_link.n{name}_{}", thing.label),
        // A value is its address, and a run that has another address is another run.
        Sort::Value => format!("resource.local_value.n{name}"),
        Sort::Line => format!("action.local_append.n{name}"),
    };
    text.parse().unwrap()
}

/// An attribute of another object, as a reference.
fn reference(name: u8, thing: &Thing, seed: u8) -> String {
    let attribute = match (sort(name), seed % 2) {
        (Sort::File, 0) => "sha256",
        (Sort::File | Sort::Link, _) => "path",
        (Sort::Value, _) => "output",
        (Sort::Line, _) => "line",
    };
    format!("${{{}.{attribute}}}", address(name, thing))
}

fn build(version: &str, things: &Things, removed: &[(u8, Thing)]) -> Release {
    let mut objects = BTreeMap::new();
    for (name, thing) in things {
        let smaller: Vec<(&u8, &Thing)> = things.range(..name).collect();
        let pick = |seed: u8| smaller.get(usize::from(seed) % smaller.len().max(1)).copied();
        let used = thing.uses.and_then(|seed| {
            let (other, target) = pick(seed)?;
            Some(reference(*other, target, seed))
        });
        let text = format!("text {} $${{not}}", thing.text);
        let fields = match sort(*name) {
            Sort::File => {
                let content = format!("{text}\n{}\n", used.as_deref().unwrap_or_default());
                let mut fields = json!({ "path": path(*name), "content": content });
                if let Some(mode) = thing.mode {
                    fields["mode"] = json!(["0600", "644", "0755"][usize::from(mode)]);
                }
                fields
            }
            Sort::Link => {
                // A relative target of one name is one within the root, whatever the name is.
                json!({ "path": path(*name), "target": format!("t{}", thing.text) })
            }
            Sort::Value => json!({ "input": used.unwrap_or(text) }),
            Sort::Line => json!({ "path": "log", "line": format!("{name} {}", thing.text) }),
        };
        let depends = thing.depends.and_then(pick);
        let depends = depends.map(|(other, target)| address(*other, target));
        let mut lifecycle = Lifecycle::default();
        if is_external(*name) {
            lifecycle.external = vec!["mode".parse().unwrap()];
        }
        let address = address(*name, thing);
        objects.insert(address.clone(), object(address, fields, depends, lifecycle));
    }
    let mut gone = BTreeMap::new();
    for (name, thing) in removed {
        if !things.contains_key(name) {
            gone.insert(address(*name, thing), Removed { delete: true });
        }
    }
    let config = json!({ "root": "www" });
    let plugin = PluginConfig { source: "local".to_owned(), config, auth: Value::Null };
    Release {
        name: "site".to_owned(),
        version: version.to_owned(),
        environment: None,
        plugins: BTreeMap::from([("local".to_owned(), plugin)]),
        objects,
        removed: gone,
    }
}

fn object(address: Address, fields: Value, needs: Option<Address>, lifecycle: Lifecycle) -> Object {
    let fields: Map = fields.as_object().cloned().unwrap();
    Object {
        plugin: "local".to_owned(),
        inputs: Template::parse(fields).unwrap(),
        depends_on: needs.into_iter().collect(),
        lifecycle,
        on_revert: None,
        undo: None,
        triggers: None,
        when: CheckWhen::After,
        blocking: true,
        address,
    }
}

/// The files and links that were there before relctl.
fn seed(site: &Site, existing: &Things) {
    for (name, thing) in existing {
        let path = site.folder.join("www").join(path(*name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match sort(*name) {
            Sort::File => {
                std::fs::write(&path, format!("by hand {}", thing.text)).unwrap();
                let mode = 0o640 | u32::from(thing.mode.unwrap_or_default());
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            }
            Sort::Link => std::os::unix::fs::symlink("by-hand", &path).unwrap(),
            Sort::Value | Sort::Line => {}
        }
    }
}

/// What a release can own: the tree of files, and the values that the ledger keeps.
#[derive(Debug, PartialEq)]
struct State {
    tree: BTreeMap<String, Node>,
    values: BTreeMap<Address, Value>,
}

async fn state(site: &Site) -> State {
    let mut tree = site.tree();
    // What was appended is never taken back, and a mode that someone else moves is not relctl's.
    tree.remove("log");
    for name in (0..40).filter(|name| is_external(*name)) {
        if let Some(Node::File { mode, .. }) = tree.get_mut(&path(name)) {
            *mode = 0;
        }
    }
    let values = site.snapshot().await.objects.into_iter();
    let values = values.filter(|(address, _)| address.kind() == "local_value");
    let values = values.map(|(address, recorded)| (address, json!(recorded.observed))).collect();
    State { tree, values }
}

/// The lines of all releases, each once: a run that happened is never repeated.
fn assert_log(site: &Site, lines: &BTreeSet<String>) {
    let log = std::fs::read_to_string(site.folder.join("www/log")).unwrap_or_default();
    let mut found: Vec<&str> = log.lines().collect();
    found.sort_unstable();
    assert_eq!(found, lines.iter().map(String::as_str).collect::<Vec<_>>());
}

fn lines(things: &Things) -> impl Iterator<Item = String> {
    let lines = things.iter().filter(|(name, _)| sort(**name) == Sort::Line);
    lines.map(|(name, thing)| format!("{name} {}", thing.text))
}

/// What may be deleted in the next release. What was there before relctl has fields that nobody
/// declared: those would be lost with it.
fn deletable(things: &Things, existing: &Things) -> Vec<(u8, Thing)> {
    let ours = |name: &u8| name.is_multiple_of(3) && !existing.contains_key(name);
    let chosen = things.iter().filter(|(name, _)| ours(name) && sort(**name) != Sort::Line);
    chosen.map(|(name, thing)| (*name, thing.clone())).collect()
}

fn run<T>(law: impl AsyncFnOnce(Site) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { law(Site::new(folder.path()).await).await })
}

fn config() -> ProptestConfig {
    let cases = std::env::var("RELCTL_TEST_CASES").ok().and_then(|cases| cases.parse().ok());
    // A tree of files and a component make a case slow: shrink little.
    ProptestConfig {
        cases: cases.unwrap_or(6),
        max_shrink_iters: 50,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// `plan` after `apply` is empty, release after release; each line is appended once.
    #[test]
    fn a_plan_after_its_apply_is_empty(
        existing in things(8),
        releases in prop::collection::vec(things(40), 1..4),
    ) {
        run(async |site| {
            seed(&site, &existing);
            let (mut gone, mut appended) = (Vec::new(), BTreeSet::new());
            for (number, things) in releases.iter().enumerate() {
                let wanted = build(&format!("v{number}"), things, &gone);
                site.release(&wanted).await;
                let plan = site.plan(&wanted).await;
                assert!(!plan.body.has_changes(), "{:#?}", plan.body);
                assert!(plan.body.drift.is_empty(), "{:#?}", plan.body.drift);
                appended.extend(lines(things));
                assert_log(&site, &appended);
                gone = deletable(things, &existing);
            }
        });
    }

    /// `observe(revert(apply(s))) = s`: one step back, after every release.
    #[test]
    fn a_revert_brings_back_what_was_there(
        existing in things(8),
        releases in prop::collection::vec(things(40), 1..4),
    ) {
        run(async |site| {
            seed(&site, &existing);
            let mut appended = BTreeSet::new();
            for (number, things) in releases.iter().enumerate() {
                let (before, had) = (state(&site).await, site.serial().await);
                let wanted = build(&format!("v{number}"), things, &[]);
                site.release(&wanted).await;
                site.revert(had).await;
                assert_eq!(state(&site).await, before);
                site.release(&wanted).await;
                assert!(!site.plan(&wanted).await.body.has_changes());
                appended.extend(lines(things));
                assert_log(&site, &appended);
            }
        });
    }

    /// `--to` any entry brings back what that entry left.
    #[test]
    fn a_revert_to_any_entry_brings_back_what_it_left(
        existing in things(8),
        releases in prop::collection::vec(things(20), 2..5),
        choice in any::<prop::sample::Index>(),
    ) {
        run(async |site| {
            seed(&site, &existing);
            let mut left = vec![state(&site).await];
            let mut gone = Vec::new();
            for (number, things) in releases.iter().enumerate() {
                site.release(&build(&format!("v{number}"), things, &gone)).await;
                left.push(state(&site).await);
                gone = deletable(things, &existing);
            }
            let target = choice.index(left.len() - 1);
            site.revert(target as u64).await;
            assert_eq!(state(&site).await, left[target]);
        });
    }

    /// Releases and reverts in any order: each revert brings back what its target left.
    #[test]
    fn reverts_of_reverts_bring_back_what_their_targets_left(
        existing in things(5),
        ways in prop::collection::vec((things(10), prop::option::of(any::<prop::sample::Index>())), 2..7),
    ) {
        run(async |site| {
            seed(&site, &existing);
            let mut left = vec![state(&site).await];
            let mut gone = Vec::new();
            for (number, (things, back)) in ways.iter().enumerate() {
                let serial = site.serial().await;
                match back.map(|choice| choice.index(left.len())) {
                    Some(target) if (target as u64) < serial => {
                        site.revert(target as u64).await;
                        assert_eq!(state(&site).await, left[target], "back to #{target} from #{serial}");
                        gone.clear();
                    }
                    _ => {
                        site.release(&build(&format!("v{number}"), things, &gone)).await;
                        gone = deletable(things, &existing);
                    }
                }
                if site.serial().await > serial {
                    left.push(state(&site).await);
                }
            }
        });
    }

    /// The same inputs give the same plan in another folder and on more threads.
    #[test]
    fn a_plan_is_the_same_in_another_folder_and_on_more_threads(
        existing in things(8),
        first in things(40),
        second in things(40),
    ) {
        let id = |threads: usize, folder: &std::path::Path, wanted: &Release| {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(threads)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async { Site::open(folder).await.plan(wanted).await })
        };
        run(async |site| {
            seed(&site, &existing);
            site.release(&build("v1", &first, &[])).await;
            let other = tempfile::tempdir().unwrap();
            copy(&site.folder, &other.path().join("quite/elsewhere"));
            let wanted = build("v2", &second, &deletable(&first, &existing));
            let here = site.plan(&wanted).await;
            let folder = other.path().join("quite/elsewhere");
            let there = std::thread::spawn(move || {
                [1, 8].map(|threads| id(threads, &folder, &wanted).plan_id)
            });
            assert_eq!(there.join().unwrap(), [here.plan_id.clone(), here.plan_id]);
        });
    }
}
