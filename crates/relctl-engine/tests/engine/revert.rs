//! The way back.

use relctl_engine::{EngineError, ResumeMode, RevertTarget, find_target};
use relctl_plan::{Outcome, Severity};
use serde_json::{Value, json};

use crate::site::{Site, release, steps};

fn things(size: u32) -> Value {
    json!({ "resource.mem_thing.a": { "name": "a", "size": size } })
}

fn checked(size: u32) -> Value {
    json!({ "resource.mem_thing.a": { "name": "a", "size": size }, "check.mem_check.c": {} })
}

#[tokio::test]
async fn goes_back_to_the_nearest_verified_entry_that_was_not_reverted() {
    let site = Site::new();
    let verdict = |ok: bool| {
        let outcome = if ok { Outcome::Pass } else { Outcome::Fail };
        site.cloud.set_verdict("check.mem_check.c", outcome);
    };
    site.release(&release("v1", checked(1))).await;
    verdict(false);
    site.release(&release("v2", checked(2))).await;
    site.release(&release("v3", checked(3))).await;
    let target = find_target(site.context(), &RevertTarget::Previous).await.unwrap();
    assert_eq!(target.serial, 1);
    verdict(true);
    site.revert(RevertTarget::Previous).await;
    // A revert already: plain revert does not go further.
    let again = site.plan_revert(RevertTarget::Previous).await.unwrap_err();
    assert!(matches!(again, EngineError::Nothing { .. }));
    verdict(false);
    site.release(&release("v4", checked(4))).await;
    let target = find_target(site.context(), &RevertTarget::Previous).await.unwrap();
    assert_eq!(target.serial, 4, "the revert itself is the newest good entry");
    let by_version = find_target(site.context(), &RevertTarget::Named("v1".to_owned())).await;
    assert_eq!(by_version.unwrap().serial, 4);
    let bad = find_target(site.context(), &RevertTarget::Named("v3".to_owned())).await;
    assert!(matches!(bad, Err(EngineError::Nothing { .. })));
}

#[tokio::test]
async fn the_first_release_goes_back_to_what_was_there() {
    let site = Site::new();
    site.cloud.put("mem_thing", "a", json!({ "size": 1, "labels": { "team": "x" } }));
    let before = site.cloud.settled_things();
    site.release(&release("v1", json!({
        "resource.mem_thing.a": { "name": "a", "size": 2, "text": "t", "labels": { "rel": "v1" } },
        "resource.mem_thing.b": { "name": "b", "uses": "${resource.mem_thing.a.id}" },
    }))).await;
    let plan = site.plan_revert(RevertTarget::Previous).await.unwrap();
    assert_eq!(steps(&plan), ["delete resource.mem_thing.b", "update resource.mem_thing.a"]);
    site.apply_plan(&plan).await.unwrap();
    assert_eq!(site.cloud.settled_things(), before);
}

#[tokio::test]
async fn a_release_that_comes_back_after_a_revert_says_so_first() {
    let site = Site::new();
    site.release(&release("v1", things(1))).await;
    site.release(&release("v2", things(2))).await;
    site.revert(RevertTarget::Previous).await;
    let plan = site.plan(&release("v2", things(2))).await.unwrap();
    let (_, first) = plan.body.all_risks()[0];
    assert!(first.message.starts_with("brings back what the revert #3 took away"), "{first:?}");
    assert!(site.plan(&release("v3", things(3))).await.unwrap().body.risks.is_empty());
}

#[tokio::test]
async fn what_a_revert_took_away_is_remembered_over_later_releases() {
    let site = Site::new();
    let first = async |version: &str, size: u32| {
        let plan = site.plan(&release(version, things(size))).await.unwrap();
        plan.body.all_risks().first().map(|(_, risk)| risk.message.clone()).unwrap_or_default()
    };
    for (version, size) in [("v1", 1), ("v2", 2), ("v3", 3)] {
        site.release(&release(version, things(size))).await;
    }
    site.revert(RevertTarget::Serial(1)).await;
    // Each of the releases that were undone, not the newest alone.
    for (version, size) in [("v2", 2), ("v3", 3)] {
        let risk = first(version, size).await;
        assert!(risk.starts_with("brings back what the revert #4 took away"), "{version}: {risk}");
    }
    // A later, unrelated release does not make it forgotten.
    site.release(&release("v4", things(4))).await;
    assert!(first("v3", 3).await.contains("took away: v3 #3"));
    assert!(first("v3-again", 3).await.contains("took away: v3 #3"));
    assert!(!first("v5", 5).await.contains("took away"));
    // Who brought it back knew it then.
    site.release(&release("v3", things(3))).await;
    site.release(&release("v6", things(6))).await;
    assert!(!first("v3", 3).await.contains("took away: v3"));
    assert!(first("v2", 2).await.contains("took away: v2 #2"));
}

#[tokio::test]
async fn an_action_is_undone_only_by_its_declared_undo_and_does_not_run_twice() {
    let site = Site::new();
    let with =
        |input: &str, own: Value| json!({ "action.mem_job.m": { "input": input, "$": own } });
    site.release(&release("v1", with("one", json!({})))).await;
    let undo = json!({ "undo": { "input": "down" } });
    let plan = site.plan(&release("v2", with("two", undo.clone()))).await.unwrap();
    assert!(plan.body.all_risks().is_empty());
    site.apply_plan(&plan).await.unwrap();
    let back = site.plan_revert(RevertTarget::Previous).await.unwrap();
    assert_eq!(steps(&back), ["run action.mem_job.m"]);
    assert_eq!(back.body.steps[0].desired.value["input"], "down");
    site.apply_plan(&back).await.unwrap();
    // Undone: it runs again.
    let again = site.plan(&release("v2", with("two", undo))).await.unwrap();
    assert_eq!(steps(&again), ["run action.mem_job.m"]);
    // Not undone: it stays done.
    let back = site.plan_revert(RevertTarget::Start).await.unwrap();
    assert!(steps(&back).is_empty());
    assert_eq!(back.body.risks[0].severity, Severity::Caution);
    site.apply_plan(&back).await.unwrap();
    assert!(steps(&site.plan(&release("v1", with("one", json!({})))).await.unwrap()).is_empty());
}

#[tokio::test]
async fn an_action_without_an_undo_is_a_point_of_no_return_before_it_runs() {
    let site = Site::new();
    let plan =
        site.plan(&release("v1", json!({ "action.mem_job.m": { "input": "x" } }))).await.unwrap();
    assert_eq!(plan.body.all_risks()[0].1.severity, Severity::PointOfNoReturn);
}

#[tokio::test]
async fn what_holds_data_is_kept_and_lost_only_on_request() {
    let site = Site::new();
    let vault = |own: Value| json!({ "resource.mem_vault.v": { "name": "v", "$": own } });
    site.release(&release("v0", json!({}))).await;
    site.release(&release("v1", vault(json!({ "lifecycle": { "create": true } })))).await;
    let plan = site.plan_revert(RevertTarget::Start).await.unwrap();
    assert!(plan.body.steps.is_empty());
    assert_eq!(plan.body.retain.len(), 1);
    let told = json!({ "on_revert": "undo", "lifecycle": { "create": true } });
    site.release(&release("v2", vault(told))).await;
    let refused = site.plan_revert(RevertTarget::Start).await;
    assert!(matches!(refused, Err(EngineError::Refused { .. })), "{refused:?}");
}

#[tokio::test]
async fn what_was_deleted_comes_back() {
    let site = Site::new();
    site.release(&release("v1", things(1))).await;
    let before = site.cloud.settled_things();
    let delete = json!({ "resource.mem_thing.a": { "$": { "removed": "delete" } } });
    site.release(&release("v2", delete)).await;
    assert!(site.cloud.things().is_empty());
    site.revert(RevertTarget::Previous).await;
    assert_eq!(site.cloud.settled_things(), before);
}

#[tokio::test]
async fn a_field_let_go_goes_back_only_if_it_is_as_relctl_left_it() {
    let site = Site::new();
    site.cloud.put("mem_thing", "a", json!({ "size": 1, "text": "mine" }));
    let owning = json!({ "resource.mem_thing.a": { "name": "a", "size": 2, "text": "ours" } });
    site.release(&release("v1", owning)).await;
    site.release(&release("v2", json!({ "resource.mem_thing.a": { "name": "a" } }))).await;
    site.cloud.poke("mem_thing", "a", "text", json!("theirs"));
    site.revert(RevertTarget::Start).await;
    let thing = &site.cloud.things()[&("mem_thing".to_owned(), "a".to_owned())];
    assert_eq!((&thing["size"], &thing["text"]), (&json!(1), &json!("theirs")));
}

#[tokio::test]
async fn a_reference_is_kept_so_that_what_is_made_anew_reaches_its_users() {
    let site = Site::new();
    let at = |size: u32| {
        json!({
            "resource.mem_thing.base": { "name": "base", "size": size },
            "resource.mem_thing.user": { "name": "user", "uses": "${resource.mem_thing.base.id}" },
        })
    };
    site.release(&release("v1", at(1))).await;
    site.release(&release("v2", at(2))).await;
    // The base is lost, and comes back under another id.
    site.cloud.remove("mem_thing", "base");
    site.revert(RevertTarget::Previous).await;
    let things = site.cloud.things();
    let id = &things[&("mem_thing".to_owned(), "base".to_owned())]["id"];
    assert_eq!(&things[&("mem_thing".to_owned(), "user".to_owned())]["uses"], id);
}

#[tokio::test]
async fn what_was_adopted_and_deleted_comes_back_as_far_as_it_was_owned() {
    let site = Site::new();
    site.cloud.put("mem_thing", "a", json!({ "size": 1 }));
    site.release(&release("v1", things(2))).await;
    let delete = json!({ "resource.mem_thing.a": { "$": { "removed": "delete" } } });
    site.release(&release("v2", delete)).await;
    let plan = site.plan_revert(RevertTarget::Start).await.unwrap();
    assert_eq!(steps(&plan), ["create resource.mem_thing.a"]);
    let report = site.apply_plan(&plan).await.unwrap();
    assert!(report.failed.is_empty(), "{report:?}");
    let thing = &site.cloud.things()[&("mem_thing".to_owned(), "a".to_owned())];
    assert_eq!(thing["size"], 1);
}

#[tokio::test]
async fn what_is_sealed_reaches_the_plugin_and_stands_in_no_plan() {
    for encrypted in [true, false] {
        let site = Site::new();
        if encrypted {
            site.ledger.encrypt();
        }
        site.cloud.put("mem_thing", "a", json!({ "size": 1, "text": "secret canary" }));
        let plan = site.plan(&release("v1", things(2))).await.unwrap();
        let warned = plan.body.steps[0].notes.iter().any(|note| note.contains("not encrypted"));
        assert_eq!(warned, !encrypted);
        site.apply_plan(&plan).await.unwrap();
        // A new name changes the record alone; what is sealed goes along.
        let renamed = json!({ "resource.mem_thing.b": { "name": "a", "size": 2 } });
        let rename = site.plan(&release("v1", renamed)).await.unwrap();
        assert_eq!(rename.body.records.len(), 1);
        site.apply_plan(&rename).await.unwrap();

        let back = site.plan_revert(RevertTarget::Start).await.unwrap();
        assert!(rename.body.records.values().all(|change| change.record.undo.is_none()));
        for plan in [&plan, &back] {
            assert!(!serde_json::to_string(plan).unwrap().contains("canary"), "{plan:#?}");
        }
        site.cloud.clear_log();
        site.apply_plan(&back).await.unwrap();
        let unsealed = site.cloud.log().iter().any(|call| call.name == "unsealed");
        assert_eq!(unsealed, encrypted);
    }
}

#[tokio::test]
async fn a_revert_that_is_taken_back_leaves_all_as_before_it() {
    let site = Site::new();
    let at = |name: &str, size: u32| json!({ "resource.mem_thing.page": { "name": name, "size": size, "text": name } });
    site.release(&release("v1", at("one", 1))).await;
    site.release(&release("v2", at("two", 2))).await;
    let left = site.cloud.settled_things();
    site.revert(RevertTarget::Serial(1)).await;
    // What v1 made is there at #2 too, no longer managed: it is let go, not emptied.
    let plan = site.plan_revert(RevertTarget::Serial(2)).await.unwrap();
    assert_eq!(steps(&plan), ["create resource.mem_thing.page"]);
    site.apply_plan(&plan).await.unwrap();
    assert_eq!(site.cloud.settled_things(), left);
    let head = site.context().ledger.head().await.unwrap().entry.unwrap();
    let entry = site.context().ledger.entry(&head).await.unwrap();
    let snapshot = site.context().ledger.snapshot(&entry.snapshot).await.unwrap();
    let managed: Vec<_> = snapshot.objects.values().map(|r| r.identity["name"].clone()).collect();
    assert_eq!(managed, ["two"]);
    let retained: Vec<_> = snapshot
        .retained
        .iter()
        .map(|r| (r.address.as_str(), r.recorded.identity["name"].clone()))
        .collect();
    assert_eq!(retained, [("resource.mem_thing.page", json!("one"))]);
    // And from there on as ever.
    assert!(!site.plan(&release("v2", at("two", 2))).await.unwrap().body.has_changes());
}

#[tokio::test]
async fn from_an_open_operation_it_goes_back_to_what_is_in_force() {
    let site = Site::new();
    let target = async || find_target(site.context(), &RevertTarget::Previous).await;
    let interrupted = async |version: &str, size: u32| {
        let plan = site.plan(&release(version, things(size))).await.unwrap();
        site.ledger.die_after(4);
        assert!(site.apply_plan(&plan).await.is_err());
        assert!(site.ledger.revive());
        assert!(site.context().ledger.head().await.unwrap().operation.is_some());
    };
    interrupted("v1", 1).await;
    assert_eq!(target().await.unwrap().serial, 0);
    site.resume(ResumeMode::Go).await.unwrap();
    interrupted("v2", 2).await;
    assert_eq!(target().await.unwrap().serial, 1);
    site.resume(ResumeMode::Stop).await.unwrap();
    assert_eq!(target().await.unwrap().serial, 1);
}

#[tokio::test]
async fn what_was_let_go_by_a_revert_still_goes_with_its_maker() {
    let site = Site::new();
    let page = json!({ "resource.mem_thing.page": { "name": "page" } });
    site.release(&release("v1", page)).await;
    site.release(&release("v2", json!({}))).await;
    let more = json!({ "resource.mem_thing.page": { "name": "page", "text": "more" } });
    site.release(&release("v3", more)).await;
    // Only retained at #2: what v3 wrote goes, the object stays.
    site.revert(RevertTarget::Serial(2)).await;
    assert_eq!(site.cloud.things().len(), 1);
    let plan = site.plan_revert(RevertTarget::Start).await.unwrap();
    assert_eq!(steps(&plan), ["delete resource.mem_thing.page"], "{:#?}", plan.body);
    site.apply_plan(&plan).await.unwrap();
    assert!(site.cloud.things().is_empty());
}

#[tokio::test]
async fn a_map_owned_as_a_whole_and_by_its_entries_goes_back_entry_by_entry() {
    let labels =
        |labels: Value| json!({ "resource.mem_thing.a": { "name": "a", "labels": labels } });
    let orders = [
        [labels(json!({})), labels(json!({ "ours": "1" }))],
        [labels(json!({ "ours": "1" })), labels(json!({}))],
        [labels(json!({ "theirs": "2" })), labels(json!({}))],
        [labels(json!({ "theirs": "1" })), labels(json!({}))],
    ];
    // As it is, and when the object left the file at last.
    let left = orders.clone().map(|[first, second]| vec![first, second, json!({})]);
    for releases in orders.map(Vec::from).into_iter().chain(left) {
        let site = Site::new();
        site.cloud.put("mem_thing", "a", json!({ "labels": { "theirs": "1", "more": "1" } }));
        let before = site.cloud.settled_things();
        for (number, objects) in releases.iter().enumerate() {
            site.release(&release(&format!("v{number}"), objects.clone())).await;
        }
        site.revert(RevertTarget::Start).await;
        assert_eq!(site.cloud.settled_things(), before, "{releases:?}");
    }
}

#[tokio::test]
async fn what_was_managed_again_deleted_and_made_anew_goes_back_to_what_it_held() {
    let site = Site::new();
    let part = json!({ "p0": { "key": "p0", "image": "i0" } });
    let page = |own: Value| json!({ "resource.mem_thing.page": own });
    site.release(&release("v1", page(json!({ "name": "page", "parts": part })))).await;
    site.release(&release("v2", json!({}))).await;
    let left = site.cloud.settled_things();
    site.revert(RevertTarget::Serial(1)).await;
    site.revert(RevertTarget::Start).await;
    assert!(site.cloud.things().is_empty());
    site.release(&release("v3", page(json!({ "name": "page" })))).await;
    site.release(&release("v4", json!({}))).await;
    site.revert(RevertTarget::Serial(2)).await;
    assert_eq!(site.cloud.settled_things(), left);
}

#[tokio::test]
async fn what_was_retained_deleted_and_made_anew_goes_back_to_what_it_held() {
    let site = Site::new();
    let part = json!({ "p0": { "key": "p0", "image": "i0" } });
    let page = |own: Value| json!({ "resource.mem_thing.page": own });
    site.release(&release("v1", page(json!({ "name": "page", "parts": part })))).await;
    site.release(&release("v2", json!({}))).await;
    let left = site.cloud.settled_things();
    site.revert(RevertTarget::Start).await;
    assert!(site.cloud.things().is_empty());
    site.release(&release("v3", page(json!({ "name": "page" })))).await;
    let plan = site.plan_revert(RevertTarget::Serial(2)).await.unwrap();
    assert_eq!(steps(&plan), ["update resource.mem_thing.page"], "{:#?}", plan.body);
    site.apply_plan(&plan).await.unwrap();
    assert_eq!(site.cloud.settled_things(), left);
}

#[tokio::test]
async fn what_a_later_release_removed_is_as_relctl_left_it() {
    let site = Site::new();
    let page = |own: Value| json!({ "resource.mem_thing.page": own });
    site.release(&release("v1", page(json!({ "name": "page", "text": "ours" })))).await;
    site.release(&release("v2", json!({}))).await;
    let left = site.cloud.settled_things();
    site.revert(RevertTarget::Serial(1)).await;
    // relctl brought the text, so it goes when it leaves the file.
    site.release(&release("v3", page(json!({ "name": "page" })))).await;
    assert_ne!(site.cloud.settled_things(), left);
    site.revert(RevertTarget::Serial(2)).await;
    assert_eq!(site.cloud.settled_things(), left);
}
