//! The way back.

use relctl_engine::{EngineError, RevertTarget, find_target};
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
