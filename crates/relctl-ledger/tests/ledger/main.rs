//! Tests of the ledger, from the backends up to a whole ledger under crashes.

mod conformance;
mod damage;
mod history;
mod identity;
mod journal;
mod lock;
mod migrate;
mod model;
mod moto;
mod simulated;
mod support;
