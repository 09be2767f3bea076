//! Gates, before the first change, and checks, after the last.

use std::collections::HashMap;
use std::sync::Arc;

use relctl_plan::{
    Address, Binding, CheckWhen, Document, Map, Outcome, Plan, Reference, Step, Value, Verb,
    Verdict,
};

use crate::error::Refusal;
use crate::planning::calls::by_plugin;
use crate::planning::decide::value_at;
use crate::{Context, EngineError, Subject};

/// A check that ran.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) address: Address,
    pub(crate) verdict: Verdict,
    pub(crate) blocking: bool,
}

/// Runs the plan's checks of one kind, all at once. A check that cannot be run is inconclusive.
pub(crate) async fn run_checks(
    context: Context<'_>,
    plan: &Plan,
    when: CheckWhen,
    documents: &HashMap<Address, Arc<Map>>,
) -> Result<Vec<Checked>, EngineError> {
    let steps: Vec<&Step> = plan
        .body
        .steps
        .iter()
        .filter(|step| step.verb == Verb::Check && step.when.unwrap_or_default() == when)
        .collect();
    let subjects = steps.iter().map(|step| {
        let desired = resolved(step, documents);
        let subject =
            Subject { address: step.address.clone(), desired: Some(desired), prior: None };
        (step.plugin.clone(), subject)
    });
    let answers =
        by_plugin(context, subjects.collect(), |p, s| async move { p.probe(s).await }).await?;
    let checked = steps.into_iter().zip(answers).map(|(step, answer)| Checked {
        address: step.address.clone(),
        verdict: answer.unwrap_or_else(|failure| Verdict {
            outcome: Outcome::Inconclusive,
            evidence: failure.to_string(),
        }),
        blocking: step.blocking.unwrap_or(true),
    });
    Ok(checked.collect())
}

/// What a check looks at, with the values that are known by now.
fn resolved(step: &Step, documents: &HashMap<Address, Arc<Map>>) -> Arc<Document> {
    if step.desired.is_known() {
        return Arc::clone(&step.desired);
    }
    step.inputs
        .resolve(&|reference| bind(documents, reference))
        .map_or_else(|_| Arc::clone(&step.desired), Arc::new)
}

/// What a reference stands for among these documents.
pub(crate) fn bind(documents: &HashMap<Address, Arc<Map>>, reference: &Reference) -> Binding {
    let Some(document) = documents.get(&reference.address) else { return Binding::Unknown };
    if reference.attribute.is_root() {
        return Binding::Known(Value::Object(document.as_ref().clone()));
    }
    Binding::Known(value_at(document, &reference.attribute).cloned().unwrap_or_default())
}

/// Refuses unless every blocking gate passed; names all that did not.
pub(crate) fn all_passed(gates: &[Checked]) -> Result<(), EngineError> {
    let failed: Vec<Refusal> = gates
        .iter()
        .filter(|gate| gate.blocking && gate.verdict.outcome != Outcome::Pass)
        .map(|gate| Refusal::Gate {
            address: gate.address.clone(),
            message: gate.verdict.evidence.clone(),
        })
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(EngineError::Gates(failed)) }
}

/// Whether the release is verified; `None` if it has no blocking checks.
pub(crate) fn verified(gates: &[Checked], checked: &[Checked]) -> Option<bool> {
    let mut blocking = gates.iter().chain(checked).filter(|check| check.blocking).peekable();
    blocking.peek()?;
    Some(blocking.all(|check| check.verdict.outcome == Outcome::Pass))
}
