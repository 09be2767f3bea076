//! Progress: each event as a line that a person can follow and a CI log can hold.

use std::collections::HashMap;

use relctl_plan::{EntryOutcome, Event, Failure, Outcome, Plan, Step, StepId};

use crate::Style;
use crate::history::{outcome_word, verified_text};
use crate::plan::View;
use crate::style::{Tone, tone_of};
use crate::text::{counted, duration, pad, safe};

/// Words for the events of one operation. Remembers what was said last about each step, so that a
/// cloud that repeats itself does not fill a log.
pub struct EventText<'a> {
    view: View<'a>,
    said: HashMap<StepId, String>,
}

impl<'a> EventText<'a> {
    pub fn new(plan: &'a Plan, style: &Style) -> Self {
        Self { view: View::new(plan, *style), said: HashMap::new() }
    }

    /// The lines for an event; `None` where nothing changed.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        let style = self.view.style;
        let text = match event {
            Event::Started { plan_id, steps, .. } => {
                let steps = counted(*steps, "step", "steps");
                format!("{}: {steps}, plan {}", self.view.title(), plan_id.short())
            }
            Event::StepStarted { step, again: false } => format!("{} started", self.name(step)),
            Event::StepStarted { step, again: true } => {
                format!("{} was begun before: looking how far it got", self.name(step))
            }
            Event::StepProgress { step, message, elapsed_ms } => {
                if self.said.get(step) == Some(message) {
                    return None;
                }
                self.said.insert(step.clone(), message.clone());
                self.running(step, message, *elapsed_ms)
            }
            Event::StepDone { step, elapsed_ms } => {
                let done = style.paint(Tone::Good, "done");
                format!("{} {done}, {}", self.name(step), duration(*elapsed_ms))
            }
            Event::StepNoop { step } => {
                format!("{} is so already, nothing to do", self.name(step))
            }
            Event::StepFailed { step, failure, elapsed_ms } => {
                let (word, text) = failure_text(failure);
                let word = style.paint(Tone::Bad, word);
                let head = format!("{} {word} after {}: ", self.name(step), duration(*elapsed_ms));
                with_further_lines(&head, &text)
            }
            Event::StepHeld { step } => {
                format!("{} held: not started", self.name(step))
            }
            Event::StepParked { step } => {
                format!("{} is left running; `relctl resume` waits for it", self.name(step))
            }
            Event::Checked { address, verdict, blocking } => {
                let tone = match verdict.outcome {
                    Outcome::Pass => Tone::Good,
                    Outcome::Fail | Outcome::Inconclusive => Tone::Bad,
                };
                let word = style.paint(tone, outcome_word(verdict.outcome));
                let aside = if *blocking { "" } else { " (does not fail the release)" };
                with_further_lines(&format!("{address} {word}{aside}: "), &verdict.evidence)
            }
            Event::Finished { serial, entry, outcome, verified } => {
                let outcome = match outcome {
                    EntryOutcome::Succeeded => "succeeded",
                    EntryOutcome::Failed => "FAILED",
                };
                let verified = verified_text(*verified);
                format!("entry #{serial} {}: {outcome}{verified}", entry.short())
            }
        };
        Some(text)
    }

    /// The line of a running step, for a display that is drawn again and again.
    pub fn running(&self, step: &StepId, message: &str, elapsed_ms: u64) -> String {
        let message = if message.is_empty() { "running" } else { message };
        let ellipsis = self.view.style.ellipsis();
        format!("{} {ellipsis} {}, {}", self.name(step), safe(message), duration(elapsed_ms))
    }

    /// ` 4 ~ update  resource.aws_ecs_service.backend`.
    fn name(&self, id: &StepId) -> String {
        step_name(&self.view, id)
    }
}

pub(crate) fn step_name(view: &View<'_>, id: &StepId) -> String {
    let Some(step) = view.step(id) else { return safe(id.as_str()).into_owned() };
    let last = view.plan.body.steps.len().to_string().len();
    let Step { verb, address, .. } = step;
    let verb_text =
        view.style.paint(tone_of(*verb), &format!("{} {verb}", view.style.glyph(*verb)));
    format!("{:>last$} {verb_text} {address}", view.number(id))
}

/// What to call it, and everything that is known about it.
pub(crate) fn failure_text(failure: &Failure) -> (&'static str, String) {
    let word = match failure {
        Failure::Unknown(_) => "has an UNKNOWN outcome",
        Failure::Partial { .. } => "was done in PART",
        _ => "FAILED",
    };
    let text = match failure {
        // Its own text names only the first.
        Failure::Invalid(diagnostics) if diagnostics.len() > 1 => {
            let lines: Vec<String> = diagnostics
                .iter()
                .map(|diagnostic| format!("{}: {}", diagnostic.path, diagnostic.message))
                .collect();
            format!("the plugin refused it\n{}", lines.join("\n"))
        }
        other => other.to_string(),
    };
    (word, text)
}

/// The text after `head`; further lines are set off, so that none can be taken for an event.
pub(crate) fn with_further_lines(head: &str, text: &str) -> String {
    let mut lines = text.trim_end().split('\n');
    let mut out = format!("{head}{}", safe(lines.next().unwrap_or_default()));
    for line in lines {
        out.push_str("\n     | ");
        out.push_str(&safe(line));
    }
    out
}

/// A name beside a value, for reports.
pub(crate) fn labelled(label: &str, value: &str) -> String {
    format!("  {}{value}", pad(label, 10))
}

#[cfg(test)]
mod tests {
    use relctl_plan::{Diagnostic, Verb, Verdict};

    use super::*;
    use crate::plan::testing::{digest, healthflow};

    fn id(address: &str, verb: Verb) -> StepId {
        StepId::new(&address.parse().unwrap(), verb)
    }

    #[test]
    fn a_log_of_events() {
        let plan = healthflow();
        let mut words = EventText::new(&plan, &Style::PLAIN);
        let service = id("resource.aws_ecs_service.backend", Verb::Update);
        let task = id("resource.aws_ecs_task_definition.backend", Verb::Create);
        let progress = |elapsed_ms| Event::StepProgress {
            step: service.clone(),
            message: "2 of 6 tasks on the new revision".to_owned(),
            elapsed_ms,
        };
        let diagnostic = |path: &str| Diagnostic {
            path: path.parse().unwrap(),
            message: "is not allowed".to_owned(),
            hint: None,
        };
        let events = [
            Event::Started { operation: "op".to_owned(), plan_id: digest("plan"), steps: 5 },
            Event::StepStarted { step: task.clone(), again: false },
            Event::StepDone { step: task.clone(), elapsed_ms: 340 },
            Event::StepNoop { step: task.clone() },
            Event::StepStarted { step: service.clone(), again: true },
            progress(41_000),
            progress(46_000),
            Event::StepParked { step: service.clone() },
            Event::StepFailed {
                step: service.clone(),
                failure: Failure::Unavailable(
                    "tasks stopped with exit code 1\n 4 ~ update forged done\u{1b}[2K".to_owned(),
                ),
                elapsed_ms: 75_000,
            },
            Event::StepFailed {
                step: service.clone(),
                failure: Failure::Unknown("the connection was lost".to_owned()),
                elapsed_ms: 75_000,
            },
            Event::StepFailed {
                step: task,
                failure: Failure::Invalid(vec![diagnostic("a"), diagnostic("b")]),
                elapsed_ms: 1_200,
            },
            Event::StepHeld { step: service },
            Event::Checked {
                address: "check.http.health".parse().unwrap(),
                verdict: Verdict {
                    outcome: Outcome::Fail,
                    evidence: "GET /health → 503".to_owned(),
                },
                blocking: true,
            },
            Event::Finished {
                serial: 14,
                entry: digest("entry"),
                outcome: EntryOutcome::Succeeded,
                verified: Some(false),
            },
        ];
        let lines: Vec<String> = events.iter().filter_map(|event| words.line(event)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        healthflow v1.1.0 → production: 5 steps, plan 64879f7d
        2 + create resource.aws_ecs_task_definition.backend started
        2 + create resource.aws_ecs_task_definition.backend done, 340 ms
        2 + create resource.aws_ecs_task_definition.backend is so already, nothing to do
        4 ~ update resource.aws_ecs_service.backend was begun before: looking how far it got
        4 ~ update resource.aws_ecs_service.backend … 2 of 6 tasks on the new revision, 41 s
        4 ~ update resource.aws_ecs_service.backend is left running; `relctl resume` waits for it
        4 ~ update resource.aws_ecs_service.backend FAILED after 1 min 15 s: tasks stopped with exit code 1
             |  4 ~ update forged done\u{1b}[2K
        4 ~ update resource.aws_ecs_service.backend has an UNKNOWN outcome after 1 min 15 s: the connection was lost
        2 + create resource.aws_ecs_task_definition.backend FAILED after 1.2 s: the plugin refused it
             | a: is not allowed
             | b: is not allowed
        4 ~ update resource.aws_ecs_service.backend held: not started
        check.http.health FAIL: GET /health → 503
        entry #14 923fe539: succeeded, NOT verified
        ");
    }
}
