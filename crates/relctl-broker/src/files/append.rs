//! Appending exactly once per token.
//!
//! Before the bytes, an *intent* is made durable: where the file ends, and what will be appended.
//! After a crash the file's length and its bytes from there on tell how far it got. Once the bytes
//! are durable the intent becomes a *receipt*, which stays: the same token never appends again.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, OpenOptions};
use serde::{Deserialize, Serialize};

use super::path::RelativePath;
use super::write::{replace, short_hash, sync};
use super::{FileError, Files, readable, writable};
use crate::CallContext;
use crate::durable::mark;

/// Where intents and receipts lie, and the lock.
const APPENDS: &str = ".relctl/appends";

/// How long another process may hold the lock: an append takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the lock is tried meanwhile. The system's own waiting cannot be given up: a thread that
/// waits for a stopped process would stay, and take the lock some day with nobody to give it back.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What is about to be appended.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    path: String,
    token: String,
    /// The file's length before.
    offset: u64,
    /// How many bytes follow.
    length: u64,
}

/// How far an append got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing is there.
    None,
    /// This many of the bytes are there.
    Some(u64),
    All,
    /// Someone else changed the file at the same time.
    Unclear,
}

impl Files {
    /// Appends `bytes` to the file at `path`, which is made where it is missing, exactly once per
    /// path and token. True: it did so now; false: it had before.
    ///
    /// [`FileError::Unknown`]: an earlier call with this token was interrupted, and the file was
    /// changed by someone else since, so that it cannot be told whether the bytes are in it.
    pub fn append(
        &self,
        call: &CallContext,
        path: &str,
        bytes: &[u8],
        token: &str,
    ) -> Result<bool, FileError> {
        let path = writable(call, path)?;
        let _one_at_a_time = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        let _folder_stays = self.keep_folders();
        let root = self.make_root()?;
        let failed = |error| path.failed("append to", error);
        root.create_dir_all(APPENDS).map_err(failed)?;
        let records = root.open_dir(APPENDS).map_err(failed)?;
        let Some(_across_processes) = lock(&records, call.deadline).map_err(failed)? else {
            // Whoever holds it may be about to append just this: a step that was taken over.
            return Err(FileError::Unknown(format!(
                "cannot tell whether this was appended to `{path}`: another process has held \
                 `{APPENDS}/lock` for {} s; is a relctl stopped there?",
                PATIENCE.as_secs()
            )));
        };
        let names = Names::of(&path, token);
        if records.exists(&names.receipt) {
            return Ok(false);
        }
        let (folder, name) = self.make_folder_of(&path)?;
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = folder.open_with(name, &options).map_err(failed)?.into_std();
        let length = file.metadata().map_err(failed)?.len();
        // What the first attempt finds was left by one of which a person said that it did not happen.
        let intent = if call.first_attempt { None } else { read_intent(&records, &names, &path)? };
        let progress = if let Some(intent) = intent {
            progress(&mut file, &intent, length, bytes).map_err(failed)?
        } else {
            let intent = Intent {
                path: path.as_str().to_owned(),
                token: token.to_owned(),
                offset: length,
                length: bytes.len() as u64,
            };
            write_intent(&records, &names, &intent).map_err(failed)?;
            Progress::None
        };
        mark("intent");
        let rest = match progress {
            Progress::None => bytes,
            Progress::Some(done) => {
                usize::try_from(done).ok().and_then(|done| bytes.get(done..)).unwrap_or_default()
            }
            Progress::All => &[],
            Progress::Unclear => {
                return Err(FileError::Unknown(format!(
                    "cannot tell whether this was appended to `{path}`: an earlier attempt was \
                     interrupted and the file was changed since; look at its end"
                )));
            }
        };
        // Part of it may be there from here on, on a full disk for example.
        let unfinished = |error| {
            FileError::Unknown(format!(
                "appending to `{path}` did not end: {error}; the next attempt goes on from there"
            ))
        };
        if !rest.is_empty() {
            file.write_all(rest).map_err(unfinished)?;
        }
        mark("bytes");
        file.sync_all().map_err(unfinished)?;
        sync(&folder).map_err(unfinished)?;
        records.rename(&names.intent, &records, &names.receipt).map_err(unfinished)?;
        sync(&records).map_err(unfinished)?;
        mark("receipt");
        Ok(progress != Progress::All)
    }

    /// Whether an append with this token happened. Reads only.
    pub fn appended(&self, call: &CallContext, path: &str, token: &str) -> Result<bool, FileError> {
        let path = readable(call, path)?;
        let Some(root) = self.open_root()? else { return Ok(false) };
        let Some(records) = path.absent_is_none(root.open_dir(APPENDS))? else { return Ok(false) };
        Ok(records.exists(Names::of(&path, token).receipt))
    }
}

/// The names of an append's records, in [`APPENDS`].
struct Names {
    intent: String,
    receipt: String,
}

impl Names {
    fn of(path: &RelativePath, token: &str) -> Self {
        let hash = short_hash(&format!("{path}\0{token}"));
        Self { intent: format!("{hash}.intent"), receipt: format!("{hash}.done") }
    }
}

/// Takes the lock of this root's appends, waiting a while for other processes; `None`: in vain. The
/// system frees it when its holder dies, but a holder may also be stopped.
fn lock(records: &Dir, deadline: Instant) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    let file = records.open_with("lock", &options)?.into_std();
    let give_up = deadline.min(Instant::now() + PATIENCE);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                std::thread::sleep(LOOK_AGAIN);
            }
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn read_intent(
    records: &Dir,
    names: &Names,
    path: &RelativePath,
) -> Result<Option<Intent>, FileError> {
    let Some(bytes) = path.absent_is_none(records.read(&names.intent))? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        FileError::Unknown(format!(
            "the record of an interrupted append to `{path}` is damaged ({error}); look at the \
             file's end, then remove `{APPENDS}/{}`",
            names.intent
        ))
    })
}

fn write_intent(records: &Dir, names: &Names, intent: &Intent) -> io::Result<()> {
    let text = serde_json::to_vec(intent)?;
    replace(records, &names.intent, |temporary| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = records.open_with(temporary, &options)?;
        file.write_all(&text)?;
        file.sync_all()
    })
}

/// Compares what follows the intent's offset with what was to be appended.
fn progress(file: &mut File, intent: &Intent, length: u64, bytes: &[u8]) -> io::Result<Progress> {
    if intent.length != bytes.len() as u64 || length < intent.offset {
        return Ok(Progress::Unclear);
    }
    let mut there = Vec::new();
    file.seek(SeekFrom::Start(intent.offset))?;
    file.take(intent.length).read_to_end(&mut there)?;
    Ok(if there.is_empty() && !bytes.is_empty() {
        Progress::None
    } else if there == bytes {
        Progress::All
    } else if bytes.starts_with(&there) {
        Progress::Some(there.len() as u64)
    } else {
        Progress::Unclear
    })
}
