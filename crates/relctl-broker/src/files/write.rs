//! Writing: all or nothing, durable when the call returns.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{PoisonError, RwLockReadGuard};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _, Permissions, PermissionsExt as _};
use sha2::{Digest as _, Sha256};

use super::path::{BOOKKEEPING, RelativePath, TEMPORARY};
use super::{FileError, Files, writable};
use crate::CallContext;
use crate::durable::mark;

/// Where a marker lies for each folder that relctl made.
const MADE_FOLDERS: &str = ".relctl/folders";

impl Files {
    /// Writes a file: a temporary one, flushed, renamed. Missing folders are made. `mode` gives the
    /// permission bits. A link at `path` is replaced, not followed.
    pub fn write_atomic(
        &self,
        call: &CallContext,
        path: &str,
        bytes: &[u8],
        mode: u32,
    ) -> Result<(), FileError> {
        let path = writable(call, path)?;
        let _folder_stays = self.keep_folders();
        let (folder, name) = self.make_folder_of(&path)?;
        replace(&folder, name, |temporary| {
            let mut file = folder.open_with(
                temporary,
                OpenOptions::new().write(true).create_new(true).mode(0o600),
            )?;
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(mode & 0o777))?;
            file.sync_all()
        })
        .map_err(|error| path.failed("write", error))
    }

    /// Makes or replaces a symbolic link. The target is relative to the link's folder and stays
    /// within the root; it need not exist.
    pub fn link(&self, call: &CallContext, path: &str, target: &str) -> Result<(), FileError> {
        let path = writable(call, path)?;
        if !stays_within(&path, target) {
            return Err(FileError::Denied(format!(
                "the link `{path}` would lead out of the plugin's root: `{}`",
                target.escape_debug()
            )));
        }
        let _folder_stays = self.keep_folders();
        let (folder, name) = self.make_folder_of(&path)?;
        replace(&folder, name, |temporary| folder.symlink_contents(target, temporary))
            .map_err(|error| path.failed("link", error))
    }

    /// Removes a file or a link, and the folders above it that relctl made and that are now empty.
    pub fn remove(&self, call: &CallContext, path: &str) -> Result<(), FileError> {
        let path = writable(call, path)?;
        let root = self.open_root()?.ok_or(FileError::NotFound)?;
        let (above, name) = path.split();
        let _alone = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        mark("before a removal");
        let removed = root.open_dir(above).and_then(|folder| {
            folder.remove_file(name)?;
            mark("removed");
            sync(&folder)
        });
        // A removal that was interrupted left folders: whoever tries again takes them away.
        if removed.as_ref().err().is_none_or(|error| error.kind() == io::ErrorKind::NotFound) {
            remove_empty_folders(&root, &path)
                .map_err(|error| path.failed("remove a folder of", error))?;
        }
        removed.map_err(|error| path.failed("remove", error))
    }

    /// Keeps the folders that [`Self::make_folder_of`] makes until something lies in them.
    pub(super) fn keep_folders(&self) -> RwLockReadGuard<'_, ()> {
        self.folders.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root's handle; makes the root where it does not exist.
    pub(super) fn make_root(&self) -> Result<Dir, FileError> {
        if let Some(root) = self.open_root()? {
            return Ok(root);
        }
        Dir::create_ambient_dir_all(&self.root, ambient_authority())
            .map_err(|error| self.root_failed("make", &error))?;
        if let Some(above) = self.root.parent() {
            Dir::open_ambient_dir(above, ambient_authority())
                .and_then(|above| sync(&above))
                .map_err(|error| self.root_failed("flush", &error))?;
        }
        self.open_root()?.ok_or(FileError::NotFound)
    }

    /// Makes the folders above `path`; returns a handle of the nearest, and the last name.
    ///
    /// What follows is done relative to that handle, so that it happens in the folder that was
    /// looked at, also if its name is made to lead elsewhere meanwhile.
    pub(super) fn make_folder_of<'p>(
        &self,
        path: &'p RelativePath,
    ) -> Result<(Dir, &'p str), FileError> {
        let root = self.make_root()?;
        let (above, name) = path.split();
        match root.open_dir(above) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            folder => {
                return folder
                    .map(|folder| (folder, name))
                    .map_err(|error| path.failed("open the folder of", error));
            }
        }
        let failed = |error| path.failed("make the folder of", error);
        root.create_dir_all(MADE_FOLDERS).map_err(failed)?;
        let mut missing: Vec<&str> = path.folders().collect();
        missing.reverse();
        for folder in missing {
            if root.is_dir(folder) {
                continue;
            }
            // The marker first: one without its folder does no harm, a folder without it stays.
            root.write(marker_of(folder), folder).map_err(failed)?;
            mark("before a folder");
            match root.create_dir(folder) {
                // Another step of the same release was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => made.map_err(failed)?,
            }
            let (above, _) = folder.rsplit_once('/').unwrap_or((".", folder));
            root.open_dir(above).and_then(|above| sync(&above)).map_err(failed)?;
        }
        root.open_dir(above).map(|folder| (folder, name)).map_err(failed)
    }
}

/// Removes the folders above `path` that relctl made and that are empty.
fn remove_empty_folders(root: &Dir, path: &RelativePath) -> io::Result<()> {
    for folder in path.folders() {
        let marker = marker_of(folder);
        if root.exists(&marker) {
            match root.remove_dir(folder) {
                // Not empty is the usual answer: then relctl still has something to remember.
                Err(error) if error.kind() != io::ErrorKind::NotFound => break,
                _ => root.remove_file(&marker)?,
            }
        } else if root.symlink_metadata(folder).is_ok() {
            break;
        }
    }
    let emptied = root.remove_dir(MADE_FOLDERS).and_then(|()| root.remove_dir(BOOKKEEPING));
    drop(emptied);
    Ok(())
}

/// Makes something under a temporary name in `folder`, renames it to `name` and flushes.
pub(super) fn replace(
    folder: &Dir,
    name: &str,
    create: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    // One name for each target: what a killed process left is overwritten by the next.
    let temporary = format!("{TEMPORARY}{}.tmp", short_hash(name));
    let temporary = Path::new(&temporary);
    match folder.remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    mark("before a file");
    let made = create(temporary).and_then(|()| {
        mark("before its renaming");
        folder.rename(temporary, folder, name)
    });
    mark("renamed");
    if made.is_err() {
        let _gone_or_overwritten_later = folder.remove_file(temporary);
    }
    made.and_then(|()| sync(folder))
}

/// Makes the folder's own entries durable.
pub(super) fn sync(folder: &Dir) -> io::Result<()> {
    folder.open(".")?.sync_all()
}

/// The first 32 hexadecimal digits of a name's SHA-256.
pub(super) fn short_hash(text: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(text.as_bytes()));
    digits.truncate(32);
    digits
}

fn marker_of(folder: &str) -> String {
    format!("{MADE_FOLDERS}/{}", short_hash(folder))
}

/// Whether a link at `path` with this target stays below the root, links on the way aside.
fn stays_within(path: &RelativePath, target: &str) -> bool {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') {
        return false;
    }
    let mut depth = path.folders().count();
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    true
}
