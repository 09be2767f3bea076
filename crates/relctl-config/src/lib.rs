//! Reads release files into typed releases, with a place for every mistake.
//!
//! [`load`] reads `release.toml`, the overlay of an environment and the variables, as far as that
//! is possible without plugins, and gives a [`Draft`]: its [`Header`] names the plugins that are needed. Once
//! they have described their kinds, [`Draft::finish`] checks everything and gives the
//! [`Release`](relctl_plan::Release). Mistakes come as [`Diagnostics`], all of one run together:
//! [`Diagnostics::render`] for people, its serde form for `--json`. What a plugin or the engine
//! finds later gets its place from [`Draft::diagnostic`].
//!
//! This crate reads the release file, its overlay, the files of variables, and what `file()` and
//! `json()` name. It reads no environment variables: the caller hands them in.

mod constants;
mod draft;
mod finish;
mod header;
mod keyed;
mod load;
mod lock;
mod mistake;
mod objects;
mod schema;
mod secrets;
mod section;
mod source;
mod tree;
mod validate;
mod vars;

pub use draft::Draft;
pub use header::Header;
pub use load::{LoadOptions, Opened, RELEASE_FILE, load, open};
pub use lock::{LOCK_FILE, LockFile, LockFileError, LockedPlugin};
pub use mistake::{Diagnostics, Mistake, Related};
pub use schema::schema;
pub use source::Location;
pub use vars::VARIABLE_PREFIX;
