//! Time and interruption, as the engine sees them.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::EngineError;

/// The only time there is for the engine.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, RFC 3339, UTC, to the second.
    fn now(&self) -> String;

    /// Milliseconds that only rise, for durations.
    fn monotonic_ms(&self) -> u64;

    /// Waits. Used between polls of pending steps, never in place of a condition.
    async fn sleep(&self, duration: Duration);
}

/// How urgently a person asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    None,
    Park,
    Leave,
}

/// Raises an [`Interrupt`].
#[derive(Debug, Clone)]
pub struct Interrupter(watch::Sender<Level>);

/// Tells a running operation that a person wants it to stop.
#[derive(Debug, Clone)]
pub struct Interrupt(watch::Receiver<Level>);

impl Interrupter {
    /// An interrupter with the interrupt that it raises.
    pub fn new() -> (Self, Interrupt) {
        let (sender, receiver) = watch::channel(Level::None);
        (Self(sender), Interrupt(receiver))
    }

    /// The first call asks to park, the second to leave at once.
    pub fn raise(&self) {
        self.0.send_modify(|level| {
            *level = if *level == Level::None { Level::Park } else { Level::Leave };
        });
    }
}

impl Interrupt {
    /// Start nothing new, park every wait, finish requests in flight.
    pub fn should_park(&self) -> bool {
        *self.0.borrow() >= Level::Park
    }

    /// Record what is in flight as unknown, and leave.
    pub fn should_leave(&self) -> bool {
        *self.0.borrow() >= Level::Leave
    }

    /// Returns when the operation should park.
    pub async fn parked(&mut self) {
        self.reached(Level::Park).await;
    }

    /// Returns when the operation should leave.
    pub async fn left(&mut self) {
        self.reached(Level::Leave).await;
    }

    /// What `work` comes to; an error where a person asks to stop before. For work that changes
    /// nothing, since it is dropped then.
    pub async fn unless_parked<T>(
        &self,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let mut interrupt = self.clone();
        tokio::select! {
            biased;
            // First: what needs no waiting is not given up.
            result = work => result,
            () = interrupt.parked() => Err(EngineError::Stopped),
        }
    }

    async fn reached(&mut self, level: Level) {
        if self.0.wait_for(|now| *now >= level).await.is_err() {
            // Nobody can raise it any more.
            std::future::pending::<()>().await;
        }
    }
}
