//! The end of an operation: what is now true, and how to go on or back.

use relctl_plan::{Address, Digest, EntryKind, EntryOutcome, Failure, Outcome, Plan, StepId, Verdict};
use serde::{Deserialize, Serialize};

use crate::Style;
use crate::history::{outcome_word, verified_text};
use crate::plan::View;
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
    /// A person interrupted it.
    pub parked: bool,
    /// With whether it is blocking.
    pub checks: Vec<(Address, Verdict, bool)>,
    /// The exact command that goes back, if there is somewhere to go.
    pub revert_command: Option<String>,
    /// The exact command that goes on, where the operation is still open.
    pub resume_command: Option<String>,
}

/// The report as a person reads it last.
pub fn report_text(report: &EndReport, plan: &Plan, style: &Style) -> String {
    let view = View::new(plan, *style);
    let mut lines = vec![headline(report, &view)];
    for (step, failure) in &report.failed {
        let (word, text) = failure_text(failure);
        let head = format!("  {} {word}: ", step_name(&view, step));
        lines.extend(with_further_lines(&head, &text).split('\n').map(str::to_owned));
    }
    for (address, verdict, blocking) in &report.checks {
        if verdict.outcome != Outcome::Pass {
            let aside = if *blocking { "" } else { " (does not fail the release)" };
            let head = format!("  {address} {}{aside}: ", outcome_word(verdict.outcome));
            let text = with_further_lines(&head, &verdict.evidence);
            lines.extend(text.split('\n').map(str::to_owned));
        }
    }
    let steps = |ids: &[StepId]| {
        let mut numbers: Vec<usize> = ids.iter().map(|id| view.number(id)).collect();
        numbers.sort_unstable();
        format!("{}: {}", counted(numbers.len(), "step", "steps"), ranges(&numbers, *style))
    };
    if report.outcome == EntryOutcome::Failed || report.parked {
        let done = if report.done.is_empty() { "no step".to_owned() } else { steps(&report.done) };
        lines.push(labelled("done", &done));
        if !report.held.is_empty() {
            lines.push(labelled("held", &format!("{}, not started", steps(&report.held))));
        }
    }
    if let Some((serial, digest)) = &report.entry {
        lines.push(labelled("entry", &format!("#{serial} {digest}")));
    }
    if let Some(command) = &report.resume_command {
        lines.push(labelled("go on", &safe(command)));
    }
    if let Some(command) = &report.revert_command {
        lines.push(labelled("go back", &safe(command)));
    }
    joined(lines)
}

/// What is true now, in one line.
fn headline(report: &EndReport, view: &View<'_>) -> String {
    let title = view.title();
    let style = view.style;
    if report.parked {
        return format!("{} {title}; nothing is lost", style.paint(Tone::Change, "interrupted:"));
    }
    if report.outcome == EntryOutcome::Failed {
        let unknown = report.failed.iter().any(|(_, failure)| matches!(failure, Failure::Unknown(_)));
        let aside = if unknown { "; the outcome of a step is unknown" } else { "" };
        return format!("{} {title}{aside}", style.paint(Tone::Bad, "FAILED:"));
    }
    let verified = match report.verified {
        Some(false) => style.paint(Tone::Bad, ", but NOT verified: a blocking check did not pass"),
        other => verified_text(other).to_owned(),
    };
    let done = match report.kind {
        EntryKind::Apply => "is in force",
        EntryKind::Revert => "is done",
    };
    let steps = match report.done.len() {
        0 => "nothing had to change".to_owned(),
        count => format!("{} done", counted(count, "step", "steps")),
    };
    format!("{} {done}{verified}; {steps}", style.paint(Tone::Good, &title))
}
