//! Risks: what a reader must see in the first ten seconds.

use relctl_plan::Severity;

use super::View;
use crate::style::{Tone, severity_name};
use crate::text::{pad, ranges, safe, width};

/// A risk, and every step that has it.
pub(crate) struct RiskLine {
    pub(crate) severity: Severity,
    /// The numbers of the steps that have it; none where it is the plan's own.
    pub(crate) steps: Vec<usize>,
    /// Names the steps. Nothing in it needs escaping for a terminal.
    pub(crate) text: String,
}

impl View<'_> {
    /// Every risk, in the order of [`relctl_plan::Body::all_risks`]; the same risk of several
    /// steps once, with all their numbers.
    pub(crate) fn risks(&self) -> Vec<RiskLine> {
        struct Group {
            severity: Severity,
            message: String,
            steps: Vec<usize>,
            address: Option<String>,
        }
        let mut groups: Vec<Group> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (step, risk) in self.plan.body.all_risks() {
            let address = step.map(|step| step.address.to_string());
            // The same sentence about another object is the same risk.
            let sentence = match &address {
                Some(address) => risk.message.replace(address.as_str(), "\0"),
                None => risk.message.clone(),
            };
            let number = step.map(|step| self.number(&step.id));
            let key = (risk.severity, number.is_some(), sentence);
            let place = *places.entry(key).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.steps.extend(number),
                None => groups.push(Group {
                    severity: risk.severity,
                    message: risk.message.clone(),
                    steps: number.into_iter().collect(),
                    address,
                }),
            }
        }
        groups
            .into_iter()
            .map(|group| {
                let Group { severity, message, mut steps, address } = group;
                steps.sort_unstable();
                steps.dedup();
                let own = self.style.own_name();
                let text = match (steps.as_slice(), address) {
                    ([], _) | (_, None) => message,
                    ([one], Some(address)) if message.contains(&address) => {
                        format!("step {one}: {message}")
                    }
                    ([one], Some(address)) => format!("step {one}, {address}: {message}"),
                    (many, Some(address)) => {
                        let message = message.replace(&address, own);
                        format!("steps {}: {message}", ranges(many, self.style))
                    }
                };
                RiskLine { severity, steps, text: safe(&text).into_owned() }
            })
            .collect()
    }

    pub(crate) fn risk_lines(&self) -> Vec<String> {
        let risks = self.risks();
        let label = |risk: &RiskLine| severity_name(risk.severity);
        let widest = risks.iter().map(|risk| width(label(risk))).max().unwrap_or(0);
        risks
            .iter()
            .flat_map(|risk| {
                let mut lines =
                    self.hanging(&format!("  ! {}   ", pad(label(risk), widest)), &risk.text);
                let tone = match risk.severity {
                    Severity::PointOfNoReturn | Severity::Destructive => Tone::Bad,
                    Severity::Downtime | Severity::Caution => Tone::Change,
                };
                // The label alone is coloured, and it starts every risk.
                if let Some(first) = lines.first_mut() {
                    let rest = first.split_off(4 + label(risk).len());
                    *first = format!("{}{rest}", self.style.paint(tone, first));
                }
                lines
            })
            .collect()
    }
}
