//! Which entry a revert goes back to.

use relctl_plan::{Digest, Entry, EntryKind, EntryOutcome, Head, Origin};

use super::RevertTarget;
use crate::{Context, EngineError};

/// The entries from the newest to the first.
pub(super) struct History {
    pub(super) entries: Vec<(Digest, Entry)>,
    /// Whether an operation is open: a revert settles it first, and goes back from its entry.
    is_open: bool,
}

impl History {
    pub(super) async fn read(context: Context<'_>, head: &Head) -> Result<Self, EngineError> {
        let mut entries = Vec::new();
        let mut next = head.entry.clone();
        while let Some(digest) = next.take() {
            let entry = context.ledger.entry(&digest).await?;
            next.clone_from(&entry.parent);
            entries.push((digest, entry));
        }
        Ok(Self { entries, is_open: head.operation.is_some() })
    }

    /// Whether a later, successful revert went back over the entry with this serial.
    fn was_reverted(&self, serial: u64) -> bool {
        self.entries.iter().any(|(_, entry)| {
            entry.kind == EntryKind::Revert
                && entry.outcome == EntryOutcome::Succeeded
                && entry.serial > serial
                && entry.restores.is_some_and(|restored| restored < serial)
        })
    }
}

/// Finds the entry that `target` means.
pub(super) fn choose(history: &History, target: &RevertTarget) -> Result<Origin, EngineError> {
    let Some((_, newest)) = history.entries.first() else {
        if history.is_open && matches!(target, RevertTarget::Previous | RevertTarget::Start) {
            return Ok(start());
        }
        return Err(nothing("nothing was ever applied", "`relctl plan` shows what would be"));
    };
    let chosen = match target {
        RevertTarget::Previous => return previous(history, newest),
        RevertTarget::Start | RevertTarget::Serial(0) => return Ok(start()),
        RevertTarget::Serial(serial) => {
            history.entries.iter().find(|(_, entry)| entry.serial == *serial).ok_or_else(|| {
                nothing(&format!("there is no entry #{serial}"), "`relctl log` lists the entries")
            })?
        }
        RevertTarget::Named(name) => named(history, name)?,
    };
    let (digest, entry) = chosen;
    if entry.serial == newest.serial {
        return Err(nothing(
            &format!("{} #{} is the entry in force", entry.version, entry.serial),
            "name an earlier one, or leave out `--to`",
        ));
    }
    Ok(origin(digest, entry))
}

fn previous(history: &History, newest: &Entry) -> Result<Origin, EngineError> {
    let is_revert = newest.kind == EntryKind::Revert && newest.outcome == EntryOutcome::Succeeded;
    if is_revert && !history.is_open {
        return Err(nothing(
            &format!(
                "the newest entry, #{}, is a revert already: {} runs",
                newest.serial, newest.version
            ),
            "to go further back, name an entry: `relctl revert --to SERIAL`; `relctl log` lists them",
        ));
    }
    let before = usize::from(!history.is_open);
    let good = history
        .entries
        .iter()
        .skip(before)
        .find(|(_, entry)| entry.is_good() && !history.was_reverted(entry.serial));
    match good {
        Some((digest, entry)) => Ok(origin(digest, entry)),
        None if history.entries.len() == before => Ok(start()),
        None => Err(nothing(
            "no earlier entry succeeded and was verified",
            "choose one yourself with `relctl revert --to SERIAL`, or go back to before the first \
             with `--to start`; `relctl log` lists them",
        )),
    }
}

/// An entry by serial, by version, the newest good one, or by hash prefix.
fn named<'h>(history: &'h History, name: &str) -> Result<&'h (Digest, Entry), EngineError> {
    let serial = name.parse::<u64>().ok();
    if let Some(found) = history.entries.iter().find(|(_, entry)| Some(entry.serial) == serial) {
        return Ok(found);
    }
    let of_version = || history.entries.iter().filter(|(_, entry)| entry.version == name);
    if let Some(found) = of_version().find(|(_, entry)| entry.is_good()) {
        return Ok(found);
    }
    if let Some((_, entry)) = of_version().next() {
        return Err(nothing(
            &format!("no entry of version {name} succeeded and was verified"),
            &format!(
                "to go there all the same, name its serial: `relctl revert --to {}`",
                entry.serial
            ),
        ));
    }
    let by_hash: Vec<_> = history
        .entries
        .iter()
        .filter(|(digest, _)| name.len() >= 4 && digest.as_str().starts_with(name))
        .collect();
    match by_hash.as_slice() {
        [one] => Ok(one),
        [] => Err(nothing(
            &format!("no entry has the serial, version or hash `{name}`"),
            "`relctl log` lists the entries",
        )),
        _ => Err(nothing(
            &format!("`{name}` is the beginning of several entries' hashes"),
            "give more digits; `relctl log` lists the entries",
        )),
    }
}

fn start() -> Origin {
    Origin { serial: 0, entry: None, version: None }
}

fn origin(digest: &Digest, entry: &Entry) -> Origin {
    Origin {
        serial: entry.serial,
        entry: Some(digest.clone()),
        version: Some(entry.version.clone()),
    }
}

fn nothing(message: &str, hint: &str) -> EngineError {
    EngineError::Nothing { message: message.to_owned(), hint: hint.to_owned() }
}
