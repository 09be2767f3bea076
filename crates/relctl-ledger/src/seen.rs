//! What this client has seen of a ledger: an older copy put in its place is noticed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use relctl_engine::LedgerError;
use relctl_plan::Digest;
use serde::{Deserialize, Serialize};

use crate::backend::{Backend as _, Put};
use crate::codec::{from_map, seal, to_map, unseal};
use crate::error::{self, damaged, untrusted};
use crate::head::StoredHead;
use crate::local::LocalBackend;

/// The newest state of one lineage that this client saw or wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    format: u32,
    /// `None` where an older version wrote it.
    lineage: Option<String>,
    pub(crate) serial: u64,
    pub(crate) entry: Option<Digest>,
    revision: u64,
    nonce: String,
}

impl Seen {
    const FORMAT: u32 = 1;

    fn of(stored: &StoredHead) -> Self {
        Self {
            format: Self::FORMAT,
            lineage: Some(stored.head.lineage.clone()),
            serial: stored.head.serial,
            entry: stored.head.entry.clone(),
            revision: stored.revision,
            nonce: stored.nonce.clone(),
        }
    }

    /// Checks that `stored` is this state or a later one. Whether its chain still holds
    /// [`Seen::entry`] is for the caller to check, where the serial is higher.
    pub(crate) fn check(
        &self,
        stored: &StoredHead,
        place: &str,
        memory: &Path,
    ) -> Result<(), LedgerError> {
        let older = stored.revision < self.revision || stored.head.serial < self.serial;
        let other = (stored.revision == self.revision && stored.nonce != self.nonce)
            || (stored.head.serial == self.serial && stored.head.entry != self.entry);
        let what = match (older, other) {
            (true, _) => format!(
                "`{place}` is older than what was seen here: it is at #{}, revision {}; seen were \
                 #{}, revision {}",
                stored.head.serial, stored.revision, self.serial, self.revision
            ),
            (_, true) => format!(
                "`{place}` is not the one seen here: #{} or revision {} was something else then",
                stored.head.serial, stored.revision
            ),
            _ => return Ok(()),
        };
        Err(untrusted(what, forget_hint(memory)))
    }
}

/// Where a client remembers: one file for each lineage.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    folder: PathBuf,
}

impl Memory {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn file(&self, lineage: &str) -> PathBuf {
        self.folder.join(lineage)
    }

    /// What was seen of this lineage, `None` if nothing was.
    pub(crate) fn recall(&self, lineage: &str) -> Result<Option<Seen>, LedgerError> {
        let path = self.file(lineage);
        let place = path.display().to_string();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(error::io("read", &place, e)),
        };
        let read = || {
            let seen: Seen = from_map(unseal(&bytes, Seen::FORMAT, &place)?, &place)?;
            match &seen.lineage {
                Some(other) if other != lineage => {
                    Err(damaged(&place, format_args!("it is of lineage {other}")))
                }
                _ => Ok(seen),
            }
        };
        read().map(Some).map_err(|error| LedgerError { hint: Some(forget_hint(&path)), ..error })
    }

    /// Remembers `stored`, if it is later than what is remembered.
    pub(crate) async fn remember(&self, stored: &StoredHead) -> Result<(), LedgerError> {
        let lineage = &stored.head.lineage;
        let seen = Seen::of(stored);
        let path = self.file(lineage);
        let bytes = seal(to_map(&seen, lineage)?, lineage)?;
        let folder = LocalBackend::new(&self.folder);
        // Two commands may finish at once: whoever saw the later state has the last word.
        loop {
            let put = match folder.get(lineage).await? {
                None => folder.put_if_absent(lineage, &bytes).await?,
                Some(object) if object.bytes == bytes => return Ok(()),
                Some(object) => {
                    if self.recall(lineage)?.is_some_and(|now| now.revision > seen.revision) {
                        return Ok(());
                    }
                    folder.put_if_match(lineage, &bytes, &object.version).await?
                }
            };
            match put {
                Put::Done(_) => return Ok(()),
                Put::Refused => {}
                Put::Unsure(error) => return Err(error),
            }
            tracing::debug!(path = %path.display(), "someone else wrote it first; trying again");
        }
    }
}

fn forget_hint(memory: &Path) -> String {
    format!(
        "if an older copy was put there on purpose, remove `{}` and run again",
        memory.display()
    )
}
