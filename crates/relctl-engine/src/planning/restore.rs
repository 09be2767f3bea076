//! Restore points: what can be gone back to where there is no undo, and what that loses.

use std::collections::{BTreeSet, HashMap};

use relctl_plan::{
    Address, Kind, Path, RestorePoint, Risk, Run, Severity, Step, StepId, Value, Verb,
};

use super::base::kind_of;
use super::decide::no_undo;
use crate::{Context, EngineError};

/// Says of each run that cannot be undone what going back to before it would mean: restoring from
/// what the plan takes before the run.
pub(crate) fn name_restore_points(
    context: Context<'_>,
    steps: &mut [Step],
) -> Result<(), EngineError> {
    let mut points: HashMap<StepId, String> = HashMap::new();
    for step in steps.iter().filter(|step| step.verb == Verb::Run && step.undoes.is_none()) {
        let kind = kind_of(context, &step.plugin, &step.address)?;
        if let Some(point) = &kind.restore_point {
            let of = step.desired.get(&Path::field(&point.of)).and_then(Value::as_str);
            let text = format!("{} from what {} takes", of.unwrap_or("it"), step.address);
            points.insert(step.id.clone(), text);
        }
    }
    if points.is_empty() {
        return Ok(());
    }
    let needs: HashMap<StepId, Vec<StepId>> =
        steps.iter().map(|step| (step.id.clone(), step.needs.clone())).collect();
    for step in steps {
        let plain = no_undo(&step.address);
        let Some(risk) = step.risks.iter_mut().find(|risk| risk.message == plain) else { continue };
        let before: Vec<&str> = needed(&needs, &step.id)
            .iter()
            .filter_map(|id| points.get(id).map(String::as_str))
            .collect();
        if !before.is_empty() {
            risk.message = format!(
                "{plain}. After it, going back means restoring {}; what is written since is lost",
                before.join(" and ")
            );
        }
    }
    Ok(())
}

/// Everything that a step needs, however far away.
pub(crate) fn needed(needs: &HashMap<StepId, Vec<StepId>>, of: &StepId) -> BTreeSet<StepId> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&StepId> = needs.get(of).into_iter().flatten().collect();
    while let Some(id) = next.pop() {
        if found.insert(id.clone()) {
            next.extend(needs.get(id).into_iter().flatten());
        }
    }
    found
}

/// What a revert says of something that can only be gone back to by hand: a risk, and how, on
/// further lines.
pub(crate) fn stays(address: &Address, why: &str) -> (Risk, Vec<String>) {
    let mut lines = why.lines().map(str::trim);
    let first = lines.next().unwrap_or_default();
    let further: Vec<String> = lines.map(str::to_owned).collect();
    let how = if further.is_empty() { "" } else { "; the notes say how to go back by hand" };
    let message = format!("{address} stays as it is: {first}{how}");
    (Risk { severity: Severity::Caution, message }, further)
}

/// What a revert says of a run that left something to restore from.
pub(crate) fn restore_notes(kind: &Kind, run: &Run) -> Vec<String> {
    let Some(point) = &kind.restore_point else { return Vec::new() };
    let RestorePoint { of, name, taken, procedure } = point;
    let text = |field: &str| {
        let value = run.output.get(field).or_else(|| run.inputs.get(field));
        value.and_then(Value::as_str).unwrap_or("(not recorded)").to_owned()
    };
    let mut notes = vec![format!(
        "{} of entry #{} took {} of {} at {}. This revert does not restore it. Restoring it loses \
         everything that was written after that time:",
        run.address,
        run.serial,
        text(name),
        text(of),
        text(taken)
    )];
    let lines = run.output.get(procedure).and_then(Value::as_array);
    notes.extend(lines.into_iter().flatten().filter_map(|line| line.as_str().map(str::to_owned)));
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_one_line_and_the_way_further_lines() {
        let address: Address = "resource.aws_db_instance.main".parse().unwrap();
        let (risk, notes) = stays(&address, "it runs 16\nTo go back by hand:\n  1. stop");
        assert_eq!(
            risk.message,
            "resource.aws_db_instance.main stays as it is: it runs 16; the notes say how to go back by hand"
        );
        assert_eq!(notes, ["To go back by hand:", "1. stop"]);
        let (risk, notes) = stays(&address, "it runs 16");
        assert!(risk.message.ends_with("it runs 16") && notes.is_empty());
    }

    #[test]
    fn everything_that_a_step_needs_is_found_once() {
        let id =
            |name: &str| StepId::new(&format!("resource.k.{name}").parse().unwrap(), Verb::Update);
        let needs = HashMap::from([
            (id("d"), vec![id("b"), id("c")]),
            (id("c"), vec![id("a")]),
            (id("b"), vec![id("a")]),
            (id("a"), vec![]),
        ]);
        assert_eq!(needed(&needs, &id("d")), BTreeSet::from([id("a"), id("b"), id("c")]));
        assert!(needed(&needs, &id("a")).is_empty());
    }
}
