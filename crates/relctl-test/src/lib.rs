//! For tests: a cloud in memory with a call log, a ledger in memory, a fixed clock, failpoints.

mod clock;
mod ledger;
mod memory;

pub use clock::FixedClock;
pub use ledger::MemoryLedger;
pub use memory::{Call, MemoryCloud, MemoryProvider};
