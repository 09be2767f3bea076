//! Laws, on random releases: a plan after its apply is empty; a revert brings back what was there;
//! the order of what is written changes nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use relctl_engine::{Ledger as _, RevertTarget};
use relctl_plan::{Map, Release, Value};
use serde_json::json;

use crate::site::{Site, release, steps};

/// One object of a random release.
#[derive(Debug, Clone)]
struct Thing {
    /// Its address is not its name, so that addresses can change while names stay.
    label: u8,
    size: Option<u8>,
    text: Option<u8>,
    labels: BTreeMap<u8, u8>,
    parts: BTreeMap<u8, u8>,
    empty_labels: bool,
    uses: Option<u8>,
    absent: bool,
    depends: Option<u8>,
}

fn thing() -> impl Strategy<Value = Thing> {
    (
        0..3_u8,
        prop::option::of(0..3_u8),
        prop::option::of(0..3_u8),
        prop::collection::btree_map(0..3_u8, 0..3_u8, 0..3),
        prop::collection::btree_map(0..3_u8, 0..3_u8, 0..3),
        prop::bool::weighted(0.1),
        prop::option::of(any::<u8>()),
        prop::bool::weighted(0.1),
        prop::option::of(any::<u8>()),
    )
        .prop_map(|(label, size, text, labels, parts, empty_labels, uses, absent, depends)| {
            Thing { label, size, text, labels, parts, empty_labels, uses, absent, depends }
        })
}

/// Names with their objects: a release. References point to smaller names only.
fn things(most: usize) -> impl Strategy<Value = BTreeMap<u8, Thing>> {
    prop::collection::btree_map(0..40_u8, thing(), 0..most)
}

/// Things that keep their addresses over all releases.
fn unrenamed(most: usize) -> impl Strategy<Value = BTreeMap<u8, Thing>> {
    things(most).prop_map(|mut things| {
        for thing in things.values_mut() {
            thing.label = 0;
        }
        things
    })
}

fn address(name: u8, thing: &Thing) -> String {
    format!("resource.mem_thing.n{name}_{}", thing.label)
}

fn build(version: &str, things: &BTreeMap<u8, Thing>, removed: &[(u8, Thing)]) -> Release {
    let mut objects = Map::new();
    for (name, thing) in things {
        let smaller: Vec<(&u8, &Thing)> = things.range(..name).collect();
        let pick = |seed: u8| smaller.get(usize::from(seed) % smaller.len().max(1)).copied();
        let mut fields = json!({ "name": format!("thing-{name}") });
        let mut own = json!({ "lifecycle": {} });
        if let Some(size) = thing.size {
            fields["size"] = json!(size);
        }
        if let Some(text) = thing.text {
            fields["text"] = json!(format!("text {text}\nof it ${{not}}").replace("${", "$${"));
        }
        if !thing.labels.is_empty() {
            fields["labels"] = thing
                .labels
                .iter()
                .map(|(k, v)| (format!("l.{k}"), json!(v.to_string())))
                .collect::<Map>()
                .into();
        } else if thing.empty_labels {
            fields["labels"] = json!({});
        }
        if !thing.parts.is_empty() {
            let part = |(k, v): (&u8, &u8)| {
                (format!("p{k}"), json!({ "key": format!("p{k}"), "image": format!("i{v}") }))
            };
            fields["parts"] = thing.parts.iter().map(part).collect::<Map>().into();
        }
        if let Some((other, target)) = thing.uses.and_then(pick) {
            // Things whose name is a multiple of three are deleted by later releases: what no longer
            // is managed would be left with an id that no revert brings back.
            let by_id = thing.uses.unwrap_or_default() % 2 == 0 && other % 3 != 0;
            let attribute = if by_id { "id" } else { "name" };
            fields["uses"] = json!(format!("${{{}.{attribute}}}", address(*other, target)));
        }
        if let Some((other, target)) = thing.depends.and_then(pick) {
            own["depends_on"] = json!([address(*other, target)]);
        }
        if is_external(*name) {
            own["lifecycle"]["external"] = json!(["size"]);
        }
        if thing.absent && thing.text.is_none() {
            own["lifecycle"]["absent"] = json!(["text"]);
        }
        fields["$"] = own;
        objects.insert(address(*name, thing), fields);
    }
    for (name, thing) in removed {
        if !things.contains_key(name) {
            objects.insert(address(*name, thing), json!({ "$": { "removed": "delete" } }));
        }
    }
    release(version, Value::Object(objects))
}

/// Whether someone else moves the size: in every release or in none.
fn is_external(name: u8) -> bool {
    name.is_multiple_of(7)
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The world as it was before relctl: some of the things are there already.
fn seed(site: &Site, existing: &BTreeMap<u8, Thing>) {
    for (name, thing) in existing {
        let mut fields = json!({});
        if let Some(size) = thing.size {
            fields["size"] = json!(size + 10);
        }
        if let Some(text) = thing.text {
            fields["text"] = json!(format!("by hand {text}"));
        }
        if !thing.labels.is_empty() {
            fields["labels"] = thing
                .labels
                .iter()
                .map(|(k, v)| (format!("l.{k}"), json!(format!("by hand {v}"))))
                .collect::<Map>()
                .into();
        }
        site.cloud.put("mem_thing", &format!("thing-{name}"), fields);
    }
}

type State = BTreeMap<(String, String), Map>;

/// What is there, with ids told by whose they are: an object that is made anew has another id.
fn state(site: &Site) -> State {
    let things = site.cloud.things();
    let ids: BTreeMap<String, String> = things
        .iter()
        .filter_map(|((_, name), thing)| {
            Some((thing.get("id")?.as_str()?.to_owned(), name.clone()))
        })
        .collect();
    let mut settled = site.cloud.settled_things();
    for ((_, name), thing) in &mut settled {
        if is_external(name.trim_start_matches("thing-").parse().unwrap()) {
            thing.remove("size");
        }
        // Whether an object that was emptied is there is up to the cloud.
        thing.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
        if let Some(Value::String(uses)) = thing.get_mut("uses")
            && let Some(name) = ids.get(uses)
        {
            *uses = format!("id of {name}");
        }
    }
    settled
}

/// The world without what was lost for good: fields of what was deleted since `effects`, as far as
/// they were not owned when it was recorded.
async fn but_for_losses(site: &Site, effects: usize, serial: u64, mut state: State) -> State {
    let ledger = &site.ledger;
    let mut next = ledger.head().await.unwrap().entry;
    let mut snapshot = relctl_plan::Snapshot::empty();
    while let Some(digest) = next {
        let entry = ledger.entry(&digest).await.unwrap();
        if entry.serial == serial {
            snapshot = ledger.snapshot(&entry.snapshot).await.unwrap();
        }
        next = entry.parent;
    }
    let managed = snapshot.objects.values();
    let recorded: Vec<_> = managed.chain(snapshot.retained.iter().map(|r| &r.recorded)).collect();
    for effect in site.cloud.effects().iter().skip(effects) {
        let Some(label) = effect.strip_prefix("delete resource.mem_thing.n") else { continue };
        let name = format!("thing-{}", label.split('_').next().unwrap());
        let owned = recorded.iter().find(|recorded| recorded.identity["name"] == name.as_str());
        let owned = owned.map(|recorded| recorded.desired.clone()).unwrap_or_default();
        if let Some(thing) = state.get_mut(&("mem_thing".to_owned(), name)) {
            keep(thing, &owned);
        }
    }
    state
}

/// Keeps the fields that `owned` has too.
fn keep(thing: &mut Map, owned: &Map) {
    thing.retain(|field, value| {
        if let (Some(Value::Object(owned)), Some(value)) = (owned.get(field), value.as_object_mut())
            && !owned.is_empty()
        {
            keep(value, owned);
        }
        owned.contains_key(field)
    });
}

/// `RELCTL_TEST_CASES` sets how many releases are tried; the default keeps the suite fast.
fn config() -> ProptestConfig {
    let cases = std::env::var("RELCTL_TEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(64),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    /// `plan` after `apply` is empty, release after release.
    #[test]
    fn a_plan_after_its_apply_is_empty(
        existing in things(8),
        releases in prop::collection::vec(things(40), 1..5),
    ) {
        run(async {
            let site = Site::new();
            seed(&site, &existing);
            let mut gone: Vec<(u8, Thing)> = Vec::new();
            for (number, things) in releases.iter().enumerate() {
                let wanted = build(&format!("v{number}"), things, &gone);
                site.release(&wanted).await;
                let plan = site.plan(&wanted).await.unwrap();
                assert!(!plan.body.has_changes(), "{:#?}", steps(&plan));
                assert!(plan.body.drift.is_empty(), "{:#?}", plan.body.drift);
                gone = things.iter().filter(|(name, _)| *name % 3 == 0).map(|(n, t)| (*n, t.clone())).collect();
            }
        });
    }

    /// `observe(revert(apply(s))) = s`: one step back, after every release.
    #[test]
    fn a_revert_brings_back_what_was_there(
        existing in things(8),
        releases in prop::collection::vec(things(40), 1..4),
    ) {
        run(async {
            let site = Site::new();
            seed(&site, &existing);
            for (number, things) in releases.iter().enumerate() {
                let before = state(&site);
                let had = site.context().ledger.head().await.unwrap().serial;
                let wanted = build(&format!("v{number}"), things, &[]);
                site.release(&wanted).await;
                if site.context().ledger.head().await.unwrap().serial > had {
                    site.revert(RevertTarget::Serial(had)).await;
                    assert_eq!(state(&site), before);
                    site.release(&wanted).await;
                    assert!(!site.plan(&wanted).await.unwrap().body.has_changes());
                }
            }
        });
    }

    /// `--to` any entry brings back what that entry left, on everything that relctl owned since.
    #[test]
    fn a_revert_to_any_entry_brings_back_what_it_left(
        existing in things(6),
        releases in prop::collection::vec(things(12), 2..5),
        choice in any::<prop::sample::Index>(),
    ) {
        run(async {
            let site = Site::new();
            seed(&site, &existing);
            let mut left = vec![state(&site)];
            let mut gone: Vec<(u8, Thing)> = Vec::new();
            for (number, things) in releases.iter().enumerate() {
                let serial = site.context().ledger.head().await.unwrap().serial;
                site.release(&build(&format!("v{number}"), things, &gone)).await;
                if site.context().ledger.head().await.unwrap().serial > serial {
                    left.push(state(&site));
                }
                // What was there before relctl has fields that nobody declared: those are lost
                // with a deletion, so only what relctl made is deleted here.
                gone = things.iter().filter(|(name, _)| *name % 3 == 0 && !existing.contains_key(name)).map(|(n, t)| (*n, t.clone())).collect();
            }
            let target = choice.index(left.len());
            if target + 1 < left.len() {
                site.revert(RevertTarget::Serial(target as u64)).await;
                assert_eq!(state(&site), left[target]);
            }
        });
    }

    /// Releases and reverts in any order: each revert brings back what its target left. Without new
    /// names: what a revert deleted, and a later release made anew under another name, goes back
    /// without what referred to it by the old one.
    #[test]
    fn reverts_of_reverts_bring_back_what_their_targets_left(
        existing in things(5),
        ways in prop::collection::vec((unrenamed(8), prop::option::of(any::<prop::sample::Index>())), 2..8),
    ) {
        run(async {
            let site = Site::new();
            seed(&site, &existing);
            let mut left = vec![(0, state(&site))];
            let mut gone: Vec<(u8, Thing)> = Vec::new();
            for (number, (things, back)) in ways.iter().enumerate() {
                let serial = site.context().ledger.head().await.unwrap().serial;
                match back.map(|choice| choice.index(left.len())) {
                    Some(target) if (target as u64) < serial => {
                        site.revert(RevertTarget::Serial(target as u64)).await;
                        let (effects, expected) = left[target].clone();
                        let at = target as u64;
                        let found = but_for_losses(&site, effects, at, state(&site)).await;
                        let expected = but_for_losses(&site, effects, at, expected).await;
                        assert_eq!(found, expected, "back to #{target} from #{serial}");
                        gone.clear();
                    }
                    _ => {
                        site.release(&build(&format!("v{number}"), things, &gone)).await;
                        gone = things.iter().filter(|(name, _)| *name % 3 == 0 && !existing.contains_key(name)).map(|(n, t)| (*n, t.clone())).collect();
                    }
                }
                if site.context().ledger.head().await.unwrap().serial > serial {
                    left.push((site.cloud.effects().len(), state(&site)));
                }
            }
        });
    }
}
