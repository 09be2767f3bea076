//! Walking the history, and finding the entry that a person means.

use relctl_engine::Ledger;
use relctl_ledger::LedgerStore;
use relctl_plan::{Digest, Entry, EntryOutcome, Snapshot};

use crate::error::{CommandError, ErrorKind};

/// An entry with its digest.
pub(crate) type Item = (Digest, Entry);

/// What a person may name: an entry, or what was before the first one.
pub(crate) enum Named {
    Start,
    Entry(Box<Item>),
}

/// The fewest digits of a hash that are taken for one.
const SHORTEST_PREFIX: usize = 4;

/// How far back it is looked first for the entry in force: a page of the ledger.
const NEAR: usize = 100;

/// The newest entries, newest first, at most `limit`.
pub(crate) async fn entries(ledger: &LedgerStore, limit: usize) -> Result<Vec<Item>, CommandError> {
    let rows = ledger.history(limit).await?;
    Ok(rows.into_iter().map(|row| (row.digest, row.entry)).collect())
}

/// The entry whose release runs now: the newest one that succeeded.
pub(crate) async fn in_force(ledger: &LedgerStore) -> Result<Option<Item>, CommandError> {
    let near = entries(ledger, NEAR).await?;
    if let Some(found) = succeeded(&near) {
        return Ok(Some(found.clone()));
    }
    let all = if near.len() < NEAR { near } else { entries(ledger, usize::MAX).await? };
    Ok(succeeded(&all).cloned())
}

/// The newest of these that succeeded.
fn succeeded(entries: &[Item]) -> Option<&Item> {
    entries.iter().find(|(_, entry)| entry.outcome == EntryOutcome::Succeeded)
}

/// Finds what `name` means: `start`, a serial, a version (the newest entry of it), or the first
/// digits of a hash.
pub(crate) async fn find(ledger: &LedgerStore, name: &str) -> Result<Named, CommandError> {
    if name == "start" {
        return Ok(Named::Start);
    }
    let entries = entries(ledger, usize::MAX).await?;
    let newest = entries.first().map_or(0, |(_, entry)| entry.serial);
    if newest == 0 {
        return Err(CommandError::new(ErrorKind::Ledger, "nothing was ever applied")
            .hint("see what would be: relctl plan"));
    }
    let hint = format!(
        "give a serial from 1 to {newest}, a version, at least {SHORTEST_PREFIX} digits of a hash, \
         or `start`; `relctl log` lists them"
    );
    let message = match select(entries, name) {
        Selected::One(item) => return Ok(Named::Entry(item)),
        Selected::None => format!("no entry is meant by `{name}`"),
        Selected::Several => format!("`{name}` is the beginning of several entries' hashes"),
    };
    Err(CommandError::new(ErrorKind::Ledger, message).hint(hint))
}

enum Selected {
    None,
    One(Box<Item>),
    Several,
}

/// The entry that `name` means, of those given newest first.
fn select(entries: Vec<Item>, name: &str) -> Selected {
    let serial: Option<u64> = name.strip_prefix('#').unwrap_or(name).parse().ok();
    let is_prefix =
        name.len() >= SHORTEST_PREFIX && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let by_hash = |(digest, _): &Item| is_prefix && digest.as_str().starts_with(name);
    let exact = entries
        .iter()
        .position(|(_, entry)| serial == Some(entry.serial))
        .or_else(|| entries.iter().position(|(_, entry)| entry.version == name));
    let several = entries.iter().filter(|item| by_hash(item)).count() > 1;
    match exact.or_else(|| entries.iter().position(by_hash)) {
        None => Selected::None,
        Some(_) if exact.is_none() && several => Selected::Several,
        Some(index) => entries
            .into_iter()
            .nth(index)
            .map_or(Selected::None, |item| Selected::One(Box::new(item))),
    }
}

/// What an entry left behind.
pub(crate) async fn snapshot_of(
    ledger: &dyn Ledger,
    named: &Named,
) -> Result<Snapshot, CommandError> {
    match named {
        Named::Start => Ok(Snapshot::empty()),
        Named::Entry(item) => Ok(ledger.snapshot(&item.1.snapshot).await?.without_sealed()),
    }
}

impl Named {
    /// For people: `v1.0.0 #1`.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Start => "start".to_owned(),
            Self::Entry(item) => format!("{} #{}", item.1.version, item.1.serial),
        }
    }
}
