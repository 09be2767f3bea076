//! The contract, as wit-bindgen spells it. Not for use by plugins: the SDK's own types are.
#![allow(
    unsafe_code,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    reason = "generated code, which reads and writes the wasm's memory; what it trips depends on \
              target and version"
)]

wit_bindgen::generate!({
    path: "../wit/v0.1",
    world: "provider",
    pub_export_macro: true,
    export_macro_name: "export_provider",
    additional_derives: [PartialEq],
});
