//! Runs plugins: loads, pins, limits and calls WebAssembly components.
//!
//! The only crate that knows wasmtime. [`Host::load`] turns a component's bytes into a [`Plugin`],
//! which is a [`relctl_engine::Provider`]. Each call group runs in a store of its own, under
//! [`Limits`], and reaches the world through the broker alone, as far as the call's
//! [`relctl_broker::Phase`] allows. A store that trapped is dropped; the fault is told in one
//! sentence.
//!
//! Reading order: `artifact` reads the bytes, `engine` and `cache` compile them, `load` puts it
//! together; `state` is what a guest can reach, `call` runs it under limits, `chunk` cuts subjects
//! into calls, `wire` translates, `plugin` is the provider.

mod artifact;
mod ask;
mod bindings;
mod builtin;
mod cache;
mod call;
mod chunk;
mod engine;
mod error;
mod limits;
mod load;
mod plugin;
mod state;
mod wire;

pub use artifact::CONTRACT;
pub use builtin::{Core, core};
pub use error::{LoadError, LoadFault};
pub use limits::Limits;
pub use load::{Host, HostOptions, Inspection, LoadRequest, grants_for};
pub use plugin::Plugin;
