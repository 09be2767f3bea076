//! Sees that everything that a plan depends on is still as it was planned.

use std::collections::HashMap;
use std::sync::Arc;

use relctl_plan::{
    Address, Assessment, Document, Failure, Kind, Map, Plan, Reliance, Role, Step, StepId, Undo,
    Value, Verb, same_value,
};

use crate::error::Refusal;
use crate::planning::base::{Base, kind_of};
use crate::planning::calls::by_plugin;
use crate::planning::decide::{must_replace, value_at};
use crate::planning::pipeline::assess_all;
use crate::{Change, Context, EngineError, Subject};

/// What was seen just before the first change.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// Objects as they are, by step.
    pub(crate) observed: HashMap<StepId, Option<Arc<Map>>>,
    /// What plugins need to undo each step.
    pub(crate) undo: HashMap<StepId, Undo>,
    /// What references may stand for: objects that exist already.
    pub(crate) documents: HashMap<Address, Arc<Map>>,
}

/// Observes again, compares, assesses again. `wanted` leaves out steps that have begun.
pub(crate) async fn precheck(
    context: Context<'_>,
    base: &Base,
    plan: &Plan,
    wanted: &dyn Fn(&StepId) -> bool,
) -> Result<Prepared, EngineError> {
    let steps: Vec<&Step> =
        plan.body.steps.iter().filter(|s| s.verb != Verb::Check && wanted(&s.id)).collect();
    let mut refusals = Vec::new();
    let mut prepared = Prepared::default();
    observe_steps(context, base, &steps, &mut prepared, &mut refusals).await?;
    observe_relied_on(context, base, plan, &mut prepared, &mut refusals).await?;
    if !refusals.is_empty() {
        return Err(EngineError::Changed(refusals));
    }
    assess_again(context, base, &steps, &mut prepared, &mut refusals).await?;
    if refusals.is_empty() { Ok(prepared) } else { Err(EngineError::Changed(refusals)) }
}

async fn observe_steps(
    context: Context<'_>,
    base: &Base,
    steps: &[&Step],
    prepared: &mut Prepared,
    refusals: &mut Vec<Refusal>,
) -> Result<(), EngineError> {
    let observable: Vec<&Step> =
        steps.iter().copied().filter(|step| is_observed(context, step)).collect();
    let subjects = observable.iter().map(|step| (step.plugin.clone(), subject(base, step)));
    let answers =
        by_plugin(context, subjects.collect(), |p, s| async move { p.observe(s).await }).await?;
    let mut unanswered = Vec::new();
    for (step, answer) in observable.into_iter().zip(answers) {
        match answer {
            Err(failure) => unanswered.push((step.address.clone(), failure)),
            // What a run would find: its plugin judges it again.
            Ok(observed) if step.address.role() == Role::Action => {
                prepared.observed.insert(step.id.clone(), observed);
            }
            Ok(observed) => {
                compare(&step.address, &step.expects, observed.as_deref(), refusals);
                if let Some(observed) = &observed {
                    prepared.documents.insert(step.address.clone(), observed.clone());
                }
                prepared.observed.insert(step.id.clone(), observed);
            }
        }
    }
    answered(unanswered)
}

/// Whether planning looked at it.
fn is_observed(context: Context<'_>, step: &Step) -> bool {
    match step.address.role() {
        Role::Resource => identity_is_known(context, step),
        Role::Action if step.undoes.is_none() => {
            kind_of(context, &step.plugin, &step.address).is_ok_and(|kind| kind.observed)
        }
        _ => false,
    }
}

/// Whether the object can be looked for: a created object's identity may be unknown yet.
fn identity_is_known(context: Context<'_>, step: &Step) -> bool {
    kind_of(context, &step.plugin, &step.address).is_ok_and(|kind| {
        kind.identity.iter().all(|field| !step.desired.is_unknown(&relctl_plan::Path::field(field)))
    })
}

async fn observe_relied_on(
    context: Context<'_>,
    base: &Base,
    plan: &Plan,
    prepared: &mut Prepared,
    refusals: &mut Vec<Refusal>,
) -> Result<(), EngineError> {
    let relied: Vec<(&Address, &Reliance)> = plan.body.relied_on.iter().collect();
    let subjects = relied.iter().map(|(address, reliance)| {
        let recorded = base.snapshot.objects.get(*address);
        let subject = Subject {
            address: (*address).clone(),
            desired: Some(Document::known(reliance.desired.clone()).into()),
            prior: recorded.map(|recorded| Arc::clone(&recorded.observed)),
        };
        (reliance.plugin.clone(), subject)
    });
    let answers =
        by_plugin(context, subjects.collect(), |p, s| async move { p.observe(s).await }).await?;
    let mut unanswered = Vec::new();
    for ((address, reliance), answer) in relied.into_iter().zip(answers) {
        match answer {
            Err(failure) => unanswered.push((address.clone(), failure)),
            Ok(observed) => {
                compare(address, &reliance.expects, observed.as_deref(), refusals);
                if let Some(observed) = observed {
                    prepared.documents.insert(address.clone(), observed);
                }
            }
        }
    }
    answered(unanswered)
}

fn answered(unanswered: Vec<(Address, Failure)>) -> Result<(), EngineError> {
    if unanswered.is_empty() { Ok(()) } else { Err(EngineError::Unanswered(unanswered)) }
}

fn compare(
    address: &Address,
    expects: &relctl_plan::Expectation,
    observed: Option<&Map>,
    refusals: &mut Vec<Refusal>,
) {
    if expects.exists != observed.is_some() {
        refusals.push(Refusal::Existence {
            address: address.clone(),
            planned: expects.exists,
            current: observed.is_some(),
        });
        return;
    }
    let Some(observed) = observed else { return };
    for (path, planned) in expects.fields.iter() {
        let current = value_at(observed, path).unwrap_or(&Value::Null);
        if !same_value(current, planned) {
            refusals.push(Refusal::Changed {
                address: address.clone(),
                path: path.clone(),
                planned: planned.clone(),
                current: current.clone(),
            });
        }
    }
}

/// The object of a step, as planning asked about it.
pub(crate) fn subject(base: &Base, step: &Step) -> Subject {
    let found = base.find(&step.plugin, &step.address, &step.identity);
    Subject {
        address: step.address.clone(),
        desired: Some(Arc::clone(&step.desired)),
        prior: found.map(|found| Arc::clone(&found.recorded.observed)),
    }
}

/// The change of a step, with `desired` as far as it is known by now.
pub(crate) fn change(
    base: &Base,
    step: &Step,
    desired: &Arc<Document>,
    observed: Option<Arc<Map>>,
    verb: Verb,
) -> Change {
    let subject = Subject { desired: Some(Arc::clone(desired)), ..subject(base, step) };
    Change {
        subject,
        verb,
        observed,
        desired: (verb != Verb::Delete).then(|| Arc::clone(desired)),
        paths: step.changes.iter().map(|change| change.path.clone()).collect(),
        undo: step
            .undo
            .clone()
            .map(|undo| Undo { sealed: base.sealed.get(&step.id).cloned(), ..undo }),
    }
}

async fn assess_again(
    context: Context<'_>,
    base: &Base,
    steps: &[&Step],
    prepared: &mut Prepared,
    refusals: &mut Vec<Refusal>,
) -> Result<(), EngineError> {
    let assessed: Vec<&Step> = steps.iter().copied().filter(|s| s.verb.is_mutation()).collect();
    let mut changes = Vec::with_capacity(assessed.len());
    for step in &assessed {
        let kind = kind_of(context, &step.plugin, &step.address)?;
        let observed = prepared.observed.get(&step.id).cloned().flatten();
        let verb = assessed_verb(kind, step);
        changes.push((step.plugin.clone(), change(base, step, &step.desired, observed, verb)));
    }
    let answers = assess_all(context, changes).await?;
    let mut unanswered = Vec::new();
    for (step, answer) in assessed.into_iter().zip(answers) {
        match answer {
            Err(failure) => unanswered.push((step.address.clone(), failure)),
            Ok(assessment) => {
                if let Some(what) = difference(step, &assessment) {
                    refusals.push(Refusal::Reassessed { step: step.id.clone(), what });
                }
                if let Some(mut undo) = assessment.undo {
                    if !context.ledger.is_encrypted() {
                        undo.sealed = None;
                    }
                    prepared.undo.insert(step.id.clone(), undo);
                }
            }
        }
    }
    answered(unanswered)
}

/// The verb that planning asked about: a replacement that the plugin asked for began as an update.
fn assessed_verb(kind: &Kind, step: &Step) -> Verb {
    let by_schema = step.changes.iter().any(|change| must_replace(kind, &change.path));
    if step.verb == Verb::Replace && !by_schema { Verb::Update } else { step.verb }
}

/// What the plugin says otherwise than while planning. The undo may differ.
fn difference(step: &Step, now: &Assessment) -> Option<String> {
    if now.planned != step.planned {
        return Some("other values will be known after it".to_owned());
    }
    if now.replace && step.verb != Verb::Replace {
        return Some("it now needs delete and create".to_owned());
    }
    let compensated = step.undo_inputs.is_some() && step.verb == Verb::Run;
    if !compensated && now.reversal != step.reversal {
        return Some("it would be undone in another way".to_owned());
    }
    if let Some(risk) = now.risks.iter().find(|risk| !step.risks.contains(risk)) {
        return Some(format!("a new risk: {}", risk.message));
    }
    if let Some(note) = now.notes.iter().find(|note| !step.notes.contains(note)) {
        return Some(note.clone());
    }
    None
}
