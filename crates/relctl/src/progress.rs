//! Progress of an operation: redrawn where a person watches, a line for each change of state
//! elsewhere, an event a line for programs.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use relctl_engine::{Holder, Observer};
use relctl_plan::{Event, Plan, StepId};
use relctl_render::EventText;
use serde_json::json;

use crate::operation::say_took_over;
use crate::ui::Ui;

/// Shows the progress of one plan.
pub(crate) struct Progress<'a> {
    ui: Arc<Ui>,
    text: Mutex<EventText<'a>>,
    display: Display,
    /// Set at the first step: from then on a crash is one that may have changed something.
    begun: Arc<AtomicBool>,
    /// Steps of which a person's word was taken.
    answered: Mutex<BTreeSet<StepId>>,
}

enum Display {
    /// One spinner for each running step, above them the lines of those that ended.
    Live(MultiProgress, Mutex<HashMap<StepId, ProgressBar>>),
    Lines,
    Events,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(ui: &Arc<Ui>, plan: &'a Plan, begun: Arc<AtomicBool>) -> Self {
        let display = if ui.json {
            Display::Events
        } else if ui.live {
            Display::Live(MultiProgress::new(), Mutex::default())
        } else {
            Display::Lines
        };
        let text = Mutex::new(EventText::new(plan, &ui.message_style()));
        Self { ui: Arc::clone(ui), text, display, begun, answered: Mutex::default() }
    }

    /// The steps of which a person's word was taken.
    pub(crate) fn answered(&self) -> BTreeSet<StepId> {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn line(&self, event: &Event) -> Option<String> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).line(event)
    }

    fn live(
        &self,
        bars: &MultiProgress,
        running: &Mutex<HashMap<StepId, ProgressBar>>,
        event: &Event,
    ) {
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::StepStarted { step, .. } => {
                let bar = bars.add(ProgressBar::new_spinner());
                // The template is a constant; were it wrong, the default one would do.
                if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                    bar.set_style(style);
                }
                bar.set_message(self.line(event).unwrap_or_default());
                bar.enable_steady_tick(Duration::from_millis(120));
                running.insert(step.clone(), bar);
            }
            Event::StepProgress { step, message, elapsed_ms } => {
                if let Some(bar) = running.get(step) {
                    let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
                    bar.set_message(text.running(step, message, *elapsed_ms));
                }
            }
            Event::StepDone { step, .. }
            | Event::StepNoop { step }
            | Event::StepFailed { step, .. }
            | Event::StepParked { step } => {
                if let Some(bar) = running.remove(step) {
                    bar.finish_and_clear();
                }
                self.print(bars, event);
            }
            Event::Started { .. }
            | Event::StepHeld { .. }
            | Event::Checked { .. }
            | Event::Finished { .. } => self.print(bars, event),
        }
    }

    fn print(&self, bars: &MultiProgress, event: &Event) {
        if let Some(line) = self.line(event) {
            bars.suspend(|| self.ui.note(&line));
        }
    }
}

impl Observer for Progress<'_> {
    fn answered(&self, step: &StepId, done: bool) {
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).insert(step.clone());
        if matches!(self.display, Display::Events) {
            drop(self.ui.event(&json!({ "event": "answered", "step": step, "done": done })));
        }
    }

    fn took_over(&self, from: &Holder) {
        if matches!(self.display, Display::Events) {
            drop(self.ui.event(&json!({ "event": "took-over", "from": from })));
        } else {
            say_took_over(&self.ui, Some(from));
        }
    }

    fn plan(&self, plan: &Plan) {
        if matches!(self.display, Display::Events) {
            // Whoever stopped reading is no reason to stop releasing.
            drop(self.ui.event(&json!({
                "event": "planned",
                "plan_id": plan.plan_id,
                "summary": plan.body.summary,
            })));
        }
    }

    fn event(&self, event: &Event) {
        if matches!(event, Event::StepStarted { .. }) {
            self.begun.store(true, Ordering::Relaxed);
        }
        match &self.display {
            Display::Events => drop(self.ui.event(event)),
            Display::Live(bars, running) => self.live(bars, running, event),
            Display::Lines => {
                if let Some(line) = self.line(event) {
                    self.ui.note(&line);
                }
            }
        }
    }
}
