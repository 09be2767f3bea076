//! The append-only ledger: entries, snapshots, journals, locks.
//!
//! Everything stands on one small trait, [`Backend`], with a backend for directories and one for
//! object stores. Objects are immutable and named by their digests; HEAD moves by
//! compare-and-swap; what is read is proved to be what was written. The on-disk format is
//! specified in `state/README.md`.
//!
//! Reading order: [`Location`] says where a ledger is, [`init`] makes one, [`LedgerStore`] opens
//! one; `lock` is the right to write; `journal` is what an operation did; `history` is what the
//! entries say.

mod ahead;
mod aws;
mod backend;
mod cell;
mod codec;
mod crypt;
mod durable;
mod error;
mod head;
mod history;
mod journal;
mod ledgers;
mod local;
mod location;
mod lock;
mod migrate;
mod nonce;
mod object;
mod reason;
mod seen;
mod store;
mod unsaved;
mod verify;

pub use backend::{Append, Backend, Guard, Object, Put, Version};
pub use crypt::Keys;
pub use history::{Match, Row};
pub use ledgers::ledgers;
pub use local::LocalBackend;
pub use location::{Location, Scheme};
pub use lock::{Timing, Unlock};
pub use migrate::Migration;
pub use object::ObjectBackend;
pub use store::{LedgerStore, OpenOptions, Place, init, init_on};
pub use unsaved::Unsaved;
pub use verify::Verification;
