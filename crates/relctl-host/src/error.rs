//! Why a plugin was not loaded.

use relctl_engine::ProviderFault;
use relctl_plan::{Digest, Instance, KindError};

/// A plugin that was not loaded. Nothing of it ran, but for `describe`.
#[derive(Debug, thiserror::Error)]
#[error("plugin `{plugin}` {fault}")]
pub struct LoadError {
    pub plugin: Instance,
    /// Boxed, since it is rare and larger than what it stands beside.
    #[source]
    pub fault: Box<LoadFault>,
}

/// At which step of loading it ended, in the order of the steps.
///
/// Each is a sentence that goes on after the plugin's name.
#[derive(Debug, thiserror::Error)]
pub enum LoadFault {
    #[error(
        "is not the one that relctl.lock names: its SHA-256 is {}, the lock has {}; \
         `relctl init --upgrade` shows what changed", actual.short(), expected.short()
    )]
    Digest { expected: Digest, actual: Digest },
    #[error("is not WebAssembly, or was cut off; fetch it again, or build it again")]
    Parse(#[source] wasmparser::BinaryReaderError),
    #[error(
        "is a WebAssembly module, not a component; make it one with `cargo xtask plugins` or \
         `wasm-tools component new`"
    )]
    NoComponent,
    #[error(
        "does not say which contract it was built for; build it with relctl-sdk and its `export!`"
    )]
    NoContract,
    #[error(
        "was built for contract {found}, this relctl speaks {}; build it with another relctl-sdk, \
         or use another relctl",
        crate::CONTRACT
    )]
    Contract { found: String },
    #[error(
        "imports `{import}`, which is not in the contract; a plugin reaches the world only through \
         `host`, `files` and `http`"
    )]
    Import { import: String },
    #[error(
        "asks for more than relctl.lock grants: {}; `relctl init --upgrade` shows it and asks",
        .0.join(", ")
    )]
    Capability(Vec<String>),
    #[error("cannot be compiled; build it again with the SDK's toolchain")]
    Compile(#[source] wasmtime::Error),
    #[error("does not export what the contract asks for; build it with relctl-sdk's `export!`")]
    Exports(#[source] wasmtime::Error),
    #[error("{0}")]
    Describe(ProviderFault),
    #[error("describes itself with what the contract does not allow")]
    Kind(#[source] KindError),
    #[error("describes kind `{kind}` with a schema that is not JSON")]
    Schema {
        kind: String,
        #[source]
        error: serde_json::Error,
    },
    #[error("has an operation list for `{service}` twice; name each service once")]
    ServiceTwice { service: String },
    #[error("may use files, but no root is given; set `config.root`")]
    NoRoot,
}
