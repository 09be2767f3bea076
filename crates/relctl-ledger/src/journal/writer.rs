//! Appending to a journal: group commit.
//!
//! Appends chain their line under a mutex and hand it to one task, which writes whatever has come
//! in the meantime at once. Ten steps that end together cost one write.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use relctl_engine::{Journal, LedgerError};
use relctl_plan::{Digest, JournalEvent, JournalLine, chain};
use tokio::sync::{mpsc, oneshot};

use super::{Replay, new_header, replay, segment_path};
use crate::backend::{Append, Backend};
use crate::cell::{Swap, create};
use crate::codec::encode;
use crate::error::{damaged, io, missing, moved, untrusted};
use crate::lock::Lease;

/// The most lines that one write carries.
const BATCH: usize = 1024;

/// A journal open for appending.
pub(crate) struct OpenJournal {
    place: String,
    replayed: Vec<JournalLine>,
    state: Arc<Mutex<State>>,
}

struct State {
    last: Option<JournalLine>,
    /// Lines handed to the flusher that are not durable yet.
    unsaved: VecDeque<JournalLine>,
    /// Held here so that lines are sent in the order in which they are chained.
    flusher: mpsc::UnboundedSender<Work>,
}

struct Work {
    line: Vec<u8>,
    done: oneshot::Sender<Result<(), LedgerError>>,
}

/// Where flushed lines go.
enum Sink {
    Grow(Box<dyn Append>),
    Create { backend: Arc<dyn Backend>, operation: String, next: u64, lease: Arc<Lease> },
}

/// Creates the first segment, without lines, unless it is there.
pub(super) async fn create_first(
    backend: &dyn Backend,
    operation: &str,
    epoch: u64,
) -> Result<(), LedgerError> {
    let lines = if backend.can_append() { None } else { Some(0) };
    let header = new_header(operation, 0, lines, epoch)?.to_bytes()?;
    create(backend, &segment_path(operation, 0), &header).await?;
    Ok(())
}

impl OpenJournal {
    /// Opens the journal of `operation`. If it `began`, its journal must be there.
    pub(crate) async fn open(
        backend: Arc<dyn Backend>,
        operation: &str,
        began: bool,
        lease: Arc<Lease>,
    ) -> Result<Self, LedgerError> {
        let place = backend.locate(&super::folder(operation));
        loop {
            let Replay { lines, segments, grows_after } =
                replay(backend.as_ref(), operation, true).await?;
            if segments == 0 {
                if began {
                    return Err(missing(&place, "HEAD"));
                }
                create_first(backend.as_ref(), operation, lease.epoch()).await?;
                continue;
            }
            let sink = match grows_after {
                Some(whole) if backend.can_append() => {
                    let path = segment_path(operation, segments - 1);
                    Sink::Grow(backend.appender(&path, whole).await?)
                }
                _ => {
                    // An empty segment of one's own: a former holder's next one collides with it.
                    let lines = if backend.can_append() { None } else { Some(0) };
                    let header = new_header(operation, segments, lines, lease.epoch())?;
                    let path = segment_path(operation, segments);
                    match create(backend.as_ref(), &path, &header.to_bytes()?).await? {
                        // It has come to grow: open it as the last one.
                        Swap::Done(_) if backend.can_append() => continue,
                        Swap::Done(_) => {}
                        Swap::Lost(_) => continue,
                    }
                    Sink::Create {
                        backend: backend.clone(),
                        operation: operation.to_owned(),
                        next: segments + 1,
                        lease,
                    }
                }
            };
            return Ok(Self::start(place, lines, sink));
        }
    }

    fn start(place: String, replayed: Vec<JournalLine>, sink: Sink) -> Self {
        let (flusher, work) = mpsc::unbounded_channel();
        let state = State { last: replayed.last().cloned(), unsaved: VecDeque::new(), flusher };
        let state = Arc::new(Mutex::new(state));
        // The task ends when the journal is dropped, which drops the sender in the state.
        tokio::spawn(flush(sink, work, Arc::downgrade(&state)));
        Self { place, replayed, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a line to the flusher.
    fn send(
        &self,
        state: &mut State,
        line: JournalLine,
    ) -> Result<oneshot::Receiver<Result<(), LedgerError>>, LedgerError> {
        let mut bytes = encode(&line, &self.place)?;
        bytes.push(b'\n');
        let (done, flushed) = oneshot::channel();
        state.last = Some(line.clone());
        state.unsaved.push_back(line);
        state
            .flusher
            .send(Work { line: bytes, done })
            .map_err(|_| io("append to", &self.place, "its writer has ended"))?;
        Ok(flushed)
    }

    async fn wait(
        &self,
        flushed: oneshot::Receiver<Result<(), LedgerError>>,
    ) -> Result<(), LedgerError> {
        flushed.await.map_err(|_| io("append to", &self.place, "its writer has ended"))?
    }
}

#[async_trait]
impl Journal for OpenJournal {
    async fn append(&self, time: String, event: JournalEvent) -> Result<(), LedgerError> {
        let flushed = {
            let mut state = self.state();
            let line =
                chain(state.last.as_ref(), time, event).map_err(|e| damaged(&self.place, e))?;
            self.send(&mut state, line)?
        };
        self.wait(flushed).await
    }

    fn replayed(&self) -> &[JournalLine] {
        &self.replayed
    }

    async fn last(&self) -> Option<Digest> {
        self.state().last.as_ref().map(|line| line.digest.clone())
    }

    async fn unsaved(&self) -> Vec<JournalLine> {
        self.state().unsaved.iter().cloned().collect()
    }

    async fn restore(&self, lines: &[JournalLine]) -> Result<(), LedgerError> {
        let mut last_flushed = None;
        for line in lines {
            let mut state = self.state();
            let next = state.last.as_ref().map_or(0, |last| last.seq + 1);
            let follows = if line.seq < next {
                // It became durable although nobody could tell then.
                self.replayed.iter().any(|there| there == line)
            } else {
                line.verify(state.last.as_ref()).is_ok()
            };
            if !follows {
                return Err(untrusted(
                    format!("line {} of the copy does not continue `{}`", line.seq, self.place),
                    "the journal went on without it; nothing was added from this line on",
                ));
            }
            if line.seq >= next {
                last_flushed = Some(self.send(&mut state, line.clone())?);
            }
        }
        match last_flushed {
            Some(flushed) => self.wait(flushed).await,
            None => Ok(()),
        }
    }
}

async fn flush(
    mut sink: Sink,
    mut work: mpsc::UnboundedReceiver<Work>,
    state: std::sync::Weak<Mutex<State>>,
) {
    let mut failed = None;
    let mut batch = Vec::new();
    while work.recv_many(&mut batch, BATCH).await > 0 {
        let result = match &failed {
            Some(error) => Err(LedgerError::clone(error)),
            None => sink.write(&batch).await,
        };
        match &result {
            Ok(()) => {
                if let Some(state) = state.upgrade() {
                    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.unsaved.drain(..batch.len());
                }
            }
            // What is durable now is not known, so nothing may follow.
            Err(error) => failed = Some(error.clone()),
        }
        for Work { done, .. } in batch.drain(..) {
            // Whoever appended may have stopped waiting.
            drop(done.send(result.clone()));
        }
    }
}

impl Sink {
    async fn write(&mut self, batch: &[Work]) -> Result<(), LedgerError> {
        let lines: Vec<u8> = batch.iter().flat_map(|work| &work.line).copied().collect();
        match self {
            Self::Grow(file) => file.append(lines).await,
            Self::Create { backend, operation, next, lease } => {
                lease.check().await?;
                let count = batch.len() as u64;
                let header = new_header(operation, *next, Some(count), lease.epoch())?;
                let mut bytes = header.to_bytes()?;
                bytes.extend_from_slice(&lines);
                let path = segment_path(operation, *next);
                match create(backend.as_ref(), &path, &bytes).await? {
                    Swap::Done(_) => {
                        *next += 1;
                        Ok(())
                    }
                    Swap::Lost(_) => Err(moved(format!(
                        "`{}` was written by someone else",
                        backend.locate(&path)
                    ))),
                }
            }
        }
    }
}
