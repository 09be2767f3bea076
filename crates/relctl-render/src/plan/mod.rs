//! A plan as a reader sees it: what is dangerous first, then every step, then the way back.

mod fold;
mod markdown;
mod risks;
mod steps;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod undo;

use std::collections::HashMap;

use relctl_plan::{Address, Origin, Plan, PlanKind, PluginPin, Step, StepId, Verb};

use crate::Style;
use crate::history::drift_lines;
use crate::style::Tone;
use crate::text::{counted, joined, pad, safe, width, wrap};
use crate::value::inline;

pub use markdown::plan_markdown;

/// The plan for a person in a terminal. `apply_command` is what applies exactly this plan; `None`
/// where relctl is about to ask.
pub fn plan_text(plan: &Plan, apply_command: Option<&str>, style: &Style) -> String {
    let view = View::new(plan, *style);
    if view.is_idle() {
        let mut lines = view.no_changes();
        lines.extend(apply_command.filter(|_| plan.body.has_changes()).map(apply_line));
        return joined(lines);
    }
    let mut lines = view.header();
    let risks = view.risk_lines();
    if risks.is_empty() {
        lines.push(String::new());
        lines.push("Risks: none".to_owned());
    }
    let mut section = |title: &str, content: Vec<String>| {
        if !content.is_empty() {
            lines.push(String::new());
            lines.push(style.paint(Tone::Heading, title));
            lines.extend(content);
        }
    };
    section("Risks", risks);
    section("Steps", view.step_lines());
    section("Record only: nothing is touched", view.record_lines());
    let undo = match plan.body.kind {
        PlanKind::Apply => "Undo",
        PlanKind::Revert { .. } => "Undo of this revert",
    };
    section(undo, view.undo_lines());
    section("Notes", view.note_lines());
    section("Plugins", view.plugin_lines());
    section("Drift since the last entry", drift_lines(&plan.body.drift, 2, *style));
    lines.push(String::new());
    if plan.body.drift.is_empty() {
        lines.push("Drift: none".to_owned());
    }
    lines.push(style.paint(Tone::Heading, &view.summary()));
    lines.extend(apply_command.map(apply_line));
    joined(lines)
}

fn apply_line(command: &str) -> String {
    format!("To apply exactly this: {}", safe(command))
}

/// The plan document as it is written to a file and printed with `--json`.
pub fn plan_json(plan: &Plan) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(plan).map(|text| text + "\n")
}

/// A plan with its steps numbered from 1.
pub(crate) struct View<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) style: Style,
    numbers: HashMap<&'a StepId, usize>,
    addresses: HashMap<&'a Address, usize>,
}

impl<'a> View<'a> {
    pub(crate) fn new(plan: &'a Plan, style: Style) -> Self {
        let steps = || plan.body.steps.iter().zip(1..);
        Self {
            plan,
            style,
            numbers: steps().map(|(step, number)| (&step.id, number)).collect(),
            addresses: steps().map(|(step, number)| (&step.address, number)).collect(),
        }
    }

    /// The step's number; 0 for a step of another plan.
    pub(crate) fn number(&self, id: &StepId) -> usize {
        self.numbers.get(id).copied().unwrap_or(0)
    }

    pub(crate) fn step(&self, id: &StepId) -> Option<&'a Step> {
        self.plan.body.steps.get(self.number(id).checked_sub(1)?)
    }

    /// The number of the step at this address.
    pub(crate) fn number_at(&self, address: &Address) -> Option<usize> {
        self.addresses.get(address).copied()
    }

    /// `healthflow v1.1.0 → production`.
    pub(crate) fn title(&self) -> String {
        let body = &self.plan.body;
        let target = match &body.environment {
            Some(environment) => format!(" {} {}", self.style.arrow(), safe(environment)),
            None => String::new(),
        };
        match &body.kind {
            PlanKind::Apply => format!("{} {}{target}", safe(&body.release), safe(&body.version)),
            PlanKind::Revert { target: origin } => {
                format!("revert {}{target}: back to {}", safe(&body.release), origin_text(origin))
            }
        }
    }

    /// `in force: v1.0.0 #12, verified`.
    pub(crate) fn in_force(&self) -> String {
        let meta = &self.plan.meta;
        let verified = match meta.in_force_verified {
            Some(true) => ", verified",
            Some(false) => ", NOT verified",
            None => "",
        };
        match &meta.in_force {
            Some(origin) => format!("in force: {}{verified}", origin_text(origin)),
            None => "in force: nothing".to_owned(),
        }
    }

    fn header(&self) -> Vec<String> {
        let (title, in_force) = (self.title(), self.in_force());
        let painted = self.style.paint(Tone::Heading, &title);
        let columns = self.style.columns();
        if width(&title) + 4 + width(&in_force) > columns {
            return vec![painted, in_force];
        }
        let gap = columns - width(&title) - width(&in_force);
        vec![format!("{painted}{:gap$}{in_force}", "")]
    }

    /// Whether no object and no record of one would change.
    pub(crate) fn is_idle(&self) -> bool {
        let body = &self.plan.body;
        body.steps.iter().all(|step| step.verb == Verb::Check)
            && body.records.is_empty()
            && body.retain.is_empty()
            && body.forget.is_empty()
    }

    fn no_changes(&self) -> Vec<String> {
        let body = &self.plan.body;
        let unchanged = counted(body.summary.noop as usize, "object", "objects");
        let mut lines = vec![format!("no changes: {}, {unchanged} as declared", self.title())];
        if body.new_version {
            lines.push(format!("only a new entry would be written; {}", self.in_force()));
        }
        lines.extend(self.risk_lines());
        if !body.steps.is_empty() {
            let checks: Vec<&str> = body.steps.iter().map(|step| step.address.as_str()).collect();
            let count = counted(checks.len(), "check", "checks");
            lines.push(format!("{count} would run: {}", checks.join(", ")));
        }
        lines.extend(self.note_lines());
        if !body.drift.is_empty() {
            lines.push(String::new());
            lines.push("Drift since the last entry".to_owned());
            lines.extend(drift_lines(&body.drift, 2, self.style));
        }
        lines
    }

    fn note_lines(&self) -> Vec<String> {
        self.plan.body.notes.iter().flat_map(|note| self.hanging("  ", note)).collect()
    }

    /// Each plugin with where it works: the reader sees the wrong account before it is touched.
    pub(crate) fn plugin_lines(&self) -> Vec<String> {
        let plugins = &self.plan.body.plugins;
        let names = |(instance, pin): (&String, &PluginPin)| {
            let name =
                if *instance == pin.name { String::new() } else { format!(" ({})", pin.name) };
            format!("{instance}{name} {}, {}", pin.version, pin.sha256.short())
        };
        let widest = plugins.iter().map(|plugin| width(&names(plugin))).max().unwrap_or(0);
        plugins
            .iter()
            .flat_map(|plugin| {
                let settings: Vec<String> = plugin
                    .1
                    .config
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| format!("{} = {}", safe(name), inline(value)))
                    .collect();
                let name = safe(&names(plugin)).into_owned();
                self.hanging(&format!("  {}   ", pad(&name, widest)), &settings.join(", "))
            })
            .collect()
    }

    /// The text after `label`, wrapped, further lines below the first.
    pub(crate) fn hanging(&self, label: &str, text: &str) -> Vec<String> {
        let indent = width(label);
        let room = self.style.columns().saturating_sub(indent).max(30);
        wrap(&safe(text), room)
            .into_iter()
            .enumerate()
            .map(|(index, line)| match index {
                0 => format!("{label}{line}"),
                _ => format!("{:indent$}{line}", ""),
            })
            .collect()
    }

    /// What changes in the ledger alone, equal reasons together.
    pub(crate) fn record_lines(&self) -> Vec<String> {
        let body = &self.plan.body;
        let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut add = |reason: String, object: String| {
            let place = *places.entry(reason.clone()).or_insert(reasons.len());
            match reasons.get_mut(place) {
                Some((_, objects)) => objects.push(object),
                None => reasons.push((reason, vec![object])),
            }
        };
        for (address, change) in &body.records {
            let object = match &change.renamed_from {
                Some(old) => format!("{address} (was {old})"),
                None => address.to_string(),
            };
            add(safe(&change.reason).into_owned(), object);
        }
        for address in &body.retain {
            add("no longer managed, stays as it is".to_owned(), address.to_string());
        }
        for address in &body.forget {
            add("gone already, forgotten".to_owned(), address.to_string());
        }
        let widest = reasons.iter().map(|(reason, _)| width(reason)).max().unwrap_or(0).min(40);
        reasons
            .iter()
            .flat_map(|(reason, objects)| {
                self.hanging(&format!("  {}   ", pad(reason, widest)), &objects.join(", "))
            })
            .collect()
    }

    /// `1 to create, 1 to update, 2 to run, 1 check.  plan 9c1e04d7…`
    pub(crate) fn summary(&self) -> String {
        let body = &self.plan.body;
        let summary = &body.summary;
        let mut parts: Vec<String> = [
            (summary.create, "to create"),
            (summary.update, "to update"),
            (summary.replace, "to replace"),
            (summary.delete, "to delete"),
            (summary.adopt, "to adopt"),
            (summary.run, "to run"),
        ]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
        if summary.check > 0 {
            parts.push(counted(summary.check as usize, "check", "checks"));
        }
        let records = body.records.len() + body.retain.len() + body.forget.len();
        if records > 0 {
            parts.push(counted(records, "record only", "records only"));
        }
        if summary.noop > 0 {
            parts.push(format!("{} unchanged", summary.noop));
        }
        let id = self.plan.plan_id.short();
        format!("{}.  plan {id}{}", parts.join(", "), self.style.ellipsis())
    }
}

/// `v1.0.0 #12`.
pub(crate) fn origin_text(origin: &Origin) -> String {
    match (&origin.version, origin.serial) {
        (_, 0) => "what was there before the first entry".to_owned(),
        (Some(version), serial) => format!("{} #{serial}", safe(version)),
        (None, serial) => format!("#{serial}"),
    }
}
