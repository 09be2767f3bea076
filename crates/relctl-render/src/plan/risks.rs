//! Risks: what a reader must see in the first ten seconds.

use relctl_plan::{Address, Severity};

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
        struct Group<'a> {
            severity: Severity,
            message: String,
            steps: Vec<usize>,
            addresses: Vec<&'a Address>,
        }
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for (step, risk) in self.plan.body.all_risks() {
            let address = step.map(|step| &step.address);
            // The same sentence about another object is the same risk.
            let sentence = match address {
                Some(address) => risk.message.replace(address.as_str(), "\0"),
                None => risk.message.clone(),
            };
            let number = step.map(|step| self.number(&step.id));
            let key = (risk.severity, number.is_some(), sentence);
            let place = *places.entry(key).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => {
                    group.steps.extend(number);
                    group.addresses.extend(address);
                }
                None => groups.push(Group {
                    severity: risk.severity,
                    message: risk.message.clone(),
                    steps: number.into_iter().collect(),
                    addresses: address.into_iter().collect(),
                }),
            }
        }
        groups
            .into_iter()
            .map(|group| {
                let Group { severity, message, mut steps, mut addresses } = group;
                steps.sort_unstable();
                steps.dedup();
                let text = match (steps.as_slice(), addresses.first()) {
                    ([], _) | (_, None) => message,
                    ([one], Some(address)) if message.contains(address.as_str()) => {
                        format!("step {one}: {message}")
                    }
                    ([one], Some(address)) => format!("step {one}, {address}: {message}"),
                    (many, Some(first)) => {
                        let steps = ranges(many, self.style);
                        let written = first.to_string();
                        addresses.sort_unstable();
                        addresses.dedup();
                        let names = names(&addresses);
                        if message.contains(&written) {
                            let message = message.replace(&written, &format!("each of {names}"));
                            format!("steps {steps}: {message}")
                        } else {
                            format!("steps {steps}, {names}: {message}")
                        }
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

/// The objects as a shell would write them, `resource.local_file.{about, index}`; of many the rest is
/// counted. They are sorted, so that those of one kind stand together.
fn names(addresses: &[&Address]) -> String {
    const NAMED: usize = 8;
    let named = addresses.get(..NAMED).unwrap_or(addresses);
    let parts: Vec<String> = named
        .chunk_by(|a, b| (a.role(), a.kind()) == (b.role(), b.kind()))
        .map(|alike| match alike {
            [one] => one.to_string(),
            many => {
                let names: Vec<&str> = many.iter().map(|address| address.name()).collect();
                let kind = many.first().map(|a| format!("{}.{}", a.role(), a.kind()));
                format!("{}.{{{}}}", kind.unwrap_or_default(), names.join(", "))
            }
        })
        .collect();
    let listed = parts.join(", ");
    match addresses.len() - named.len() {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}
