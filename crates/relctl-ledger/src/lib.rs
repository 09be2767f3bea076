//! The append-only ledger: entries, snapshots, journals, locks.
