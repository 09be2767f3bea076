//! Steps in the order in which they are done, each with what it changes.

use std::collections::BTreeMap;

use relctl_plan::{CheckWhen, FieldChange, Path, Step, Value, Verb};

use super::View;
use crate::change::{Line, Shown, Sign, layout, line_of};
use crate::style::{Tone, tone_of};
use crate::text::{pad, ranges, safe, shorten, width};
use crate::value::inline;

/// One step, or several that are alike, as it will be laid out.
pub(super) struct Row {
    pub(super) number: String,
    pub(super) verb: Verb,
    /// The verb, or the better word for it.
    pub(super) word: &'static str,
    pub(super) object: String,
    /// What it is about, if that fits beside it.
    pub(super) summary: String,
    pub(super) after: String,
    /// Texts below the first line, before the changes.
    pub(super) remarks: Vec<String>,
    pub(super) changes: Vec<Line>,
}

/// Longer objects push what stands right of them.
const OBJECT_COLUMNS: usize = 52;

impl View<'_> {
    /// Each step's line, and the lines below it.
    pub(crate) fn step_blocks(&self) -> Vec<(String, Vec<String>)> {
        let rows = self.rows();
        let widest = |text: fn(&Row) -> &str| rows.iter().map(|row| width(text(row))).max();
        let number_width = widest(|row| &row.number).unwrap_or(0);
        let glyph_width =
            rows.iter().map(|row| width(self.style.glyph(row.verb))).max().unwrap_or(0);
        let object_width = widest(|row| &row.object).unwrap_or(0).min(OBJECT_COLUMNS);
        let word_width = widest(|row| row.word).unwrap_or(0) + 2;
        let indent = 2 + number_width + 2 + glyph_width + 1;
        rows.iter()
            .map(|row| {
                let glyph = pad(self.style.glyph(row.verb), glyph_width);
                let verb = self.style.paint(tone_of(row.verb), &format!("{glyph} {}", row.word));
                let gap = word_width.saturating_sub(row.word.len());
                let number = pad(&row.number, number_width);
                let object = pad(&row.object, object_width);
                let mut head = format!("  {number}  {verb}{:gap$}{object}", "");
                let mut used = indent + word_width + width(&object);
                let mut below = Vec::new();
                let room = self.style.columns().saturating_sub(used + 3);
                let needed = match row.after.as_str() {
                    "" => 0,
                    after => width(after) + 3,
                };
                if !row.summary.is_empty() {
                    let room = room.saturating_sub(needed);
                    if width(&row.summary) <= room {
                        head = format!("{head}   {}", row.summary);
                        used += 3 + width(&row.summary);
                    } else {
                        let room = self.style.columns().saturating_sub(indent + 2);
                        let text = shorten(&row.summary, room, self.style);
                        below.push(format!("{:indent$}  {text}", ""));
                    }
                }
                if !row.after.is_empty() {
                    // Flush right where there is room: one column to scan.
                    let gap = self.style.columns().saturating_sub(used + width(&row.after)).max(3);
                    let after = self.style.paint(Tone::Quiet, &row.after);
                    head = format!("{head}{:gap$}{after}", "");
                }
                for remark in &row.remarks {
                    below.extend(self.hanging(&format!("{:indent$}  ", ""), remark));
                }
                below.extend(layout(&row.changes, indent, self.style));
                (head, below)
            })
            .collect()
    }

    pub(crate) fn step_lines(&self) -> Vec<String> {
        self.step_blocks()
            .into_iter()
            .flat_map(|(head, below)| std::iter::once(head).chain(below))
            .collect()
    }

    /// The row of a step that stands for itself.
    pub(super) fn row(&self, step: &Step, mut changes: Vec<Line>) -> Row {
        let mut summary = String::new();
        match step.verb {
            // What is run or checked is one thing: its inputs, in one line if they fit.
            Verb::Run | Verb::Check => {
                if let Some(inputs) = self.inputs_in_one_line(&changes) {
                    summary = inputs;
                    changes.clear();
                }
            }
            Verb::Update | Verb::Replace | Verb::Delete | Verb::Adopt => {
                summary = step.identity.values().map(inline).collect::<Vec<_>>().join(", ");
            }
            Verb::Create => {}
        }
        let needs: Vec<usize> = step.needs.iter().map(|id| self.number(id)).collect();
        Row {
            number: self.number(&step.id).to_string(),
            verb: step.verb,
            word: word(step),
            object: step.address.to_string(),
            summary,
            after: self.after(needs),
            remarks: remarks(step),
            changes,
        }
    }

    pub(super) fn after(&self, mut needs: Vec<usize>) -> String {
        needs.retain(|number| *number > 0);
        needs.sort_unstable();
        needs.dedup();
        if needs.is_empty() {
            return String::new();
        }
        format!("after {}", ranges(&needs, self.style))
    }

    /// What the step changes, then what others move.
    pub(super) fn changes(&self, step: &Step) -> Vec<Line> {
        let declared;
        let changes = if step.changes.is_empty() && matches!(step.verb, Verb::Run | Verb::Check) {
            declared = declared_fields(step);
            &declared
        } else {
            &step.changes
        };
        let mut lines: Vec<Line> =
            changes.iter().map(|c| line_of(c, || self.unknown(step, &c.path))).collect();
        let none = BTreeMap::new();
        for (path, value) in self.plan.meta.external.get(&step.address).unwrap_or(&none) {
            let path = safe(&path.to_string()).into_owned();
            let text = format!("{}, not managed here", inline(value));
            lines.push(Line::value(Sign::Same, path, text));
        }
        lines
    }

    /// Where a value comes from that is not known yet.
    fn unknown(&self, step: &Step, path: &Path) -> Shown {
        if let Some(reference) = step.inputs.reference_at(path)
            && let Some(number) = self.number_at(&reference.address)
        {
            return Shown::AfterStep(number, reference.address.to_string());
        }
        let mut written = Some(step.inputs.as_map());
        let mut segments = path.segments().peekable();
        while let (Some(map), Some(segment)) = (written, segments.next()) {
            match map.get(segment) {
                Some(Value::String(text)) if segments.peek().is_none() => {
                    return Shown::Text(format!("(known while applying: {})", safe(text)));
                }
                other => written = other.and_then(Value::as_object),
            }
        }
        Shown::Text("(known while applying)".to_owned())
    }

    fn inputs_in_one_line(&self, changes: &[Line]) -> Option<String> {
        let parts: Option<Vec<String>> = changes
            .iter()
            .map(|line| match line.sign {
                Sign::Add => {
                    line.one_line(self.style).map(|text| format!("{} = {text}", line.path))
                }
                _ => None,
            })
            .collect();
        parts.map(|parts| parts.join(", ")).filter(|text| width(text) + 12 <= self.style.columns())
    }
}

pub(super) fn word(step: &Step) -> &'static str {
    match step.verb {
        Verb::Check if step.when == Some(CheckWhen::Before) => "gate",
        Verb::Run if step.undoes.is_some() => "undo",
        verb => verb.as_str(),
    }
}

/// What else there is to say about the step.
pub(super) fn remarks(step: &Step) -> Vec<String> {
    let mut remarks = Vec::new();
    if step.undoes.is_some() {
        remarks.push("undoes an earlier run".to_owned());
    }
    if let Some(old) = &step.renamed_from {
        remarks.push(format!("renamed from {old}"));
    }
    if step.verb == Verb::Update && !step.managed {
        remarks.push("no longer managed after this".to_owned());
    }
    if step.blocking == Some(false) {
        remarks.push("does not fail the release".to_owned());
    }
    remarks.extend(step.notes.iter().map(|note| format!("note: {note}")));
    remarks
}

/// The fields of an action or a check, which are no changes of anything.
fn declared_fields(step: &Step) -> Vec<FieldChange> {
    step.desired
        .value
        .iter()
        .map(|(name, value)| {
            let path = Path::field(name);
            let unknown = step.desired.is_unknown(&path);
            let after = (!unknown).then(|| value.clone());
            FieldChange { path, before: None, after, unknown, multiline: false }
        })
        .collect()
}
