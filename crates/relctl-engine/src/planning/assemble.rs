//! Puts decided objects together into a plan: order, what it relies on, drift, summary.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use relctl_plan::{
    Address, Base as PlanBase, Body, CheckWhen, Document, Drift, Entry, Expectation, Fields, Graph,
    Map, Meta, Path, Plan, PlanKind, Reliance, Risk, Role, Severity, Step, StepId, Summary,
    Template, Value, Verb, diff, owned_paths,
};

use super::base::{Base, Found};
use super::comeback;
use super::decide::{Decision, expect_field, owned_part, value_at};
use super::goal::Goals;
use super::leaving::{Leaving, plan_leaving};
use super::pipeline::{Item, Pipeline};
use super::restore::{name_restore_points, stays};
use crate::{Context, EngineError};

/// What a plan is called.
pub(crate) struct Title {
    pub(crate) release: String,
    pub(crate) version: String,
    pub(crate) environment: Option<String>,
    pub(crate) kind: PlanKind,
}

/// Plans how to reach the goals from the base.
pub(crate) async fn build(
    context: Context<'_>,
    base: &Base,
    mut goals: Goals,
    title: Title,
    risks: Vec<Risk>,
    mut meta: Meta,
) -> Result<Plan, EngineError> {
    let lookups = goals.take_lookups();
    let desired = std::mem::take(&mut goals.goals);
    let mut pipeline = Pipeline::run(context, base, lookups, desired).await?;
    let leaving = plan_leaving(context, base, &pipeline, &goals).await?;
    let drift = find(&pipeline);
    meta.external = external(&pipeline);

    let mut steps = collect_steps(&mut pipeline);
    let Leaving { steps: goings, mut retain, forget, notes } = leaving;
    retain.extend(let_go(&pipeline));
    let mut reverse = needs_of_goings(base, &steps, &goings);
    steps.extend(goings.into_iter().map(|mut step| {
        step.needs = reverse.remove(&step.id).unwrap_or_default();
        step
    }));
    let relied_on = rely(&pipeline, &mut steps);
    let mut steps = in_order(steps)?;
    name_restore_points(context, &mut steps)?;
    let is_new = |entry: &Entry| entry.version != title.version;
    let new_version = title.kind != PlanKind::Apply || base.entry.as_ref().is_some_and(is_new);
    let mut body = Body {
        new_version,
        release: title.release,
        version: title.version,
        environment: title.environment,
        kind: title.kind,
        base: PlanBase {
            lineage: base.head.lineage.clone(),
            serial: base.head.serial,
            entry: base.head.entry.clone(),
        },
        plugins: context.providers.iter().map(|(k, p)| (k.clone(), p.pin().clone())).collect(),
        summary: summarise(&pipeline, &steps),
        steps,
        relied_on,
        records: records(&pipeline),
        retain,
        forget,
        drift,
        risks,
        notes,
    };
    body.risks.extend(plugin_risks(base, &body));
    for (address, why) in &pipeline.stuck {
        let (risk, further) = stays(address, why);
        body.risks.push(risk);
        body.notes.extend(further);
    }
    if body.kind == PlanKind::Apply {
        body.risks.splice(0..0, comeback::risk(context, base, &body).await?);
    }
    Ok(Plan::new(body, meta)?)
}

/// Moves the steps of the goals out of the pipeline, each with what it needs.
fn collect_steps(pipeline: &mut Pipeline<'_>) -> Vec<Step> {
    let mut steps = Vec::with_capacity(pipeline.items.len());
    // What each object that something needs stands for: its own step, or those of what it needs.
    let mut carried: Vec<BTreeSet<StepId>> = vec![BTreeSet::new(); pipeline.items.len()];
    for index in pipeline.order.clone() {
        let Some(item) = pipeline.items.get(index) else { continue };
        let edges = item.goal.edges();
        let is_needed = pipeline.is_needed(&item.goal.address);
        let stands_for = |address| carried.get(pipeline.index(address)?);
        let needs: BTreeSet<StepId> =
            edges.iter().filter_map(stands_for).flatten().cloned().collect();
        let step = pipeline.items.get_mut(index).and_then(|item| item.decision.take_step());
        let Some(carried) = carried.get_mut(index) else { continue };
        let Some(mut step) = step else {
            *carried = needs;
            continue;
        };
        match step.verb {
            _ if !is_needed => {}
            Verb::Check => carried.clone_from(&needs),
            _ => *carried = BTreeSet::from([step.id.clone()]),
        }
        if step.when != Some(CheckWhen::Before) {
            step.needs = needs.into_iter().collect();
        }
        steps.push(step);
    }
    steps
}

/// What must happen before something goes: everything that depended on it lets go of it first.
fn needs_of_goings(base: &Base, steps: &[Step], goings: &[Step]) -> HashMap<StepId, Vec<StepId>> {
    let mut dependants: HashMap<&Address, Vec<&Address>> = HashMap::new();
    let recorded = base.snapshot.objects.iter().map(|(a, r)| (a, &r.depends_on));
    let retained = base.snapshot.retained.iter().map(|r| (&r.address, &r.recorded.depends_on));
    let runs = base.snapshot.runs.values().map(|run| (&run.address, &run.depends_on));
    for (address, needs) in recorded.chain(retained).chain(runs) {
        for need in needs {
            dependants.entry(need).or_default().push(address);
        }
    }
    let mut by_address: HashMap<&Address, Vec<&StepId>> = HashMap::new();
    for step in steps.iter().filter(|step| step.verb != Verb::Check).chain(goings) {
        by_address.entry(&step.address).or_default().push(&step.id);
    }
    goings
        .iter()
        .map(|going| {
            let mut needs: BTreeSet<StepId> = BTreeSet::new();
            let mut seen: BTreeSet<&Address> = BTreeSet::from([&going.address]);
            let mut next: Vec<&Address> =
                dependants.get(&going.address).cloned().unwrap_or_default();
            while let Some(address) = next.pop() {
                if !seen.insert(address) {
                    continue;
                }
                match by_address.get(address) {
                    Some(ids) => needs.extend(ids.iter().map(|id| (*id).clone())),
                    None => next.extend(dependants.get(address).into_iter().flatten()),
                }
            }
            (going.id.clone(), needs.into_iter().collect())
        })
        .collect()
}

/// Sorts steps topologically, then by address. Whatever goes away goes before what it was built
/// upon changes: the reversed edges of the release that is undone. Where those run against the
/// edges of what is to be, these win.
fn in_order(mut steps: Vec<Step>) -> Result<Vec<Step>, EngineError> {
    let goings_first = undone_first(&steps);
    let order = match order(&steps, &goings_first) {
        Ok(order) => {
            for (step, more) in steps.iter_mut().zip(goings_first) {
                if !more.is_empty() {
                    step.needs.extend(more);
                    step.needs.sort();
                    step.needs.dedup();
                }
            }
            order
        }
        Err(_) => order(&steps, &[])?,
    };
    if order.is_sorted() {
        return Ok(steps);
    }
    let mut steps: Vec<Option<Step>> = steps.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|index| steps.get_mut(index)?.take()).collect())
}

/// What each step needs beyond its own needs: the goings that were built upon what it changes.
fn undone_first(steps: &[Step]) -> Vec<Vec<StepId>> {
    let mut built_upon: HashMap<&Address, Vec<StepId>> = HashMap::new();
    for going in steps.iter().filter(|step| step.verb == Verb::Delete || step.undoes.is_some()) {
        for address in &going.depends_on {
            built_upon.entry(address).or_default().push(going.id.clone());
        }
    }
    let more = |step: &Step| match step.verb {
        Verb::Update | Verb::Replace => built_upon.get(&step.address).cloned().unwrap_or_default(),
        _ => Vec::new(),
    };
    steps.iter().map(more).collect()
}

/// The steps' indices in their order, with the needs in `more` beside their own.
fn order(steps: &[Step], more: &[Vec<StepId>]) -> Result<Vec<usize>, EngineError> {
    fn node(step: &Step) -> (&Address, &StepId) {
        (&step.address, &step.id)
    }
    if steps.iter().all(|step| step.needs.is_empty()) && more.iter().all(Vec::is_empty) {
        let mut order: Vec<usize> = (0..steps.len()).collect();
        order.sort_by_key(|index| steps.get(*index).map(node));
        return Ok(order);
    }
    let by_id: HashMap<&StepId, (usize, &Step)> =
        steps.iter().enumerate().map(|(index, step)| (&step.id, (index, step))).collect();
    let mut graph = Graph::default();
    for (index, step) in steps.iter().enumerate() {
        let needs = step.needs.iter().chain(more.get(index).into_iter().flatten());
        graph.insert(node(step), needs.filter_map(|id| Some(node(by_id.get(id)?.1))));
    }
    let waves = graph.waves().map_err(|cycle| {
        EngineError::Cycle(cycle.0.into_iter().map(|(address, _)| address.clone()).collect())
    })?;
    Ok(waves.into_iter().flatten().filter_map(|(_, id)| Some(by_id.get(id)?.0)).collect())
}

/// Adds to the plan what its steps refer to: in the referred object's own step where it has one,
/// otherwise as a reliance.
fn rely(pipeline: &Pipeline<'_>, steps: &mut [Step]) -> BTreeMap<Address, Reliance> {
    let mut relied: BTreeMap<Address, BTreeSet<Path>> = BTreeMap::new();
    for step in steps.iter() {
        let templates = [Some(&step.inputs), step.triggers.as_ref(), step.undo_inputs.as_ref()];
        for reference in templates.into_iter().flatten().flat_map(Template::references) {
            relied.entry(reference.address).or_default().insert(reference.attribute);
        }
    }
    for step in steps.iter_mut().filter(|step| step.expects.exists) {
        let Some(paths) = relied.remove(&step.address) else { continue };
        let observed = pipeline.item(&step.address).and_then(Item::seen);
        for path in paths.iter().filter(|path| !path.is_root()) {
            expect_field(&mut step.expects, observed, path);
        }
    }
    relied
        .into_iter()
        .filter_map(|(address, paths)| {
            let item = pipeline.item(&address)?;
            let observed = item.seen()?;
            if item.decision.has_step() {
                return None;
            }
            let mut expects = Expectation { exists: true, fields: Fields::new() };
            let all: Vec<Path> = observed.keys().map(|field| Path::field(field)).collect();
            let paths = if paths.contains(&Path::ROOT) { all } else { paths.into_iter().collect() };
            for path in &paths {
                expect_field(&mut expects, Some(observed), path);
            }
            let plugin = item.goal.plugin.clone();
            Some((address, Reliance { plugin, desired: item.desired.value.clone(), expects }))
        })
        .collect()
}

fn records(pipeline: &Pipeline<'_>) -> BTreeMap<Address, relctl_plan::RecordChange> {
    let changed = pipeline.items.iter().filter_map(|item| match &item.decision {
        Decision::Noop(Some(change)) => Some((item.goal.address.clone(), (**change).clone())),
        _ => None,
    });
    changed.collect()
}

/// Objects that a revert stops managing and that have nothing to go back to.
fn let_go<'p>(pipeline: &'p Pipeline<'_>) -> impl Iterator<Item = Address> + 'p {
    let gone = |item: &&Item<'_>| matches!(item.decision, Decision::LetGo);
    // Under the address that it is recorded at: its goal's may be made up.
    let address = |item: &'p Item<'_>| match &item.found {
        Some(found) if found.retained => None,
        Some(found) => Some(found.address.clone()),
        None => Some(item.goal.address.clone()),
    };
    pipeline.items.iter().filter(gone).filter_map(address)
}

fn summarise(pipeline: &Pipeline<'_>, steps: &[Step]) -> Summary {
    let mut summary = Summary::default();
    for step in steps {
        let count = match step.verb {
            Verb::Create => &mut summary.create,
            Verb::Update => &mut summary.update,
            Verb::Replace => &mut summary.replace,
            Verb::Delete => &mut summary.delete,
            Verb::Adopt => &mut summary.adopt,
            Verb::Run => &mut summary.run,
            Verb::Check => &mut summary.check,
        };
        *count += 1;
    }
    let quiet = pipeline
        .items
        .iter()
        .filter(|item| item.goal.address.role() != Role::Lookup && !item.decision.has_step());
    summary.noop = u32::try_from(quiet.count()).unwrap_or(u32::MAX);
    summary
}

/// Owned fields that are not what the ledger recorded.
fn find(pipeline: &Pipeline<'_>) -> Vec<Drift> {
    let mut drift: Vec<Drift> = pipeline.items.iter().flat_map(drift_of).collect();
    drift.sort_by(|a, b| (&a.address, &a.path).cmp(&(&b.address, &b.path)));
    drift
}

fn drift_of(item: &Item<'_>) -> Vec<Drift> {
    // What nobody has seen end well has no record to drift from.
    let known = |found: &&Found<'_>| !found.retained && found.recorded.settled;
    let Some(found) = item.found.as_ref().filter(known) else {
        return Vec::new();
    };
    let Some(observed) = item.observed.as_ref() else { return Vec::new() };
    // By far the most frequent case.
    if observed.as_ref() == Some(&found.recorded.observed) {
        return Vec::new();
    }
    let recorded = owned_part(item, found.recorded, &found.recorded.observed);
    drift_between(
        &item.goal.address,
        &recorded,
        observed.as_deref(),
        |path| found.recorded.lifecycle.is_external(path),
        &item.kind.fields,
        &found.recorded.desired,
    )
}

/// Compares a record with what is there, on the owned fields.
pub(super) fn drift_between(
    address: &Address,
    recorded: &Map,
    observed: Option<&Map>,
    ignore: impl Fn(&Path) -> bool,
    fields: &relctl_plan::Field,
    owned: &Map,
) -> Vec<Drift> {
    let Some(observed) = observed else {
        return vec![Drift {
            address: address.clone(),
            path: Path::ROOT,
            recorded: Value::Object(recorded.clone()),
            observed: Value::Null,
        }];
    };
    let mut was = Document::known(recorded.clone());
    for path in owned_paths(owned, fields) {
        if was.get(&path).is_none() {
            was.set(&path, Value::Null);
        }
    }
    diff(&was, Some(observed), fields)
        .into_iter()
        .filter(|change| !ignore(&change.path))
        .map(|change| Drift {
            address: address.clone(),
            path: change.path,
            recorded: change.after.unwrap_or_default(),
            observed: change.before.unwrap_or_default(),
        })
        .collect()
}

/// Fields that someone else moves, as they are now.
fn external(pipeline: &Pipeline<'_>) -> BTreeMap<Address, BTreeMap<Path, Value>> {
    let mut external: BTreeMap<Address, BTreeMap<Path, Value>> = BTreeMap::new();
    for item in &pipeline.items {
        let Some(observed) = item.seen() else { continue };
        for path in &item.goal.lifecycle.external {
            if let Some(value) = value_at(observed, path) {
                external
                    .entry(item.goal.address.clone())
                    .or_default()
                    .insert(path.clone(), value.clone());
            }
        }
    }
    external
}

/// A plugin that is not the one that the release in force was carried out with.
fn plugin_risks(base: &Base, body: &Body) -> Vec<Risk> {
    let changed = body.plugins.iter().filter_map(|(instance, pin)| {
        let was = base.snapshot.plugins.get(instance)?;
        (was.sha256 != pin.sha256).then(|| Risk {
            severity: Severity::Caution,
            message: format!(
                "plugin `{instance}` is {} ({}), the release in force was carried out with {} ({})",
                pin.version,
                pin.sha256.short(),
                was.version,
                was.sha256.short()
            ),
        })
    });
    changed.collect()
}
