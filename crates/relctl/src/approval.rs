//! Approval: a person's `yes`, or the id of the plan that was reviewed.

use relctl_plan::Plan;

use crate::error::{CommandError, ErrorKind};
use crate::ui::Ui;

/// The fewest digits of a plan id that are taken for one: nobody finds another plan with them by
/// accident.
const SHORTEST_ID: usize = 12;

/// How a plan that was made just now is approved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Approval<'a> {
    /// `--auto-approve`.
    pub auto: bool,
    /// `--expect`: the id of the plan that was reviewed.
    pub expected: Option<&'a str>,
}

impl Approval<'_> {
    /// Checks that the plan is the expected one, if one is.
    pub(crate) fn check(self, plan: &Plan) -> Result<(), CommandError> {
        let Some(expected) = self.expected else { return Ok(()) };
        if expected.len() < SHORTEST_ID {
            return Err(CommandError::new(
                ErrorKind::Approval,
                format!("`{expected}` is too short for a plan id"),
            )
            .hint(format!("give all 64 digits, or at least the first {SHORTEST_ID}")));
        }
        if plan.plan_id.as_str().starts_with(expected) {
            return Ok(());
        }
        Err(CommandError::new(
            ErrorKind::Approval,
            format!("the plan is {}, approved was {expected}", plan.plan_id),
        )
        .hint("nothing was changed; have the plan reviewed as it is now: relctl plan"))
    }

    /// Gets the plan approved: by its id, by `--auto-approve`, or by a person who has just seen it.
    pub(crate) fn obtain(self, plan: &Plan, ui: &Ui, question: &str) -> Result<(), CommandError> {
        self.check(plan)?;
        if self.auto || self.expected.is_some() { Ok(()) } else { ui.confirm(question) }
    }
}

#[cfg(test)]
mod tests {
    use relctl_plan::{Digest, Meta};

    use super::*;

    fn plan() -> Plan {
        let body = serde_json::json!({
            "release": "r", "version": "v", "environment": null, "kind": "apply",
            "new_version": false, "retain": [],
            "base": { "lineage": "l", "serial": 0, "entry": null }, "plugins": {}, "steps": [],
            "relied_on": {}, "records": {}, "forget": [],
            "summary": {
                "create": 0, "update": 0, "replace": 0, "delete": 0, "adopt": 0, "run": 0,
                "check": 0, "noop": 0
            },
            "drift": [], "risks": [], "notes": [],
        });
        Plan {
            format: 1,
            plan_id: Digest::of(b"plan"),
            body: serde_json::from_value(body).unwrap(),
            meta: Meta::default(),
        }
    }

    #[test]
    fn only_the_expected_plan_is_approved() {
        let plan = plan();
        let id = plan.plan_id.as_str();
        let check = |expected| {
            let approval = Approval { auto: true, expected };
            approval.check(&plan).map_err(|error| error.kind)
        };
        assert_eq!(check(None), Ok(()));
        assert_eq!(check(Some(id)), Ok(()));
        assert_eq!(check(Some(&id[..12])), Ok(()));
        assert_eq!(check(Some(&id[..11])), Err(ErrorKind::Approval));
        assert_eq!(check(Some("000000000000")), Err(ErrorKind::Approval));
        assert_eq!(check(Some("")), Err(ErrorKind::Approval));
        assert_eq!(check(Some(&format!("{id}0"))), Err(ErrorKind::Approval));
    }
}
