//! Where things are: the repository, its target folder, and the guests of the plugins' workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::shell;

/// The name of every plugin's package is this and the plugin's name; a name without it is taken whole.
const PACKAGE_PREFIX: &str = "relctl-plugin-";

/// The repository and the folder that its builds go to.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// The folder of the main `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where the main workspace is built: `CARGO_TARGET_DIR` and the like are heeded.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, from the folder that this tool was compiled in.
    pub(crate) fn find() -> Result<Self> {
        let metadata = metadata(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")))?;
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory })
    }

    /// `target/release/relctl`.
    pub(crate) fn binary(&self) -> PathBuf {
        self.target.join("release/relctl")
    }

    /// `target/release/plugins`, beside the binary: where relctl looks first.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.target.join("release/plugins")
    }

    /// The `Cargo.toml` of the plugins' own workspace.
    pub(crate) fn plugins_manifest(&self) -> PathBuf {
        self.root.join("plugins/Cargo.toml")
    }

    /// The members of the plugins' workspace that build a module, sorted by name.
    pub(crate) fn guests(&self) -> Result<Vec<Guest>> {
        let mut guests: Vec<Guest> = metadata(&self.plugins_manifest())?
            .packages
            .into_iter()
            .filter_map(|package| {
                let library = package
                    .targets
                    .iter()
                    .find(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))?;
                let name = package.name.strip_prefix(PACKAGE_PREFIX).unwrap_or(&package.name);
                Some(Guest {
                    name: name.to_owned(),
                    module: format!("{}.wasm", library.name.replace('-', "_")),
                    package: package.name,
                })
            })
            .collect();
        guests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(guests)
    }
}

/// A package that becomes a plugin.
#[derive(Debug)]
pub(crate) struct Guest {
    /// The plugin's name, as release files write it.
    pub(crate) name: String,
    /// The package that cargo builds.
    pub(crate) package: String,
    /// The file that cargo leaves.
    pub(crate) module: String,
}

/// What `cargo metadata --no-deps` says, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Metadata {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
    crate_types: Vec<String>,
}

fn metadata(manifest: &Path) -> Result<Metadata> {
    let text = shell::read(
        Command::new("cargo")
            .args(["metadata", "--no-deps", "--format-version=1", "--manifest-path"])
            .arg(manifest),
    )?;
    serde_json::from_str(&text).context("cannot understand what `cargo metadata` printed")
}
