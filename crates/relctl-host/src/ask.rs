//! Asking a plugin about many things at once.

use std::sync::Arc;

use relctl_engine::{Change, ProviderFault, Subject};
use relctl_plan::Address;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wasmtime::Store;

use crate::bindings::{Provider, types as wire};
use crate::call::{Callable, Function, Running};
use crate::limits::size;
use crate::state::State;
use crate::wire::{self as translate, Malformed};

/// What a plugin can be asked about, many in one call.
pub(crate) trait Question: Send + Sync + 'static {
    type Wire: Send + Sync + 'static;

    fn address(&self) -> &Address;

    fn to_wire(&self) -> Self::Wire;

    /// How many bytes of documents it carries.
    fn bytes(wire: &Self::Wire) -> usize;
}

impl Question for Subject {
    type Wire = wire::Subject;

    fn address(&self) -> &Address {
        &self.address
    }

    fn to_wire(&self) -> wire::Subject {
        translate::subject(self)
    }

    fn bytes(wire: &wire::Subject) -> usize {
        translate::subject_bytes(wire)
    }
}

impl Question for Change {
    type Wire = wire::Change;

    fn address(&self) -> &Address {
        &self.subject.address
    }

    fn to_wire(&self) -> wire::Change {
        translate::change(self)
    }

    fn bytes(wire: &wire::Change) -> usize {
        translate::change_bytes(wire)
    }
}

/// Calls an export about many things.
pub(crate) type Export<Q, W> =
    for<'a> fn(&'a Provider, &'a mut Store<State>, &'a [Q]) -> Running<'a, Vec<W>>;

/// An export with what becomes of its answers.
pub(crate) struct Asking<Q: Question, W, T> {
    pub(crate) function: Function,
    pub(crate) export: Export<Q::Wire, W>,
    pub(crate) read: fn(W) -> Result<T, Malformed>,
}

impl<Q: Question, W, T> Clone for Asking<Q, W, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Question, W, T> Copy for Asking<Q, W, T> {}

/// Asks about each chunk, several at once, `slots` of them; puts the answers into the order of the
/// questions.
pub(crate) async fn ask_all<Q, W, T>(
    callable: &Callable,
    slots: &Arc<Semaphore>,
    asking: Asking<Q, W, T>,
    questions: Vec<Q>,
    chunks: Vec<Vec<usize>>,
) -> Result<Vec<T>, ProviderFault>
where
    Q: Question,
    W: Send + 'static,
    T: Send + 'static,
{
    let mut answers: Vec<Option<T>> = questions.iter().map(|_| None).collect();
    let mut waiting: Vec<Option<Q>> = questions.into_iter().map(Some).collect();
    let mut running = JoinSet::new();
    for indices in chunks {
        let questions: Vec<Q> =
            indices.iter().filter_map(|index| waiting.get_mut(*index)?.take()).collect();
        let callable = callable.clone();
        let slots = Arc::clone(slots);
        running.spawn(async move {
            // Closed never: the semaphore lives as long as this handle of it.
            let _slot = slots.acquire().await;
            let answers = ask_chunk(&callable, asking, &questions).await?;
            Ok((indices, answers))
        });
    }
    while let Some(chunk) = running.join_next().await {
        let (indices, chunk) =
            chunk.unwrap_or_else(|cut_off| Err(ProviderFault::Trapped(cut_off.to_string())))?;
        for (index, answer) in indices.into_iter().zip(chunk) {
            if let Some(slot) = answers.get_mut(index) {
                *slot = Some(answer);
            }
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Asks about one chunk: in one call, unless its documents are too large for one.
async fn ask_chunk<Q: Question, W: Send + 'static, T>(
    callable: &Callable,
    asking: Asking<Q, W, T>,
    questions: &[Q],
) -> Result<Vec<T>, ProviderFault> {
    let limit = callable.world.limits.asked_bytes;
    let mut answers = Vec::with_capacity(questions.len());
    let mut asked = Vec::with_capacity(questions.len());
    let mut filled = 0;
    for question in questions {
        let wire = question.to_wire();
        let bytes = Q::bytes(&wire);
        if bytes > limit {
            return Err(ProviderFault::Trapped(format!(
                "cannot be asked about {}, which is larger than {}; make it smaller",
                question.address(),
                size(limit)
            )));
        }
        if filled + bytes > limit {
            answers.extend(ask(callable, asking, std::mem::take(&mut asked)).await?);
            filled = 0;
        }
        asked.push(wire);
        filled += bytes;
    }
    if !asked.is_empty() {
        answers.extend(ask(callable, asking, asked).await?);
    }
    Ok(answers)
}

/// One call.
async fn ask<Q: Question, W: Send + 'static, T>(
    callable: &Callable,
    Asking { function, export, read }: Asking<Q, W, T>,
    questions: Vec<Q::Wire>,
) -> Result<Vec<T>, ProviderFault> {
    let time = callable.world.limits.planning_time;
    let asked = questions.len();
    let answers = callable
        .call(function, time, |provider, store| {
            Box::pin(async move { export(provider, store, &questions).await })
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
