//! What the entries after the target did, object by object.

use std::collections::{BTreeMap, BTreeSet};

use relctl_plan::{Address, Before, Path, Recorded, Snapshot, Undo, Value, owned_paths};

use super::target::History;
use crate::planning::base::{Key, kind_of};
use crate::planning::decide::value_at;
use crate::{Context, EngineError};

/// A field that some entry after the target owned.
#[derive(Debug, Clone)]
pub(super) struct OwnedField {
    /// What it was before the first of these entries owned it.
    pub(super) before: Before,
    /// What the last of them left.
    pub(super) wrote: Option<Value>,
    /// Whether the newest entry owns it.
    pub(super) owned_now: bool,
}

/// An object that some entry after the target managed.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    pub(super) fields: BTreeMap<Path, OwnedField>,
    /// What the first step of these entries recorded for its plugin.
    pub(super) undo: Option<Undo>,
    changed: bool,
    /// The object as the last of these entries recorded it.
    pub(super) last: Option<(Address, Recorded)>,
}

/// Everything that the entries after the target touched.
#[derive(Debug, Default)]
pub(super) struct Since {
    pub(super) objects: BTreeMap<Key, Touched>,
    /// The keys of the runs of these entries.
    pub(super) runs: BTreeSet<String>,
}

impl Since {
    pub(super) async fn read(
        context: Context<'_>,
        history: &History,
        target: u64,
    ) -> Result<Self, EngineError> {
        let mut since = Self::default();
        for (_, entry) in history.entries.iter().rev().filter(|(_, entry)| entry.serial > target) {
            let snapshot = context.ledger.snapshot(&entry.snapshot).await?;
            for touched in since.objects.values_mut() {
                touched.fields.values_mut().for_each(|field| field.owned_now = false);
            }
            since.add(context, &snapshot, entry.serial)?;
        }
        Ok(since)
    }

    fn add(
        &mut self,
        context: Context<'_>,
        snapshot: &Snapshot,
        serial: u64,
    ) -> Result<(), EngineError> {
        for (address, recorded) in &snapshot.objects {
            let kind = kind_of(context, &recorded.plugin, address)?;
            let touched = self.objects.entry(Key::of(address, recorded)).or_default();
            for path in owned_paths(&recorded.desired, &kind.fields) {
                let wrote = value_at(&recorded.observed, &path).cloned();
                match touched.fields.get_mut(&path) {
                    Some(field) => {
                        field.wrote = wrote;
                        field.owned_now = true;
                    }
                    None => {
                        let before = recorded.before.get(&path).cloned().unwrap_or(Before::Absent);
                        touched.fields.insert(path, OwnedField { before, wrote, owned_now: true });
                    }
                }
            }
            touched.last = Some((address.clone(), recorded.clone()));
            if recorded.changed == serial && !touched.changed {
                touched.changed = true;
                touched.undo.clone_from(&recorded.undo);
            }
        }
        let runs = snapshot.runs.iter().filter(|(_, run)| run.serial == serial);
        self.runs.extend(runs.map(|(key, _)| key.clone()));
        Ok(())
    }
}
