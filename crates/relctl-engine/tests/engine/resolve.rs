//! Steps that began, of which the plugin cannot tell whether they happened: the world is asked first,
//! then a person.

use relctl_engine::{Answer, Answers, EngineError, Interrupter, Report, ResumeMode, Silent};
use relctl_engine::{RevertTarget, resume_with};
use relctl_plan::{EntryOutcome, Failure, JournalEvent, Release};
use serde_json::json;

use crate::site::{Site, options, release};

const JOB: &str = "action.mem_job.m";
const THING: &str = "resource.mem_thing.a";

/// A job, and a thing that waits for it.
fn wanted() -> Release {
    release(
        "v1",
        json!({
            "action.mem_job.m": { "input": "up" },
            "resource.mem_thing.a": { "name": "a", "$": { "depends_on": ["action.mem_job.m"] } },
        }),
    )
}

/// What the journal of the open operation says; nothing where none is open.
async fn journal(site: &Site) -> Vec<JournalEvent> {
    let ledger = site.context().ledger;
    match ledger.head().await.unwrap().operation {
        Some(open) => {
            let lines = ledger.journal(&open.id, true).await.unwrap();
            lines.into_iter().map(|line| line.event).collect()
        }
        None => Vec::new(),
    }
}

/// A site whose process died after this address began, before its end was recorded.
async fn died_in(address: &str, happened: bool) -> Site {
    for writes in 0.. {
        let site = Site::new();
        let plan = site.plan(&wanted()).await.unwrap();
        if !happened {
            site.cloud.fail(address, Failure::Unavailable("no route".to_owned()));
        }
        site.ledger.die_after(writes);
        let _died: Result<_, EngineError> = site.apply_plan(&plan).await;
        assert!(site.ledger.revive(), "it never died in {address}");
        let last = journal(&site).await.pop();
        let begun = matches!(last, Some(JournalEvent::Begin { step, .. }) if step.as_str().starts_with(address));
        if begun {
            let effects = site.cloud.effects();
            assert_eq!(effects.iter().any(|effect| effect.ends_with(address)), happened);
            site.cloud.clear_log();
            // Looking does not tell either.
            cannot_tell(&site, address);
            return site;
        }
    }
    unreachable!("there are fewer writes than numbers")
}

fn cannot_tell(site: &Site, address: &str) {
    site.cloud.fail(address, Failure::Unknown("it cannot be told".to_owned()));
}

fn answer(address: &str, done: bool) -> Answers {
    let answer = Answer { done, by: "ada".to_owned(), reason: "looked".to_owned() };
    Answers::from([(address.parse().unwrap(), answer)])
}

async fn resume_as(
    site: &Site,
    mode: ResumeMode,
    answers: &Answers,
) -> Result<Report, EngineError> {
    let (_keep, interrupt) = Interrupter::new();
    resume_with(site.context(), mode, answers, &options(), &Silent, interrupt).await
}

fn undecided(report: &Report) -> Vec<&str> {
    report.undecided.iter().map(|(step, _)| step.as_str()).collect()
}

#[tokio::test]
async fn the_operation_stays_open_until_someone_says_it() {
    let site = died_in(JOB, true).await;
    for _ in 0..2 {
        let report = site.resume(ResumeMode::Go).await.unwrap();
        assert_eq!(undecided(&report), ["action.mem_job.m#run"]);
        assert_eq!((report.entry.is_none(), report.parked), (true, false));
        assert_eq!(report.held.len(), 1, "what waits for it is not started");
        cannot_tell(&site, JOB);
    }
    let report = resume_as(&site, ResumeMode::Go, &answer(JOB, true)).await.unwrap();
    assert_eq!(report.outcome, EntryOutcome::Succeeded);
    assert_eq!(site.cloud.effects(), ["create resource.mem_thing.a"], "the job is not run again");
    assert!(!site.plan(&wanted()).await.unwrap().body.has_changes());
}

#[tokio::test]
async fn what_had_not_happened_is_done_now() {
    let site = died_in(JOB, false).await;
    let report = resume_as(&site, ResumeMode::Go, &answer(JOB, false)).await.unwrap();
    assert_eq!(report.outcome, EntryOutcome::Succeeded);
    assert_eq!(site.cloud.effects(), ["run action.mem_job.m", "create resource.mem_thing.a"]);
}

#[tokio::test]
async fn the_answer_is_in_the_journal() {
    let site = died_in(JOB, false).await;
    // Interrupted at once, so that the operation is still open afterwards.
    let (interrupter, interrupt) = Interrupter::new();
    interrupter.raise();
    let answers = answer(JOB, false);
    let report =
        resume_with(site.context(), ResumeMode::Go, &answers, &options(), &Silent, interrupt)
            .await
            .unwrap();
    assert!(report.parked);
    let resolved = journal(&site).await.into_iter().find_map(|event| match event {
        JournalEvent::Resolved { step, done, by, reason, document } => {
            Some((step.as_str().to_owned(), done, by, reason, document))
        }
        _ => None,
    });
    let step = "action.mem_job.m#run".to_owned();
    assert_eq!(resolved, Some((step, false, "ada".to_owned(), "looked".to_owned(), None)));

    // Nobody has to say it twice.
    let report = site.resume(ResumeMode::Go).await.unwrap();
    assert_eq!(report.outcome, EntryOutcome::Succeeded);
    assert_eq!(site.cloud.effects(), ["run action.mem_job.m", "create resource.mem_thing.a"]);
}

#[tokio::test]
async fn what_the_world_says_goes_before() {
    let site = died_in(JOB, true).await;
    // It can be told after all.
    assert!(site.cloud.forgive(JOB));
    let report = resume_as(&site, ResumeMode::Go, &answer(JOB, false)).await.unwrap();
    assert_eq!(report.outcome, EntryOutcome::Succeeded);
    assert_eq!(site.cloud.effects(), ["create resource.mem_thing.a"], "it is not run again");
}

#[tokio::test]
async fn a_thing_that_is_not_there_was_not_made() {
    let site = died_in(THING, false).await;
    let report = resume_as(&site, ResumeMode::Go, &answer(THING, true)).await.unwrap();
    assert_eq!(undecided(&report), ["resource.mem_thing.a#create"]);
    assert!(report.undecided[0].1.contains("it is not there"), "{report:?}");
    cannot_tell(&site, THING);
    let report = resume_as(&site, ResumeMode::Go, &answer(THING, false)).await.unwrap();
    assert_eq!(report.outcome, EntryOutcome::Succeeded);
    assert_eq!(site.cloud.effects(), ["create resource.mem_thing.a"]);
}

#[tokio::test]
async fn a_thing_that_is_there_is_recorded_as_it_is() {
    let site = died_in(THING, true).await;
    let report = resume_as(&site, ResumeMode::Go, &answer(THING, true)).await.unwrap();
    assert_eq!(report.outcome, EntryOutcome::Succeeded);
    assert_eq!(site.cloud.effects(), Vec::<String>::new());
    assert!(!site.plan(&wanted()).await.unwrap().body.has_changes());
    site.revert(RevertTarget::Start).await;
    assert!(site.cloud.settled_things().is_empty());
}

#[tokio::test]
async fn only_what_is_in_question_is_answered() {
    let site = died_in(JOB, true).await;
    let refused = resume_as(&site, ResumeMode::Go, &answer(THING, true)).await.unwrap_err();
    let EngineError::Nothing { message, hint } = refused else { panic!("{refused}") };
    assert!(message.contains(THING) && hint.contains(JOB), "{message}: {hint}");
    assert!(site.cloud.effects().is_empty());
}

#[tokio::test]
async fn stopping_closes_it_without_an_answer_and_with_one() {
    let site = died_in(JOB, true).await;
    let report = site.resume(ResumeMode::Stop).await.unwrap();
    assert!(matches!(report.failed[0].1, Failure::Unknown(_)), "{report:?}");
    assert!(report.entry.is_some());

    for done in [true, false] {
        let site = died_in(JOB, done).await;
        let report = resume_as(&site, ResumeMode::Stop, &answer(JOB, done)).await.unwrap();
        assert!(report.entry.is_some() && report.failed.is_empty(), "{report:?}");
        assert_eq!((report.done.len(), report.held.len()), if done { (1, 1) } else { (0, 2) });
        assert!(site.cloud.effects().is_empty(), "nothing is started");
    }
}

/// An outcome that got lost closes the operation: the next plan's step looks for the run. Where that
/// cannot tell either, its operation stays open, as one that is resumed.
#[tokio::test]
async fn an_apply_that_looks_and_cannot_tell_stays_open() {
    let site = Site::new();
    cannot_tell(&site, JOB);
    let report = site.apply_plan(&site.plan(&wanted()).await.unwrap()).await.unwrap();
    assert!(matches!(report.failed[0].1, Failure::Unknown(_)), "{report:?}");
    assert!(report.entry.is_some() && report.undecided.is_empty());

    cannot_tell(&site, JOB);
    let report = site.apply_plan(&site.plan(&wanted()).await.unwrap()).await.unwrap();
    assert_eq!(undecided(&report), ["action.mem_job.m#run"]);
    assert_eq!((report.entry.is_none(), report.held.len()), (true, 1));

    cannot_tell(&site, JOB);
    let report = resume_as(&site, ResumeMode::Go, &answer(JOB, true)).await.unwrap();
    assert_eq!(report.outcome, EntryOutcome::Succeeded);
    assert!(!site.plan(&wanted()).await.unwrap().body.has_changes());
}
