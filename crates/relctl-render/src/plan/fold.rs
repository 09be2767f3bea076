//! Folding: many steps that are alike are shown once, with every difference between them.

use std::collections::HashMap;

use relctl_plan::{Reversal, Role, Step, Verb};

use super::View;
use super::steps::{Row, remarks, word};
use crate::change::{Line, Sign};
use crate::text::ranges;

/// Fewer steps than this are read faster one by one.
const ALIKE: usize = 4;

/// Names that are listed; of more the rest is counted. Their steps are all in the range shown.
const NAMES: usize = 60;

/// What steps must share to be shown together.
#[derive(PartialEq, Eq, Hash)]
struct Shape<'a> {
    verb: Verb,
    word: &'static str,
    role: Role,
    kind: &'a str,
    plugin: &'a str,
    reversal: Reversal,
    /// Sign and path of each line.
    lines: Vec<(Sign, String)>,
}

/// A step with the lines below it.
struct Member<'a> {
    number: usize,
    step: &'a Step,
    lines: Vec<Line>,
}

impl<'a> View<'a> {
    /// The rows in the order of the steps; a fold stands where its first step is.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut groups: Vec<Vec<Member<'a>>> = Vec::new();
        let mut places: HashMap<Shape<'a>, usize> = HashMap::new();
        for (step, number) in self.plan.body.steps.iter().zip(1..) {
            let member = Member { number, step, lines: self.changes(step) };
            // What destroys something is never folded.
            if matches!(step.verb, Verb::Replace | Verb::Delete) {
                groups.push(vec![member]);
                continue;
            }
            let place = *places.entry(shape(&member)).or_insert(groups.len());
            match groups.get_mut(place) {
                Some(group) => group.push(member),
                None => groups.push(vec![member]),
            }
        }
        let mut rows: Vec<(usize, Row)> = Vec::new();
        for group in groups {
            let first = group.first().map_or(0, |member| member.number);
            match self.fold(&group) {
                Some(row) => rows.push((first, row)),
                None => {
                    rows.extend(group.into_iter().map(|m| (m.number, self.row(m.step, m.lines))));
                }
            }
        }
        rows.sort_by_key(|(number, _)| *number);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The steps as one row; `None` if they are few or differ in more than one field.
    fn fold(&self, group: &[Member<'a>]) -> Option<Row> {
        let first = group.first().filter(|_| group.len() >= ALIKE)?;
        let remarks = common_remarks(group, self.style.own_name())?;
        let columns = transpose(group.iter().map(|member| member.lines.as_slice()));
        let mut shared = Vec::new();
        let mut differing = Vec::new();
        for column in &columns {
            match self.common(column, group) {
                Some(line) => shared.push(line),
                None => differing.push(column),
            }
        }
        let members = match differing.as_slice() {
            [] => Some(self.names(group)),
            [column] => {
                shared.extend(self.each(column, group)?);
                None
            }
            _ => return None,
        };
        let numbers: Vec<usize> = group.iter().map(|member| member.number).collect();
        let (low, high) = (numbers.first()?, numbers.last()?);
        let contiguous = high - low + 1 == numbers.len();
        let between = if contiguous { self.style.to() } else { self.style.ellipsis() };
        let needs = group
            .iter()
            .flat_map(|member| member.step.needs.iter().map(|id| self.number(id)))
            .collect();
        let address = &first.step.address;
        Some(Row {
            number: format!("{low}{between}{high}"),
            verb: first.step.verb,
            word: word(first.step),
            object: format!(
                "{} {} {}.{}",
                group.len(),
                self.style.times(),
                address.role(),
                address.kind()
            ),
            summary: String::new(),
            after: self.after(needs),
            remarks: members.into_iter().chain(remarks).collect(),
            changes: shared,
        })
    }

    /// One line that says the same as each of these.
    fn common(&self, column: &[&Line], group: &[Member<'a>]) -> Option<Line> {
        if let Some(line) = all_equal(column.iter()) {
            return Some((*line).clone());
        }
        let own = self.style.own_name();
        let named = || {
            column.iter().zip(group).map(|(line, member)| {
                let name = member.step.address.name();
                line.map(&|text| without_name(text, name, own))
            })
        };
        all_equal(named()).or_else(|| all_equal(named().map(|line| line.elided(self.style))))
    }

    /// A line for each step, for the one field in which they differ.
    fn each(&self, column: &[&Line], group: &[Member<'a>]) -> Option<Vec<Line>> {
        let path = column.first()?.path.clone();
        let sign = column.first()?.sign;
        let mut lines = vec![Line::value(sign, path, "")];
        for (line, member) in column.iter().zip(group) {
            let name = format!("  {} {}", member.number, member.step.address.name());
            // A text or a structure has no place beside a name.
            line.one_line(self.style)?;
            lines.push(Line { sign: Sign::Same, path: name, body: line.body.clone() });
        }
        Some(lines)
    }

    fn names(&self, group: &[Member<'a>]) -> String {
        let numbers: Vec<usize> = group.iter().map(|member| member.number).collect();
        let contiguous = ranges(&numbers, self.style).split(", ").count() == 1;
        let mut names: Vec<String> = group
            .iter()
            .take(NAMES)
            .map(|member| match (contiguous, member.step.address.name()) {
                (true, name) => name.to_owned(),
                (false, name) => format!("{} {name}", member.number),
            })
            .collect();
        if group.len() > NAMES {
            names.push(format!("and {} more", group.len() - NAMES));
        }
        names.join(", ")
    }
}

fn shape<'a>(member: &Member<'a>) -> Shape<'a> {
    let step = member.step;
    Shape {
        verb: step.verb,
        word: word(step),
        role: step.address.role(),
        kind: step.address.kind(),
        plugin: &step.plugin,
        reversal: step.reversal,
        lines: member.lines.iter().map(|line| (line.sign, line.path.clone())).collect(),
    }
}

/// The remarks that every one of the steps has; `None` if they differ.
fn common_remarks(group: &[Member<'_>], own: &str) -> Option<Vec<String>> {
    all_equal(group.iter().map(|member| {
        let name = member.step.address.name();
        remarks(member.step).iter().map(|text| without_name(text, name, own)).collect::<Vec<_>>()
    }))
}

/// The text with the object's own name left open. A short name may stand in it by chance.
fn without_name(text: &str, name: &str, own: &str) -> String {
    const SHORT: usize = 3;
    if text.contains(own) {
        return format!("{text} (as written)");
    }
    if name.len() < SHORT {
        return text.to_owned();
    }
    text.replace(name, own).replace(&name.replace('_', "-"), own)
}

fn all_equal<T: PartialEq>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.all(|item| item == first).then_some(first)
}

/// From the lines of each step to the steps of each line. Steps of one shape have as many lines.
fn transpose<'a>(rows: impl Iterator<Item = &'a [Line]>) -> Vec<Vec<&'a Line>> {
    let mut columns: Vec<Vec<&Line>> = Vec::new();
    for row in rows {
        columns.resize_with(columns.len().max(row.len()), Vec::new);
        for (column, line) in columns.iter_mut().zip(row) {
            column.push(line);
        }
    }
    columns
}
