//! What is planned, rule by rule.

use relctl_engine::EngineError;
use relctl_plan::{Path, Severity, Value, Verb};
use serde_json::json;

use crate::site::{Site, release, steps};

async fn mistakes(site: &Site, objects: Value) -> Vec<String> {
    match site.plan(&release("v1", objects)).await {
        Err(EngineError::Objects(errors)) => {
            errors.into_iter().map(|e| format!("{}: {}", e.address, e.diagnostic.message)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn creates_in_the_order_of_references_and_knows_what_is_unknown() {
    let site = Site::new();
    let plan = site
        .plan(&release(
            "v1",
            json!({
                "resource.mem_thing.a": { "name": "a", "uses": "${resource.mem_thing.b.id}" },
                "resource.mem_thing.b": { "name": "b" },
            }),
        ))
        .await
        .unwrap();
    assert_eq!(steps(&plan), ["create resource.mem_thing.b", "create resource.mem_thing.a"]);
    assert!(plan.body.steps[1].desired.is_unknown(&Path::field("uses")));
    assert_eq!(plan.body.steps[1].needs, [plan.body.steps[0].id.clone()]);
    assert!(!plan.body.steps[0].expects.exists);
}

#[tokio::test]
async fn owns_only_what_is_declared() {
    let site = Site::new();
    site.cloud.put(
        "mem_thing",
        "a",
        json!({ "size": 1, "text": "by hand", "labels": { "x": "1" } }),
    );
    let wanted = release(
        "v1",
        json!({
            "resource.mem_thing.a": { "name": "a", "size": 2, "labels": { "y": "2" } },
        }),
    );
    let plan = site.plan(&wanted).await.unwrap();
    let step = &plan.body.steps[0];
    assert_eq!(step.verb, Verb::Update);
    assert!(step.existed);
    let paths: Vec<String> = step.changes.iter().map(|c| c.path.to_string()).collect();
    assert_eq!(paths, ["labels.y", "size"]);
    site.release(&wanted).await;
    let thing = &site.cloud.things()[&("mem_thing".to_owned(), "a".to_owned())];
    assert_eq!(thing["text"], "by hand");
    assert_eq!(thing["labels"], json!({ "x": "1", "y": "2" }));
}

#[tokio::test]
async fn adopts_what_is_as_declared_without_touching_it() {
    let site = Site::new();
    site.cloud.put("mem_thing", "a", json!({ "size": 1 }));
    let wanted = release("v1", json!({ "resource.mem_thing.a": { "name": "a", "size": 1 } }));
    let plan = site.plan(&wanted).await.unwrap();
    assert_eq!(steps(&plan), ["adopt resource.mem_thing.a"]);
    site.release(&wanted).await;
    assert!(site.cloud.effects().is_empty());
    assert!(!site.plan(&wanted).await.unwrap().body.has_changes());
}

#[tokio::test]
async fn a_field_that_leaves_is_removed_only_if_relctl_brought_it() {
    let site = Site::new();
    site.cloud.put("mem_thing", "a", json!({ "size": 1 }));
    let with = json!({ "resource.mem_thing.a": { "name": "a", "size": 2, "text": "new" } });
    site.release(&release("v1", with)).await;
    let without = release("v2", json!({ "resource.mem_thing.a": { "name": "a" } }));
    let plan = site.plan(&without).await.unwrap();
    let changed: Vec<_> =
        plan.body.steps[0].changes.iter().map(|c| (c.path.to_string(), c.after.clone())).collect();
    assert_eq!(changed, [("text".to_owned(), None)]);
    assert!(plan.body.steps[0].notes.iter().any(|note| note.starts_with("size is no longer")));
    site.release(&without).await;
    let thing = &site.cloud.things()[&("mem_thing".to_owned(), "a".to_owned())];
    assert_eq!((thing.get("text"), &thing["size"]), (None, &json!(2)));
}

#[tokio::test]
async fn absent_fields_are_removed_whoever_set_them_and_external_ones_are_left() {
    let site = Site::new();
    site.cloud.put("mem_thing", "a", json!({ "size": 7, "text": "by hand" }));
    let wanted = release(
        "v1",
        json!({
            "resource.mem_thing.a": {
                "name": "a", "size": 1,
                "$": { "lifecycle": { "absent": ["text"], "external": ["size"] } },
            },
        }),
    );
    site.release(&wanted).await;
    let thing = &site.cloud.things()[&("mem_thing".to_owned(), "a".to_owned())];
    assert_eq!((thing.get("text"), &thing["size"]), (None, &json!(7)));
    site.cloud.poke("mem_thing", "a", "size", json!(9));
    assert!(!site.plan(&wanted).await.unwrap().body.has_changes());
}

#[tokio::test]
async fn an_object_that_leaves_is_retained_unless_its_deletion_is_written() {
    let site = Site::new();
    let both = json!({
        "resource.mem_thing.a": { "name": "a" },
        "resource.mem_thing.b": { "name": "b", "$": { "lifecycle": { "protect": true } } },
    });
    site.release(&release("v1", both)).await;
    let gone = release("v2", json!({}));
    let plan = site.plan(&gone).await.unwrap();
    assert!(plan.body.steps.is_empty());
    assert_eq!(plan.body.retain.len(), 2);
    site.release(&gone).await;
    assert_eq!(site.cloud.things().len(), 2);

    let delete = json!({ "resource.mem_thing.a": { "$": { "removed": "delete" } } });
    let plan = site.plan(&release("v3", delete)).await.unwrap();
    assert_eq!(steps(&plan), ["delete resource.mem_thing.a"]);
    assert_eq!(plan.body.steps[0].risks[0].severity, Severity::Destructive);
    site.apply_plan(&plan).await.unwrap();
    assert_eq!(site.cloud.things().len(), 1);

    // Protection lives in the ledger, though the object left the file two releases ago.
    let delete = json!({ "resource.mem_thing.b": { "$": { "removed": "delete" } } });
    assert_eq!(
        mistakes(&site, delete).await,
        ["resource.mem_thing.b: resource.mem_thing.b is protected and would be deleted"]
    );
}

#[tokio::test]
async fn a_new_address_for_a_recorded_identity_is_a_rename() {
    let site = Site::new();
    site.release(&release("v1", json!({ "resource.mem_thing.a": { "name": "x", "size": 1 } })))
        .await;
    site.cloud.clear_log();
    let renamed = release("v1", json!({ "resource.mem_thing.b": { "name": "x", "size": 1 } }));
    let plan = site.plan(&renamed).await.unwrap();
    assert!(plan.body.steps.is_empty());
    assert_eq!(plan.body.records.len(), 1);
    site.release(&renamed).await;
    assert!(site.cloud.effects().is_empty());
    assert!(!site.plan(&renamed).await.unwrap().body.has_changes());
}

#[tokio::test]
async fn a_changed_identity_is_a_new_object_and_the_old_one_is_retained() {
    let site = Site::new();
    site.release(&release("v1", json!({ "resource.mem_thing.a": { "name": "x" } }))).await;
    let other = release("v2", json!({ "resource.mem_thing.a": { "name": "y" } }));
    let plan = site.plan(&other).await.unwrap();
    assert_eq!(steps(&plan), ["create resource.mem_thing.a"]);
    site.release(&other).await;
    assert_eq!(site.cloud.things().len(), 2);
    assert!(!site.plan(&other).await.unwrap().body.has_changes());
}

#[tokio::test]
async fn replacing_needs_leave_and_is_never_given_where_there_is_data() {
    let site = Site::new();
    let at = |zone: &str, own: Value| {
        json!({
            "resource.mem_thing.a": { "name": "a", "zone": zone, "$": own },
        })
    };
    site.release(&release("v1", at("one", json!({})))).await;
    assert_eq!(mistakes(&site, at("two", json!({}))).await.len(), 1);
    let allowed = json!({ "lifecycle": { "replace": true } });
    let plan = site.plan(&release("v2", at("two", allowed))).await.unwrap();
    assert_eq!(steps(&plan), ["replace resource.mem_thing.a"]);
    let guarded = json!({ "lifecycle": { "replace": true, "protect": true } });
    assert_eq!(mistakes(&site, at("two", guarded)).await.len(), 1);

    let vault = |zone: &str| {
        json!({
            "resource.mem_vault.v": {
                "name": "v", "zone": zone, "$": { "lifecycle": { "replace": true, "create": true } },
            },
        })
    };
    site.release(&release("v3", vault("one"))).await;
    let refused = mistakes(&site, vault("two")).await;
    assert!(refused[0].contains("it holds data"), "{refused:?}");
}

#[tokio::test]
async fn kinds_that_should_exist_are_created_only_when_told() {
    let site = Site::new();
    let refused = mistakes(&site, json!({ "resource.mem_vault.v": { "name": "v" } })).await;
    assert!(refused[0].contains("is not there"), "{refused:?}");
}

#[tokio::test]
async fn every_mistake_is_reported_in_one_run() {
    let site = Site::new();
    let refused = mistakes(
        &site,
        json!({
            "resource.mem_thing.a": { "name": "a", "size": -1 },
            "resource.mem_thing.b": { "name": "b", "size": -1 },
        }),
    )
    .await;
    assert_eq!(refused.len(), 2);
    let same = mistakes(
        &site,
        json!({
            "resource.mem_thing.a": { "name": "same" },
            "resource.mem_thing.b": { "name": "same" },
        }),
    )
    .await;
    assert!(same[0].contains("are the same object"), "{same:?}");
}

#[tokio::test]
async fn an_action_runs_once_for_its_inputs_and_again_for_new_ones() {
    let site = Site::new();
    let with = |input: &str| json!({ "action.mem_job.m": { "input": input } });
    site.release(&release("v1", with("one"))).await;
    assert!(!site.plan(&release("v1", with("one"))).await.unwrap().body.has_changes());
    site.release(&release("v2", with("two"))).await;
    // Back to inputs that ran before: still done.
    assert!(site.plan(&release("v3", with("one"))).await.unwrap().body.steps.is_empty());
    assert_eq!(site.cloud.effects(), ["run action.mem_job.m", "run action.mem_job.m"]);
}

#[tokio::test]
async fn an_action_that_runs_when_needed_runs_for_each_step_that_needs_it() {
    let site = Site::new();
    let with = |size: u32| {
        json!({
            "action.mem_backup.b": { "input": "all" },
            "resource.mem_thing.a": { "name": "a", "size": size, "$": { "depends_on": ["action.mem_backup.b"] } },
        })
    };
    let plan = site.plan(&release("v1", with(1))).await.unwrap();
    assert_eq!(steps(&plan), ["run action.mem_backup.b", "create resource.mem_thing.a"]);
    site.apply_plan(&plan).await.unwrap();
    assert!(!site.plan(&release("v1", with(1))).await.unwrap().body.has_changes());
    let plan = site.plan(&release("v2", with(2))).await.unwrap();
    assert_eq!(steps(&plan), ["run action.mem_backup.b", "update resource.mem_thing.a"]);
}

#[tokio::test]
async fn lookups_are_read_and_relied_on() {
    let site = Site::new();
    site.cloud.put("mem_thing", "net", json!({ "zone": "z1", "text": "unrelated" }));
    let wanted = release(
        "v1",
        json!({
            "lookup.mem_thing.net": { "name": "net" },
            "resource.mem_thing.a": { "name": "a", "zone": "${lookup.mem_thing.net.zone}" },
        }),
    );
    let plan = site.plan(&wanted).await.unwrap();
    assert_eq!(plan.body.steps[0].desired.value["zone"], "z1");
    let relied: Vec<_> =
        plan.body.relied_on.values().flat_map(|r| r.expects.fields.keys()).collect();
    assert_eq!(relied, [&Path::field("zone")]);
    site.cloud.poke("mem_thing", "net", "text", json!("moved"));
    assert!(site.apply_plan(&plan).await.is_ok());
}

#[tokio::test]
async fn drift_is_shown_apart_and_planned_away() {
    let site = Site::new();
    let wanted = release("v1", json!({ "resource.mem_thing.a": { "name": "a", "size": 1 } }));
    site.release(&wanted).await;
    site.cloud.poke("mem_thing", "a", "size", json!(5));
    site.cloud.poke("mem_thing", "a", "text", json!("not ours"));
    let plan = site.plan(&wanted).await.unwrap();
    assert_eq!(plan.body.drift.len(), 1);
    assert_eq!(
        (&plan.body.drift[0].recorded, &plan.body.drift[0].observed),
        (&json!(1), &json!(5))
    );
    assert_eq!(steps(&plan), ["update resource.mem_thing.a"]);
    site.cloud.remove("mem_thing", "a");
    let plan = site.plan(&wanted).await.unwrap();
    assert!(plan.body.drift[0].path.is_root());
    assert_eq!(steps(&plan), ["create resource.mem_thing.a"]);
}

#[tokio::test]
async fn a_plan_is_the_same_bytes_whatever_does_not_matter() {
    let site = Site::new();
    site.cloud.put("mem_thing", "a", json!({ "size": 1, "text": "x" }));
    let wanted = release(
        "v1",
        json!({
            "resource.mem_thing.a": { "name": "a", "size": 2 },
            "resource.mem_thing.b": { "name": "b", "uses": "${resource.mem_thing.a.size}" },
        }),
    );
    let first = site.plan(&wanted).await.unwrap();
    // Someone changes what the plan does not depend on.
    site.cloud.poke("mem_thing", "a", "text", json!("y"));
    let second = site.plan(&wanted).await.unwrap();
    assert_eq!(first.plan_id, second.plan_id);
    site.cloud.poke("mem_thing", "a", "size", json!(3));
    assert_ne!(first.plan_id, site.plan(&wanted).await.unwrap().plan_id);
}

#[tokio::test]
async fn removing_what_is_not_known_is_said() {
    let site = Site::new();
    site.release(&release("v1", json!({ "resource.mem_thing.a": { "name": "a" } }))).await;
    let remove = |name: &str| {
        let address = format!("resource.mem_thing.{name}");
        release(
            "v1",
            json!({
                "resource.mem_thing.keep": { "name": "keep" },
                address: { "$": { "removed": "delete" } },
            }),
        )
    };
    let plan = site.plan(&remove("aa")).await.unwrap();
    assert!(plan.body.notes[0].starts_with("[removed.resource.mem_thing.aa] removes nothing"));
    site.release(&remove("a")).await;
    let plan = site.plan(&remove("a")).await.unwrap();
    assert!(!plan.body.has_changes());
    assert_eq!(plan.body.notes.len(), 1, "{:?}", plan.body.notes);
}

#[tokio::test]
async fn two_objects_may_change_names_with_each_other() {
    let site = Site::new();
    let at = |x: &str, y: &str, size: u32| {
        let mut objects = json!({});
        let own = json!({ "lifecycle": { "protect": true } });
        objects[format!("resource.mem_thing.{x}")] = json!({ "name": "x", "size": size, "$": own });
        objects[format!("resource.mem_thing.{y}")] = json!({ "name": "y", "size": size });
        release("v1", objects)
    };
    site.release(&at("a", "b", 1)).await;
    // In the ledger alone, with a step for each, and a third one that takes over an address.
    for (x, y, size) in [("b", "a", 1), ("a", "b", 2), ("b", "c", 2), ("c", "b", 3)] {
        let wanted = at(x, y, size);
        site.release(&wanted).await;
        let again = site.plan(&wanted).await.unwrap();
        assert!(!again.body.has_changes(), "{x} {y} {size}: {:?}", steps(&again));
        let head = site.context().ledger.head().await.unwrap().entry.unwrap();
        let entry = site.context().ledger.entry(&head).await.unwrap();
        let snapshot = site.context().ledger.snapshot(&entry.snapshot).await.unwrap();
        let known: Vec<_> = snapshot
            .objects
            .iter()
            .map(|(address, recorded)| {
                (address.name(), recorded.identity["name"].clone(), recorded.is_protected())
            })
            .collect();
        let mut expected = vec![(x, json!("x"), true), (y, json!("y"), false)];
        expected.sort_by_key(|(name, ..)| *name);
        assert_eq!(known, expected);
        assert!(snapshot.retained.is_empty());
    }
}

#[tokio::test]
async fn plugins_are_asked_about_a_release_file_alone() {
    let site = Site::new();
    let check = async |objects: Value| match relctl_engine::validate(
        &site.providers,
        &release("v1", objects),
    )
    .await
    {
        Ok(()) => Vec::new(),
        Err(EngineError::Objects(errors)) => errors,
        Err(other) => panic!("{other:?}"),
    };
    let object =
        |size: i32| json!({ "name": "a", "size": size, "uses": "${resource.mem_thing.b.id}" });
    assert!(
        check(
            json!({ "resource.mem_thing.a": object(1), "resource.mem_thing.b": { "name": "b" } })
        )
        .await
        .is_empty()
    );
    let wrong = check(json!({ "resource.mem_thing.a": object(-1), "resource.mem_thing.b": { "name": "b", "size": -2 } })).await;
    let found: Vec<_> =
        wrong.iter().map(|e| (e.address.name(), e.diagnostic.path.to_string())).collect();
    assert_eq!(found, [("a", "size".to_owned()), ("b", "size".to_owned())]);
    assert!(site.cloud.log().is_empty(), "nothing was looked at");
}

#[tokio::test]
async fn in_force_is_the_newest_entry_that_succeeded() {
    let site = Site::new();
    let at = |size: u32| json!({ "resource.mem_thing.a": { "name": "a", "size": size } });
    let in_force = async || {
        let plan = site.plan(&release("v9", at(9))).await.unwrap();
        plan.meta.in_force.map(|origin| origin.serial)
    };
    assert_eq!(in_force().await, None);
    site.release(&release("v1", at(1))).await;
    site.cloud.fail("resource.mem_thing.a", relctl_plan::Failure::Unavailable("no".to_owned()));
    let failing = site.plan(&release("v2", at(2))).await.unwrap();
    site.apply_plan(&failing).await.unwrap();
    assert_eq!(in_force().await, Some(1), "the second one failed");
    site.revert(relctl_engine::RevertTarget::Start).await;
    assert_eq!(in_force().await, None, "nothing is left of it");
}
