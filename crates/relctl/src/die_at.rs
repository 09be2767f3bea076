//! Dies at a chosen durable write, so that tests can prove that nothing is lost there.
//!
//! The ledger and the files broker name the moments just before and just after each durable write
//! (tracing target `relctl::durable`). `RELCTL_TEST_DIE_AT=<n>` aborts the process at the n-th of
//! them, as a power cut would: no destructor runs, nothing is flushed. `tests/kill.rs` tries every
//! n. `RELCTL_TEST_DIE_AT=panic:<n>` panics there instead, as a mistake in relctl would.

use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// How and when to die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Death {
    panics: bool,
    moment: u64,
}

impl FromStr for Death {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (panics, moment) = match text.strip_prefix("panic:") {
            Some(moment) => (true, moment),
            None => (false, text),
        };
        Ok(Self { panics, moment: moment.parse()? })
    }
}

struct DieAt {
    /// How many moments are still to come, the one to die at included.
    left: AtomicU64,
    panics: bool,
}

impl<S: Subscriber> Layer<S> for DieAt {
    fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            assert!(!self.panics, "RELCTL_TEST_DIE_AT wants a panic here");
            std::process::abort();
        }
    }
}

/// Waits for the `moment`-th durable write from now on, counted from 1. Takes the place of the log.
pub(crate) fn listen(death: Death) {
    let durable = Targets::new().with_target("relctl::durable", Level::TRACE);
    let die_at =
        DieAt { left: AtomicU64::new(death.moment), panics: death.panics }.with_filter(durable);
    tracing_subscriber::registry().with(die_at).init();
}
