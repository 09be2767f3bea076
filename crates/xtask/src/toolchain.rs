//! Chooses the compiler of the guests.
//!
//! Guests are plain `wasm32-unknown-unknown` modules. Most people have rustup, which has that target or
//! can fetch it. Where it cannot (machines that reach package registries only), the distribution's
//! compiler builds the guests, with a `std` built from its own sources.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::shell;

/// The target of every guest.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

const DISTRIBUTION_CARGO: &str = "/usr/bin/cargo";
const DISTRIBUTION_LINKER: &str = "/usr/bin/wasm-ld";

/// What cargo and rustup leave in the environment of what they start, and what a person sets for host
/// builds: none of it may reach a build of guests.
const HOST_FLAGS: [&str; 6] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
];
const HOST_TOOLCHAIN: [&str; 8] = [
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_TOOLCHAIN_SOURCE",
    "CARGO",
    "RUSTC",
    "RUSTDOC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "LD_LIBRARY_PATH",
];

/// A compiler that can build guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Toolchain {
    /// The active toolchain, with the target's `std` in its sysroot.
    Rustup,
    /// The distribution's compiler; `std` is built from source.
    Distro,
}

impl Toolchain {
    /// Makes the wanted toolchain ready, or the first one that can be: the active toolchain with the target,
    /// the same after `rustup target add`, the distribution's.
    pub(crate) fn prepare(wanted: Option<Self>) -> Result<Self> {
        if wanted != Some(Self::Distro) {
            if has_target() || (shell::which("rustup").is_some() && add_target()) {
                return Ok(Self::Rustup);
            }
            if wanted == Some(Self::Rustup) {
                bail!("the active toolchain has no {TARGET}: run `rustup target add {TARGET}`");
            }
        }
        prepare_distribution().with_context(|| {
            format!(
                "no compiler here can build the plugins: run `rustup target add {TARGET}`, or install the \
                 distribution's Rust, its sources and lld"
            )
        })?;
        Ok(Self::Distro)
    }

    /// The folder's name under `plugins/target`: outputs of two compilers are never mixed.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Distro => "distro",
        }
    }

    /// A `cargo build` for the guests' target, in a clean environment.
    pub(crate) fn cargo_build(self) -> Result<Command> {
        let mut command = match self {
            Self::Rustup => Command::new("cargo"),
            Self::Distro => Command::new(DISTRIBUTION_CARGO),
        };
        command.args(["build", "--target", TARGET]);
        for name in HOST_FLAGS {
            command.env_remove(name);
        }
        if self == Self::Distro {
            for name in HOST_TOOLCHAIN {
                command.env_remove(name);
            }
            // Cargo takes the first rustc on the path, which must be the one of its own version.
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once("/usr/bin".into()).chain(std::env::split_paths(&path));
            let path = std::env::join_paths(folders).context("cannot put /usr/bin on PATH")?;
            command
                .env("PATH", path)
                // Debian's compiler is a stable one, and `build-std` is not stable.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", DISTRIBUTION_LINKER)
                .args(["-Z", "build-std=std,panic_abort"]);
        }
        Ok(command)
    }
}

/// Tells whether the active toolchain's sysroot holds the target's `std`.
fn has_target() -> bool {
    let folder =
        shell::read(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]));
    let Ok(entries) = folder.and_then(|path| Ok(std::fs::read_dir(path.trim())?)) else {
        return false;
    };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

fn add_target() -> bool {
    eprintln!("installing the Rust target {TARGET} (rustup)");
    let added = shell::read(Command::new("rustup").args(["target", "add", TARGET])).is_ok();
    let ready = added && has_target();
    if !ready {
        eprintln!("rustup cannot fetch it here: taking the distribution's compiler");
    }
    ready
}

/// Installs what the distribution's route lacks. Debian 12 has a newer compiler under names of their own
/// (`rustc-web`); where those do not exist, the plain ones are new enough.
fn prepare_distribution() -> Result<()> {
    let mut missing = Vec::new();
    let web = || shell::works("apt-cache", &["show", "rustc-web"]);
    let sources = Path::new("/usr/lib/rustlib/src/rust/library/Cargo.lock");
    let compiler = Path::new("/usr/bin/rustc").exists() && Path::new(DISTRIBUTION_CARGO).exists();
    if !compiler || !sources.exists() {
        if shell::is_root() && shell::which("apt-get").is_some() && !web() {
            // A new machine has no package lists yet, and then no package seems to exist.
            shell::run(Command::new("apt-get").args(["-q", "update"]))?;
        }
        missing.extend(if web() {
            ["rustc-web", "cargo-web", "rust-web-src"]
        } else {
            ["rustc", "cargo", "rust-src"]
        });
    }
    if !Path::new(DISTRIBUTION_LINKER).exists() {
        missing.push("lld");
    }
    if missing.is_empty() { Ok(()) } else { shell::apt_install(&missing) }
}
