//! Asking a plugin about many things at once.

use std::sync::Arc;

use relctl_engine::{Change, ProviderFault, Subject};
use relctl_plan::Address;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wasmtime::Store;

use crate::bindings::{Provider, types as wire};
use crate::call::{Callable, Function, Running};
use crate::chunk::Chunk;
use crate::limits::size;
use crate::state::State;
use crate::wire::{self as translate, Asked, Malformed};

/// What a plugin can be asked about, many in one call.
pub(crate) trait Question: Send + Sync + 'static {
    type Wire: Send + Sync + 'static;

    fn address(&self) -> &Address;

    fn to_wire(&self) -> Self::Wire;

    /// How many bytes of documents it carries.
    fn bytes(wire: &Self::Wire) -> usize;

    /// The documents that an answer may repeat.
    fn asked<'a>(&'a self, _wire: &'a Self::Wire) -> Asked<'a> {
        Asked::default()
    }
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

    fn asked<'a>(&'a self, wire: &'a wire::Subject) -> Asked<'a> {
        Asked::of(self, wire)
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
    pub(crate) read: fn(W, Asked<'_>) -> Result<T, Malformed>,
}

impl<Q: Question, W, T> Clone for Asking<Q, W, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Q: Question, W, T> Copy for Asking<Q, W, T> {}

/// Asks about each chunk, several at once, `slots` of them; puts the answers into their places.
pub(crate) async fn ask_all<Q, W, T>(
    callable: &Callable,
    slots: &Arc<Semaphore>,
    asking: Asking<Q, W, T>,
    chunks: Vec<Chunk<Q>>,
) -> Result<Vec<T>, ProviderFault>
where
    Q: Question,
    W: Send + 'static,
    T: Send + 'static,
{
    let asked = chunks.iter().map(Vec::len).sum();
    let mut answers: Vec<Option<T>> = std::iter::repeat_with(|| None).take(asked).collect();
    let mut running = JoinSet::new();
    for chunk in chunks {
        let callable = callable.clone();
        let slots = Arc::clone(slots);
        running.spawn(async move {
            // Closed never: the semaphore lives as long as this handle of it.
            let _slot = slots.acquire().await;
            let answers = ask_chunk(&callable, asking, &chunk).await?;
            Ok((chunk, answers))
        });
    }
    while let Some(answered) = running.join_next().await {
        let (chunk, given) =
            answered.unwrap_or_else(|cut_off| Err(ProviderFault::Trapped(cut_off.to_string())))?;
        for ((index, _), answer) in chunk.into_iter().zip(given) {
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
    questions: &[(usize, Q)],
) -> Result<Vec<T>, ProviderFault> {
    let limit = callable.world.limits.asked_bytes;
    let mut answers = Vec::with_capacity(questions.len());
    let mut wires = Vec::with_capacity(questions.len());
    let mut first = 0;
    let mut filled = 0;
    for (index, (_, question)) in questions.iter().enumerate() {
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
            let asked = questions.get(first..index).unwrap_or_default();
            answers.extend(ask(callable, asking, asked, std::mem::take(&mut wires)).await?);
            (first, filled) = (index, 0);
        }
        wires.push(wire);
        filled += bytes;
    }
    if !wires.is_empty() {
        let asked = questions.get(first..).unwrap_or_default();
        answers.extend(ask(callable, asking, asked, wires).await?);
    }
    Ok(answers)
}

/// One call, about these questions as they cross.
async fn ask<Q: Question, W: Send + 'static, T>(
    callable: &Callable,
    Asking { function, export, read }: Asking<Q, W, T>,
    questions: &[(usize, Q)],
    wires: Vec<Q::Wire>,
) -> Result<Vec<T>, ProviderFault> {
    let time = callable.world.limits.planning_time;
    let wires = Arc::new(wires);
    let crossing = Arc::clone(&wires);
    let answers = callable
        .call(function, time, |provider, store| {
            Box::pin(async move { export(provider, store, &crossing).await })
        })
        .await?;
    let call = function.name;
    let (asked, got) = (questions.len(), answers.len());
    if got != asked {
        return Err(ProviderFault::Count { call, asked, got });
    }
    let read_one = |(((_, question), wire), answer): ((&(usize, Q), &Q::Wire), W)| {
        read(answer, question.asked(wire))
            .map_err(|detail| ProviderFault::Malformed { call, detail })
    };
    questions.iter().zip(wires.iter()).zip(answers).map(read_one).collect()
}
