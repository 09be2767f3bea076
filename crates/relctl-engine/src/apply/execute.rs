//! Carries out a plan along its graph.
//!
//! A step's life: waiting → begun (in the journal before the plugin is called) → ended (in the
//! journal before a dependant starts). An operation that was interrupted is loaded from its journal
//! and goes through the same code: what has begun and not ended is asked for again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use relctl_plan::{
    Address, Attempt, Document, EntryOutcome, Event, Failure, JournalEvent, JournalLine, Map,
    OpenOperation, Plan, Step, StepId, Undo, Verb,
};

use tokio::sync::Semaphore;

use super::checks::{Checked, bind};
use super::precheck::Prepared;
use super::restorable::RestorePoints;
use super::settle::{Answers, Settling};
use super::step::{Crew, Ended, Job, Outcome, Worked};
use super::{ApplyOptions, Report};
use crate::planning::base::Base;
use crate::{Context, EngineError, Interrupt, Journal, LedgerError, Lock, Observer};

/// How many times as many steps as may run at once have their intent written: the more there are,
/// the more of them share one flush of the journal.
const WRITTEN_AHEAD: usize = 16;

/// How much of an operation to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Everything,
    /// Only what has begun.
    WhatBegan,
}

/// Where a step is in its life.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Waiting,
    Begun(Begun),
    Ended(Ended),
}

/// What the journal says about a step that has begun.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) desired: Arc<Document>,
    pub(crate) run_key: Option<String>,
    pub(crate) undo: Option<Undo>,
    /// The token to poll with.
    pub(crate) poll: Option<String>,
}

/// An operation on its way.
pub(crate) struct Executor<'a> {
    crew: Crew<'a>,
    steps: HashMap<&'a StepId, &'a Step>,
    operation: OpenOperation,
    states: BTreeMap<StepId, State>,
    documents: HashMap<Address, Arc<Map>>,
    observed: HashMap<StepId, Option<Arc<Map>>>,
    undo: HashMap<StepId, Undo>,
    checks: Vec<Checked>,
    /// Steps of which nobody can tell whether they happened, with why.
    undecided: Vec<(StepId, String)>,
    parked: bool,
}

impl<'a> Executor<'a> {
    #[expect(clippy::too_many_arguments, reason = "each is a different part of the world")]
    pub(crate) fn new(
        context: Context<'a>,
        base: &'a Base,
        plan: &'a Plan,
        operation: &OpenOperation,
        lock: &'a dyn Lock,
        journal: Box<dyn Journal>,
        options: &'a ApplyOptions,
        observer: &'a dyn Observer,
        interrupt: Interrupt,
    ) -> Self {
        let steps = plan.body.steps.iter().filter(|step| step.verb != Verb::Check);
        let runs = plan.body.steps.iter().flat_map(|step| &step.depends_on);
        let outputs = runs.filter_map(|address| {
            let (_, run) = base.snapshot.latest_run(address)?;
            Some((address.clone(), run.output.clone()))
        });
        Self {
            operation: operation.clone(),
            steps: plan.body.steps.iter().map(|step| (&step.id, step)).collect(),
            states: steps.map(|step| (step.id.clone(), State::Waiting)).collect(),
            documents: outputs.collect(),
            observed: HashMap::new(),
            undo: HashMap::new(),
            checks: Vec::new(),
            undecided: Vec::new(),
            parked: false,
            crew: Crew {
                context,
                base,
                plan,
                lock,
                journal,
                options,
                observer,
                interrupt,
                slots: Semaphore::new(options.parallelism.max(1)),
                halted: AtomicBool::new(false),
                settling: Settling { goes_on: true, answers: Answers::new() },
            },
        }
    }

    pub(crate) fn context(&self) -> Context<'a> {
        self.crew.context
    }

    pub(crate) fn plan(&self) -> &'a Plan {
        self.crew.plan
    }

    pub(crate) fn base(&self) -> &'a Base {
        self.crew.base
    }

    pub(crate) fn lock(&self) -> &'a dyn Lock {
        self.crew.lock
    }

    pub(crate) fn journal(&self) -> &dyn Journal {
        &*self.crew.journal
    }

    pub(crate) fn interrupt(&self) -> Interrupt {
        self.crew.interrupt.clone()
    }

    pub(crate) fn observer(&self) -> &'a dyn Observer {
        self.crew.observer
    }

    pub(crate) fn operation(&self) -> &OpenOperation {
        &self.operation
    }

    pub(crate) fn state(&self, id: &StepId) -> &State {
        self.states.get(id).unwrap_or(&State::Waiting)
    }

    pub(crate) fn checks(&self) -> &[Checked] {
        &self.checks
    }

    /// What references stand for by now.
    pub(crate) fn documents(&self) -> HashMap<Address, Arc<Map>> {
        self.documents.clone()
    }

    /// Whether there is more to do, which something or someone else must allow first.
    pub(crate) fn stays_open(&self) -> bool {
        self.parked || !self.undecided.is_empty()
    }

    /// What to do about steps of which nobody can tell whether they happened.
    pub(crate) fn settle(&mut self, settling: Settling) {
        self.crew.settling = settling;
    }

    /// The plugin is asked once more about steps that ended without anyone knowing how.
    pub(crate) fn reopen_unknown(&mut self) {
        for state in self.states.values_mut() {
            if let State::Ended(ended) = state
                && matches!(ended.outcome, Outcome::Failed(Failure::Unknown(_)))
            {
                *state = State::Begun(Begun {
                    desired: ended.desired.clone(),
                    run_key: ended.run_key.clone(),
                    undo: ended.undo.clone(),
                    poll: None,
                });
            }
        }
    }

    /// The addresses of steps that have begun and not ended.
    pub(crate) fn begun(&self) -> BTreeSet<&'a Address> {
        let begun = self.states.iter().filter(|(_, state)| matches!(state, State::Begun(_)));
        begun.filter_map(|(id, _)| Some(&self.steps.get(id)?.address)).collect()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.states.values().any(State::is_failed)
    }

    /// Takes over checks that an earlier part of the operation ran.
    pub(crate) fn restore_checks(&mut self, checks: Vec<Checked>) {
        self.checks = checks;
    }

    pub(crate) fn all_done(&self) -> bool {
        self.states.values().all(|state| matches!(state, State::Ended(end) if end.is_done()))
    }

    /// Takes over what was seen just before the first change.
    pub(crate) fn prepare(&mut self, prepared: Prepared) {
        for (address, document) in prepared.documents {
            self.documents.entry(address).or_insert(document);
        }
        self.observed.extend(prepared.observed);
        self.undo.extend(prepared.undo);
    }

    /// Whether a step has not begun.
    pub(crate) fn is_waiting(&self, id: &StepId) -> bool {
        matches!(self.states.get(id), Some(State::Waiting))
    }

    /// Takes over what the journal says.
    pub(crate) fn replay(&mut self, lines: &[JournalLine]) {
        for line in lines {
            match &line.event {
                JournalEvent::Begin { step, desired, run_key, undo, .. } => {
                    let begun = Begun {
                        desired: desired.clone(),
                        run_key: run_key.clone(),
                        undo: undo.clone(),
                        poll: None,
                    };
                    self.states.insert(step.clone(), State::Begun(begun));
                }
                JournalEvent::NotStarted { step }
                | JournalEvent::Resolved { step, done: false, .. } => {
                    self.states.insert(step.clone(), State::Waiting);
                }
                JournalEvent::Pending { step, token } => {
                    if let Some(State::Begun(begun)) = self.states.get_mut(step) {
                        begun.poll = Some(token.clone());
                    }
                }
                JournalEvent::Done { step, document } => {
                    self.replay_end(step, Outcome::Done(document.value.clone()));
                }
                JournalEvent::Noop { step, document } => {
                    self.replay_end(step, Outcome::Noop(document.value.clone()));
                }
                JournalEvent::Failed { step, failure } => {
                    self.replay_end(step, Outcome::Failed(failure.clone()));
                }
                JournalEvent::Partial { step, document, message } => {
                    let (document, message) = (document.clone(), message.clone());
                    self.replay_end(step, Outcome::Failed(Failure::Partial { document, message }));
                }
                JournalEvent::Unknown { step, message } => {
                    self.replay_end(step, Outcome::Failed(Failure::Unknown(message.clone())));
                }
                JournalEvent::Resolved { step, document, .. } => {
                    let document = document.clone().unwrap_or_default();
                    self.replay_end(step, Outcome::Done(document.value));
                }
                JournalEvent::Checked { .. }
                | JournalEvent::Opened { .. }
                | JournalEvent::Closed { .. } => {}
            }
        }
    }

    fn replay_end(&mut self, id: &StepId, outcome: Outcome) {
        let begun = match self.states.remove(id) {
            Some(State::Begun(begun)) => Some(begun),
            _ => None,
        };
        let desired = self.steps.get(id).map(|step| step.desired.clone()).unwrap_or_default();
        let ended = match begun {
            Some(begun) => {
                Ended { desired: begun.desired, run_key: begun.run_key, undo: begun.undo, outcome }
            }
            None => Ended { desired, run_key: None, undo: None, outcome },
        };
        end(&self.steps, &mut self.states, &mut self.documents, id, ended);
    }

    /// Notes a check, durably.
    pub(crate) async fn note_check(&mut self, check: Checked) -> Result<(), EngineError> {
        let event = JournalEvent::Checked {
            address: check.address.clone(),
            verdict: check.verdict.clone(),
        };
        let time = self.crew.context.clock.now();
        if let Err(error) = self.crew.journal.append(time, event).await {
            return Err(self.unrecorded(error).await);
        }
        self.crew.observer.event(&Event::Checked {
            address: check.address.clone(),
            verdict: check.verdict.clone(),
            blocking: check.blocking,
        });
        self.checks.push(check);
        Ok(())
    }

    /// The ledger failed after something may have begun.
    pub(crate) async fn unrecorded(&self, source: LedgerError) -> EngineError {
        EngineError::Unrecorded {
            operation: self.operation.id.clone(),
            source,
            unsaved: self.crew.journal.unsaved().await,
        }
    }

    /// Runs what can be run. Returns when nothing is under way any more.
    pub(crate) async fn run(&mut self, scope: Scope) -> Result<(), EngineError> {
        let crew = &self.crew;
        let mut ready = Ready::new(crew.plan, &self.states);
        let points = RestorePoints::of(crew.context, crew.plan);
        let mut failed = self.states.values().any(State::is_failed);
        let mut begun: Vec<(&Step, Begun)> = begun_steps(crew.plan, &self.states);
        let mut broken = None;
        let mut undecided = Vec::new();
        let mut parked = false;
        let mut running = FuturesUnordered::new();
        crew.halted.store(failed, Ordering::SeqCst);
        loop {
            let halted = failed || parked || broken.is_some() || !undecided.is_empty();
            crew.halted.fetch_or(halted, Ordering::SeqCst);
            let stop = crew.is_stopping();
            while running.len() < crew.options.parallelism.max(1) * WRITTEN_AHEAD {
                let job = match begun.pop() {
                    Some((step, begun)) => Job::again(step, begun),
                    None if stop || scope == Scope::WhatBegan => break,
                    None => match ready.pop() {
                        Some(step) => first_job(step, &self.documents, &self.observed, &self.undo),
                        None => break,
                    },
                };
                let restorable = points.behind(job.step, &self.documents);
                running.push(crew.work(Job { restorable, ..job }));
            }
            let Some((id, worked)) = running.next().await else { break };
            match worked {
                Worked::Ended(ended) => {
                    if ended.is_done() {
                        ready.done(&id);
                    } else {
                        failed = true;
                    }
                    end(&self.steps, &mut self.states, &mut self.documents, &id, ended);
                }
                Worked::Parked => parked = true,
                Worked::NotStarted => {}
                Worked::Undecided(why) => undecided.push((id, why)),
                Worked::Returned => {
                    self.states.insert(id, State::Waiting);
                }
                Worked::Broken(error) => broken = Some(error),
            }
        }
        drop(running);
        self.undecided = undecided;
        let asked = crew.is_asked_to_park() && scope == Scope::Everything && !failed;
        self.parked = parked || (asked && !self.all_done());
        match broken {
            Some(source) => Err(self.unrecorded(source).await),
            None => Ok(()),
        }
    }

    /// What an operation that stays open came to so far.
    pub(crate) fn open_report(&self) -> Report {
        Report {
            operation: Some(self.operation.id.clone()),
            entry: None,
            outcome: EntryOutcome::Failed,
            verified: None,
            parked: self.parked,
            asked_by: self.crew.lock.park_requested(),
            ..self.report_of_steps()
        }
    }

    /// The parts of a report that are about steps.
    pub(crate) fn report_of_steps(&self) -> Report {
        let mut report = Report {
            operation: Some(self.operation.id.clone()),
            entry: None,
            outcome: EntryOutcome::Succeeded,
            verified: None,
            done: Vec::new(),
            failed: Vec::new(),
            held: Vec::new(),
            undecided: self.undecided.clone(),
            parked: false,
            asked_by: None,
            checks: self
                .checks
                .iter()
                .map(|check| (check.address.clone(), check.verdict.clone(), check.blocking))
                .collect(),
        };
        for step in self.crew.plan.body.steps.iter().filter(|step| step.verb != Verb::Check) {
            match self.state(&step.id) {
                State::Ended(ended) => match &ended.outcome {
                    Outcome::Done(_) | Outcome::Noop(_) => report.done.push(step.id.clone()),
                    Outcome::Failed(failure) => {
                        report.failed.push((step.id.clone(), failure.clone()));
                    }
                },
                _ if self.undecided.iter().any(|(id, _)| *id == step.id) => {}
                State::Waiting | State::Begun(_) => report.held.push(step.id.clone()),
            }
        }
        report
    }
}

impl State {
    fn is_failed(&self) -> bool {
        matches!(self, Self::Ended(ended) if !ended.is_done())
    }
}

/// What has begun and not ended, in reverse, to be popped.
fn begun_steps<'p>(plan: &'p Plan, states: &BTreeMap<StepId, State>) -> Vec<(&'p Step, Begun)> {
    let begun = plan.body.steps.iter().rev().filter_map(|step| match states.get(&step.id) {
        Some(State::Begun(begun)) => Some((step, begun.clone())),
        _ => None,
    });
    begun.collect()
}

fn first_job<'p>(
    step: &'p Step,
    documents: &HashMap<Address, Arc<Map>>,
    observed: &HashMap<StepId, Option<Arc<Map>>>,
    undo: &HashMap<StepId, Undo>,
) -> Job<'p> {
    let resolve = |template: &relctl_plan::Template| {
        template.resolve(&|reference| bind(documents, reference)).map_err(|e| e.to_string())
    };
    Job {
        step,
        attempt: Attempt::First,
        desired: if step.desired.is_known() {
            Ok(step.desired.clone())
        } else {
            resolve(&step.inputs).map(Arc::new)
        },
        triggers: step.triggers.as_ref().map_or_else(|| Ok(Document::default()), resolve),
        observed: observed.get(&step.id).cloned().flatten(),
        run_key: step.run_key.clone(),
        undo: undo.get(&step.id).cloned(),
        restorable: Vec::new(),
        poll: None,
        anew: false,
    }
}

/// Notes how a step ended, and what references to its object now stand for.
fn end(
    steps: &HashMap<&StepId, &Step>,
    states: &mut BTreeMap<StepId, State>,
    documents: &mut HashMap<Address, Arc<Map>>,
    id: &StepId,
    ended: Ended,
) {
    if let (Some(document), Some(step)) = (ended.document(), steps.get(id))
        && step.undoes.is_none()
    {
        documents.insert(step.address.clone(), document.clone());
    }
    states.insert(id.clone(), State::Ended(ended));
}

/// Steps whose needs are done, in the plan's order.
struct Ready<'p> {
    missing: HashMap<&'p StepId, usize>,
    dependants: HashMap<&'p StepId, Vec<&'p Step>>,
    queue: BTreeMap<usize, &'p Step>,
    place: HashMap<&'p StepId, usize>,
}

impl<'p> Ready<'p> {
    fn new(plan: &'p Plan, states: &BTreeMap<StepId, State>) -> Self {
        let mut ready = Self {
            missing: HashMap::new(),
            dependants: HashMap::new(),
            queue: BTreeMap::new(),
            place: HashMap::new(),
        };
        let is_done = |id: &StepId| matches!(states.get(id), Some(State::Ended(e)) if e.is_done());
        for (place, step) in plan.body.steps.iter().enumerate() {
            if !matches!(states.get(&step.id), Some(State::Waiting)) {
                continue;
            }
            ready.place.insert(&step.id, place);
            let missing: Vec<&StepId> = step.needs.iter().filter(|id| !is_done(id)).collect();
            for need in &missing {
                ready.dependants.entry(need).or_default().push(step);
            }
            if missing.is_empty() {
                ready.queue.insert(place, step);
            }
            ready.missing.insert(&step.id, missing.len());
        }
        ready
    }

    fn done(&mut self, id: &StepId) {
        for step in self.dependants.remove(id).unwrap_or_default() {
            let Some(missing) = self.missing.get_mut(&step.id) else { continue };
            *missing -= 1;
            if *missing == 0
                && let Some(place) = self.place.get(&step.id)
            {
                self.queue.insert(*place, step);
            }
        }
    }

    fn pop(&mut self) -> Option<&'p Step> {
        self.queue.pop_first().map(|(_, step)| step)
    }
}
