//! The plugin against an RDS that is scripted at the HTTP level: what no emulator shows.

#![allow(
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::type_complexity,
    clippy::unwrap_used,
    reason = "helpers of tests: a test may fail in them"
)]

mod cloud;
mod instances;
mod snapshots;
