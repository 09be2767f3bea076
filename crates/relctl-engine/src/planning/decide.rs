//! Decides what happens to one object. Pure but for the plugin's assessment, which comes between
//! [`decide_resource`] or [`decide_action`] and [`finish`].

use std::collections::BTreeSet;
use std::sync::Arc;

use relctl_plan::{
    Address, Assessment, Before, Diagnostic, Document, Expectation, FieldChange, Fields, Kind,
    Lifecycle, Map, Path, RecordChange, Recorded, Reversal, Risk, Role, RunOutcome, RunPolicy,
    Severity, Step, StepId, Template, Undo, Value, Verb, diff, digest_of, overlay, owned_paths,
    select,
};

use super::base::Found;
use super::pipeline::{Item, Pipeline};
use crate::{Change, Subject};

/// What happens to an object.
pub(crate) enum Decision {
    /// Nobody has looked at it.
    Undecided,
    /// Made canonical, not decided.
    Pending,
    /// Nothing, or only its record changes.
    Noop(Option<Box<RecordChange>>),
    /// An action whose run is on record, with its output.
    AlreadyRan(Arc<Map>),
    /// An action that nothing needs.
    NotNeeded,
    /// Waits for the plugin's assessment.
    Drafted(Box<Step>),
    /// A revert stops managing it; nothing goes back.
    LetGo,
    /// It exists as declared: from now on it is recorded.
    Adopt(Box<Step>),
    Step(Box<Step>),
    /// Its step is in the plan.
    Planned,
}

impl Decision {
    pub(crate) fn step(&self) -> Option<&Step> {
        match self {
            Self::Adopt(step) | Self::Step(step) => Some(step),
            _ => None,
        }
    }

    /// Moves the step out, if there is one.
    pub(crate) fn take_step(&mut self) -> Option<Step> {
        match std::mem::replace(self, Self::Planned) {
            Self::Adopt(step) | Self::Step(step) => Some(*step),
            other => {
                *self = other;
                None
            }
        }
    }

    /// Whether there is a step, or was one before it was moved into the plan.
    pub(crate) fn has_step(&self) -> bool {
        matches!(self, Self::Adopt(_) | Self::Step(_) | Self::Planned)
    }

    /// A check is a step whenever it is in the release.
    pub(crate) fn check(item: &Item<'_>) -> Self {
        let mut step = blank_step(item, Verb::Check);
        step.when = Some(item.goal.when);
        step.blocking = Some(item.goal.blocking);
        Self::Step(Box::new(step))
    }
}

/// A step with nothing decided but its verb.
fn blank_step(item: &Item<'_>, verb: Verb) -> Step {
    let goal = &item.goal;
    Step {
        id: StepId::new(&goal.address, verb),
        address: goal.address.clone(),
        plugin: goal.plugin.clone(),
        verb,
        identity: item.identity.clone().unwrap_or_default(),
        inputs: goal.inputs.clone(),
        desired: Arc::clone(&item.desired),
        releases: BTreeSet::new(),
        planned: Document::default(),
        changes: Vec::new(),
        expects: Expectation::default(),
        needs: Vec::new(),
        reversal: Reversal::Exact,
        risks: Vec::new(),
        notes: Vec::new(),
        undo: undo_of(item).map(Undo::without_sealed),
        depends_on: goal.edges().into_iter().collect(),
        lifecycle: goal.lifecycle.clone(),
        on_revert: goal.on_revert,
        before: Fields::new(),
        renamed_from: None,
        existed: false,
        managed: item.is_managed_after(),
        run_key: None,
        triggers: goal.triggers.clone(),
        undo_inputs: goal.undo_inputs.clone(),
        undoes: None,
        when: None,
        blocking: None,
    }
}

/// What the step that is undone recorded for its plugin.
fn undo_of(item: &Item<'_>) -> Option<Undo> {
    item.goal.back.as_ref().and_then(|back| back.undo.clone())
}

/// Ownership worked out for a resource.
struct Ownership {
    /// Owned fields as they shall be; `null` for those to remove.
    desired: Arc<Document>,
    /// The leaves that are declared.
    declared: BTreeSet<Path>,
    releases: BTreeSet<Path>,
    notes: Vec<String>,
}

/// Decides a resource whose references are resolved as far as they can be.
pub(crate) fn decide_resource(
    pipeline: &Pipeline<'_>,
    item: &Item<'_>,
) -> Result<Decision, Vec<Diagnostic>> {
    let observed = item.seen();
    let found = item.found.as_ref();
    let lifecycle = effective_lifecycle(&item.goal.lifecycle, found);
    let ownership = own(item, &lifecycle, observed);
    let managed_before = found.filter(|found| !found.retained).map(|found| found.recorded);

    // What someone else moves is set only where the object is created.
    let desired = if observed.is_some() && !lifecycle.external.is_empty() {
        without(&ownership.desired, |path| lifecycle.is_external(path)).into()
    } else {
        Arc::clone(&ownership.desired)
    };
    let changes = diff(&desired, observed, &item.kind.fields);
    let verb = if observed.is_some() { Verb::Update } else { Verb::Create };
    if verb == Verb::Update && changes.is_empty() {
        if !item.is_managed_after() {
            return Ok(Decision::LetGo);
        }
        if let Some(recorded) = managed_before.filter(|recorded| recorded.settled) {
            let declared = Declared { desired: &desired, ownership: &ownership, lifecycle };
            return Ok(Decision::Noop(record_change(pipeline, item, recorded, declared)));
        }
    }

    let may_create = lifecycle.create || item.goal.back.is_some();
    if verb == Verb::Create && item.kind.create_explicit && !may_create {
        return Err(vec![missing_object(item)]);
    }
    let mut step = blank_step(item, verb);
    step.before = before(pipeline, item, &ownership.declared, &lifecycle);
    step.lifecycle = lifecycle;
    step.desired = desired;
    step.releases = ownership.releases;
    step.existed = match (&item.goal.back, found) {
        (Some(back), _) => back.existed,
        (None, Some(found)) => found.recorded.existed,
        (None, None) => observed.is_some(),
    };
    step.renamed_from = renamed_from(item);
    step.notes = ownership.notes;
    step.expects = expectation(item, observed, &changes);

    if let (Some(observed), None) = (observed, managed_before) {
        warn_of_another_ledger(pipeline, item, observed, &mut step);
    }
    if verb == Verb::Update && changes.is_empty() {
        if managed_before.is_none() {
            step.verb = Verb::Adopt;
            step.id = StepId::new(&step.address, Verb::Adopt);
            return Ok(Decision::Adopt(Box::new(step)));
        }
        step.notes.push("its last step did not end well: this one makes sure of it".to_owned());
    }
    if observed.is_some() && managed_before.is_none() && step.managed {
        step.notes.push("exists already and is adopted".to_owned());
    }
    let replaces = changes.iter().any(|change| must_replace(item.kind, &change.path));
    if verb == Verb::Update && replaces {
        step.verb = Verb::Replace;
    }
    step.changes = changes;
    Ok(Decision::Drafted(Box::new(step)))
}

/// Says so if the object that is to be taken over belongs to another ledger.
fn warn_of_another_ledger(
    pipeline: &Pipeline<'_>,
    item: &Item<'_>,
    observed: &Map,
    step: &mut Step,
) {
    let ours = &pipeline.base.head.lineage;
    let fields = item.kind.fields.fields.iter().filter(|(_, field)| field.lineage);
    for (name, _) in fields {
        let path = Path::field(name);
        let Some(Value::String(theirs)) = value_at(observed, &path) else { continue };
        if theirs != ours {
            step.risks.push(Risk {
                severity: Severity::Caution,
                message: format!(
                    "{} is managed by another relctl ledger already (lineage {theirs}); from now \
                     on both would write it",
                    step.address
                ),
            });
            expect_field(&mut step.expects, Some(observed), &path);
        }
    }
}

/// Decides an action: it runs when its run key is new, or when something needs it.
pub(crate) fn decide_action(
    pipeline: &Pipeline<'_>,
    item: &Item<'_>,
    needed: &BTreeSet<Address>,
) -> Result<Decision, Vec<Diagnostic>> {
    let address = &item.goal.address;
    let triggers = match &item.goal.triggers {
        None => Document::default(),
        Some(template) => template.resolve(&|r| pipeline.bind(r)).map_err(|error| {
            vec![Diagnostic { path: error.path, message: error.message, hint: error.hint }]
        })?,
    };
    let base = pipeline.base;
    let when_needed = item.kind.run == RunPolicy::WhenNeeded;
    if when_needed && !needed.contains(address) {
        return Ok(match base.snapshot.latest_run(address) {
            Some((_, run)) => Decision::AlreadyRan(run.output.clone()),
            None => Decision::NotNeeded,
        });
    }
    let mut step = blank_step(item, Verb::Run);
    if item.desired.is_known() && triggers.is_known() {
        let occasion = when_needed.then_some(base.head.serial);
        let key = free_run_key(&base.snapshot, &base.head.lineage, occasion, item, &triggers.value);
        match key {
            RunKey::Ran(output) => return Ok(Decision::AlreadyRan(output)),
            RunKey::Free(key) => step.run_key = Some(key),
        }
    }
    Ok(Decision::Drafted(Box::new(step)))
}

enum RunKey {
    /// This very run is done and was not undone.
    Ran(Arc<Map>),
    Free(String),
}

/// The key under which an action with these inputs would run now. A run that failed or was undone
/// leaves room for another one with the same inputs.
fn free_run_key(
    snapshot: &relctl_plan::Snapshot,
    lineage: &str,
    occasion: Option<u64>,
    item: &Item<'_>,
    triggers: &Map,
) -> RunKey {
    run_key(snapshot, lineage, occasion, &item.goal.address, &item.desired.value, triggers)
        .map_or_else(RunKey::Ran, RunKey::Free)
}

/// `Err`: the output of the run that is on record for these inputs.
pub(crate) fn run_key(
    snapshot: &relctl_plan::Snapshot,
    lineage: &str,
    occasion: Option<u64>,
    address: &Address,
    inputs: &Map,
    triggers: &Map,
) -> Result<String, Arc<Map>> {
    let mut generation = 0_u32;
    loop {
        let parts = (lineage, address, inputs, triggers, occasion, generation);
        // Inputs were canonical JSON before: they cannot fail to be it now.
        let key = digest_of(&parts).map(|d| d.token().to_owned()).unwrap_or_default();
        match snapshot.runs.get(&key) {
            None => return Ok(key),
            Some(run) if run.undone.is_none() && run.outcome == RunOutcome::Done => {
                return Err(Arc::clone(&run.output));
            }
            // Nobody knows how it ended: the plugin is to look for this very run.
            Some(run) if run.outcome == RunOutcome::Unknown => return Ok(key),
            Some(_) => generation += 1,
        }
    }
}

/// What a plugin is asked about a drafted step.
pub(crate) fn change(item: &Item<'_>, step: &Step) -> Change {
    Change {
        subject: Subject {
            address: step.address.clone(),
            desired: Some(Arc::clone(&step.desired)),
            prior: item.prior(),
        },
        verb: step.verb,
        observed: item.observed.clone().flatten(),
        desired: Some(Arc::clone(&step.desired)),
        paths: step.changes.iter().map(|change| change.path.clone()).collect(),
        undo: undo_of(item),
    }
}

/// Completes a step with what its plugin says. `seals`: whether the ledger keeps what is sealed of
/// an undo.
pub(crate) fn finish(
    item: &Item<'_>,
    mut step: Box<Step>,
    assessment: Assessment,
    seals: bool,
) -> Result<Box<Step>, Diagnostic> {
    if assessment.replace && step.verb == Verb::Update {
        step.verb = Verb::Replace;
    }
    step.id = StepId::new(&step.address, step.verb);
    if step.verb == Verb::Replace {
        guard_replace(item, &step)?;
        step.risks.push(Risk {
            severity: Severity::Destructive,
            message: format!("{} is deleted and created again", step.address),
        });
    }
    let observed = item.seen();
    for path in &assessment.relies_on {
        expect_field(&mut step.expects, observed, path);
    }
    let is_sealed = assessment.undo.as_ref().is_some_and(|undo| undo.sealed.is_some());
    merge_assessment(&mut step, assessment, item.goal.undo_inputs.is_some());
    if !seals && is_sealed {
        step.notes.push(
            "going back relies on the cloud still having what is there now: this ledger is not \
             encrypted, so a copy that may hold secrets is not kept"
                .to_owned(),
        );
    }
    Ok(step)
}

/// Takes over what a plugin says about a step. Used while planning, and again before applying to
/// see that the plugin still says the same.
pub(crate) fn merge_assessment(step: &mut Step, assessment: Assessment, has_undo: bool) {
    step.planned = assessment.planned;
    step.reversal = assessment.reversal;
    step.risks.extend(assessment.risks);
    step.notes.extend(assessment.notes);
    if step.verb != Verb::Run || step.undoes.is_some() {
        return;
    }
    if has_undo {
        step.reversal = Reversal::Compensating;
    } else if step.reversal == Reversal::Impossible {
        step.risks
            .push(Risk { severity: Severity::PointOfNoReturn, message: no_undo(&step.address) });
    }
}

/// What is said of a run without an undo.
pub(crate) fn no_undo(address: &Address) -> String {
    format!("{address} declares no undo: what it does stays done")
}

/// What references to the object stand for, once its step is planned.
pub(crate) fn bind_after(item: &Item<'_>, step: &Step) -> Document {
    let observed = item.seen();
    let kept = observed.filter(|_| step.verb == Verb::Update);
    let mut bound = overlay(kept, &step.desired, &item.kind.fields);
    for (path, field) in item.kind.fields.computed() {
        if kept.is_none() || field.volatile {
            bound.set_unknown(&path);
        }
    }
    let planned = owned_paths(&step.planned.value, &item.kind.fields);
    for path in planned {
        if step.planned.is_unknown(&path) {
            bound.set_unknown(&path);
        } else if let Some(value) = step.planned.get(&path) {
            bound.set(&path, value.clone());
        }
    }
    bound
}

/// What was protected stays protected until the file says otherwise.
fn effective_lifecycle(declared: &Lifecycle, found: Option<&Found<'_>>) -> Lifecycle {
    let protect = declared.protect.or(found.and_then(|found| found.recorded.lifecycle.protect));
    Lifecycle { protect, ..declared.clone() }
}

/// Works out what is owned, what is removed and what is let go.
fn own(item: &Item<'_>, lifecycle: &Lifecycle, observed: Option<&Map>) -> Ownership {
    let fields = &item.kind.fields;
    let mut desired = Arc::clone(&item.desired);
    let mut releases = BTreeSet::new();
    let mut notes = Vec::new();
    let back = item.goal.back.as_ref();
    for path in &lifecycle.absent {
        if desired.get(path).is_none() {
            Arc::make_mut(&mut desired).set(path, Value::Null);
        }
    }
    if let Some(back) = back {
        for path in &back.absent {
            Arc::make_mut(&mut desired).set(path, Value::Null);
        }
        releases.extend(back.releases.iter().cloned());
        for (path, wrote) in &back.only_if {
            // An object that is gone has nothing that someone else could have changed.
            let is_as_written = |map: &Map| full(value_at(map, path)) == full(wrote.as_ref());
            if observed.is_some_and(|map| !is_as_written(map)) {
                desired = without(&desired, |other| other == path).into();
                releases.remove(path);
                notes.push(format!("{path} was changed by someone else since and stays as it is"));
            }
        }
    }

    let declared = owned_paths(&desired.value, fields);
    let differs = |recorded: &&Recorded| back.is_none() && recorded.desired != desired.value;
    if let Some(recorded) = item.managed_before().filter(differs) {
        for path in owned_paths(&recorded.desired, fields) {
            if covered(&path, &declared) || lifecycle.is_external(&path) {
                continue;
            }
            if recorded.before.get(&path) == Some(&Before::Absent) {
                Arc::make_mut(&mut desired).set(&path, Value::Null);
                releases.insert(path);
            } else {
                notes.push(format!("{path} is no longer managed here and stays as it is"));
            }
        }
    }
    releases.extend(declared.iter().filter(|path| lifecycle.is_external(path)).cloned());
    Ownership { desired, declared, releases, notes }
}

/// What each declared field was before it was owned.
fn before(
    pipeline: &Pipeline<'_>,
    item: &Item<'_>,
    declared: &BTreeSet<Path>,
    lifecycle: &Lifecycle,
) -> Fields<Before> {
    if let Some(back) = &item.goal.back {
        return back.before.clone();
    }
    let recorded = item.managed_before();
    let owned = declared.iter().filter(|path| !lifecycle.is_external(path));
    owned
        .map(|path| {
            let known = recorded.and_then(|recorded| recorded.before.get(path)).cloned();
            (path.clone(), known.unwrap_or_else(|| before_value(pipeline, item, path)))
        })
        .collect()
}

/// The value, unless it holds nothing: what was owned as empty may be read back as absent.
fn full(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => true,
    })
}

/// Whether some declared path lies on, above or below `path`.
fn covered(path: &Path, declared: &BTreeSet<Path>) -> bool {
    declared.contains(path)
        || declared.iter().any(|other| other.contains(path) || path.contains(other))
}

/// What a field is before it is owned. Where it holds what the reference declared for it refers
/// to, the reference is kept: the object behind it may go back to a new name.
fn before_value(pipeline: &Pipeline<'_>, item: &Item<'_>, path: &Path) -> Before {
    let Some(value) = item.seen().and_then(|map| value_at(map, path)) else {
        return Before::Absent;
    };
    if let Some(reference) = item.goal.inputs.reference_at(path) {
        let referred = pipeline.item(&reference.address);
        let was = referred
            .filter(|referred| referred.goal.address.role() == Role::Resource)
            .and_then(Item::seen)
            .and_then(|map| value_at(map, &reference.attribute));
        if was == Some(value) {
            return Before::Reference {
                reference: format!("${{{reference}}}"),
                value: value.clone(),
            };
        }
    }
    Before::Value(value.clone())
}

/// The value at `path`, where there is one that is not `null`.
pub(crate) fn value_at<'a>(map: &'a Map, path: &Path) -> Option<&'a Value> {
    let mut segments = path.segments();
    let mut value = map.get(segments.next()?)?;
    for segment in segments {
        value = value.as_object()?.get(segment)?;
    }
    Some(value).filter(|value| !value.is_null())
}

/// The document without the top-level or nested leaves that `drop` names.
fn without(document: &Document, drop: impl Fn(&Path) -> bool) -> Document {
    let mut kept = Map::new();
    copy_kept(&document.value, &Path::ROOT, &drop, &mut kept);
    let unknown = document.unknown.iter().filter(|path| !drop(path)).cloned().collect();
    Document { value: kept.into(), unknown }
}

fn copy_kept(from: &Map, at: &Path, drop: &impl Fn(&Path) -> bool, to: &mut Map) {
    for (name, value) in from {
        let path = at.join(name);
        if drop(&path) {
            continue;
        }
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                let mut kept = Map::new();
                copy_kept(inner, &path, drop, &mut kept);
                if !kept.is_empty() {
                    to.insert(name.clone(), Value::Object(kept));
                }
            }
            _ => {
                to.insert(name.clone(), value.clone());
            }
        }
    }
}

/// What must still be so when the step starts: existence, identity and the changed fields.
fn expectation(item: &Item<'_>, observed: Option<&Map>, changes: &[FieldChange]) -> Expectation {
    let mut expects = Expectation { exists: observed.is_some(), fields: Fields::new() };
    if observed.is_none() {
        return expects;
    }
    for field in item.identity.iter().flat_map(Map::keys) {
        expect_field(&mut expects, observed, &Path::field(field));
    }
    for change in changes {
        expect_field(&mut expects, observed, &change.path);
    }
    expects
}

/// Adds the observed value of a field to what is expected.
pub(crate) fn expect_field(expects: &mut Expectation, observed: Option<&Map>, path: &Path) {
    if let Some(observed) = observed {
        let value = value_at(observed, path).cloned().unwrap_or(Value::Null);
        expects.fields.insert(path.clone(), value);
    }
}

/// Whether a change at `path` needs delete and create, as the kind's schema says.
pub(crate) fn must_replace(kind: &Kind, path: &Path) -> bool {
    let mut at = Some(path.clone());
    while let Some(path) = at {
        if kind.fields.at(&path).is_some_and(|field| field.replace_on_change) {
            return true;
        }
        at = path.parent();
    }
    false
}

fn renamed_from(item: &Item<'_>) -> Option<Address> {
    let found = item.found.as_ref()?;
    (*found.address != item.goal.address).then(|| found.address.clone())
}

/// The owned fields of a document after a step: without those let go.
pub(crate) fn owned_after(desired: &Arc<Map>, releases: &BTreeSet<Path>) -> Arc<Map> {
    if releases.is_empty() {
        return Arc::clone(desired);
    }
    without(&Document::known(Arc::clone(desired)), |path| releases.contains(path)).value
}

/// A resource as it is declared, to be compared with its record.
struct Declared<'a> {
    desired: &'a Document,
    ownership: &'a Ownership,
    lifecycle: Lifecycle,
}

/// The change of a record where nothing else changes, if there is one.
fn record_change(
    pipeline: &Pipeline<'_>,
    item: &Item<'_>,
    recorded: &Recorded,
    declared: Declared<'_>,
) -> Option<Box<RecordChange>> {
    if is_recorded(item, recorded, &declared) {
        return None;
    }
    let Declared { desired, ownership, lifecycle } = declared;
    let goal = &item.goal;
    let owned = owned_after(&desired.value, &ownership.releases);
    let paths = owned_paths(&owned, &item.kind.fields);
    let mut now = Document::known(Arc::clone(&recorded.observed));
    for path in &paths {
        if let Some(value) = item.seen().and_then(|map| value_at(map, path)) {
            now.set(path, value.clone());
        }
    }
    // Constants that are spelled in another way, and mean the same, are no change.
    let closed = |inputs: &Template| inputs.references().is_empty();
    let same = owned == recorded.desired && closed(&goal.inputs) && closed(&recorded.inputs);
    let record = Recorded {
        plugin: goal.plugin.clone(),
        identity: item.identity.clone().unwrap_or_default(),
        inputs: if same { recorded.inputs.clone() } else { goal.inputs.clone() },
        desired: owned,
        observed: now.value,
        depends_on: goal.edges().into_iter().collect(),
        before: before(pipeline, item, &ownership.declared, &lifecycle),
        lifecycle,
        on_revert: goal.on_revert,
        undo: None,
        ..recorded.clone()
    };
    let renamed_from = renamed_from(item);
    let reason = if renamed_from.is_some() {
        "it has a new name"
    } else if owned_paths(&recorded.desired, &item.kind.fields) != paths {
        "other fields are managed"
    } else if record != (Recorded { undo: None, ..recorded.clone() }) {
        "it is declared in another way"
    } else {
        return None;
    };
    Some(Box::new(RecordChange { record, renamed_from, reason: reason.to_owned() }))
}

/// Whether the record says already all that is declared, word by word: by far the most frequent
/// case, and nothing is copied for it.
fn is_recorded(item: &Item<'_>, recorded: &Recorded, declared: &Declared<'_>) -> bool {
    let Declared { desired, ownership, lifecycle } = declared;
    let goal = &item.goal;
    goal.back.is_none()
        && ownership.releases.is_empty()
        && desired.value == recorded.desired
        && goal.inputs == recorded.inputs
        && *lifecycle == recorded.lifecycle
        && goal.on_revert == recorded.on_revert
        && goal.plugin == recorded.plugin
        && item.identity.as_ref().is_some_and(|identity| *identity == recorded.identity)
        && item.seen().is_some_and(|observed| *observed == *recorded.observed)
        && item.found.as_ref().is_some_and(|found| *found.address == goal.address)
        && ownership.declared.iter().eq(recorded.before.keys())
        && goal.edges().iter().eq(&recorded.depends_on)
}

fn guard_replace(item: &Item<'_>, step: &Step) -> Result<(), Diagnostic> {
    let path = step.changes.first().map_or(Path::ROOT, |change| change.path.clone());
    let refuse = |message: String, hint: &str| {
        Err(Diagnostic { path: path.clone(), message, hint: Some(hint.to_owned()) })
    };
    if item.kind.holds_data {
        return refuse(
            format!("this change would delete {} and create it anew; it holds data", step.address),
            "declare a new object beside it, and move the data in a release of its own",
        );
    }
    if step.lifecycle.protect == Some(true) {
        return refuse(
            format!(
                "this change would delete {} and create it anew; it is protected",
                step.address
            ),
            "undo the change, or write `lifecycle = { protect = false, replace = true }`",
        );
    }
    if !step.lifecycle.replace && item.goal.back.is_none() {
        return refuse(
            format!("this change would delete {} and create it anew", step.address),
            "undo the change, or allow it with `lifecycle = { replace = true }`",
        );
    }
    Ok(())
}

fn missing_object(item: &Item<'_>) -> Diagnostic {
    let identity = Value::Object(item.identity.clone().unwrap_or_default());
    Diagnostic {
        path: Path::ROOT,
        message: format!("{} {identity} is not there", item.goal.address.kind()),
        hint: Some(
            "check its name, and the account and region of its plugin; to create it, write \
             `lifecycle = { create = true }`"
                .to_owned(),
        ),
    }
}

/// The parts of a document that its owned paths cover.
pub(crate) fn owned_part(item: &Item<'_>, recorded: &Recorded, document: &Map) -> Map {
    select(document, &owned_paths(&recorded.desired, &item.kind.fields))
}
