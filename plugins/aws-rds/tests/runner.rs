//! The plugin against an RDS that is scripted at the HTTP level: what no emulator shows.

mod cloud;
mod instances;
mod snapshots;
