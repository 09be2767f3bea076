//! For tests: a cloud in memory with a call log, a ledger in memory, a fixed clock, failpoints, a
//! proxy before a real endpoint, and a fleet to put behind it.

mod clock;
pub mod fleet;
mod ledger;
mod memory;
pub mod proxy;

pub use clock::FixedClock;
pub use ledger::MemoryLedger;
pub use memory::{Call, MemoryCloud, MemoryProvider};
