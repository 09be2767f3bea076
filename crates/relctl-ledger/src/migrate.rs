//! Moving a ledger to another place.

use std::time::Duration;

use relctl_engine::{Holder, LedgerError};
use relctl_plan::Head;

use crate::backend::{Backend, Version};
use crate::cell::{Swap, create, replace};
use crate::crypt::may_be_encrypted;
use crate::error::{damaged, missing, refused, untrusted};
use crate::head::{HEAD, StoredHead};
use crate::lock::{self, LOCK, Wait};
use crate::store::{LedgerStore, Place, entry_path};

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    pub entries: u64,
    pub objects: u64,
}

impl LedgerStore {
    /// Moves this ledger to `to` and closes it here. Everything is checked first; a migration that
    /// was cut off is finished by starting it again.
    pub async fn migrate(&self, to: &Place, by: Holder) -> Result<Migration, LedgerError> {
        let target = to.complete().await.connect()?;
        let target_url = target.locate("");
        let here = self.backend.locate("");
        if target_url == here {
            return Err(refused(
                format!("the ledger is at `{here}` already"),
                "name another place",
            ));
        }
        let lock = lock::take(self, by, Wait::AtMost(Duration::ZERO)).await?;
        let root = to.location.to_string();
        let result = self.migrate_locked(target.as_ref(), &target_url, &root).await;
        let released = relctl_engine::Lock::release(&lock).await;
        let migration = result?;
        released?;
        Ok(migration)
    }

    async fn migrate_locked(
        &self,
        target: &dyn Backend,
        target_url: &str,
        new_root: &str,
    ) -> Result<Migration, LedgerError> {
        let (stored, version) = self.read_head().await?;
        if let Some(open) = &stored.head.operation {
            return Err(refused(
                format!("operation {} was interrupted", open.id),
                "`relctl resume` or `relctl revert` first, then migrate",
            ));
        }
        let verification = self.verify().await?;
        if let Some(problem) = verification.problems.into_iter().next() {
            return Err(problem);
        }
        let there = self.look_there(target, target_url, &stored).await?;
        let mut objects = 1;
        if !matches!(there, There::Further) {
            for path in self.raw.list("").await? {
                if path == HEAD || path == LOCK {
                    continue;
                }
                copy(self.raw.as_ref(), target, &path).await?;
                objects += 1;
            }
            // From here on the ledger is there: this write decides.
            self.open_there(target, target_url, &stored, there).await?;
        }
        let mut closed = stored.next(stored.head.clone())?;
        closed.moved_to = Some(new_root.to_owned());
        let bytes = closed.to_bytes(&self.backend.locate(HEAD))?;
        match replace(self.backend.as_ref(), HEAD, &bytes, &version).await? {
            Swap::Done(_) => Ok(Migration { entries: verification.entries, objects }),
            Swap::Lost(_) => Err(untrusted(
                format!("`{}` moved while it was copied", self.backend.locate(HEAD)),
                format!("remove `{target_url}` and migrate again"),
            )),
        }
    }
}

/// What is at the place to move to.
enum There {
    Nothing,
    /// An earlier part of this very ledger: it was there once and comes back, or a migration was
    /// cut off.
    Earlier(Box<StoredHead>, Version),
    /// This ledger, which was moved and went on; only the last write here was cut off.
    Further,
}

fn another(target_url: &str, hint: &str) -> LedgerError {
    untrusted(format!("there is another ledger at `{target_url}`"), hint)
}

const FORKED: &str = "both went on from the same beginning; choose another place, or keep one";

impl LedgerStore {
    async fn look_there(
        &self,
        target: &dyn Backend,
        target_url: &str,
        stored: &StoredHead,
    ) -> Result<There, LedgerError> {
        let Some(object) = target.get(HEAD).await? else { return Ok(There::Nothing) };
        let there = StoredHead::from_bytes(&object.bytes, &target.locate(HEAD))?;
        if there.head.lineage != stored.head.lineage {
            return Err(another(target_url, "choose another place; nothing was changed here"));
        }
        let is_further = there.moved_to.is_none() && there.head.serial > stored.head.serial;
        if is_further {
            let is_there = match &stored.head.entry {
                Some(entry) => target.get(&entry_path(entry)).await?.is_some(),
                None => true,
            };
            return if is_there { Ok(There::Further) } else { Err(another(target_url, FORKED)) };
        }
        if there.head.operation.is_some() || !self.holds(&there.head).await? {
            return Err(another(target_url, FORKED));
        }
        Ok(There::Earlier(Box::new(there), object.version))
    }

    async fn open_there(
        &self,
        target: &dyn Backend,
        target_url: &str,
        stored: &StoredHead,
        there: There,
    ) -> Result<(), LedgerError> {
        let place = target.locate(HEAD);
        let mut next = stored.next(stored.head.clone())?;
        let swap = match there {
            There::Earlier(there, version) => {
                // Whoever has seen that one must not find an older one.
                next.revision = stored.revision.max(there.revision) + 1;
                next.head.epoch = stored.head.epoch.max(there.head.epoch);
                replace(target, HEAD, &next.to_bytes(&place)?, &version).await?
            }
            There::Nothing | There::Further => {
                create(target, HEAD, &next.to_bytes(&place)?).await?
            }
        };
        match swap {
            Swap::Done(_) => {
                self.remember(&next).await;
                Ok(())
            }
            Swap::Lost(_) => {
                Err(another(target_url, "someone writes there; migrate again when it is at rest"))
            }
        }
    }

    /// Whether that head's newest entry is part of this ledger's history.
    async fn holds(&self, other: &Head) -> Result<bool, LedgerError> {
        let Some(entry) = &other.entry else { return Ok(true) };
        let row = self.find_serial(other.serial).await?;
        Ok(row.is_some_and(|row| row.digest == *entry))
    }
}

/// Copies one object. Of what is there already, pages may be older, and age files of the same
/// content differ.
async fn copy(from: &dyn Backend, to: &dyn Backend, path: &str) -> Result<(), LedgerError> {
    let Some(object) = from.get(path).await? else {
        return Err(missing(&from.locate(path), "the listing"));
    };
    let differs = || damaged(&to.locate(path), "it is there and is something else");
    match create(to, path, &object.bytes).await? {
        Swap::Done(_) => Ok(()),
        Swap::Lost(Some(there)) if path.starts_with("history/") || may_be_encrypted(path) => {
            match replace(to, path, &object.bytes, &there.version).await? {
                Swap::Done(_) => Ok(()),
                Swap::Lost(_) => Err(differs()),
            }
        }
        Swap::Lost(_) => Err(differs()),
    }
}
