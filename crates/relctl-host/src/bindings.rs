//! The contract, as wasmtime spells it.

wasmtime::component::bindgen!({
    path: "../../plugins/wit/v0.1",
    world: "provider",
    imports: { default: async },
    exports: { default: async },
});

pub(crate) use relctl::provider::{files, host, http, types};
