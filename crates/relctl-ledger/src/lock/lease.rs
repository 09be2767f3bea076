//! Keeping a lock: heartbeats, the right to go on, requests to park.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use relctl_engine::{Holder, LedgerError};

use tokio::sync::watch;

use super::Timing;
use super::record::{self, LOCK, Record, Written};
use crate::backend::{Backend, Guard, Version};
use crate::error::{io, moved};

/// How often one check tries to renew.
const RENEWALS: u32 = 3;

/// A lock that is held, or was.
pub(crate) struct Lease {
    backend: Arc<dyn Backend>,
    nonce: String,
    epoch: u64,
    timing: Timing,
    /// Held over a renewal, so that there is one at a time.
    at: tokio::sync::Mutex<(Record, Version)>,
    state: Mutex<State>,
    /// Who asks this holder to park.
    park: watch::Sender<Option<Holder>>,
}

struct State {
    renewed: Reading,
    /// The operating system's lock; while it is held, nobody else can take this one.
    guard: Option<Box<dyn Send + Sync>>,
    lost: Option<LedgerError>,
}

/// The lock object as this holder wrote it, and the clocks before it did.
pub(super) struct Renewed {
    pub(super) record: Record,
    pub(super) version: Version,
    pub(super) before: Reading,
}

/// Both clocks: one stands still while the machine sleeps, the other may be set. Whichever says
/// that more time has passed is believed, since renewing too early does no harm.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    monotonic: Instant,
    wall: SystemTime,
}

impl Reading {
    pub(super) fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    fn age(self) -> Duration {
        let wall = self.wall.elapsed().unwrap_or(Duration::MAX);
        self.monotonic.elapsed().max(wall)
    }
}

impl Lease {
    /// A lock just taken.
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        taken: Renewed,
        guard: Guard,
        timing: Timing,
    ) -> Self {
        let Renewed { record, version, before } = taken;
        let nonce = record.holder.as_ref().map(|h| h.nonce.clone()).unwrap_or_default();
        let guard = match guard {
            Guard::Held(guard) => Some(guard),
            Guard::Busy | Guard::Unsupported => None,
        };
        let state = State { renewed: before, guard, lost: None };
        Self {
            backend,
            nonce,
            epoch: record.epoch,
            timing,
            at: tokio::sync::Mutex::new((record, version)),
            state: Mutex::new(state),
            park: watch::Sender::new(None),
        }
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn park_requested(&self) -> Option<Holder> {
        self.park.borrow().clone()
    }

    /// Returns when somebody asks this holder to park.
    pub(super) async fn asked_to_park(&self) {
        let mut park = self.park.subscribe();
        if park.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Fails unless the lock is held for long enough to start something.
    pub(crate) async fn check(&self) -> Result<(), LedgerError> {
        // A renewal may itself take so long that it says nothing about now.
        for _ in 0..RENEWALS {
            if self.is_fresh()? {
                return Ok(());
            }
            self.renew().await?;
        }
        if self.is_fresh()? {
            return Ok(());
        }
        Err(io("renew in time", &self.backend.locate(LOCK), "the store answers too slowly"))
    }

    /// Whether nobody else can take the lock for a while. Fails if somebody has.
    fn is_fresh(&self) -> Result<bool, LedgerError> {
        let state = self.state();
        match &state.lost {
            Some(lost) => Err(lost.clone()),
            None => Ok(state.guard.is_some() || state.renewed.age() < self.timing.ttl / 2),
        }
    }

    /// One heartbeat. Where the operating system holds the lock, it only looks for requests.
    async fn renew(&self) -> Result<(), LedgerError> {
        let mut at = self.at.lock().await;
        if self.state().guard.is_some() {
            if let Some((record, version)) = record::read(self.backend.as_ref()).await? {
                self.park.send_replace(record.park.clone());
                *at = (record, version);
            }
            return Ok(());
        }
        loop {
            let before = Reading::now();
            let (record, version) = &mut *at;
            let mut next = record.clone();
            next.beat += 1;
            match record::write(self.backend.as_ref(), &mut next, Some(version)).await? {
                Written::Done(version) => {
                    self.state().renewed = before;
                    *at = (next, version);
                    return Ok(());
                }
                // Only a request to park changes the record of a holder.
                Written::Lost(Some(now)) if now.0.is_of(&self.nonce, self.epoch) => {
                    self.park.send_replace(now.0.park.clone());
                    *at = *now;
                }
                Written::Lost(now) => {
                    let error = self.lost_to(now.map(|now| now.0));
                    self.state().lost = Some(error.clone());
                    return Err(error);
                }
            }
        }
    }

    fn lost_to(&self, now: Option<Record>) -> LedgerError {
        let place = self.backend.locate(LOCK);
        match now.and_then(|record| record.holder) {
            Some(holder) => moved(format!(
                "the lock `{place}` was taken over by {} on {} (`{}`)",
                holder.actor, holder.host, holder.command
            )),
            None => moved(format!("the lock `{place}` is no longer held: it was removed by hand")),
        }
    }

    /// Renews until the lease is lost.
    pub(super) async fn beat(self: Arc<Self>) {
        let every =
            if self.state().guard.is_some() { self.timing.poll } else { self.timing.ttl / 6 };
        loop {
            tokio::time::sleep(every).await;
            if self.state().lost.is_some() {
                return;
            }
            if let Err(error) = self.renew().await {
                tracing::warn!(%error, "the lock could not be renewed");
            }
        }
    }

    /// Gives the lock back. Afterwards [`Lease::check`] fails.
    pub(super) async fn release(&self) -> Result<(), LedgerError> {
        let mut at = self.at.lock().await;
        if self.state().lost.is_some() {
            return Ok(());
        }
        let result = loop {
            let (record, version) = &mut *at;
            let mut next = record.clone();
            next.holder = None;
            next.park = None;
            match record::write(self.backend.as_ref(), &mut next, Some(version)).await {
                Ok(Written::Lost(Some(now))) if now.0.is_of(&self.nonce, self.epoch) => *at = *now,
                // Somebody took it over: then it is not held either.
                Ok(Written::Done(_) | Written::Lost(_)) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.let_go("the lock was released");
        result
    }

    /// Stops without giving the lock back: it expires, or is free at once where the operating
    /// system holds it. A heartbeat in flight keeps nothing alive.
    pub(super) fn abandon(&self) {
        self.let_go("the lock was dropped");
    }

    fn let_go(&self, why: &str) {
        let mut state = self.state();
        state.lost.get_or_insert_with(|| io("use", &self.backend.locate(LOCK), why));
        state.guard = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
