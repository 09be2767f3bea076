//! The one unsafe call of the workspace.

use std::path::Path;

use wasmtime::Engine;
use wasmtime::component::Component;

/// Maps a component that [`Engine::precompile_component`] compiled.
///
/// Fails where the file is missing, or was compiled by another wasmtime or with other settings.
#[expect(
    unsafe_code,
    reason = "mapping native code cannot be checked by the compiler; it saves 15 ms for each plugin \
              at every start"
)]
pub(super) fn component(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: The file holds what `precompile_component` gave, and does not change while mapped:
    // - only this user can write to its folder, which `make_private` has just checked;
    // - it is written under another name, flushed and renamed, never in place (`Cache::keep`);
    // - its name has the digest of the wasm, and the hash of wasmtime's version and settings, which
    //   wasmtime checks once more.
    unsafe { Component::deserialize_file(engine, path) }
}
