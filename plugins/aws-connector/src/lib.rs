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
