//! Tests of the engine against a cloud and a ledger in memory.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "these are tests: a panic with its place is what a failure looks like"
)]

mod apply;
mod crash;
mod laws;
mod plan;
mod resolve;
mod revert;
mod site;
