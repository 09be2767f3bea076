//! The end of an operation: what is now true, and how to go on or back.

use std::collections::BTreeMap;

use relctl_plan::{
    Address, Digest, EntryKind, EntryOutcome, Failure, JournalEvent, JournalLine, Outcome, Plan,
    PlanKind, StepId, Verb, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::Style;
use crate::history::{outcome_word, verified_text};
use crate::plan::{View, origin_text};
use crate::progress::{failure_text, labelled, step_name, with_further_lines};
use crate::style::Tone;
use crate::text::{counted, joined, ranges, safe};

/// What an operation came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndReport {
    pub kind: EntryKind,
    pub outcome: EntryOutcome,
    /// The entry that was written, with its digest: the ledger's new head.
    pub entry: Option<(u64, Digest)>,
    pub verified: Option<bool>,
    pub done: Vec<StepId>,
    pub failed: Vec<(StepId, Failure)>,
    /// Not started.
    pub held: Vec<StepId>,
    /// Nobody can tell whether they happened, with why; the operation stays open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<(StepId, String)>,
    /// A person interrupted it.
    pub parked: bool,
    /// Whoever asked it to make room, if anyone did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// With whether it is blocking.
    pub checks: Vec<(Address, Verdict, bool)>,
    /// The exact command that goes back, if there is somewhere to go.
    pub revert_command: Option<String>,
    /// The exact command that goes on, where the operation is still open.
    pub resume_command: Option<String>,
    /// How a person says whether the first undecided step happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve_command: Option<String>,
}

/// The report as a person reads it last.
pub fn report_text(report: &EndReport, plan: &Plan, style: &Style) -> String {
    let view = View::new(plan, *style);
    let mut lines = vec![headline(report, &view)];
    lines.extend(failure_lines(&view, &report.failed));
    let undecided = report.undecided.iter();
    let undecided: Vec<(StepId, Failure)> =
        undecided.map(|(step, why)| (step.clone(), Failure::Unknown(why.clone()))).collect();
    lines.extend(failure_lines(&view, &undecided));
    for (address, verdict, blocking) in &report.checks {
        if verdict.outcome != Outcome::Pass {
            let aside = if *blocking { "" } else { " (does not fail the release)" };
            let head = format!("  {address} {}{aside}: ", outcome_word(verdict.outcome));
            let text = with_further_lines(&head, &verdict.evidence);
            lines.extend(text.split('\n').map(str::to_owned));
        }
    }
    if report.outcome == EntryOutcome::Failed || report.parked {
        lines.extend(reached_lines(&view, &report.done, &report.held));
    }
    if let Some((serial, digest)) = &report.entry {
        lines.push(labelled("entry", &format!("#{serial} {digest}")));
    }
    if let Some(command) = &report.resolve_command {
        lines.push(labelled("decide", "look whether it happened, then say `done` or `not-done`:"));
        lines.push(labelled("", &safe(command)));
    }
    if let Some(command) = &report.resume_command {
        lines.push(labelled("go on", &safe(command)));
    }
    if let Some(command) = &report.revert_command {
        lines.push(labelled("go back", &safe(command)));
    }
    joined(lines)
}

/// How far an operation came that failed, as its journal tells.
pub(crate) fn how_far(view: &View<'_>, journal: &[JournalLine]) -> Vec<String> {
    let mut ends: BTreeMap<&StepId, Option<Failure>> = BTreeMap::new();
    for line in journal {
        let (step, failure) = match &line.event {
            JournalEvent::Done { step, .. }
            | JournalEvent::Noop { step, .. }
            | JournalEvent::Resolved { step, done: true, .. } => (step, None),
            JournalEvent::Resolved { step, .. } => {
                ends.remove(step);
                continue;
            }
            JournalEvent::Failed { step, failure } => (step, Some(failure.clone())),
            JournalEvent::Partial { step, document, message } => {
                let (document, message) = (document.clone(), message.clone());
                (step, Some(Failure::Partial { document, message }))
            }
            JournalEvent::Unknown { step, message } => {
                (step, Some(Failure::Unknown(message.clone())))
            }
            _ => continue,
        };
        ends.insert(step, failure);
    }
    let (mut done, mut failed, mut held) = (Vec::new(), Vec::new(), Vec::new());
    for step in view.plan.body.steps.iter().filter(|step| step.verb != Verb::Check) {
        match ends.get(&step.id) {
            Some(None) => done.push(step.id.clone()),
            Some(Some(failure)) => failed.push((step.id.clone(), failure.clone())),
            None => held.push(step.id.clone()),
        }
    }
    let mut lines = failure_lines(view, &failed);
    lines.extend(reached_lines(view, &done, &held));
    lines
}

/// What a person said about steps of which nobody else could tell whether they happened.
pub(crate) fn said_lines(view: &View<'_>, journal: &[JournalLine]) -> Vec<String> {
    let said = journal.iter().filter_map(|line| match &line.event {
        JournalEvent::Resolved { step, done, by, reason, .. } => {
            let word = if *done { "done" } else { "not done" };
            Some(format!(
                "  {} {word}, as {} said: {}",
                step_name(view, step),
                safe(by),
                safe(reason)
            ))
        }
        _ => None,
    });
    said.collect()
}

/// What failed, and why.
fn failure_lines(view: &View<'_>, failed: &[(StepId, Failure)]) -> Vec<String> {
    let lines = failed.iter().flat_map(|(step, failure)| {
        let (word, text) = failure_text(failure);
        let head = format!("  {} {word}: ", step_name(view, step));
        with_further_lines(&head, &text).split('\n').map(str::to_owned).collect::<Vec<_>>()
    });
    lines.collect()
}

/// What is done, and what was not started.
fn reached_lines(view: &View<'_>, done: &[StepId], held: &[StepId]) -> Vec<String> {
    let steps = |ids: &[StepId]| {
        let mut numbers: Vec<usize> = ids.iter().map(|id| view.number(id)).collect();
        numbers.sort_unstable();
        format!("{}: {}", counted(numbers.len(), "step", "steps"), ranges(&numbers, view.style))
    };
    let reached = if done.is_empty() { "no step".to_owned() } else { steps(done) };
    let mut lines = vec![labelled("done", &reached)];
    if !held.is_empty() {
        lines.push(labelled("held", &format!("{}, not started", steps(held))));
    }
    lines
}

/// What is true now, in one line.
fn headline(report: &EndReport, view: &View<'_>) -> String {
    let title = view.title();
    let style = view.style;
    if report.parked {
        let by = report.asked_by.as_ref().map(|who| format!(", to make room for {}", safe(who)));
        let what = style.paint(Tone::Change, "interrupted:");
        return format!("{what} {title}{}; nothing is lost", by.unwrap_or_default());
    }
    if !report.undecided.is_empty() {
        let count = counted(report.undecided.len(), "step", "steps");
        let what = style.paint(Tone::Bad, "UNDECIDED:");
        return format!("{what} {title}; {count} may or may not have happened, a person must say");
    }
    if report.outcome == EntryOutcome::Failed {
        let unknown =
            report.failed.iter().any(|(_, failure)| matches!(failure, Failure::Unknown(_)));
        let aside = if unknown { "; the outcome of a step is unknown" } else { "" };
        return format!("{} {title}{aside}", style.paint(Tone::Bad, "FAILED:"));
    }
    let verified = match report.verified {
        Some(false) => style.paint(Tone::Bad, ", but NOT verified: a blocking check did not pass"),
        other => verified_text(other).to_owned(),
    };
    let now = match &view.plan.body.kind {
        PlanKind::Apply => format!("{title} is in force"),
        PlanKind::Revert { target } => {
            let body = &view.plan.body;
            let environment = match &body.environment {
                Some(environment) => format!(" {} {}", style.arrow(), safe(environment)),
                None => String::new(),
            };
            format!("{}{environment} is back at {}", safe(&body.release), origin_text(target))
        }
    };
    let steps = match report.done.len() {
        0 => "nothing had to change".to_owned(),
        count => format!("{} done", counted(count, "step", "steps")),
    };
    format!("{}{verified}; {steps}", style.paint(Tone::Good, &now))
}

#[cfg(test)]
mod tests {
    use relctl_plan::{Origin, Verb};

    use super::*;
    use crate::plan::testing::{digest, healthflow};

    fn id(address: &str, verb: Verb) -> StepId {
        StepId::new(&address.parse().unwrap(), verb)
    }

    fn report() -> EndReport {
        EndReport {
            kind: EntryKind::Apply,
            outcome: EntryOutcome::Succeeded,
            entry: Some((14, digest("entry"))),
            verified: Some(true),
            done: healthflow().body.steps.iter().map(|step| step.id.clone()).collect(),
            failed: Vec::new(),
            held: Vec::new(),
            parked: false,
            asked_by: None,
            checks: Vec::new(),
            revert_command: Some("relctl revert -e production --to 12".to_owned()),
            resume_command: None,
            undecided: Vec::new(),
            resolve_command: None,
        }
    }

    #[test]
    fn success() {
        insta::assert_snapshot!(report_text(&report(), &healthflow(), &Style::PLAIN), @"
        healthflow v1.1.0 → production is in force, verified; 5 steps done
          entry     #14 923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          go back   relctl revert -e production --to 12
        ");
    }

    #[test]
    fn failure() {
        let verdict = Verdict {
            outcome: Outcome::Fail,
            evidence: "GET /health → 503\nbody: no".to_owned(),
        };
        let report = EndReport {
            outcome: EntryOutcome::Failed,
            verified: None,
            done: vec![
                id("action.aws_db_snapshot.before", Verb::Run),
                id("resource.aws_ecs_task_definition.backend", Verb::Create),
            ],
            failed: vec![(
                id("action.aws_ecs_task.migrate", Verb::Run),
                Failure::Unknown("the connection was lost\nlast line: ALTER TABLE".to_owned()),
            )],
            held: vec![id("resource.aws_ecs_service.backend", Verb::Update)],
            checks: vec![("check.http.health".parse().unwrap(), verdict, false)],
            ..report()
        };
        insta::assert_snapshot!(report_text(&report, &healthflow(), &Style::PLAIN), @"
        FAILED: healthflow v1.1.0 → production; the outcome of a step is unknown
          3 ▶ run action.aws_ecs_task.migrate has an UNKNOWN outcome: the connection was lost
             | last line: ALTER TABLE
          check.http.health FAIL (does not fail the release): GET /health → 503
             | body: no
          done      2 steps: 1, 2
          held      1 step: 4, not started
          entry     #14 923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          go back   relctl revert -e production --to 12
        ");
    }

    #[test]
    fn interruption() {
        let report = EndReport {
            entry: None,
            parked: true,
            done: Vec::new(),
            resume_command: Some("relctl resume -e production".to_owned()),
            ..report()
        };
        insta::assert_snapshot!(report_text(&report, &healthflow(), &Style::PLAIN), @"
        interrupted: healthflow v1.1.0 → production; nothing is lost
          done      no step
          go on     relctl resume -e production
          go back   relctl revert -e production --to 12
        ");
    }

    #[test]
    fn a_person_must_say() {
        let report = EndReport {
            entry: None,
            outcome: EntryOutcome::Failed,
            verified: None,
            done: vec![id("action.aws_db_snapshot.before", Verb::Run)],
            undecided: vec![(
                id("action.aws_ecs_task.migrate", Verb::Run),
                "no task of it is listed any more".to_owned(),
            )],
            held: vec![id("resource.aws_ecs_service.backend", Verb::Update)],
            revert_command: None,
            resolve_command: Some(
                "relctl resume -e production --resolve action.aws_ecs_task.migrate=done --reason '…'"
                    .to_owned(),
            ),
            ..report()
        };
        insta::assert_snapshot!(report_text(&report, &healthflow(), &Style::PLAIN), @"
        UNDECIDED: healthflow v1.1.0 → production; 1 step may or may not have happened, a person must say
          3 ▶ run action.aws_ecs_task.migrate has an UNKNOWN outcome: no task of it is listed any more
          done      1 step: 1
          held      1 step: 4, not started
          decide    look whether it happened, then say `done` or `not-done`:
                    relctl resume -e production --resolve action.aws_ecs_task.migrate=done --reason '…'
        ");
    }

    #[test]
    fn a_revert_says_where_it_went() {
        let mut plan = healthflow();
        plan.body.kind = PlanKind::Revert {
            target: Origin { serial: 11, entry: None, version: Some("v0.9".to_owned()) },
        };
        insta::assert_snapshot!(report_text(&report(), &plan, &Style::PLAIN), @"
        healthflow → production is back at v0.9 #11, verified; 5 steps done
          entry     #14 923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          go back   relctl revert -e production --to 12
        ");
    }

    #[test]
    fn not_verified() {
        let report = EndReport { verified: Some(false), ..report() };
        insta::assert_snapshot!(report_text(&report, &healthflow(), &Style::PLAIN), @"
        healthflow v1.1.0 → production is in force, but NOT verified: a blocking check did not pass; 5 steps done
          entry     #14 923fe53966c6cd9343e11af776cd4b05be315ea4b200b02e4d5dfb0f929b73bf
          go back   relctl revert -e production --to 12
        ");
    }
}
