//! The local backend: a directory.
//!
//! A write goes to a temporary file in the same directory, which is synced, renamed, and made
//! durable by syncing the directory: after a crash there is the old file or the new one. Names
//! that start with a dot are leftovers of crashes and never read.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use relctl_engine::LedgerError;
use relctl_plan::Digest;
use tempfile::NamedTempFile;

use crate::backend::{Append, Backend, Guard, Object, Put, Version};
use crate::durable::{self, mark};
use crate::error::io;

/// Held while one file is compared and replaced, so that two processes cannot do it at once.
const SWAP_LOCK: &str = ".swap";

/// One release's ledger in one environment, in a directory.
#[derive(Debug, Clone)]
pub struct LocalBackend {
    folder: PathBuf,
}

impl LocalBackend {
    /// The ledger in `folder`. The folder is made by the first write.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn locate(&self, path: &str) -> String {
        self.path(path).display().to_string()
    }

    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError> {
        let path = self.path(path);
        blocking(move || read(&path)).await
    }

    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError> {
        let path = self.path(path);
        let bytes = bytes.to_vec();
        blocking(move || {
            let temporary = write_temporary(&path, &bytes)?;
            mark("before a new object", &path);
            match durable::rename_to_new(temporary, &path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    // Whoever wrote it may have been killed before its name was durable; it may be
                    // just what was to be written, and be relied on.
                    sync_folder(&path)?;
                    return Ok(Put::Refused);
                }
                named => named.map_err(|e| io("write", &show(&path), e))?,
            }
            sync_folder(&path)?;
            mark("new object", &path);
            Ok(Put::Done(version_of(&bytes)))
        })
        .await
    }

    async fn put_if_match(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Version,
    ) -> Result<Put, LedgerError> {
        let swap = self.path(SWAP_LOCK);
        let path = self.path(path);
        let bytes = bytes.to_vec();
        let expected = expected.clone();
        blocking(move || {
            let swap_file = open_lock_file(&swap)?;
            swap_file.lock().map_err(|e| io("lock", &show(&swap), e))?;
            if read(&path)?.map(|object| object.version) != Some(expected) {
                return Ok(Put::Refused);
            }
            let temporary = write_temporary(&path, &bytes)?;
            mark("before a swap", &path);
            durable::rename(temporary, &path).map_err(|e| io("write", &show(&path), e))?;
            sync_folder(&path)?;
            mark("swapped", &path);
            Ok(Put::Done(version_of(&bytes)))
        })
        .await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let root = self.folder.clone();
        let start = self.path(folder);
        blocking(move || {
            let mut found = Vec::new();
            walk(&root, &start, &mut found)?;
            found.sort();
            Ok(found)
        })
        .await
    }

    fn can_append(&self) -> bool {
        true
    }

    async fn appender(&self, path: &str, keep: u64) -> Result<Box<dyn Append>, LedgerError> {
        let path = self.path(path);
        blocking(move || {
            let open = || -> io::Result<File> {
                let mut file = OpenOptions::new().write(true).open(&path)?;
                if file.metadata()?.len() != keep {
                    durable::cut(&file, &path, keep)?;
                    durable::sync_file(&file, &path)?;
                }
                file.seek(SeekFrom::Start(keep))?;
                Ok(file)
            };
            let file = open().map_err(|e| io("open", &show(&path), e))?;
            Ok(Box::new(Appender { path, file: Some(file) }) as Box<dyn Append>)
        })
        .await
    }

    async fn guard(&self, path: &str) -> Result<Guard, LedgerError> {
        let path = self.path(path);
        blocking(move || {
            let file = open_lock_file(&path)?;
            match file.try_lock() {
                Ok(()) => Ok(Guard::Held(Box::new(file))),
                Err(TryLockError::WouldBlock) => Ok(Guard::Busy),
                Err(TryLockError::Error(e)) => Err(io("lock", &show(&path), e)),
            }
        })
        .await
    }
}

#[derive(Debug)]
struct Appender {
    path: PathBuf,
    /// `None` after an error: what the file holds is not known any more.
    file: Option<File>,
}

#[async_trait]
impl Append for Appender {
    async fn append(&mut self, bytes: Vec<u8>) -> Result<(), LedgerError> {
        let Some(mut file) = self.file.take() else {
            return Err(io("append to", &show(&self.path), "an earlier write failed"));
        };
        let path = self.path.clone();
        self.file = blocking(move || {
            mark("before appended lines", &path);
            durable::write(&mut file, &path, &bytes)
                .and_then(|()| durable::sync_file(&file, &path))
                .map_err(|e| io("append to", &show(&path), e))?;
            mark("appended lines", &path);
            Ok(Some(file))
        })
        .await?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<Option<Object>, LedgerError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Object { version: version_of(&bytes), bytes })),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io("read", &show(path), e)),
    }
}

/// Mutable objects carry a nonce, so that equal content means an equal write.
fn version_of(bytes: &[u8]) -> Version {
    Version { e_tag: Some(Digest::of(bytes).as_str().to_owned()), version: None }
}

/// A synced file beside `path`, ready to take its name.
fn write_temporary(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, LedgerError> {
    let folder = folder_of(path);
    make_folder(folder).map_err(|e| io("create the folder", &show(folder), e))?;
    let write = || -> io::Result<NamedTempFile> {
        let mut temporary = temporary_builder().tempfile_in(folder)?;
        let path = temporary.path().to_owned();
        durable::write(temporary.as_file_mut(), &path, bytes)?;
        durable::sync_file(temporary.as_file(), &path)?;
        Ok(temporary)
    };
    write().map_err(|e| io("write", &show(path), e))
}

fn temporary_builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".new-");
    // A team may share the directory: the umask decides who reads it, as for any other file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
}

/// Makes a folder and those above it, each durable in the one that holds it. One that is there may
/// be of a process that was killed before it made it so.
fn make_folder(folder: &Path) -> io::Result<()> {
    let above = folder_of(folder);
    if folder.is_dir() {
        return match durable::sync_folder(above) {
            // Then it was not relctl that made it.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        };
    }
    make_folder(above)?;
    durable::make_folder(folder)?;
    durable::sync_folder(above)
}

fn sync_folder(path: &Path) -> Result<(), LedgerError> {
    let folder = folder_of(path);
    durable::sync_folder(folder).map_err(|e| io("sync the folder", &show(folder), e))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => path,
    }
}

fn open_lock_file(path: &Path) -> Result<File, LedgerError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|e| io("open", &show(path), e))
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) -> Result<(), LedgerError> {
    let failed = |e: io::Error| io("list", &show(folder), e);
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(failed(e)),
    };
    for item in listing {
        let item = item.map_err(failed)?;
        if is_hidden(&item.file_name()) {
            continue;
        }
        let path = item.path();
        if item.file_type().map_err(failed)?.is_dir() {
            walk(root, &path, found)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            let segments: Vec<_> = relative.iter().map(OsStr::to_string_lossy).collect();
            found.push(segments.join("/"));
        }
    }
    Ok(())
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Runs blocking work where it does not hold up other tasks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(io("finish work on", "the ledger's folder", e)),
    }
}
