//! Dying at every write of an operation, and going on: the same end state, each effect once.

use relctl_engine::{EngineError, ResumeMode, RevertTarget};
use relctl_plan::{EntryOutcome, Release};
use serde_json::json;

use crate::site::{Site, release, steps};

fn first() -> Release {
    release(
        "v1",
        json!({
            "resource.mem_thing.a": { "name": "a", "size": 1 },
            "resource.mem_thing.b": { "name": "b", "uses": "${resource.mem_thing.a.id}" },
        }),
    )
}

fn second() -> Release {
    release(
        "v2",
        json!({
            "resource.mem_thing.a": { "name": "a", "size": 2 },
            "resource.mem_thing.b": { "$": { "removed": "delete" } },
            "resource.mem_thing.c": { "name": "c", "uses": "${resource.mem_thing.a.id}" },
            "action.mem_job.m": {
                "input": "up",
                "$": { "undo": { "input": "down" }, "depends_on": ["resource.mem_thing.a"] },
            },
            "check.mem_check.c": {},
        }),
    )
}

/// A site where the first release runs.
async fn ready() -> Site {
    let site = Site::new();
    site.release(&first()).await;
    site.cloud.clear_log();
    site.cloud.take_long("resource.mem_thing.c", 2);
    site
}

/// How an operation is taken up after its process died.
#[derive(Debug, Clone, Copy)]
enum Rescue {
    Resume,
    StopAndRevert,
}

/// Dies after `writes` writes of the second release; returns whether it died at all.
async fn die_and_rescue(writes: u64, rescue: Rescue) -> bool {
    let site = ready().await;
    let before = site.cloud.settled_things();
    let plan = site.plan(&second()).await.unwrap();
    site.ledger.die_after(writes);
    let result = site.apply_plan(&plan).await;
    let died = site.ledger.revive();
    if !died {
        result.unwrap();
        return false;
    }
    let open = site.context().ledger.head().await.unwrap().operation.is_some();
    match rescue {
        Rescue::Resume => {
            let report = if open {
                site.resume(ResumeMode::Go).await.unwrap()
            } else if site.context().ledger.head().await.unwrap().serial == 1 {
                site.apply_plan(&plan).await.unwrap()
            } else {
                return true;
            };
            assert_eq!(report.outcome, EntryOutcome::Succeeded, "after {writes} writes");
            assert!(!site.plan(&second()).await.unwrap().body.has_changes());
            let mut effects = site.cloud.effects();
            effects.sort();
            assert_eq!(
                effects,
                [
                    "create resource.mem_thing.c",
                    "delete resource.mem_thing.b",
                    "run action.mem_job.m",
                    "update resource.mem_thing.a",
                ],
                "after {writes} writes"
            );
        }
        Rescue::StopAndRevert => {
            if open {
                let report = site.resume(ResumeMode::Stop).await.unwrap();
                let _ = report.outcome;
            }
            if site.context().ledger.head().await.unwrap().serial > 1 {
                site.revert(RevertTarget::Serial(1)).await;
            }
            assert_eq!(site.cloud.settled_things().len(), before.len(), "after {writes} writes");
            assert!(
                !site.plan(&first()).await.unwrap().body.has_mutations(),
                "after {writes} writes: {:?}",
                steps(&site.plan(&first()).await.unwrap())
            );
            let runs = site.cloud.effects().iter().filter(|e| e.starts_with("run")).count();
            assert!(runs == 0 || runs == 2, "undone if it ran: {runs}");
        }
    }
    true
}

#[tokio::test]
async fn resume_after_dying_at_any_write_reaches_the_same_end() {
    let mut points = 0;
    while die_and_rescue(points, Rescue::Resume).await {
        points += 1;
    }
    println!("died at {points} points, resumed each time");
    assert!(points > 15, "{points}");
}

#[tokio::test]
async fn stop_and_revert_after_dying_at_any_write_reaches_the_state_before() {
    let mut points = 0;
    while die_and_rescue(points, Rescue::StopAndRevert).await {
        points += 1;
    }
    println!("died at {points} points, stopped and reverted each time");
    assert!(points > 15, "{points}");
}

#[tokio::test]
async fn dying_while_resuming_is_no_different() {
    let mut pairs = 0;
    for writes in 0..40 {
        for again in 0..40 {
            let site = ready().await;
            let plan = site.plan(&second()).await.unwrap();
            site.ledger.die_after(writes);
            let _died: Result<_, EngineError> = site.apply_plan(&plan).await;
            if !site.ledger.revive()
                || site.context().ledger.head().await.unwrap().operation.is_none()
            {
                break;
            }
            site.ledger.die_after(again);
            let _died_again: Result<_, EngineError> = site.resume(ResumeMode::Go).await;
            if !site.ledger.revive() {
                break;
            }
            pairs += 1;
            if site.context().ledger.head().await.unwrap().operation.is_some() {
                site.resume(ResumeMode::Go).await.unwrap();
            }
            assert!(!site.plan(&second()).await.unwrap().body.has_changes(), "{writes}, {again}");
            assert_eq!(site.cloud.effects().len(), 4, "{writes}, {again}");
        }
    }
    println!("died at {pairs} pairs of points");
    assert!(pairs > 50, "{pairs}");
}
