//! Moving a ledger to another place.

use std::time::Duration;

use relctl_engine::{Holder, LedgerError};

use crate::backend::Backend;
use crate::cell::{Swap, create, replace};
use crate::error::{damaged, missing, refused, untrusted};
use crate::head::{HEAD, StoredHead};
use crate::lock::{self, LOCK, Wait};
use crate::store::{LedgerStore, Place};

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
        let target = to.connect()?;
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
        let mut objects = 1;
        for path in self.backend.list("").await? {
            if path == HEAD || path == LOCK {
                continue;
            }
            copy(self.raw.as_ref(), target, &path).await?;
            objects += 1;
        }
        // From here on the ledger is there: this write decides.
        let next = stored.next(stored.head.clone())?;
        let place = target.locate(HEAD);
        if let Swap::Lost(there) = create(target, HEAD, &next.to_bytes(&place)?).await? {
            let there = there.ok_or_else(|| missing(&place, "the migration"))?;
            let there = StoredHead::from_bytes(&there.bytes, &place)?.head;
            if there.lineage != stored.head.lineage || there.entry != stored.head.entry {
                return Err(untrusted(
                    format!("there is another ledger at `{target_url}`"),
                    "choose another place; nothing was changed here",
                ));
            }
        } else {
            self.remember(&next).await;
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

async fn copy(from: &dyn Backend, to: &dyn Backend, path: &str) -> Result<(), LedgerError> {
    let Some(object) = from.get(path).await? else {
        return Err(missing(&from.locate(path), "the listing"));
    };
    match create(to, path, &object.bytes).await? {
        Swap::Done(_) => Ok(()),
        Swap::Lost(_) => Err(damaged(&to.locate(path), "it is there and is something else")),
    }
}
