//! Recorded objects that no goal names, and runs that are to be undone.

use std::collections::BTreeSet;
use std::sync::Arc;

use relctl_plan::{
    Address, Diagnostic, Document, Expectation, Failure, Fields, Map, Path, Recorded, Reversal,
    Risk, Run, Severity, Step, StepId, Template, Verb, digest_of, owned_paths,
};

use super::base::{Base, kind_of};
use super::calls::by_plugin;
use super::decide::{expect_field, merge_assessment, value_at};
use super::goal::{Fate, Fates, Goals};
use super::pipeline::{Pipeline, assess_all};
use crate::{Change, Context, EngineError, ObjectError, Subject};

/// What becomes of everything that leaves.
#[derive(Default)]
pub(crate) struct Leaving {
    pub(crate) steps: Vec<Step>,
    pub(crate) retain: Vec<Address>,
    pub(crate) forget: Vec<Address>,
    pub(crate) notes: Vec<String>,
}

/// A recorded object that leaves.
struct Candidate {
    address: Address,
    recorded: Recorded,
    retained: bool,
    fate: Fate,
}

/// Plans the deletions, the retaining and the undoing of runs.
pub(crate) async fn plan_leaving(
    context: Context<'_>,
    base: &Base,
    pipeline: &Pipeline<'_>,
    goals: &Goals,
) -> Result<Leaving, EngineError> {
    let mut leaving = Leaving::default();
    let (going, staying): (Vec<_>, Vec<_>) = candidates(base, pipeline, goals)
        .into_iter()
        .partition(|candidate| candidate.fate != Fate::Retain);
    let staying = staying.into_iter().filter(|candidate| !candidate.retained);
    leaving.retain.extend(staying.map(|candidate| candidate.address));
    leaving.notes.extend(removed_in_vain(base, goals));
    delete_all(context, going, &mut leaving).await?;
    undo_all(context, base, goals, &mut leaving).await?;
    Ok(leaving)
}

/// What the release file removes and the ledger does not know: it is gone by now, or misspelled.
fn removed_in_vain(base: &Base, goals: &Goals) -> Vec<String> {
    let Fates::Named(fates) = &goals.fates else { return Vec::new() };
    let snapshot = &base.snapshot;
    let is_known = |address: &&Address| {
        snapshot.objects.contains_key(*address)
            || snapshot.retained.iter().any(|retained| retained.address == **address)
    };
    fates
        .keys()
        .filter(|address| !is_known(address))
        .map(|address| {
            format!(
                "[removed.{address}] removes nothing: relctl has no record of it; if it is gone by \
                 now, the table can go too"
            )
        })
        .collect()
}

fn candidates(base: &Base, pipeline: &Pipeline<'_>, goals: &Goals) -> Vec<Candidate> {
    let matched: BTreeSet<(&Address, bool)> = pipeline
        .items
        .iter()
        .filter_map(|item| item.found.as_ref())
        .map(|found| (found.address, found.retained))
        .collect();
    let managed =
        base.snapshot.objects.iter().map(|(address, recorded)| (address, recorded, false));
    let retained = base.snapshot.retained.iter().map(|r| (&r.address, &r.recorded, true));
    managed
        .chain(retained)
        .filter(|(address, _, retained)| !matched.contains(&(*address, *retained)))
        .map(|(address, recorded, retained)| Candidate {
            address: address.clone(),
            recorded: recorded.clone(),
            retained,
            fate: goals.fates.of(address, recorded),
        })
        .collect()
}

async fn delete_all(
    context: Context<'_>,
    going: Vec<Candidate>,
    leaving: &mut Leaving,
) -> Result<(), EngineError> {
    let subjects = going.iter().map(|candidate| {
        (candidate.recorded.plugin.clone(), subject(&candidate.address, &candidate.recorded))
    });
    let answers =
        by_plugin(context, subjects.collect(), |p, s| async move { p.observe(s).await }).await?;
    let mut drafts: Vec<(Step, Change)> = Vec::new();
    let mut unanswered = Vec::new();
    let mut refused = Vec::new();
    for (candidate, answer) in going.into_iter().zip(answers) {
        match answer {
            Err(failure) => unanswered.push((candidate.address, failure)),
            Ok(None) => {
                leaving.notes.push(format!("{} is gone already", candidate.address));
                leaving.forget.push(candidate.address);
            }
            Ok(Some(observed)) => {
                if candidate.recorded.is_protected() {
                    refused.push(protected(&candidate.address));
                    continue;
                }
                if candidate.fate == Fate::DeleteIfUntouched
                    && !untouched(context, &candidate, &observed)?
                {
                    leaving.notes.push(format!(
                        "{} was changed by someone else since, and stays",
                        candidate.address
                    ));
                    if !candidate.retained {
                        leaving.retain.push(candidate.address);
                    }
                    continue;
                }
                drafts.push(deletion(context, &candidate, observed)?);
            }
        }
    }
    if !refused.is_empty() {
        return Err(EngineError::Objects(refused));
    }
    if !unanswered.is_empty() {
        return Err(EngineError::Unanswered(unanswered));
    }
    finish_all(context, drafts, leaving).await
}

/// Whether the owned fields are what relctl left.
fn untouched(
    context: Context<'_>,
    candidate: &Candidate,
    observed: &Map,
) -> Result<bool, EngineError> {
    let kind = kind_of(context, &candidate.recorded.plugin, &candidate.address)?;
    let left = &candidate.recorded.observed;
    Ok(owned_paths(&candidate.recorded.desired, &kind.fields)
        .iter()
        .all(|path| value_at(left, path) == value_at(observed, path)))
}

fn deletion(
    context: Context<'_>,
    candidate: &Candidate,
    observed: Arc<Map>,
) -> Result<(Step, Change), EngineError> {
    let kind = kind_of(context, &candidate.recorded.plugin, &candidate.address)?;
    let recorded = &candidate.recorded;
    let mut expects = Expectation { exists: true, fields: Fields::new() };
    let identity = recorded.identity.keys().map(|field| Path::field(field));
    for path in identity.chain(owned_paths(&recorded.desired, &kind.fields)) {
        expect_field(&mut expects, Some(&observed), &path);
    }
    let severity = if kind.holds_data { Severity::PointOfNoReturn } else { Severity::Destructive };
    let what = if kind.holds_data { "is deleted with the data in it" } else { "is deleted" };
    let id = if candidate.retained {
        StepId::delete_retained(&candidate.address, &recorded.identity)
    } else {
        StepId::new(&candidate.address, Verb::Delete)
    };
    let step = Step {
        id,
        expects,
        risks: vec![Risk { severity, message: format!("{} {what}", candidate.address) }],
        ..bare_step(&candidate.address, Verb::Delete, recorded)
    };
    let change = Change {
        subject: subject(&candidate.address, recorded),
        verb: Verb::Delete,
        observed: Some(observed),
        desired: None,
        paths: Vec::new(),
        undo: None,
    };
    Ok((step, change))
}

async fn finish_all(
    context: Context<'_>,
    drafts: Vec<(Step, Change)>,
    leaving: &mut Leaving,
) -> Result<(), EngineError> {
    let changes = drafts.iter().map(|(step, change)| (step.plugin.clone(), change.clone()));
    let answers = assess_all(context, changes.collect()).await?;
    let mut unanswered: Vec<(Address, Failure)> = Vec::new();
    for ((mut step, change), answer) in drafts.into_iter().zip(answers) {
        match answer {
            Err(failure) => unanswered.push((step.address, failure)),
            Ok(assessment) => {
                for path in &assessment.relies_on {
                    expect_field(&mut step.expects, change.observed.as_deref(), path);
                }
                merge_assessment(&mut step, assessment, false);
                leaving.steps.push(step);
            }
        }
    }
    if unanswered.is_empty() { Ok(()) } else { Err(EngineError::Unanswered(unanswered)) }
}

/// Plans the runs that undo runs.
async fn undo_all(
    context: Context<'_>,
    base: &Base,
    goals: &Goals,
    leaving: &mut Leaving,
) -> Result<(), EngineError> {
    let runs: Vec<(&String, &Run, &Map)> = goals
        .undo_runs
        .iter()
        .filter_map(|key| {
            let run = base.snapshot.runs.get(key)?;
            Some((key, run, run.undo.as_ref()?))
        })
        .collect();
    let subjects = runs.iter().map(|(_, run, inputs)| {
        let desired = Some(Document::known((*inputs).clone()).into());
        (run.plugin.clone(), Subject { address: run.address.clone(), desired, prior: None })
    });
    let answers =
        by_plugin(context, subjects.collect(), |p, s| async move { p.validate(s).await }).await?;
    let mut drafts = Vec::new();
    let mut refused = Vec::new();
    for ((key, run, inputs), answer) in runs.into_iter().zip(answers) {
        match answer {
            Ok(desired) => drafts.push(undo_step(base, key, run, inputs, desired)),
            Err(diagnostics) => refused.extend(
                diagnostics
                    .into_iter()
                    .map(|diagnostic| ObjectError { address: run.address.clone(), diagnostic }),
            ),
        }
    }
    if !refused.is_empty() {
        return Err(EngineError::Objects(refused));
    }
    finish_all(context, drafts, leaving).await
}

fn undo_step(base: &Base, key: &str, run: &Run, inputs: &Map, desired: Document) -> (Step, Change) {
    let desired = Arc::new(desired);
    let run_key = digest_of(&(&base.head.lineage, &run.address, inputs, "undo", key));
    let step = Step {
        id: StepId::undo(&run.address, key),
        address: run.address.clone(),
        plugin: run.plugin.clone(),
        verb: Verb::Run,
        identity: Map::new(),
        inputs: Template::closed(inputs),
        desired: Arc::clone(&desired),
        run_key: run_key.ok().map(|digest| digest.token().to_owned()),
        undoes: Some(key.to_owned()),
        notes: vec![format!("undoes the run of entry #{}", run.serial)],
        depends_on: run.depends_on.clone(),
        ..empty_step(&run.address, Verb::Run)
    };
    let change = Change {
        subject: Subject {
            address: run.address.clone(),
            desired: Some(Arc::clone(&desired)),
            prior: None,
        },
        verb: Verb::Run,
        observed: None,
        desired: Some(desired),
        paths: Vec::new(),
        undo: None,
    };
    (step, change)
}

fn subject(address: &Address, recorded: &Recorded) -> Subject {
    Subject {
        address: address.clone(),
        desired: Some(named(recorded).into()),
        prior: Some(Arc::clone(&recorded.observed)),
    }
}

/// What is owned of an object, with its identity: one that was let go may own nothing any more.
fn named(recorded: &Recorded) -> Document {
    let mut desired = recorded.identity.clone();
    desired.extend(recorded.desired.as_ref().clone());
    Document::known(desired)
}

fn bare_step(address: &Address, verb: Verb, recorded: &Recorded) -> Step {
    Step {
        plugin: recorded.plugin.clone(),
        identity: recorded.identity.clone(),
        inputs: recorded.inputs.clone(),
        desired: named(recorded).into(),
        depends_on: recorded.depends_on.clone(),
        lifecycle: recorded.lifecycle.clone(),
        existed: recorded.existed,
        managed: false,
        ..empty_step(address, verb)
    }
}

fn empty_step(address: &Address, verb: Verb) -> Step {
    Step {
        id: StepId::new(address, verb),
        address: address.clone(),
        plugin: String::new(),
        verb,
        identity: Map::new(),
        inputs: Template::default(),
        desired: Arc::default(),
        releases: BTreeSet::new(),
        planned: Document::default(),
        changes: Vec::new(),
        expects: Expectation::default(),
        needs: Vec::new(),
        reversal: Reversal::Exact,
        risks: Vec::new(),
        notes: Vec::new(),
        undo: None,
        depends_on: Vec::new(),
        lifecycle: relctl_plan::Lifecycle::default(),
        on_revert: None,
        before: Fields::new(),
        renamed_from: None,
        existed: false,
        managed: false,
        run_key: None,
        triggers: None,
        undo_inputs: None,
        undoes: None,
        when: None,
        blocking: None,
    }
}

fn protected(address: &Address) -> ObjectError {
    ObjectError {
        address: address.clone(),
        diagnostic: Diagnostic {
            path: Path::ROOT,
            message: format!("{address} is protected and would be deleted"),
            hint: Some(
                "put it back into the release file with `lifecycle = { protect = false }`, apply, \
                 and remove it in the next release"
                    .to_owned(),
            ),
        },
    }
}
