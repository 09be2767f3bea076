//! Taking a lock from a holder that will not give it back, on the record.

use relctl_engine::{Holder, LedgerError, Lock as _};
use serde::{Deserialize, Serialize};

use super::{Wait, take};
use crate::backend::Backend;
use crate::cell::{Swap, create};
use crate::codec::{from_map, seal, to_map, unseal};
use crate::error::{missing, moved, refused};
use crate::store::LedgerStore;

/// A lock taken by force: `unlocks/<epoch>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlock {
    format: u32,
    /// The epoch that ended the holder's right to write.
    pub epoch: u64,
    pub freed: Holder,
    pub by: Holder,
    pub reason: String,
}

impl Unlock {
    const FORMAT: u32 = 1;
}

impl LedgerStore {
    /// Takes the lock from whoever holds it and gives it back free, recording why. From then on
    /// nothing that the former holder writes counts. Returns what was recorded, `None` if nobody
    /// held it. Where the operating system says that the holder lives, that is refused.
    pub async fn unlock(&self, by: Holder, reason: &str) -> Result<Option<Unlock>, LedgerError> {
        if reason.trim().is_empty() {
            return Err(refused("an unlock needs a reason", "say why with `--reason`"));
        }
        let lock = take(self, by.clone(), Wait::Force).await?;
        let epoch = lock.head().epoch;
        let unlock = lock.took_over().map(|freed| Unlock {
            format: Unlock::FORMAT,
            epoch,
            freed: freed.clone(),
            by,
            reason: reason.to_owned(),
        });
        if let Some(unlock) = &unlock {
            let path = format!("unlocks/{epoch:08}.json");
            let place = self.backend.locate(&path);
            let bytes = seal(to_map(unlock, &place)?, &place)?;
            if let Swap::Lost(_) = create(self.backend.as_ref(), &path, &bytes).await? {
                return Err(moved(format!("`{place}` was written by someone else")));
            }
        }
        lock.release().await?;
        Ok(unlock)
    }
}

/// Reads and checks one record of an unlock.
pub(crate) async fn read_unlock(backend: &dyn Backend, path: &str) -> Result<Unlock, LedgerError> {
    let place = backend.locate(path);
    let Some(object) = backend.get(path).await? else {
        return Err(missing(&place, "the listing"));
    };
    from_map(unseal(&object.bytes, Unlock::FORMAT, &place)?, &place)
}
