//! Compiled plugins, kept between runs.
//!
//! Compiling takes a second, mapping what was compiled a millisecond. What is mapped runs as native
//! code, so the folder must be this user's alone: otherwise it is not used, and a warning says so.

mod mapped;

use std::fs::{self, DirBuilder, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Once;

use relctl_plan::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

/// How many compiled plugins are kept.
const KEPT: usize = 64;

/// What compiled plugins are called.
const EXTENSION: &str = "cwasm";

/// A folder of compiled plugins.
pub(crate) struct Cache {
    folder: PathBuf,
    /// Of wasmtime's version and settings: what another compiled is never looked at.
    compatibility: u64,
    warned: Once,
}

impl Cache {
    pub(crate) fn new(folder: PathBuf, engine: &Engine) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder, compatibility: hasher.finish(), warned: Once::new() }
    }

    /// The compiled component of these bytes, whose digest is `sha256`.
    pub(crate) fn component(
        &self,
        engine: &Engine,
        sha256: &Digest,
        wasm: &[u8],
    ) -> wasmtime::Result<Component> {
        if let Err(error) = make_private(&self.folder) {
            self.warned.call_once(|| {
                tracing::warn!(
                    "compiled plugins are not kept: `{}` cannot be used: {error}",
                    self.folder.display()
                );
            });
            return Component::from_binary(engine, wasm);
        }
        let path = self.folder.join(format!("{sha256}-{:016x}.{EXTENSION}", self.compatibility));
        // A missing or damaged file is compiled anew; which of them it was does not matter.
        if let Ok(component) = mapped::component(engine, &path) {
            return Ok(component);
        }
        let compiled = engine.precompile_component(wasm)?;
        match self.keep(&path, &compiled) {
            Ok(()) => mapped::component(engine, &path),
            Err(error) => {
                tracing::warn!("cannot keep a compiled plugin at `{}`: {error}", path.display());
                Component::from_binary(engine, wasm)
            }
        }
    }

    /// Writes it under another name first, so that no one maps half of it.
    fn keep(&self, path: &Path, compiled: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file =
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(compiled)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        self.drop_oldest()
    }

    fn drop_oldest(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                kept.push((path.metadata()?.modified()?, path));
            }
        }
        kept.sort_unstable();
        let surplus = kept.len().saturating_sub(KEPT);
        kept.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// Makes the folder where it is missing; fails where anyone else could write to it.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let metadata = fs::symlink_metadata(folder)?;
    let refuse = |why: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if !metadata.is_dir() {
        return refuse("it is not a folder");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return refuse("it belongs to another user");
    }
    if metadata.mode() & 0o077 != 0 {
        return refuse("others have access to it; make it private with `chmod 700`");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
