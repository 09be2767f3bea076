//! What the entries after the target did, object by object.

use std::collections::{BTreeMap, BTreeSet};

use relctl_plan::{
    Address, Before, EntryKind, Path, Plan, Recorded, Reference, Retained, Role, Snapshot, Step,
    Undo, Value, Verb, owned_paths,
};

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
    /// Whether it is removed when it leaves the file: relctl brought it.
    pub(super) is_ours: bool,
    /// Whether the entry before the one that is being added owned it.
    pub(super) was_owned: bool,
    /// The serial of the first of these entries.
    pub(super) first: u64,
}

/// An object that some entry after the target managed.
#[derive(Debug, Clone, Default)]
pub(super) struct Touched {
    pub(super) fields: BTreeMap<Path, OwnedField>,
    /// What the first step of these entries recorded for its plugin.
    pub(super) undo: Option<Undo>,
    /// The first of these entries was a revert that made it anew: it was not there before.
    pub(super) is_remade: bool,
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
                for field in touched.fields.values_mut() {
                    field.was_owned = std::mem::take(&mut field.owned_now);
                }
            }
            let revert = match entry.kind {
                EntryKind::Apply => None,
                EntryKind::Revert => Some(Reverting::of(&context.ledger.plan(&entry.plan).await?)),
            };
            since.add(context, &snapshot, entry.serial, revert.as_ref())?;
        }
        Ok(since)
    }

    /// Adds what the target retained and a later entry deleted, made anew since or not: as far as
    /// relctl had owned it, it goes back to what it was.
    pub(super) async fn add_deleted(
        &mut self,
        context: Context<'_>,
        history: &History,
        (serial, target): (u64, &Snapshot),
    ) -> Result<(), EngineError> {
        let mut retained: BTreeMap<Key, &Retained> = target
            .retained
            .iter()
            .map(|retained| (Key::of(&retained.address, &retained.recorded), retained))
            .collect();
        for (key, Retained { recorded, .. }) in &retained {
            let fields = self.objects.get_mut(key).into_iter().flat_map(|t| &mut t.fields);
            for (path, field) in fields {
                // A value that a reference gave stays a reference: its object may be made anew.
                if matches!(&field.before, Before::Value(v) if value_at(&recorded.observed, path) == Some(v))
                {
                    field.before = retained_value(target, recorded, path);
                }
            }
        }
        for (_, entry) in history.entries.iter().filter(|(_, entry)| entry.serial > serial) {
            if retained.is_empty() {
                break;
            }
            let plan = context.ledger.plan(&entry.plan).await?;
            for step in plan.body.steps.iter().filter(|step| step.verb == Verb::Delete) {
                let key = Key::of_step(step);
                let Some(Retained { address, recorded, .. }) = retained.remove(&key) else {
                    continue;
                };
                let kind = kind_of(context, &recorded.plugin, address)?;
                let touched = self.objects.entry(key).or_default();
                for path in owned_paths(&recorded.desired, &kind.fields) {
                    let before = retained_value(target, recorded, &path);
                    let new = || OwnedField {
                        before: Before::Absent,
                        wrote: None,
                        owned_now: false,
                        is_ours: false,
                        was_owned: false,
                        first: entry.serial,
                    };
                    touched.fields.entry(path).or_insert_with(new).before = before;
                }
                touched.last.get_or_insert_with(|| (address.clone(), recorded.clone()));
            }
        }
        Ok(())
    }

    /// Adds what a revert wrote into objects that it then let go.
    fn add_let_go(&mut self, snapshot: &Snapshot, serial: u64, revert: &Reverting) {
        for retained in snapshot.retained.iter().filter(|retained| retained.since == serial) {
            let key = Key::of(&retained.address, &retained.recorded);
            let Some(step) = revert.steps.get(&key).filter(|step| !step.managed) else { continue };
            let touched = self.objects.entry(key).or_default();
            touched.add_changes(step, (&retained.recorded, serial), |_| true);
            touched.last = Some((retained.address.clone(), retained.recorded.clone()));
        }
    }

    fn add(
        &mut self,
        context: Context<'_>,
        snapshot: &Snapshot,
        serial: u64,
        revert: Option<&Reverting>,
    ) -> Result<(), EngineError> {
        for (address, recorded) in &snapshot.objects {
            let kind = kind_of(context, &recorded.plugin, address)?;
            let key = Key::of(address, recorded);
            let step = revert.and_then(|revert| revert.steps.get(&key));
            let is_remade = step.is_some_and(|step| step.verb == Verb::Create);
            let new = || Touched { is_remade, ..Touched::default() };
            let touched = self.objects.entry(key).or_insert_with(new);
            if recorded.created == serial && !recorded.existed {
                // It was made anew: nothing is left of what was written into the one before.
                touched.fields.values_mut().for_each(|field| field.wrote = None);
            }
            for path in owned_paths(&recorded.desired, &kind.fields) {
                let wrote = value_at(&recorded.observed, &path).cloned();
                let is_ours = recorded.before.get(&path) == Some(&Before::Absent);
                match touched.fields.get_mut(&path) {
                    Some(field) => {
                        field.wrote = wrote;
                        field.owned_now = true;
                        field.is_ours = is_ours;
                    }
                    None => {
                        // A revert takes over what was before the release that it goes back to.
                        let before = match revert {
                            Some(_) => before_step(step, &path, wrote.as_ref()),
                            None => recorded.before.get(&path).cloned().unwrap_or(Before::Absent),
                        };
                        touched.fields.insert(
                            path,
                            OwnedField {
                                before,
                                wrote,
                                owned_now: true,
                                is_ours,
                                was_owned: false,
                                first: serial,
                            },
                        );
                    }
                }
            }
            if let Some(step) = step {
                // What the revert put back without owning it.
                touched.add_changes(step, (recorded, serial), |path| step.releases.contains(path));
            }
            touched.note_left(recorded);
            touched.last = Some((address.clone(), recorded.clone()));
            if recorded.changed == serial && !touched.changed {
                touched.changed = true;
                touched.undo.clone_from(&recorded.undo);
            }
        }
        if let Some(revert) = revert {
            self.add_let_go(snapshot, serial, revert);
        }
        let runs = snapshot.runs.iter().filter(|(_, run)| run.serial == serial);
        self.runs.extend(runs.map(|(key, _)| key.clone()));
        Ok(())
    }
}

impl Touched {
    /// Notes what became of fields that are not owned on their own any more while the object is.
    fn note_left(&mut self, recorded: &Recorded) {
        let owned = self.fields.iter().filter(|(_, field)| field.owned_now);
        let owned: Vec<Path> = owned.map(|(path, _)| path.clone()).collect();
        for (path, field) in self.fields.iter_mut().filter(|(_, field)| !field.owned_now) {
            if owned.iter().any(|whole| whole.contains(path)) {
                // What it is part of is written as a whole.
                field.wrote = value_at(&recorded.observed, path).cloned();
            } else if field.was_owned && field.is_ours {
                // It left the file: then it was removed.
                field.wrote = None;
            }
        }
    }

    /// Adds what a step of a revert wrote into these fields, which it does not own afterwards.
    /// `recorded`: the object after it, of the entry `serial`.
    fn add_changes(
        &mut self,
        step: &Step,
        (recorded, serial): (&Recorded, u64),
        is_wanted: impl Fn(&Path) -> bool,
    ) {
        for change in step.changes.iter().filter(|change| is_wanted(&change.path)) {
            let wrote = if change.unknown {
                value_at(&recorded.observed, &change.path).cloned()
            } else {
                change.after.clone()
            };
            match self.fields.get_mut(&change.path) {
                Some(field) => field.wrote = wrote,
                None => {
                    let before = change.before.clone().map_or(Before::Absent, Before::Value);
                    let field = OwnedField {
                        before,
                        wrote,
                        owned_now: false,
                        is_ours: false,
                        was_owned: false,
                        first: serial,
                    };
                    self.fields.insert(change.path.clone(), field);
                }
            }
        }
    }
}

/// What a field of an object held when it was retained.
fn retained_value(target: &Snapshot, recorded: &Recorded, path: &Path) -> Before {
    let Some(value) = value_at(&recorded.observed, path).cloned() else { return Before::Absent };
    match recorded.inputs.reference_at(path) {
        Some(reference) => {
            let reference = in_target(target, reference, &value);
            Before::Reference { reference: format!("${{{reference}}}"), value }
        }
        None => Before::Value(value),
    }
}

/// The reference under the name that its object had in the target: it may have been renamed after
/// what refers to it was last declared. It is known by the value that it gave.
fn in_target(target: &Snapshot, reference: Reference, value: &Value) -> Reference {
    let retained = target.retained.iter().map(|r| (&r.address, &r.recorded));
    let known = || target.objects.iter().chain(retained.clone());
    if known().any(|(address, _)| *address == reference.address) {
        return reference;
    }
    let kind = (reference.address.role(), reference.address.kind());
    let renamed = known().find(|(address, recorded)| {
        (address.role(), address.kind()) == kind
            && value_at(&recorded.observed, &reference.attribute) == Some(value)
    });
    match renamed {
        Some((address, _)) => Reference { address: address.clone(), ..reference },
        None => reference,
    }
}

/// The steps of a revert, by object.
struct Reverting {
    steps: BTreeMap<Key, Step>,
}

impl Reverting {
    fn of(plan: &Plan) -> Self {
        let resources = plan.body.steps.iter().filter(|step| step.address.role() == Role::Resource);
        Self { steps: resources.map(|step| (Key::of_step(step), step.clone())).collect() }
    }
}

/// What a field was just before a step that left `wrote` in it.
fn before_step(step: Option<&Step>, path: &Path, wrote: Option<&Value>) -> Before {
    let changes = step.map(|step| step.changes.as_slice()).unwrap_or_default();
    let Some(change) = changes.iter().find(|change| change.path.contains(path)) else {
        return wrote.cloned().map_or(Before::Absent, Before::Value);
    };
    let below: Path = path.segments().skip(change.path.segments().len()).collect();
    let before = match &change.before {
        Some(Value::Object(map)) if !below.is_root() => value_at(map, &below).cloned(),
        Some(value) if below.is_root() => Some(value.clone()),
        _ => None,
    };
    before.filter(|value| !value.is_null()).map_or(Before::Absent, Before::Value)
}
