//! The AWS SDK inside a guest: its requests over the host's `http`, its errors as the contract's.
//!
//! A guest has no clock, no sleep, no entropy and no credentials (docs: plugin-author.md), so the
//! SDK runs unsigned, without retries and timeouts, and every idempotency token is given to it.

mod client;
pub mod documents;
mod exchange;
pub mod json;
mod problem;

pub use client::{Connector, Writes};
pub use exchange::Exchange;
pub use problem::{Cause, Problem};

use relctl_sdk::Diagnostic;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

/// The clock of a guest: it stands still. Nothing that the SDK does here depends on the time.
#[derive(Debug, Clone, Copy)]
pub struct NoClock;

impl aws_smithy_async::time::TimeSource for NoClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }
}

/// Runs a future that never has to wait, since every import of a guest answers at once.
///
/// The SDK hands out `Pending` only where a retry, a timeout or a stream would be waited for, and
/// all of these are off; if one waits all the same this spins until the host's limits end it.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

/// What is wrong with the field at a JSON pointer.
pub fn wrong(path: &str, message: &str, hint: &str) -> Diagnostic {
    Diagnostic { path: path.to_owned(), message: message.to_owned(), hint: Some(hint.to_owned()) }
}

/// How long to wait before the next look, in milliseconds: often at first, since much is done at
/// once, then ever more seldom, up to `most`.
pub fn look_again_ms(elapsed_ms: u64, most: u32) -> u32 {
    u32::try_from(elapsed_ms / 4).unwrap_or(most).clamp(50, most.max(50))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_grow_seldom() {
        for (elapsed, wait) in [(0, 50), (400, 100), (8_000, 2_000), (u64::MAX, 3_000)] {
            assert_eq!(look_again_ms(elapsed, 3_000), wait);
        }
    }
}
