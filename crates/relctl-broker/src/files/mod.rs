//! Files under one root.
//!
//! Every path is resolved by cap-std against an open handle of the root, so that neither `..`, an
//! absolute path, nor a symbolic link leads out of it, whoever changes links meanwhile. What relctl
//! must remember about a root lies in its folder `.relctl`, which plugins cannot name.

mod append;
mod error;
mod path;
mod write;

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Mutex, RwLock};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, PermissionsExt as _};

use crate::{CallContext, Phase};

pub use error::FileError;
use path::{BOOKKEEPING, RelativePath};

/// What lies at a path. Links are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file with its permission bits.
    File {
        mode: u32,
    },
    Directory,
    /// A symbolic link and where it points, as written.
    Link {
        target: String,
    },
    /// A socket, a device and the like.
    Other,
}

/// The files of one plugin instance.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    /// One append at a time within this process; a lock file holds off the others.
    appending: Mutex<()>,
    /// Shared by those who put something into a folder, held alone by those who remove empty ones.
    folders: RwLock<()>,
}

impl Files {
    /// Files under `root`, an absolute path. It need not exist: then nothing is there, and the
    /// first write makes it.
    pub fn new(root: PathBuf) -> Self {
        Self { root, appending: Mutex::new(()), folders: RwLock::new(()) }
    }

    /// What lies at `path`, `None` where nothing does.
    pub fn stat(&self, call: &CallContext, path: &str) -> Result<Option<Node>, FileError> {
        let path = readable(call, path)?;
        let Some(root) = self.open_root()? else { return Ok(None) };
        path.absent_is_none(root.symlink_metadata(path.as_str()))?
            .map(|metadata| node(&root, &path, &metadata))
            .transpose()
    }

    /// The bytes of the file at `path`, at most `call.max_response` of them. Follows links within
    /// the root.
    pub fn read(&self, call: &CallContext, path: &str) -> Result<Vec<u8>, FileError> {
        let path = readable(call, path)?;
        let root = self.open_root()?.ok_or(FileError::NotFound)?;
        let file = root.open(path.as_str()).map_err(|error| path.failed("read", error))?;
        let metadata = file.metadata().map_err(|error| path.failed("read", error))?;
        if !metadata.is_file() {
            return Err(FileError::OtherKind(format!("`{path}` is not a file")));
        }
        let mut bytes = Vec::new();
        let limit = call.max_response;
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| path.failed("read", error))?;
        if bytes.len() as u64 > limit {
            return Err(FileError::Unavailable(format!(
                "`{path}` is larger than the {limit} bytes that a plugin may read at once"
            )));
        }
        Ok(bytes)
    }

    /// The names in the folder at `path`, sorted; the empty path is the root.
    pub fn list(&self, call: &CallContext, path: &str) -> Result<Vec<String>, FileError> {
        allow(call.phase.may_read(), "listing", path, call.phase)?;
        let path = RelativePath::parse_folder(path)?;
        let Some(root) = self.open_root()? else {
            return if path.is_root() { Ok(Vec::new()) } else { Err(FileError::NotFound) };
        };
        let entries = root.read_dir(path.as_str()).map_err(|error| path.failed("list", error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| path.failed("list", error))?;
            // Names that are not text cannot cross to a plugin, nor can it have made them.
            if let Ok(name) = entry.file_name().into_string()
                && !name.starts_with(BOOKKEEPING)
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The root's handle, `None` where it does not exist.
    fn open_root(&self) -> Result<Option<Dir>, FileError> {
        match Dir::open_ambient_dir(&self.root, ambient_authority()) {
            Ok(root) => Ok(Some(root)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.root_failed("open", &error)),
        }
    }

    fn root_failed(&self, verb: &str, error: &std::io::Error) -> FileError {
        FileError::Unavailable(format!(
            "cannot {verb} the root `{}`: {error}; check `config.root` and its permissions",
            self.root.display()
        ))
    }
}

/// A path that is to be read, if the phase allows it.
fn readable(call: &CallContext, path: &str) -> Result<RelativePath, FileError> {
    allow(call.phase.may_read(), "reading", path, call.phase)?;
    RelativePath::parse(path)
}

/// A path that is to be written, if the phase allows it.
fn writable(call: &CallContext, path: &str) -> Result<RelativePath, FileError> {
    allow(call.phase.may_write(), "writing", path, call.phase)?;
    RelativePath::parse(path)
}

fn allow(allowed: bool, doing: &str, path: &str, phase: Phase) -> Result<(), FileError> {
    if allowed {
        Ok(())
    } else {
        Err(FileError::Denied(format!("{doing} `{path}` is not allowed {phase}")))
    }
}

fn node(root: &Dir, path: &RelativePath, metadata: &Metadata) -> Result<Node, FileError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        Ok(Node::File { mode: metadata.permissions().mode() & 0o777 })
    } else if kind.is_dir() {
        Ok(Node::Directory)
    } else if kind.is_symlink() {
        let target = root
            .read_link_contents(path.as_str())
            .map_err(|error| path.failed("read the link", error))?;
        Ok(match target.to_str() {
            Some(target) => Node::Link { target: target.to_owned() },
            None => Node::Other,
        })
    } else {
        Ok(Node::Other)
    }
}

#[cfg(test)]
mod tests;
