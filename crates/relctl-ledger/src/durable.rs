//! The steps that make a write durable, each named to whoever listens, so that tests can die at each
//! of them, and lose what it left undone.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Says which moment this is, to whoever listens to the tracing target `relctl::durable`.
///
/// `relctl` listens where `RELCTL_TEST_DIE_AT` asks it to die at one of them, and a trace log shows
/// them. Otherwise a mark costs one load from memory.
pub(crate) fn mark(moment: &'static str, path: &Path) {
    tracing::trace!(target: "relctl::durable", moment, path = %path.display());
}

/// Says what was done to the disk, to whoever listens to `relctl::disk`: the tests of power cuts
/// repeat it on a disk that keeps only what was synced.
fn did(step: &'static str, path: &Path) {
    tracing::trace!(target: "relctl::disk", step, path = %path.display());
}

/// Writes to the end of the file that is at `path`. Not durable.
pub(crate) fn write(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    did("write", path);
    Ok(())
}

/// Cuts the file that is at `path`. Not durable.
pub(crate) fn cut(file: &File, path: &Path, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    did("write", path);
    Ok(())
}

/// Makes what was written to the file at `path` durable, its name aside.
pub(crate) fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    file.sync_data()?;
    did("sync file", path);
    Ok(())
}

/// Gives a file its name, in place of whatever had it. Not durable.
pub(crate) fn rename(file: NamedTempFile, path: &Path) -> io::Result<()> {
    renamed(file, path, |file| file.persist(path).map_err(io::Error::from))
}

/// Gives a file its name, unless another has it. Not durable.
pub(crate) fn rename_to_new(file: NamedTempFile, path: &Path) -> io::Result<()> {
    renamed(file, path, |file| file.persist_noclobber(path).map_err(io::Error::from))
}

fn renamed(
    file: NamedTempFile,
    path: &Path,
    rename: impl FnOnce(NamedTempFile) -> io::Result<File>,
) -> io::Result<()> {
    let from = file.path().display().to_string();
    rename(file)?;
    tracing::trace!(target: "relctl::disk", step = "rename", path = %path.display(), from);
    Ok(())
}

/// Makes a folder, unless it is there. Not durable.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => {
            made?;
            did("make folder", folder);
            Ok(())
        }
    }
}

/// Makes the names in a folder durable.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()?;
    did("sync folder", folder);
    Ok(())
}

/// Windows has no way to sync a folder; its file system journals renames.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
