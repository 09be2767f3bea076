//! Tests of the ledger, from the backends up to a whole ledger under crashes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests may panic and print, their helpers too"
)]

mod conformance;
mod crypt;
mod damage;
#[cfg(unix)]
mod full_disk;
mod history;
mod identity;
mod journal;
mod lock;
mod migrate;
mod model;
mod moto;
mod power;
mod simulated;
mod support;
mod unsaved;
