//! A loaded plugin, as the engine sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relctl_engine::{Change, Provider, ProviderError, ProviderFault, StepCall, Subject};
use relctl_plan::{
    Assessment, Attempt, Description, Diagnostic, Document, Failure, Map, PluginPin, Progress,
    Verdict,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bindings::types as wire;
use crate::call::{APPLY, ASSESS, Callable, Function, OBSERVE, POLL, PROBE, Running, VALIDATE};
use crate::limits::size;
use crate::state::State;
use crate::wire::Malformed;
use crate::{bindings, chunk, wire as translate};

/// A plugin, loaded and configured.
pub struct Plugin {
    callable: Callable,
    description: Description,
    pin: PluginPin,
    /// Calls that may still start.
    slots: Arc<Semaphore>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl Plugin {
    pub(crate) fn new(callable: Callable, description: Description, pin: PluginPin) -> Self {
        let slots = Arc::new(Semaphore::new(callable.world.limits.parallel_calls));
        Self { callable, description, pin, slots }
    }

    /// Asks about each chunk in an instance of its own, several at once; puts the answers back into
    /// the order of the questions.
    async fn ask_all<Q, W, T>(
        &self,
        function: Function,
        questions: Vec<Q>,
        chunks: Vec<Vec<usize>>,
        ask: Ask<Q, W>,
        read: fn(W) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, ProviderError>
    where
        Q: Send + Sync + 'static,
        W: Send + 'static,
        T: Send + 'static,
    {
        let total = questions.len();
        let mut waiting: Vec<Option<Q>> = questions.into_iter().map(Some).collect();
        let mut running = JoinSet::new();
        for indices in chunks {
            let questions: Vec<Q> =
                indices.iter().filter_map(|index| waiting.get_mut(*index)?.take()).collect();
            let callable = self.callable.clone();
            let slots = Arc::clone(&self.slots);
            running.spawn(async move {
                // Closed never: the semaphore lives as long as this handle of it.
                let _slot = slots.acquire().await;
                let answers = ask_chunk(&callable, function, questions, ask, read).await?;
                Ok((indices, answers))
            });
        }
        let mut answers: Vec<Option<T>> = (0..total).map(|_| None).collect();
        while let Some(chunk) = running.join_next().await {
            let (indices, chunk) = chunk
                .unwrap_or_else(|cut_off| Err(ProviderFault::Trapped(cut_off.to_string())))
                .map_err(|fault| self.error(fault))?;
            for (index, answer) in indices.into_iter().zip(chunk) {
                if let Some(slot) = answers.get_mut(index) {
                    *slot = Some(answer);
                }
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Cuts subjects that the plugin reads about into calls.
    fn read_chunks(
        &self,
        subjects: &[Subject],
        wire: &[wire::Subject],
    ) -> Result<Vec<Vec<usize>>, ProviderError> {
        let sizes: Vec<usize> = wire.iter().map(translate::subject_bytes).collect();
        self.check_sizes(subjects, &sizes)?;
        let groups = subjects.iter().map(|subject| chunk::group_of(subject, &self.description));
        Ok(chunk::chunks(groups.zip(sizes), &self.callable.world.limits))
    }

    fn computed_chunks<'a>(
        &self,
        subjects: impl IntoIterator<Item = &'a Subject>,
        sizes: &[usize],
    ) -> Result<Vec<Vec<usize>>, ProviderError> {
        self.check_sizes(subjects, sizes)?;
        Ok(chunk::computed_chunks(sizes.iter().copied(), &self.callable.world.limits))
    }

    /// Refuses subjects that no call could carry.
    fn check_sizes<'a>(
        &self,
        subjects: impl IntoIterator<Item = &'a Subject>,
        sizes: &[usize],
    ) -> Result<(), ProviderError> {
        let limit = self.callable.world.limits.asked_bytes;
        match subjects.into_iter().zip(sizes).find(|(_, bytes)| **bytes > limit) {
            None => Ok(()),
            Some((subject, _)) => Err(self.error(ProviderFault::Trapped(format!(
                "cannot be asked about {}, which is larger than {}; make it smaller",
                subject.address,
                size(limit)
            )))),
        }
    }

    fn error(&self, fault: ProviderFault) -> ProviderError {
        ProviderError { plugin: self.callable.plugin.to_string(), fault }
    }

    /// Runs `apply` or `poll`. Whatever goes wrong then, the mutation may have happened.
    async fn mutate(
        &self,
        function: Function,
        time: Duration,
        run: impl for<'a> FnOnce(
            &'a bindings::Provider,
            &'a mut wasmtime::Store<State>,
        ) -> Running<'a, Result<wire::Progress, wire::Failure>>
        + Send,
    ) -> Result<Progress, Failure> {
        let unknown = |fault| Failure::Unknown(self.error(fault).to_string());
        let malformed = |detail| unknown(ProviderFault::Malformed { call: function.name, detail });
        match self.callable.call(function, time, run).await.map_err(unknown)? {
            Ok(progress) => translate::read_progress(progress).map_err(malformed),
            Err(failure) => Err(translate::read_failure(failure).map_err(malformed)?),
        }
    }
}

/// Calls an export about many things at once.
type Ask<Q, W> = for<'a> fn(
    &'a bindings::Provider,
    &'a mut wasmtime::Store<State>,
    &'a [Q],
) -> Running<'a, Vec<W>>;

async fn ask_chunk<Q: Send + Sync + 'static, W: Send + 'static, T>(
    callable: &Callable,
    function: Function,
    questions: Vec<Q>,
    ask: Ask<Q, W>,
    read: fn(W) -> Result<T, Malformed>,
) -> Result<Vec<T>, ProviderFault> {
    let time = callable.world.limits.planning_time;
    let asked = questions.len();
    let answers = callable
        .call(function, time, |provider, store| {
            Box::pin(async move { ask(provider, store, &questions).await })
        })
        .await?;
    let call = function.name;
    if answers.len() != asked {
        return Err(ProviderFault::Count { call, asked, got: answers.len() });
    }
    answers
        .into_iter()
        .map(|answer| read(answer).map_err(|detail| ProviderFault::Malformed { call, detail }))
        .collect()
}

/// Reads one answer that may be a failure.
fn read_answer<W, T>(
    answer: Result<W, wire::Failure>,
    read: impl FnOnce(W) -> Result<T, Malformed>,
) -> Result<Result<T, Failure>, Malformed> {
    Ok(match answer {
        Ok(answer) => Ok(read(answer)?),
        Err(failure) => Err(translate::read_failure(failure)?),
    })
}

#[async_trait]
impl Provider for Plugin {
    fn description(&self) -> &Description {
        &self.description
    }

    fn pin(&self) -> &PluginPin {
        &self.pin
    }

    async fn validate(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Document, Vec<Diagnostic>>>, ProviderError> {
        let wire: Vec<_> = subjects.iter().map(translate::subject).collect();
        let sizes: Vec<usize> = wire.iter().map(translate::subject_bytes).collect();
        let chunks = self.computed_chunks(&subjects, &sizes)?;
        self.ask_all(
            VALIDATE,
            wire,
            chunks,
            |provider, store, subjects| Box::pin(provider.call_validate(store, subjects)),
            |answer| {
                Ok(match answer {
                    Ok(document) => Ok(translate::read_document(document)?),
                    Err(diagnostics) => Err(translate::read_diagnostics(diagnostics)?),
                })
            },
        )
        .await
    }

    async fn observe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Option<Map>, Failure>>, ProviderError> {
        let wire: Vec<_> = subjects.iter().map(translate::subject).collect();
        let chunks = self.read_chunks(&subjects, &wire)?;
        self.ask_all(
            OBSERVE,
            wire,
            chunks,
            |provider, store, subjects| Box::pin(provider.call_observe(store, subjects)),
            |answer| read_answer(answer, |seen| seen.map(translate::read_known).transpose()),
        )
        .await
    }

    async fn assess(
        &self,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Assessment, Failure>>, ProviderError> {
        let wire: Vec<_> = changes.iter().map(translate::change).collect();
        let sizes: Vec<usize> = wire.iter().map(translate::change_bytes).collect();
        let chunks = self.computed_chunks(changes.iter().map(|change| &change.subject), &sizes)?;
        self.ask_all(
            ASSESS,
            wire,
            chunks,
            |provider, store, changes| Box::pin(provider.call_assess(store, changes)),
            |answer| read_answer(answer, translate::read_assessment),
        )
        .await
    }

    async fn probe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Verdict, Failure>>, ProviderError> {
        let wire: Vec<_> = subjects.iter().map(translate::subject).collect();
        let chunks = self.read_chunks(&subjects, &wire)?;
        self.ask_all(
            PROBE,
            wire,
            chunks,
            |provider, store, subjects| Box::pin(provider.call_probe(store, subjects)),
            |answer| read_answer(answer, |verdict| Ok(translate::read_verdict(&verdict))),
        )
        .await
    }

    async fn apply(&self, step: &StepCall) -> Result<Progress, Failure> {
        let wire = translate::step(step);
        let apply = Function { first_attempt: step.attempt == Attempt::First, ..APPLY };
        self.mutate(apply, step.timeout, |provider, store| {
            Box::pin(async move { provider.call_apply(store, &wire).await })
        })
        .await
    }

    async fn poll(&self, step: &StepCall, token: &str) -> Result<Progress, Failure> {
        let wire = translate::step(step);
        let token = token.to_owned();
        self.mutate(POLL, step.timeout, |provider, store| {
            Box::pin(async move { provider.call_poll(store, &wire, &token).await })
        })
        .await
    }
}
