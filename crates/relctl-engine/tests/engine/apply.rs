//! Applying: exactly the plan, or nothing.

use std::sync::Arc;

use relctl_engine::{
    ApplyOptions, EngineError, Interrupter, Observer, Refusal, ResumeMode, Silent, apply,
};
use relctl_plan::{Digest, EntryOutcome, Event, Failure, Outcome, Path, Plan};
use relctl_test::MemoryProvider;
use serde_json::json;

use crate::site::{Site, options, release};

#[tokio::test]
async fn a_plan_is_applied_from_its_bytes_alone() {
    let site = Site::new();
    let plan = site
        .plan(&release(
            "v1",
            json!({
                "resource.mem_thing.b": { "name": "b" },
                "resource.mem_thing.a": { "name": "a", "uses": "${resource.mem_thing.b.id}" },
            }),
        ))
        .await
        .unwrap();
    let bytes = serde_json::to_vec(&plan).unwrap();
    site.apply_plan(&serde_json::from_slice(&bytes).unwrap()).await.unwrap();
    assert_eq!(
        site.cloud.effects(),
        ["create resource.mem_thing.b", "create resource.mem_thing.a"]
    );
    let things = site.cloud.things();
    let id = &things[&("mem_thing".to_owned(), "b".to_owned())]["id"];
    assert_eq!(&things[&("mem_thing".to_owned(), "a".to_owned())]["uses"], id);
}

#[tokio::test]
async fn a_plan_applies_once_also_the_first_one() {
    let site = Site::new();
    let plan = site
        .plan(&release("v1", json!({ "resource.mem_thing.a": { "name": "a" } })))
        .await
        .unwrap();
    site.apply_plan(&plan).await.unwrap();
    site.cloud.clear_log();
    let again = site.apply_plan(&plan).await.unwrap_err();
    assert!(matches!(again, EngineError::AppliedBefore { serial: 1, .. }), "{again:?}");
    assert!(site.cloud.log().is_empty());
}

#[tokio::test]
async fn a_stale_plan_names_the_field_and_changes_nothing() {
    let site = Site::new();
    site.cloud.put("mem_thing", "a", json!({ "size": 1, "text": "x" }));
    let plan = site
        .plan(&release("v1", json!({ "resource.mem_thing.a": { "name": "a", "size": 2 } })))
        .await
        .unwrap();
    site.cloud.poke("mem_thing", "a", "size", json!(5));
    let EngineError::Changed(refusals) = site.apply_plan(&plan).await.unwrap_err() else {
        panic!()
    };
    assert_eq!(
        refusals,
        [Refusal::Changed {
            address: "resource.mem_thing.a".parse().unwrap(),
            path: Path::field("size"),
            planned: json!(1),
            current: json!(5),
        }]
    );
    assert!(site.cloud.effects().is_empty());
    // What the plan does not depend on may move.
    site.cloud.poke("mem_thing", "a", "size", json!(1));
    site.cloud.poke("mem_thing", "a", "text", json!("y"));
    site.apply_plan(&plan).await.unwrap();
}

#[tokio::test]
async fn an_edited_foreign_or_other_plugins_plan_is_refused() {
    let site = Site::new();
    let plan = site
        .plan(&release("v1", json!({ "resource.mem_thing.a": { "name": "a" } })))
        .await
        .unwrap();
    let mut edited = plan.clone();
    let desired = std::sync::Arc::make_mut(&mut edited.body.steps[0].desired);
    desired.set(&relctl_plan::Path::field("name"), json!("b"));
    assert!(matches!(site.apply_plan(&edited).await, Err(EngineError::Plan(_))));

    let other = Site::new();
    other.release(&release("v0", json!({ "resource.mem_thing.z": { "name": "z" } }))).await;
    assert!(matches!(other.apply_plan(&plan).await, Err(EngineError::Stale { .. })));

    let mut swapped = Site::new();
    let provider = MemoryProvider::new(&swapped.cloud).with_digest(Digest::of(b"other"));
    swapped.providers.insert("mem".to_owned(), Arc::new(provider));
    assert!(matches!(swapped.apply_plan(&plan).await, Err(EngineError::Stale { .. })));
    assert!(swapped.cloud.log().is_empty());
}

#[tokio::test]
async fn all_gates_are_run_and_reported_before_anything_changes() {
    let site = Site::new();
    site.cloud.set_verdict("check.mem_check.one", Outcome::Fail);
    site.cloud.set_verdict("check.mem_check.two", Outcome::Inconclusive);
    let plan = site
        .plan(&release(
            "v1",
            json!({
                "check.mem_check.one": { "$": { "when": "before" } },
                "check.mem_check.two": { "$": { "when": "before" } },
                "check.mem_check.fine": { "$": { "when": "before" } },
                "resource.mem_thing.a": { "name": "a" },
            }),
        ))
        .await
        .unwrap();
    let EngineError::Gates(failed) = site.apply_plan(&plan).await.unwrap_err() else { panic!() };
    assert_eq!(failed.len(), 2);
    assert!(site.cloud.effects().is_empty());
    assert_eq!(site.context().ledger.head().await.unwrap().serial, 0);
}

#[tokio::test]
async fn a_failure_holds_what_comes_after_and_the_next_plan_takes_it_up() {
    let site = Site::new();
    let wanted = release(
        "v1",
        json!({
            "resource.mem_thing.a": { "name": "a" },
            "resource.mem_thing.b": { "name": "b", "$": { "depends_on": ["resource.mem_thing.a"] } },
            "check.mem_check.c": {},
        }),
    );
    site.cloud.fail("resource.mem_thing.a", Failure::Unavailable("no room".to_owned()));
    let plan = site.plan(&wanted).await.unwrap();
    let report = site.apply_plan(&plan).await.unwrap();
    assert_eq!(report.outcome, EntryOutcome::Failed);
    assert_eq!((report.failed.len(), report.held.len()), (1, 1));
    assert_eq!(report.verified, Some(false));
    assert!(site.cloud.effects().is_empty());
    let report = site.release(&wanted).await;
    assert_eq!(report.verified, Some(true));
}

#[tokio::test]
async fn after_a_failure_nothing_starts_that_waited_for_its_turn() {
    let site = Site::new();
    let things = ["a", "b", "c"]
        .map(|name| (format!("resource.mem_thing.{name}"), json!({ "name": name, "size": 1 })));
    let wanted = release("v1", serde_json::Value::Object(things.into_iter().collect()));
    let plan = site.plan(&wanted).await.unwrap();
    for name in ["a", "b", "c"] {
        let address = format!("resource.mem_thing.{name}");
        site.cloud.fail(&address, Failure::Unavailable("no room".to_owned()));
    }
    let (_keep, interrupt) = Interrupter::new();
    let one_by_one = ApplyOptions { parallelism: 1, ..options() };
    let report = apply(site.context(), &plan, &one_by_one, &Silent, interrupt).await.unwrap();
    assert_eq!((report.failed.len(), report.held.len()), (1, 2), "{report:?}");
    assert!(site.cloud.effects().is_empty());
}

#[tokio::test]
async fn a_lost_reply_is_unknown_and_settled_by_the_next_plan() {
    let site = Site::new();
    let wanted = release("v1", json!({ "resource.mem_thing.a": { "name": "a", "size": 1 } }));
    site.cloud.lose_reply("resource.mem_thing.a");
    let report = site.apply_plan(&site.plan(&wanted).await.unwrap()).await.unwrap();
    assert!(matches!(report.failed[0].1, Failure::Unknown(_)));
    // It is there, as declared, and still gets a step: nobody has seen it end well.
    let plan = site.plan(&wanted).await.unwrap();
    assert_eq!(crate::site::steps(&plan), ["update resource.mem_thing.a"]);
    site.apply_plan(&plan).await.unwrap();
    assert!(!site.plan(&wanted).await.unwrap().body.has_changes());
    // relctl made it, so going back to the start removes it.
    site.revert(relctl_engine::RevertTarget::Start).await;
    assert!(site.cloud.things().is_empty());
}

#[tokio::test]
async fn long_work_is_polled_and_can_be_parked_and_resumed() {
    let site = Site::new();
    let wanted = release(
        "v1",
        json!({
            "resource.mem_thing.a": { "name": "a" },
            "resource.mem_thing.b": { "name": "b", "$": { "depends_on": ["resource.mem_thing.a"] } },
        }),
    );
    site.cloud.take_long("resource.mem_thing.a", 5);
    let plan = site.plan(&wanted).await.unwrap();
    let (interrupter, interrupt) = Interrupter::new();
    let parks = At(|event| matches!(event, Event::StepProgress { .. }), interrupter);
    let report = apply(site.context(), &plan, &options(), &parks, interrupt).await.unwrap();
    assert!(report.parked);
    assert_eq!(report.held.len(), 2);
    assert!(matches!(site.plan(&wanted).await, Err(EngineError::Interrupted { .. })));
    let report = site.resume(ResumeMode::Go).await.unwrap();
    assert_eq!((report.outcome, report.done.len()), (EntryOutcome::Succeeded, 2));
    let polls = site.cloud.log().iter().filter(|call| call.name == "poll").count();
    assert_eq!(polls, 5);
}

/// Interrupts at the events that the function picks.
struct At(fn(&Event) -> bool, Interrupter);

impl Observer for At {
    fn plan(&self, _plan: &Plan) {}

    fn event(&self, event: &Event) {
        if self.0(event) {
            self.1.raise();
        }
    }
}

#[tokio::test]
async fn interrupted_before_it_began_nothing_is_opened() {
    let site = Site::new();
    let wanted = json!({ "resource.mem_thing.a": { "name": "a" }, "check.mem_check.gate": { "$": { "when": "before" } } });
    let plan = site.plan(&release("v1", wanted)).await.unwrap();
    // Neither while it waits for the lock, nor while it looks, nor while a gate is asked.
    site.cloud.silence("check.mem_check.gate");
    let (interrupter, interrupt) = Interrupter::new();
    let options = options();
    let applying = apply(site.context(), &plan, &options, &Silent, interrupt);
    let interrupting = async {
        while !site.cloud.log().iter().any(|call| call.name == "probe") {
            tokio::task::yield_now().await;
        }
        interrupter.raise();
    };
    let (stopped, ()) = tokio::join!(applying, interrupting);
    assert!(matches!(stopped, Err(EngineError::Stopped)), "{stopped:?}");
    assert!(site.cloud.effects().is_empty());
    assert_eq!(site.context().ledger.head().await.unwrap().operation, None);
    assert_eq!(site.context().ledger.holder().await.unwrap(), None);

    site.cloud.end_silence();
    site.apply_plan(&plan).await.unwrap();
}

#[tokio::test]
async fn a_call_that_does_not_come_back_is_left_after_some_seconds() {
    let site = Site::new();
    let plan = site
        .plan(&release("v1", json!({ "resource.mem_thing.a": { "name": "a" } })))
        .await
        .unwrap();
    site.cloud.silence("resource.mem_thing.a");
    let (interrupter, interrupt) = Interrupter::new();
    let parks = At(|event| matches!(event, Event::StepStarted { .. }), interrupter);
    let report = apply(site.context(), &plan, &options(), &parks, interrupt).await.unwrap();
    assert!(report.parked, "{report:?}");
    let waited = site.context().clock.monotonic_ms();
    assert!((3_000..5_000).contains(&waited), "{waited} ms");

    site.cloud.end_silence();
    site.resume(ResumeMode::Go).await.unwrap();
    assert_eq!(site.cloud.effects(), ["create resource.mem_thing.a"]);
}

#[tokio::test]
async fn interrupted_while_checks_run_it_is_parked_and_resume_runs_them() {
    let site = Site::new();
    site.cloud.silence("check.mem_check.c");
    let wanted = json!({ "resource.mem_thing.a": { "name": "a" }, "check.mem_check.c": {} });
    let plan = site.plan(&release("v1", wanted)).await.unwrap();
    let (interrupter, interrupt) = Interrupter::new();
    let parks = At(|event| matches!(event, Event::StepDone { .. }), interrupter);
    let report = apply(site.context(), &plan, &options(), &parks, interrupt).await.unwrap();
    assert!(report.parked && report.entry.is_none(), "{report:?}");
    assert_eq!(report.done.len(), 1);

    site.cloud.end_silence();
    let report = site.resume(ResumeMode::Go).await.unwrap();
    assert_eq!((report.verified, report.entry.is_some()), (Some(true), true));
    assert_eq!(site.cloud.effects(), ["create resource.mem_thing.a"]);
}

#[tokio::test]
async fn checks_decide_whether_a_release_is_verified() {
    let site = Site::new();
    site.cloud.set_verdict("check.mem_check.c", Outcome::Fail);
    let wanted = release(
        "v1",
        json!({
            "resource.mem_thing.a": { "name": "a" },
            "check.mem_check.c": {},
            "check.mem_check.warning": { "$": { "blocking": false } },
        }),
    );
    let report = site.release(&wanted).await;
    assert_eq!(report.verified, Some(false));
    site.cloud.set_verdict("check.mem_check.c", Outcome::Pass);
    let plan = site.plan(&wanted).await.unwrap();
    assert!(!plan.body.has_changes());
    let report = site.apply_plan(&plan).await.unwrap();
    assert_eq!((report.verified, report.entry.is_some()), (Some(true), true));
    // Nothing new to say: no entry.
    let plan = site.plan(&wanted).await.unwrap();
    assert_eq!(site.apply_plan(&plan).await.unwrap().entry, None);
}

#[tokio::test]
async fn an_identity_that_was_unknown_is_looked_for_before_it_is_created() {
    let wanted = release(
        "v1",
        json!({
            "resource.mem_thing.b": { "name": "b" },
            "resource.mem_thing.a": { "name": "${resource.mem_thing.b.id}", "text": "ours" },
        }),
    );
    // The cloud's first id is taken by what is put there; the next one names `a`.
    let taken = Site::new();
    taken.cloud.put("mem_thing", "id-2", json!({ "text": "theirs" }));
    let plan = taken.plan(&wanted).await.unwrap();
    assert_eq!(
        crate::site::steps(&plan),
        ["create resource.mem_thing.b", "create resource.mem_thing.a"]
    );
    let report = taken.apply_plan(&plan).await.unwrap();
    let [(_, Failure::Precondition(message))] = report.failed.as_slice() else {
        panic!("{report:?}")
    };
    assert!(message.starts_with("it exists already"), "{message}");
    assert_eq!(taken.cloud.effects(), ["create resource.mem_thing.b"]);

    let free = Site::new();
    free.release(&wanted).await;
    assert_eq!(free.cloud.things()[&("mem_thing".to_owned(), "id-1".to_owned())]["text"], "ours");
    assert!(!free.plan(&wanted).await.unwrap().body.has_changes());
}

/// What the migration would be restored from.
fn migration_behind_a_snapshot() -> relctl_plan::Release {
    release(
        "v1",
        json!({
            "action.mem_snapshot.before": { "name": "s", "of": "db" },
            "resource.mem_thing.a": {
                "name": "a", "$": { "depends_on": ["action.mem_snapshot.before"] }
            },
            "action.mem_job.migrate": { "input": "x", "$": { "depends_on": ["resource.mem_thing.a"] } },
        }),
    )
}

/// Somebody who cleans up once this step is done.
struct Cleaner<'a>(&'a Site, &'static str);

impl Observer for Cleaner<'_> {
    fn plan(&self, _: &Plan) {}

    fn event(&self, event: &Event) {
        if matches!(event, Event::StepDone { step, .. } if step.as_str() == self.1) {
            self.0.cloud.remove("mem_snapshot", "s");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_undone_starts_only_while_its_restore_point_is_there() {
    let site = Site::new();
    let plan = site.plan(&migration_behind_a_snapshot()).await.unwrap();
    site.apply_plan(&plan).await.unwrap();
    assert_eq!(site.cloud.effects().last().unwrap(), "run action.mem_job.migrate");

    let site = Site::new();
    let plan = site.plan(&migration_behind_a_snapshot()).await.unwrap();
    let (_keep, interrupt) = Interrupter::new();
    // The migration needs the snapshot through `a`.
    let cleaner = Cleaner(&site, "resource.mem_thing.a#create");
    let report = apply(site.context(), &plan, &options(), &cleaner, interrupt).await.unwrap();
    let [(step, Failure::Precondition(why))] = report.failed.as_slice() else {
        panic!("{report:?}")
    };
    assert_eq!(step.as_str(), "action.mem_job.migrate#run");
    assert!(why.contains("action.mem_snapshot.before left to go back to is not there"), "{why}");
    assert!(!site.cloud.effects().contains(&"run action.mem_job.migrate".to_owned()));
    // Another plan takes another snapshot, and migrates.
    site.release(&migration_behind_a_snapshot()).await;
    assert_eq!(site.cloud.effects().last().unwrap(), "run action.mem_job.migrate");
}
