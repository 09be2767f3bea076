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

use crate::ask::{Asking, Question, ask_all};
use crate::bindings::types as wire;
use crate::call::{APPLY, ASSESS, Callable, Function, OBSERVE, POLL, PROBE, Running, VALIDATE};
use crate::chunk::{self, Chunk};
use crate::state::State;
use crate::wire::Malformed;
use crate::{bindings, wire as translate};

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

    /// Asks about subjects that the plugin reads about, in calls as large as it wants them.
    async fn ask_to_read<W, T>(
        &self,
        asking: Asking<Subject, W, T>,
        subjects: Vec<Subject>,
    ) -> Result<Vec<T>, ProviderError>
    where
        W: Send + 'static,
        T: Send + 'static,
    {
        let group_of = |subject: &Subject| chunk::group_of(subject, &self.description);
        self.ask(asking, chunk::chunks(subjects, group_of, &self.callable.world.limits)).await
    }

    /// Asks what the plugin only computes about.
    async fn ask_to_compute<Q, W, T>(
        &self,
        asking: Asking<Q, W, T>,
        questions: Vec<Q>,
    ) -> Result<Vec<T>, ProviderError>
    where
        Q: Question,
        W: Send + 'static,
        T: Send + 'static,
    {
        self.ask(asking, chunk::computed_chunks(questions, &self.callable.world.limits)).await
    }

    async fn ask<Q, W, T>(
        &self,
        asking: Asking<Q, W, T>,
        chunks: Vec<Chunk<Q>>,
    ) -> Result<Vec<T>, ProviderError>
    where
        Q: Question,
        W: Send + 'static,
        T: Send + 'static,
    {
        let answers = ask_all(&self.callable, &self.slots, asking, chunks).await;
        answers.map_err(|fault| self.error(fault))
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
        let asking = Asking {
            function: VALIDATE,
            export: |provider, store, subjects| Box::pin(provider.call_validate(store, subjects)),
            read: |answer, asked| {
                Ok(match answer {
                    Ok(document) => Ok(translate::read_document(document, asked)?),
                    Err(diagnostics) => Err(translate::read_diagnostics(diagnostics)?),
                })
            },
        };
        self.ask_to_compute(asking, subjects).await
    }

    async fn observe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Option<Arc<Map>>, Failure>>, ProviderError> {
        let asking = Asking {
            function: OBSERVE,
            export: |provider, store, subjects| Box::pin(provider.call_observe(store, subjects)),
            read: |answer, asked| {
                read_answer(answer, |seen| {
                    seen.map(|seen| translate::read_known(seen, asked)).transpose()
                })
            },
        };
        self.ask_to_read(asking, subjects).await
    }

    async fn assess(
        &self,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Assessment, Failure>>, ProviderError> {
        let asking = Asking {
            function: ASSESS,
            export: |provider, store, changes| Box::pin(provider.call_assess(store, changes)),
            read: |answer, _asked| read_answer(answer, translate::read_assessment),
        };
        self.ask_to_compute(asking, changes).await
    }

    async fn probe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Verdict, Failure>>, ProviderError> {
        let asking = Asking {
            function: PROBE,
            export: |provider, store, subjects| Box::pin(provider.call_probe(store, subjects)),
            read: |answer, _asked| {
                read_answer(answer, |verdict| Ok(translate::read_verdict(&verdict)))
            },
        };
        self.ask_to_read(asking, subjects).await
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
