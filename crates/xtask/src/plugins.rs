//! `cargo xtask plugins`: builds the guests and turns them into components.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use wit_component::ComponentEncoder;

use crate::shell;
use crate::toolchain::{TARGET, Toolchain};
use crate::workspace::{Guest, Workspace};

#[derive(Debug, Default, Args)]
pub(crate) struct PluginsArgs {
    /// The plugins to build; all of them when none is named.
    names: Vec<String>,
    /// Builds with optimisations; the default, spelled out.
    #[arg(long, conflicts_with = "dev")]
    release: bool,
    /// Builds faster and larger: for looking into a plugin.
    #[arg(long)]
    dev: bool,
    /// Takes this compiler instead of the first that can be made ready.
    #[arg(long, value_enum)]
    toolchain: Option<Toolchain>,
}

/// Leaves `<name>.wasm` for each guest in the workspace's plugin folder.
///
/// Cargo itself decides what must be compiled again; a component that did not change keeps its file.
pub(crate) fn run(workspace: &Workspace, args: &PluginsArgs) -> Result<()> {
    let guests = chosen(workspace.guests()?, &args.names)?;
    let toolchain = Toolchain::prepare(args.toolchain)?;
    let target = workspace.root.join("plugins/target").join(toolchain.folder());

    let mut build = toolchain.cargo_build()?;
    build.current_dir(workspace.root.join("plugins")).arg("--target-dir").arg(&target);
    if !args.dev {
        build.arg("--release");
    }
    for guest in &guests {
        build.args(["--package", &guest.package]);
    }
    shell::run(&mut build)
        .context("cannot build the plugins: the compiler's messages are above")?;

    let modules = target.join(TARGET).join(if args.dev { "debug" } else { "release" });
    for guest in &guests {
        componentize(workspace, guest, &modules.join(&guest.module))?;
    }
    Ok(())
}

/// A cargo in the plugins' workspace for builds for this machine: their logic is tested natively.
pub(crate) fn native(workspace: &Workspace) -> Command {
    let folder = workspace.root.join("plugins");
    let mut command = Command::new("cargo");
    command.env("CARGO_TARGET_DIR", folder.join("target/native")).current_dir(folder);
    command
}

fn chosen(guests: Vec<Guest>, names: &[String]) -> Result<Vec<Guest>> {
    if let Some(unknown) = names.iter().find(|name| guests.iter().all(|guest| guest.name != **name))
    {
        let known: Vec<&str> = guests.iter().map(|guest| guest.name.as_str()).collect();
        bail!("no plugin `{unknown}` in plugins/Cargo.toml: there are {}", known.join(", "));
    }
    Ok(guests.into_iter().filter(|guest| names.is_empty() || names.contains(&guest.name)).collect())
}

fn componentize(workspace: &Workspace, guest: &Guest, module: &Path) -> Result<()> {
    let bytes =
        std::fs::read(module).with_context(|| format!("cannot read {}", module.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(ComponentEncoder::encode)
        .with_context(|| {
            format!("cannot make a component of {}: does it export a provider?", module.display())
        })?;
    let path = workspace.plugins().join(format!("{}.wasm", guest.name));
    let changed = shell::write_if_changed(&path, &component)?;
    let what = if changed { "built" } else { "unchanged" };
    eprintln!("{what:>9}  {}  ({} KiB)", path.display(), component.len().div_ceil(1024));
    Ok(())
}
