//! What a relctl plugin is written with.
//!
//! A plugin implements [`Plugin`] and says [`export!`]. It reaches the world only through the
//! [`Host`] that each function is handed, so that the same code runs natively in tests, against
//! [`testing::FakeHost`]. `docs/plugin-author.md` shows how to write one in an hour;
//! `plugins/example-note` is the one that it writes.

#[doc(hidden)]
pub mod bindings;
mod capability;
mod document;
mod glue;
mod model;
mod plugin;
pub mod testing;

pub use capability::{FileError, Host, HttpError, HttpRequest, HttpResponse, Imports, Level, Node};
pub use document::{Document, Field, Map, Pointer, Value};
pub use model::{
    Assessment, Attempt, Change, Description, Diagnostic, Failure, Kind, Operations, Outcome,
    Progress, Replay, Reversal, Risk, Role, Severity, Step, Subject, Undo, Verb, Verdict,
};
pub use plugin::Plugin;

/// The contract's version, as it stands in the plugin's custom section `relctl:contract`.
pub const CONTRACT: &str = "0.1";

/// What [`export!`] expands to; not for other use.
#[doc(hidden)]
pub mod __export {
    pub use crate::bindings;
    pub use crate::bindings::export_provider;
    pub use crate::glue::Glue;
}

/// Makes a [`Plugin`] the plugin of this wasm. Once per crate.
///
/// Natively it does nothing: an exported `poll` would stand in for the C library's.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type RelctlPlugin = $crate::__export::Glue<$plugin>;
            $crate::__export::export_provider!(
                RelctlPlugin with_types_in $crate::__export::bindings
            );

            /// Read by the host before it compiles anything.
            #[used]
            #[unsafe(link_section = "relctl:contract")]
            static RELCTL_CONTRACT: [u8; $crate::CONTRACT.len()] = {
                let mut bytes = [0; $crate::CONTRACT.len()];
                bytes.copy_from_slice($crate::CONTRACT.as_bytes());
                bytes
            };
        };
    };
}
