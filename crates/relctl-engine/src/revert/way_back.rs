//! The goals of a revert: what the target retained, and what was before, for what came since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use relctl_plan::{
    Address, Before, CheckWhen, Field, Fields, Map, OnRevert, Path, Plan, Recorded, Risk, Run,
    RunOutcome, Severity, Snapshot, Step, Template, Value, Verb, owned_paths,
};

use super::since::{OwnedField, Since, Touched};
use crate::planning::base::{Base, Key, kind_of};
use crate::planning::decide::value_at;
use crate::planning::goal::{Fate, Fates, Goal, Goals, WayBack};
use crate::planning::restore::restore_notes;
use crate::{Context, EngineError};

/// Goals with what a reader should know of them.
pub(super) struct Back {
    pub(super) goals: Goals,
    pub(super) risks: Vec<Risk>,
    pub(super) notes: Vec<String>,
}

/// Everything that the goals are worked out from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'s> {
    pub(super) base: &'s Base,
    pub(super) target: &'s Snapshot,
    /// The plan of the target's entry, for its checks.
    pub(super) target_plan: Option<&'s Plan>,
    pub(super) since: &'s Since,
    pub(super) accept_loss: &'s BTreeSet<Address>,
}

/// An object on its way back.
#[derive(Clone, Copy)]
struct Going<'s> {
    address: &'s Address,
    recorded: &'s Recorded,
    touched: Option<&'s Touched>,
    /// Whether the target managed it.
    managed: bool,
}

/// Works out the goals.
pub(super) fn goals_of(context: Context<'_>, sources: Sources<'_>) -> Result<Back, EngineError> {
    let Sources { base, target, since, .. } = sources;
    let mut back = Back { goals: Goals::default(), risks: Vec::new(), notes: Vec::new() };
    let mut going: Vec<Going<'_>> = target
        .objects
        .iter()
        .map(|(address, recorded)| {
            let touched = since.objects.get(&Key::of(address, recorded));
            Going { address, recorded, touched, managed: true }
        })
        .collect();
    let had: BTreeSet<Key> = target.objects.iter().map(|(a, r)| Key::of(a, r)).collect();
    let was_retained: BTreeSet<Key> =
        target.retained.iter().map(|r| Key::of(&r.address, &r.recorded)).collect();
    let mut fates = BTreeMap::new();
    let managed = base.snapshot.objects.iter();
    let retained = base.snapshot.retained.iter().map(|r| (&r.address, &r.recorded));
    for (address, recorded) in managed.chain(retained) {
        let key = Key::of(address, recorded);
        let Some(touched) = since.objects.get(&key).filter(|_| !had.contains(&key)) else {
            continue;
        };
        let was_there = recorded.existed && !touched.is_remade;
        if was_there || was_retained.contains(&key) {
            going.push(Going { address, recorded, touched: Some(touched), managed: false });
        } else if is_deleted(context, address, recorded, sources, &mut back)? {
            fates.insert(key, Fate::DeleteIfUntouched);
        }
    }
    back.goals.fates = Fates::Known(fates);
    going.extend(deleted_since(base, since, &had, &was_retained));
    let mut taken: BTreeSet<Address> = BTreeSet::new();
    let mut reachable: BTreeSet<&Address> = BTreeSet::new();
    // An address that stands for two objects refers to the one that the target managed, or to none.
    let mut twice: BTreeSet<&Address> = BTreeSet::new();
    for going in &going {
        if !reachable.insert(going.address) && !target.objects.contains_key(going.address) {
            twice.insert(going.address);
        }
    }
    reachable.retain(|address| !twice.contains(address));
    for going in &going {
        let mut goal = goal_of(context, *going, &reachable)?;
        if !taken.insert(goal.address.clone()) {
            goal.address = another_address(&goal.address, &taken)?;
            taken.insert(goal.address.clone());
        }
        back.goals.goals.push(goal);
    }
    back.goals.goals.extend(checks(sources));
    undo_runs(context, base, since, &mut back)?;
    Ok(back)
}

/// Objects that were there, before relctl or retained by the target, and were deleted since: as far
/// as relctl owned them, they come back.
fn deleted_since<'s>(
    base: &'s Base,
    since: &'s Since,
    had: &'s BTreeSet<Key>,
    was_retained: &'s BTreeSet<Key>,
) -> impl Iterator<Item = Going<'s>> {
    since.objects.iter().filter_map(move |(key, touched)| {
        let (address, recorded) = touched.last.as_ref()?;
        let was_there = (recorded.existed && !touched.is_remade) || was_retained.contains(key);
        let gone = was_there && !had.contains(key) && !base.knows(key);
        gone.then_some(Going { address, recorded, touched: Some(touched), managed: false })
    })
}

/// The address already stands for another object of the target.
fn another_address(address: &Address, taken: &BTreeSet<Address>) -> Result<Address, EngineError> {
    let mut number = 2_u32;
    loop {
        let name = format!("{}-{number}", address.name());
        let other = Address::new(address.role(), address.kind(), &name).map_err(|error| {
            EngineError::Nothing {
                message: error.to_string(),
                hint: "name an earlier entry with `--to`".to_owned(),
            }
        })?;
        if !taken.contains(&other) {
            return Ok(other);
        }
        number += 1;
    }
}

fn goal_of(
    context: Context<'_>,
    going: Going<'_>,
    reachable: &BTreeSet<&Address>,
) -> Result<Goal, EngineError> {
    let recorded = going.recorded;
    let kind = kind_of(context, &recorded.plugin, going.address)?;
    let identity: BTreeSet<Path> = kind.identity.iter().map(|field| Path::field(field)).collect();
    let (owned, mut inputs, mut releases) = if going.managed {
        let owned = owned_paths(&recorded.desired, &kind.fields);
        let mut inputs = close(&recorded.inputs, &recorded.desired, &owned, reachable);
        // Used only if the object has to be created again.
        for path in &recorded.lifecycle.external {
            if let Some(value) = value_at(&recorded.observed, path) {
                set(&mut inputs, path, escaped_value(value));
            }
        }
        (owned, inputs, BTreeSet::new())
    } else {
        (identity.clone(), escaped(&recorded.identity), identity)
    };
    let mut absent = BTreeSet::new();
    let mut only_if = BTreeMap::new();
    let touched = going.touched.map(|touched| untangled(&touched.fields, &kind.fields));
    let touched = touched.iter().flatten();
    for (path, field) in touched.flat_map(|(path, field)| apart(path, field, &owned, &kind.fields))
    {
        match before_input(&field.before, reachable) {
            Some(value) => set(&mut inputs, &path, value),
            None => {
                absent.insert(path.clone());
            }
        }
        if !field.owned_now {
            only_if.insert(path.clone(), field.wrote.clone());
        }
        releases.insert(path);
    }
    let back = WayBack {
        releases,
        absent,
        only_if,
        before: if going.managed { recorded.before.clone() } else { Fields::new() },
        managed: going.managed,
        existed: recorded.existed,
        undo: going.touched.and_then(|touched| touched.undo.clone()),
    };
    Ok(Goal {
        address: going.address.clone(),
        plugin: recorded.plugin.clone(),
        inputs: Template::parse(inputs).unwrap_or_default(),
        depends_on: recorded.depends_on.clone(),
        lifecycle: recorded.lifecycle.clone(),
        on_revert: recorded.on_revert,
        undo_inputs: None,
        triggers: None,
        when: CheckWhen::After,
        blocking: true,
        back: Some(back.into()),
    })
}

/// Fields of which none is part of another that says otherwise. A map that was owned as a whole, as
/// empty, and then by its entries goes back entry by entry; entries that were owned before the whole
/// was go back with it.
fn untangled(touched: &BTreeMap<Path, OwnedField>, schema: &Field) -> BTreeMap<Path, OwnedField> {
    let mut apart: BTreeMap<Path, OwnedField> = BTreeMap::new();
    for (path, field) in touched {
        let is_whole = touched.keys().any(|other| other != path && path.contains(other));
        let in_owned = touched
            .iter()
            .any(|(other, whole)| whole.owned_now && other != path && other.contains(path));
        if !is_whole || field.owned_now {
            let owned_now = field.owned_now || in_owned;
            // Owned as a part of the whole first: then it was what it was in there.
            let whole = touched.iter().filter(|(other, whole)| {
                other != &path && other.contains(path) && whole.first < field.first
            });
            let before = whole
                .min_by_key(|(_, whole)| whole.first)
                .map_or_else(|| field.before.clone(), |(other, whole)| part_of(other, whole, path));
            apart.insert(path.clone(), OwnedField { before, owned_now, ..field.clone() });
            continue;
        }
        let Before::Value(value) = &field.before else { continue };
        let mut whole = Map::new();
        set(&mut whole, path, value.clone());
        let parts = owned_paths(&whole, schema).into_iter();
        for part in parts.filter(|part| !touched.contains_key(part)) {
            let before = value_at(&whole, &part).cloned().map_or(Before::Absent, Before::Value);
            apart.insert(
                part,
                OwnedField { before, wrote: None, owned_now: in_owned, ..field.clone() },
            );
        }
    }
    apart
}

/// What was at `path` before `whole`, which lies above it, was owned.
fn part_of(above: &Path, whole: &OwnedField, path: &Path) -> Before {
    let below: Path = path.segments().skip(above.segments().len()).collect();
    match &whole.before {
        Before::Value(Value::Object(map)) => {
            value_at(map, &below).cloned().map_or(Before::Absent, Before::Value)
        }
        _ => Before::Absent,
    }
}

/// The parts of a field that the target does not own itself.
fn apart(
    path: &Path,
    field: &OwnedField,
    owned: &BTreeSet<Path>,
    fields: &Field,
) -> Vec<(Path, OwnedField)> {
    if owned.iter().any(|own| own.contains(path)) {
        return Vec::new();
    }
    if !owned.iter().any(|own| path.contains(own)) {
        return vec![(path.clone(), field.clone())];
    }
    // Owned as a whole since, and in parts by the target: what else was there goes back.
    let Before::Value(value) = &field.before else { return Vec::new() };
    let mut whole = Map::new();
    set(&mut whole, path, value.clone());
    owned_paths(&whole, fields)
        .into_iter()
        .filter(|leaf| !owned.iter().any(|own| own.contains(leaf) || leaf.contains(own)))
        .map(|leaf| {
            let before = value_at(&whole, &leaf).cloned().map_or(Before::Absent, Before::Value);
            let below: Path = leaf.segments().skip(path.segments().len()).collect();
            let wrote = match &field.wrote {
                Some(Value::Object(map)) => value_at(map, &below).cloned(),
                _ => None,
            };
            (leaf, OwnedField { before, wrote, ..field.clone() })
        })
        .collect()
}

/// What was desired, closed: references to objects that are goals too stay, so that an object that
/// is made anew reaches those that use it; everything else is the value that it had.
fn close(
    inputs: &Template,
    desired: &Map,
    owned: &BTreeSet<Path>,
    reachable: &BTreeSet<&Address>,
) -> Map {
    let mut closed = escaped(desired);
    for path in owned {
        let Some(reference) = inputs.reference_at(path) else { continue };
        if reachable.contains(&reference.address) {
            set(&mut closed, path, Value::String(format!("${{{reference}}}")));
        }
    }
    closed
}

/// What to declare so that a field is as it was; `None`: it was absent.
fn before_input(before: &Before, reachable: &BTreeSet<&Address>) -> Option<Value> {
    match before {
        Before::Absent => None,
        Before::Value(value) => Some(escaped_value(value)),
        Before::Reference { reference, value } => {
            let text = Value::String(reference.clone());
            let template = Template::parse(Map::from_iter([("value".to_owned(), text.clone())]));
            let is_goal = template.is_ok_and(|template| {
                template.references().iter().all(|r| reachable.contains(&r.address))
            });
            Some(if is_goal { text } else { escaped_value(value) })
        }
    }
}

fn escaped(map: &Map) -> Map {
    Template::closed(map).as_map().clone()
}

fn escaped_value(value: &Value) -> Value {
    let map = Map::from_iter([("value".to_owned(), value.clone())]);
    escaped(&map).remove("value").unwrap_or_default()
}

fn set(map: &mut Map, path: &Path, value: Value) {
    let mut document = relctl_plan::Document::known(std::mem::take(map));
    document.set(path, value);
    *map = Arc::unwrap_or_clone(document.value);
}

/// Whether an object that relctl created since goes.
fn is_deleted(
    context: Context<'_>,
    address: &Address,
    recorded: &Recorded,
    sources: Sources<'_>,
    back: &mut Back,
) -> Result<bool, EngineError> {
    let kind = kind_of(context, &recorded.plugin, address)?;
    let by_default = if kind.holds_data { OnRevert::Keep } else { OnRevert::Undo };
    if recorded.is_protected() {
        back.notes.push(format!("{address} was created since, is protected and is kept"));
        return Ok(false);
    }
    if recorded.on_revert.unwrap_or(by_default) == OnRevert::Keep {
        back.notes.push(format!("{address} was created since and is kept"));
        return Ok(false);
    }
    if kind.holds_data && !sources.accept_loss.contains(address) {
        return Err(EngineError::Refused {
            message: format!("the revert would delete {address} with the data in it"),
            hint: format!(
                "to accept that, say `--accept-loss {address}`; to keep it, write \
                 `on_revert = \"keep\"` in the release file and apply that first"
            ),
        });
    }
    Ok(true)
}

/// The target's checks. Its gates are left out: the way back is not to be blocked by what guards
/// the way forward.
fn checks(sources: Sources<'_>) -> Vec<Goal> {
    let steps = sources.target_plan.map(|plan| plan.body.steps.as_slice()).unwrap_or_default();
    let is_check = |step: &&Step| step.verb == Verb::Check && step.when != Some(CheckWhen::Before);
    let of_step = |step: &Step| Goal {
        address: step.address.clone(),
        plugin: step.plugin.clone(),
        inputs: if step.desired.is_known() {
            Template::closed(&step.desired.value)
        } else {
            step.inputs.clone()
        },
        depends_on: step.depends_on.clone(),
        lifecycle: step.lifecycle.clone(),
        on_revert: None,
        undo_inputs: None,
        triggers: None,
        when: CheckWhen::After,
        blocking: step.blocking.unwrap_or(true),
        back: None,
    };
    steps.iter().filter(is_check).map(of_step).collect()
}

/// Runs since the target that declare an undo are undone; the others are told of.
fn undo_runs(
    context: Context<'_>,
    base: &Base,
    since: &Since,
    back: &mut Back,
) -> Result<(), EngineError> {
    let mut runs: Vec<(&String, &Run)> = since
        .runs
        .iter()
        .filter_map(|key| base.snapshot.runs.get_key_value(key))
        .filter(|(_, run)| run.undone.is_none())
        .collect();
    runs.sort_by_key(|(_, run)| run.serial);
    for (key, run) in runs {
        let kind = kind_of(context, &run.plugin, &run.address)?;
        let began = !run.output.is_empty();
        let (address, serial) = (&run.address, run.serial);
        let said = match (&run.undo, run.outcome) {
            (_, RunOutcome::Done) if kind.restore_point.is_some() => {
                back.notes.extend(restore_notes(kind, run));
                continue;
            }
            (Some(_), RunOutcome::Done) => {
                back.goals.undo_runs.push(key.clone());
                continue;
            }
            (None, RunOutcome::Done) => format!(
                "{address} ran in entry #{serial} and declares no undo: what it did, and what was \
                 written since, stays, and is what the older version meets"
            ),
            (_, RunOutcome::Unknown) => format!(
                "whether {address} ran in entry #{serial} is not known: what it did, if it did, stays"
            ),
            (_, RunOutcome::Failed) if began && kind.restore_point.is_none() => format!(
                "{address} began in entry #{serial} and failed: what it did until then stays"
            ),
            (_, RunOutcome::Failed) => continue,
        };
        back.risks.push(Risk { severity: Severity::Caution, message: said });
    }
    Ok(())
}
