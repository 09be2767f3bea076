//! The right to write.
//!
//! The lock object is taken by a conditional write that raises its epoch; then HEAD is rewritten
//! with that epoch, before anything else, so that a former holder's next write of HEAD fails. Its
//! next journal segment collides with the empty one that the new holder creates.
//!
//! On a directory the operating system's lock decides who holds it, and frees it when its process
//! dies. Elsewhere the holder rewrites the lock object again and again, and whoever waits takes
//! over when it has not changed for the TTL on the waiter's own monotonic clock: no two machines'
//! clocks are ever compared.

mod held;
mod lease;
mod record;
mod unlock;

use std::time::{Duration, Instant};

use relctl_engine::{Holder, LedgerError, LedgerErrorKind, Lock as _};

use crate::backend::{Backend, Guard, Version};
use crate::error::{error, refused};
use crate::head::StoredHead;
use crate::store::LedgerStore;
use lease::{Reading, Renewed};
use record::{Record, Written};

pub(crate) use held::HeldLock;
pub(crate) use lease::Lease;
pub(crate) use record::LOCK;
pub(crate) use unlock::read_unlock;

pub use unlock::Unlock;

/// Held by a living process of this machine, or of one that shares the directory.
const OS_LOCK: &str = ".lock";

/// How often a directory's lock is tried before "locked" is said without a holder to name.
const GRACE: Duration = Duration::from_millis(500);

/// How long things take. The default is for real; tests use shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// A remote lock whose holder shows no sign of life for so long may be taken over.
    pub ttl: Duration,
    /// How often whoever waits, or looks for a request to park, looks again.
    pub poll: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30), poll: Duration::from_secs(1) }
    }
}

/// Who holds the lock. On a directory, whether that process lives is asked too.
pub(crate) async fn holder(backend: &dyn Backend) -> Result<Option<Holder>, LedgerError> {
    let Some((Record { holder: Some(holder), .. }, _)) = record::read(backend).await? else {
        return Ok(None);
    };
    // Where that cannot be asked, on a read-only disk, what is written counts.
    match backend.guard(OS_LOCK).await {
        Ok(Guard::Held(_)) => Ok(None),
        Ok(Guard::Busy | Guard::Unsupported) | Err(_) => Ok(Some(holder)),
    }
}

/// Asks the holder to park.
pub(crate) async fn request_park(
    backend: &dyn Backend,
    by: Holder,
) -> Result<Option<Holder>, LedgerError> {
    loop {
        let Some(holder) = holder(backend).await? else { return Ok(None) };
        let Some((mut record, version)) = record::read(backend).await? else { return Ok(None) };
        if record.holder.as_ref() != Some(&holder) {
            continue;
        }
        record.park = Some(by.clone());
        if let Written::Done(_) = record::write(backend, &mut record, Some(&version)).await? {
            return Ok(Some(holder));
        }
    }
}

/// How another holder is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It is waited for.
    AtMost(Duration),
    /// It is the holder no longer, unless the operating system says that it is.
    Force,
    /// It is waited for not at all, and what is written may change from clear to encrypted.
    Rekey,
}

/// Takes the lock.
pub(crate) async fn take(
    store: &LedgerStore,
    holder: Holder,
    wait: Wait,
) -> Result<HeldLock, LedgerError> {
    // Without a ledger there is nothing to lock, and nothing is created.
    let (stored, _) = store.read_head().await?;
    if writes(wait) {
        check_encryption(store, &stored)?;
    }
    let backend = store.backend.as_ref();
    let deadline = match wait {
        Wait::AtMost(timeout) => Instant::now() + timeout,
        Wait::Force | Wait::Rekey => Instant::now(),
    };
    let guard = wait_for_guard(backend, store.timing, deadline).await?;
    let os_locked = matches!(guard, Guard::Held(_));
    let mut watched: Option<(Version, Instant)> = None;
    let mut lives = !store.watches_holders;
    let (renewed, took_over) = loop {
        let found = record::read(backend).await?;
        let other = found.as_ref().and_then(|(record, _)| record.holder.clone());
        let expected = found.as_ref().map(|(_, version)| version);
        if let (Some(other), Some(version)) = (&other, expected) {
            let silent_since = match &watched {
                Some((seen, since)) if seen == version => *since,
                seen => {
                    lives |= seen.is_some();
                    Instant::now()
                }
            };
            watched = Some((version.clone(), silent_since));
            let is_free = os_locked
                || wait == Wait::Force
                || other.nonce == holder.nonce
                || silent_since.elapsed() >= store.timing.ttl;
            if !is_free {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() && lives {
                    return Err(locked(backend, Some(other), store.timing, os_locked));
                }
                let pause = if left.is_zero() { store.timing.poll } else { left };
                tokio::time::sleep(store.timing.poll.min(pause)).await;
                continue;
            }
        }
        let previous = found.as_ref().map(|(record, _)| record);
        let epoch = previous.map_or(0, |record| record.epoch).max(stored.head.epoch) + 1;
        let mut record = Record::taken(previous, holder.clone(), epoch);
        let before = Reading::now();
        if let Written::Done(version) = record::write(backend, &mut record, expected).await? {
            let took_over = other.filter(|other| other.nonce != holder.nonce);
            break (Renewed { record, version, before }, took_over);
        }
    };
    let lease = Lease::new(store.backend.clone(), renewed, guard, store.timing);
    let held = HeldLock::fence(store, lease, took_over).await?;
    if writes(wait) {
        // Whoever was waited for may have rekeyed it.
        let right = check_encryption(store, &held.stored().await);
        if let Err(error) = right {
            held.release().await?;
            return Err(error);
        }
    }
    Ok(held)
}

/// The other two write nothing that could be encrypted, or all of it anew.
fn writes(wait: Wait) -> bool {
    matches!(wait, Wait::AtMost(_))
}

/// A ledger is encrypted as a whole or not at all, and for those that HEAD names.
fn check_encryption(store: &LedgerStore, stored: &StoredHead) -> Result<(), LedgerError> {
    if store.writes_for == stored.recipients {
        return Ok(());
    }
    let place = store.backend.locate("");
    let wanted = store.keys.recipients();
    let (what, hint) = match (stored.recipients.is_empty(), wanted.is_empty()) {
        (true, false) => (
            "is not encrypted, and `[ledger] recipients` names some",
            "encrypt all that it holds: relctl ledger rekey",
        ),
        (false, false) if wanted != stored.recipients => (
            "is encrypted for others than `[ledger] recipients` names",
            "write it anew for those: relctl ledger rekey",
        ),
        _ => ("was rekeyed just now", "run it again"),
    };
    Err(refused(format!("the ledger `{place}` {what}"), hint))
}

async fn wait_for_guard(
    backend: &dyn Backend,
    timing: Timing,
    deadline: Instant,
) -> Result<Guard, LedgerError> {
    // Asking who holds the lock takes it for a moment: a single failure says nothing.
    let grace = Instant::now() + GRACE;
    let poll = timing.poll.min(Duration::from_millis(50));
    loop {
        match backend.guard(OS_LOCK).await? {
            Guard::Busy => {}
            guard => return Ok(guard),
        }
        if Instant::now() >= deadline {
            let other = record::read(backend).await?.and_then(|(record, _)| record.holder);
            if other.is_some() || Instant::now() >= grace {
                return Err(locked(backend, other.as_ref(), timing, true));
            }
        }
        tokio::time::sleep(poll).await;
    }
}

fn locked(
    backend: &dyn Backend,
    holder: Option<&Holder>,
    timing: Timing,
    os_locked: bool,
) -> LedgerError {
    let place = backend.locate(LOCK);
    let message = match holder {
        Some(holder) => format!(
            "`{place}` is held by {} on {}, process {}: `{}`{} since {}{}",
            holder.actor,
            holder.host,
            holder.pid,
            holder.command,
            holder
                .plan_id
                .as_ref()
                .map(|id| format!(" of plan {}", id.short()))
                .unwrap_or_default(),
            holder.since,
            holder.run_url.as_ref().map(|url| format!(", {url}")).unwrap_or_default()
        ),
        None => format!("`{place}` is held by another process"),
    };
    let hint = if os_locked {
        "wait for it: `--lock-timeout 10m`; go back over it: `relctl revert --preempt`; if it died, \
         the lock is free at once"
            .to_owned()
    } else {
        format!(
            "wait for it: `--lock-timeout 10m`; go back over it: `relctl revert --preempt`; if it \
             died, whoever waits takes over after {} s",
            timing.ttl.as_secs()
        )
    };
    error(LedgerErrorKind::Locked, message, Some(hint))
}
