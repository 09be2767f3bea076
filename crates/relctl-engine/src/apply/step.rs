//! One step: resolve, journal, call, poll, journal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use relctl_plan::{
    Attempt, Document, Event, Failure, JournalEvent, Kind, Map, Plan, Progress, Role, RunOutcome,
    Step, StepId, Undo, Value, Verb, diff, digest_of, owned_paths, same_value,
};

use tokio::sync::Semaphore;

use super::ApplyOptions;
use super::execute::Begun;
use super::precheck::{change, subject};
use super::restorable::Left;
use super::settle::Settling;
use crate::planning::base::{Base, identity_of, kind_of};
use crate::planning::decide::{run_key, value_at};
use crate::provider::StepCall;
use crate::{Context, Interrupt, Journal, LedgerError, Lock, Observer, Provider, Subject};

/// What steps work with.
pub(crate) struct Crew<'a> {
    pub(crate) context: Context<'a>,
    pub(crate) base: &'a Base,
    pub(crate) plan: &'a Plan,
    pub(crate) lock: &'a dyn Lock,
    pub(crate) journal: Box<dyn Journal>,
    pub(crate) options: &'a ApplyOptions,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) interrupt: Interrupt,
    /// As many as steps may run at once.
    pub(crate) slots: Semaphore,
    /// Something failed: nothing new starts.
    pub(crate) halted: AtomicBool,
    pub(crate) settling: Settling,
}

/// One step to do.
pub(crate) struct Job<'p> {
    pub(crate) step: &'p Step,
    pub(crate) attempt: Attempt,
    /// With references resolved; not yet canonical where the plan's was unknown.
    pub(crate) desired: Result<Arc<Document>, String>,
    pub(crate) triggers: Result<Document, String>,
    pub(crate) observed: Option<Arc<Map>>,
    pub(crate) run_key: Option<String>,
    pub(crate) undo: Option<Undo>,
    /// What it would be restored from, where it cannot be undone.
    pub(crate) restorable: Vec<Left>,
    pub(crate) poll: Option<String>,
    /// A person said that it had not happened: it is begun anew.
    pub(crate) anew: bool,
}

impl<'p> Job<'p> {
    /// A step that has begun already: exactly what the journal recorded.
    pub(crate) fn again(step: &'p Step, begun: Begun) -> Self {
        Self {
            step,
            attempt: Attempt::Again,
            desired: Ok(begun.desired),
            triggers: Ok(Document::default()),
            observed: None,
            run_key: begun.run_key,
            undo: begun.undo,
            restorable: Vec::new(),
            poll: begun.poll,
            anew: false,
        }
    }
}

/// What work on a step came to.
pub(crate) enum Worked {
    Ended(Ended),
    /// Still under way; its poll token is in the journal.
    Parked,
    /// The plugin was not called, and will not be.
    NotStarted,
    /// Nobody can tell whether it happened, and why: its end is not in the journal.
    Undecided(String),
    /// It had not happened, as a person said, and is not begun anew for now.
    Returned,
    /// The ledger could not be written, or the lock is lost.
    Broken(LedgerError),
}

/// A step that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) desired: Arc<Document>,
    pub(crate) run_key: Option<String>,
    pub(crate) undo: Option<Undo>,
    pub(crate) outcome: Outcome,
}

/// How a step ended.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Done(Arc<Map>),
    /// Once references were resolved, there was nothing to do.
    Noop(Arc<Map>),
    Failed(Failure),
}

impl Ended {
    pub(crate) fn is_done(&self) -> bool {
        self.document().is_some()
    }

    /// The object as it is now.
    pub(crate) fn document(&self) -> Option<&Arc<Map>> {
        match &self.outcome {
            Outcome::Done(document) | Outcome::Noop(document) => Some(document),
            Outcome::Failed(_) => None,
        }
    }
}

/// Whether a step goes on to the plugin.
enum Ready {
    Go { desired: Arc<Document>, run_key: Option<String> },
    Noop { desired: Arc<Document>, document: Arc<Map> },
    Fail(Failure),
}

impl Crew<'_> {
    /// Whether someone asked to stop: a person, or the next holder of the lock.
    pub(crate) fn is_asked_to_park(&self) -> bool {
        self.interrupt.should_park() || self.lock.park_requested().is_some()
    }

    /// Whether no new step may start.
    pub(crate) fn is_stopping(&self) -> bool {
        self.halted.load(Ordering::SeqCst) || self.is_asked_to_park()
    }

    /// Does one step, from resolving to the end of it in the journal.
    pub(crate) async fn work(&self, job: Job<'_>) -> (StepId, Worked) {
        let id = job.step.id.clone();
        let worked = match self.try_work(job).await {
            Ok(worked) => worked,
            Err(error) => Worked::Broken(error),
        };
        (id, worked)
    }

    pub(crate) async fn try_work(&self, job: Job<'_>) -> Result<Worked, LedgerError> {
        let step = job.step;
        let started = self.context.clock.monotonic_ms();
        if step.verb == Verb::Adopt {
            return self.adopt(&job).await;
        }
        let (desired, run_key) = match self.make_ready(&job).await {
            Ready::Go { desired, run_key } => (desired, run_key),
            Ready::Noop { desired, document } => {
                let event = JournalEvent::Noop {
                    step: step.id.clone(),
                    document: Document::known(document.clone()),
                };
                self.journal.append(self.context.clock.now(), event).await?;
                self.observer.event(&Event::StepNoop { step: step.id.clone() });
                let outcome = Outcome::Noop(document);
                return Ok(Worked::Ended(Ended { desired, run_key: None, undo: None, outcome }));
            }
            Ready::Fail(failure) => {
                let desired = step.desired.clone();
                return self.fail(&job, desired, None, failure, started).await;
            }
        };
        if job.attempt == Attempt::First
            && let Err(failure) = self.still_there(&job.restorable).await
        {
            return self.fail(&job, desired, None, failure, started).await;
        }
        self.lock.check().await?;
        // A run of which nobody knows how it ended is looked for, whichever plan it was of.
        let unknown = |key: &String| {
            let run = self.base.snapshot.runs.get(key);
            run.is_some_and(|run| run.outcome == RunOutcome::Unknown)
        };
        let looks = !job.anew && run_key.as_ref().is_some_and(unknown);
        let attempt = if looks { Attempt::Again } else { job.attempt };
        let call = self.call(&job, &desired, run_key.clone(), attempt);
        if job.poll.is_none() {
            let begin = JournalEvent::Begin {
                step: step.id.clone(),
                token: call.token.clone(),
                attempt,
                desired: desired.clone(),
                run_key: run_key.clone(),
                undo: job.undo.clone(),
            };
            self.journal.append(self.context.clock.now(), begin).await?;
        }
        let again = job.attempt == Attempt::Again;
        // Intents are written ahead of the calls, so that one flush carries many of them.
        let slot = self.slots.acquire().await;
        if !again && self.is_stopping() {
            let event = JournalEvent::NotStarted { step: step.id.clone() };
            self.journal.append(self.context.clock.now(), event).await?;
            return Ok(Worked::NotStarted);
        }
        let started_again = attempt == Attempt::Again;
        self.observer.event(&Event::StepStarted { step: step.id.clone(), again: started_again });
        let followed = self.follow(&step.plugin, &call, job.poll.clone(), started).await;
        let Some(result) = followed? else {
            self.observer.event(&Event::StepParked { step: step.id.clone() });
            return Ok(Worked::Parked);
        };
        let result = result.and_then(|document| self.agree(step, &desired, document));
        // The plugin looked, and cannot tell. A first attempt that got lost is not looked for here:
        // its outcome is recorded as unknown, and the next plan's step looks.
        let looked = started_again || job.anew;
        let to_settle = looked && matches!(result, Err(Failure::Unknown(_)));
        if result.is_err() && !to_settle {
            // Before the slot is free: whoever waits for it is not to start any more.
            self.halted.store(true, Ordering::SeqCst);
        }
        drop(slot);
        match result {
            Ok(document) => self.finish(&job, desired, run_key, document, started).await,
            Err(Failure::Unknown(why)) if to_settle => {
                self.settle(&job, desired, run_key, why, started).await
            }
            Err(failure) => self.fail(&job, desired, run_key, failure, started).await,
        }
    }

    /// Records an object that exists as declared.
    async fn adopt(&self, job: &Job<'_>) -> Result<Worked, LedgerError> {
        let document = job.observed.clone().unwrap_or_default();
        let desired = job.desired.clone().unwrap_or_else(|_| job.step.desired.clone());
        self.finish(job, desired, None, document, self.context.clock.monotonic_ms()).await
    }

    async fn finish(
        &self,
        job: &Job<'_>,
        desired: Arc<Document>,
        run_key: Option<String>,
        document: Arc<Map>,
        started: u64,
    ) -> Result<Worked, LedgerError> {
        let event = JournalEvent::Done {
            step: job.step.id.clone(),
            document: Document::known(document.clone()),
        };
        self.journal.append(self.context.clock.now(), event).await?;
        let elapsed_ms = self.context.clock.monotonic_ms().saturating_sub(started);
        self.observer.event(&Event::StepDone { step: job.step.id.clone(), elapsed_ms });
        let outcome = Outcome::Done(document);
        Ok(Worked::Ended(Ended { desired, run_key, undo: job.undo.clone(), outcome }))
    }

    pub(crate) async fn fail(
        &self,
        job: &Job<'_>,
        desired: Arc<Document>,
        run_key: Option<String>,
        failure: Failure,
        started: u64,
    ) -> Result<Worked, LedgerError> {
        let step = job.step.id.clone();
        let event = match failure.clone() {
            Failure::Partial { document, message } => {
                JournalEvent::Partial { step, document, message }
            }
            Failure::Unknown(message) => JournalEvent::Unknown { step, message },
            failure => JournalEvent::Failed { step, failure },
        };
        self.journal.append(self.context.clock.now(), event).await?;
        let elapsed_ms = self.context.clock.monotonic_ms().saturating_sub(started);
        self.observer.event(&Event::StepFailed {
            step: job.step.id.clone(),
            failure: failure.clone(),
            elapsed_ms,
        });
        let outcome = Outcome::Failed(failure);
        Ok(Worked::Ended(Ended { desired, run_key, undo: job.undo.clone(), outcome }))
    }

    /// Makes what was unknown canonical, and sees whether there is anything left to do.
    async fn make_ready(&self, job: &Job<'_>) -> Ready {
        let step = job.step;
        let fail = |message: String| Ready::Fail(Failure::Precondition(message));
        let resolved = match &job.desired {
            Ok(resolved) => resolved.clone(),
            Err(message) => return fail(message.clone()),
        };
        if job.attempt == Attempt::Again {
            return Ready::Go { desired: resolved, run_key: job.run_key.clone() };
        }
        let Ok(kind) = kind_of(self.context, &step.plugin, &step.address) else {
            return fail(format!("plugin `{}` does not serve {}", step.plugin, step.address));
        };
        let Some(provider) = self.context.providers.get(&step.plugin) else {
            return fail(format!("plugin `{}` is not loaded", step.plugin));
        };
        let mut desired = resolved;
        let mut observed = job.observed.clone();
        if !step.desired.is_known() {
            desired = match self.canonical(provider.as_ref(), step, desired).await {
                Ok(desired) => desired.into(),
                Err(failure) => return Ready::Fail(failure),
            };
            if step.address.role() == Role::Resource && step.verb != Verb::Delete {
                match self.look(provider.as_ref(), step, kind, &desired, observed).await {
                    Ok(found) => observed = found,
                    Err(failure) => return Ready::Fail(failure),
                }
                let changes = diff(&desired, observed.as_deref(), &kind.fields);
                if let Some(document) = observed.filter(|_| changes.is_empty())
                    && step.verb == Verb::Update
                {
                    return Ready::Noop { desired, document };
                }
            }
        }
        if step.address.role() == Role::Action && job.run_key.is_none() {
            let triggers = match &job.triggers {
                Ok(triggers) => triggers.value.clone(),
                Err(message) => return fail(message.clone()),
            };
            let snapshot = &self.base.snapshot;
            let when_needed = kind.run == relctl_plan::RunPolicy::WhenNeeded;
            let occasion = when_needed.then_some(self.base.head.serial);
            let lineage = &self.base.head.lineage;
            return match run_key(
                snapshot,
                lineage,
                occasion,
                &step.address,
                &desired.value,
                &triggers,
            ) {
                Ok(key) => Ready::Go { desired, run_key: Some(key) },
                Err(document) => Ready::Noop { desired, document },
            };
        }
        Ready::Go { desired, run_key: job.run_key.clone() }
    }

    /// The canonical form of a resolved document, with the plan's removals laid over it.
    async fn canonical(
        &self,
        provider: &dyn Provider,
        step: &Step,
        resolved: Arc<Document>,
    ) -> Result<Document, Failure> {
        let subject = Subject { desired: Some(resolved), ..subject(self.base, step) };
        let mut answers = provider
            .validate(vec![subject])
            .await
            .map_err(|error| Failure::Precondition(error.to_string()))?;
        let mut canonical = match answers.pop() {
            Some(Ok(document)) => document,
            Some(Err(diagnostics)) => return Err(Failure::Invalid(diagnostics)),
            None => return Err(Failure::Precondition("the plugin did not answer".to_owned())),
        };
        let fields = kind_of(self.context, &step.plugin, &step.address)
            .map(|kind| kind.fields.clone())
            .unwrap_or_default();
        for path in owned_paths(&step.desired.value, &fields) {
            let removed = step.desired.get(&path) == Some(&Value::Null);
            if removed && !step.desired.is_unknown(&path) {
                canonical.set(&path, Value::Null);
            }
        }
        if step.verb != Verb::Create {
            let external = owned_paths(&canonical.value, &fields)
                .into_iter()
                .filter(|path| step.lifecycle.is_external(path));
            canonical = external.fold(canonical, |document, path| document.without(&path));
        }
        Ok(canonical)
    }

    /// Observes an object whose identity became known only now. One that exists is not taken over.
    async fn look(
        &self,
        provider: &dyn Provider,
        step: &Step,
        kind: &Kind,
        desired: &Arc<Document>,
        observed: Option<Arc<Map>>,
    ) -> Result<Option<Arc<Map>>, Failure> {
        if step.verb != Verb::Create || identity_of(kind, &step.desired).is_some() {
            return Ok(observed);
        }
        let subject = Subject { desired: Some(Arc::clone(desired)), ..subject(self.base, step) };
        let mut answers = provider
            .observe(vec![subject])
            .await
            .map_err(|error| Failure::Precondition(error.to_string()))?;
        match answers.pop() {
            Some(Ok(None)) => Ok(None),
            Some(Ok(Some(_))) => Err(Failure::Precondition(
                "it exists already, which could not be known while planning; plan again to adopt it"
                    .to_owned(),
            )),
            Some(Err(failure)) => Err(failure),
            None => Err(Failure::Precondition("the plugin did not answer".to_owned())),
        }
    }

    fn call(
        &self,
        job: &Job<'_>,
        desired: &Arc<Document>,
        run_key: Option<String>,
        attempt: Attempt,
    ) -> StepCall {
        let step = job.step;
        let mut change = change(self.base, step, desired, job.observed.clone(), step.verb);
        if !step.desired.is_known()
            && let Ok(kind) = kind_of(self.context, &step.plugin, &step.address)
        {
            let changes = diff(desired, job.observed.as_deref(), &kind.fields);
            change.paths = changes.into_iter().map(|change| change.path).collect();
        }
        // Two texts: they are JSON.
        let token = digest_of(&(&self.plan.plan_id, &step.id))
            .map(|digest| digest.token().to_owned())
            .unwrap_or_default();
        StepCall {
            id: step.id.clone(),
            token,
            run_key,
            attempt,
            change,
            planned: step.planned.clone(),
            lineage: self.base.head.lineage.clone(),
            timeout: step
                .lifecycle
                .timeout_ms
                .map_or(self.options.step_timeout, Duration::from_millis),
        }
    }

    /// Calls the plugin, and polls until the step has ended. `None`: parked, or left at once.
    async fn follow(
        &self,
        plugin: &str,
        call: &StepCall,
        mut poll: Option<String>,
        started: u64,
    ) -> Result<Option<Result<Arc<Map>, Failure>>, LedgerError> {
        let Some(provider) = self.context.providers.get(plugin) else {
            return Ok(Some(Err(Failure::Precondition("its plugin is not loaded".to_owned()))));
        };
        loop {
            let progress = tokio::select! {
                biased;
                progress = async {
                    match &poll {
                        None => provider.apply(call).await,
                        Some(token) => provider.poll(call, token).await,
                    }
                } => progress,
                () = self.given_up() => return Ok(None),
            };
            let wait = match progress {
                Ok(Progress::Done(document)) => return Ok(Some(Ok(document.value))),
                Ok(Progress::Pending { token, message, retry_after_ms }) => {
                    if poll.as_ref() != Some(&token) {
                        let event =
                            JournalEvent::Pending { step: call.id.clone(), token: token.clone() };
                        self.journal.append(self.context.clock.now(), event).await?;
                        poll = Some(token);
                    }
                    self.tell(call, message, started);
                    retry_after_ms
                }
                // A poll that could not be made says nothing about the step.
                Err(Failure::Throttled(_) | Failure::Unavailable(_)) if poll.is_some() => {
                    POLL_AGAIN_MS
                }
                Err(failure) => return Ok(Some(Err(failure))),
            };
            let elapsed = self.context.clock.monotonic_ms().saturating_sub(started);
            if u128::from(elapsed) > call.timeout.as_millis() {
                let message = format!(
                    "it was still going on after {} s; look at it in the cloud before you go on",
                    call.timeout.as_secs()
                );
                return Ok(Some(Err(Failure::Unknown(message))));
            }
            let mut interrupt = self.interrupt.clone();
            tokio::select! {
                biased;
                () = interrupt.parked() => return Ok(None),
                () = self.lock.asked_to_park() => return Ok(None),
                () = self.context.clock.sleep(Duration::from_millis(u64::from(wait))) => {}
            }
            if self.is_asked_to_park() {
                return Ok(None);
            }
            self.lock.check().await?;
        }
    }

    /// Returns when a call in flight is to be left as it is: at the second interruption, or where
    /// it has not come back for a while after the first.
    async fn given_up(&self) {
        let (mut parked, mut left) = (self.interrupt.clone(), self.interrupt.clone());
        let patience = async {
            parked.parked().await;
            self.context.clock.sleep(PATIENCE).await;
        };
        tokio::select! {
            () = left.left() => {}
            () = patience => {}
        }
    }

    fn tell(&self, call: &StepCall, message: String, started: u64) {
        let elapsed_ms = self.context.clock.monotonic_ms().saturating_sub(started);
        self.observer.event(&Event::StepProgress { step: call.id.clone(), message, elapsed_ms });
    }

    /// What a plugin says that it did must agree with the plan on everything that was known.
    pub(crate) fn agree(
        &self,
        step: &Step,
        desired: &Arc<Document>,
        document: Arc<Map>,
    ) -> Result<Arc<Map>, Failure> {
        if step.verb == Verb::Delete || step.address.role() != Role::Resource {
            return Ok(document);
        }
        let Ok(kind) = kind_of(self.context, &step.plugin, &step.address) else {
            return Ok(document);
        };
        let fields = &kind.fields;
        for wanted in [desired, &step.planned] {
            let wrong = owned_paths(&wanted.value, fields).into_iter().find(|path| {
                let want = wanted.get(path).filter(|value| !value.is_null());
                // Some fields cannot be absent: there the plan says what takes their place.
                let want = want.or_else(|| step.planned.get(path).filter(|v| !v.is_null()));
                let has = value_at(&document, path);
                let same = match (want, has) {
                    (Some(want), Some(has)) => same_value(want, has),
                    (want, has) => want == has,
                };
                !wanted.is_unknown(path) && !same
            });
            if let Some(path) = wrong {
                let message = format!(
                    "plugin `{}` says that {} is done, but its `{path}` is not what was planned; \
                     this is the plugin's mistake",
                    step.plugin, step.address
                );
                let document = Document::known(document);
                return Err(Failure::Partial { document, message });
            }
        }
        Ok(document)
    }
}

/// How long a call in flight may take to come back after a person interrupted: CI services kill what
/// has not ended after some seconds. `resume` looks how it ended.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long to wait before a poll that failed is made again.
const POLL_AGAIN_MS: u32 = 2_000;
