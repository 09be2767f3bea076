//! Differences inside one value: between the lines of texts, and between the parts of JSON.

use std::collections::BTreeSet;

use relctl_plan::{Path, Value};
use similar::{Algorithm, ChangeTag, DiffOp, TextDiff, capture_diff_slices};

use crate::change::{Body, Line, Shown, Sign};
use crate::text::{counted, safe, safe_line};
use crate::value::inline;

/// Lines of a difference that are shown; the rest is counted.
const SHOWN: usize = 40;

/// Lines of context around a changed line.
const CONTEXT: usize = 2;

/// Above this many lines in all, comparing line by line costs more than a reader gains.
const COMPARED: usize = 20_000;

/// The changed lines with their context, and a title that counts them.
pub(crate) fn line_diff(before: &str, after: &str) -> (String, Vec<Line>) {
    let (old, new) = (before.lines().count(), after.lines().count());
    if old + new > COMPARED {
        return (format!("({old} lines before, {new} lines after)"), Vec::new());
    }
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    let (mut added, mut removed) = (0, 0);
    let mut reached = 0;
    for group in diff.grouped_ops(CONTEXT) {
        let start = group.first().map_or(0, |op| op.old_range().start);
        push_skipped(&mut lines, start.saturating_sub(reached));
        for op in &group {
            for change in diff.iter_changes(op) {
                let sign = match change.tag() {
                    ChangeTag::Equal => Sign::Same,
                    ChangeTag::Insert => Sign::Add,
                    ChangeTag::Delete => Sign::Remove,
                };
                added += usize::from(sign == Sign::Add);
                removed += usize::from(sign == Sign::Remove);
                let line = change.value();
                let text = line.strip_suffix('\n').unwrap_or(line);
                let mut text = safe_line(text);
                if change.missing_newline() && sign != Sign::Same {
                    text.push_str(" (no line break at the end)");
                }
                lines.push(Line::value(sign, "", text));
            }
        }
        reached = group.last().map_or(reached, |op| op.old_range().end);
    }
    push_skipped(&mut lines, old.saturating_sub(reached));
    cut(&mut lines);
    (format!("({} added, {removed} removed)", counted(added, "line", "lines")), lines)
}

fn push_skipped(lines: &mut Vec<Line>, skipped: usize) {
    if skipped > 0 {
        let text = counted(skipped, "unchanged line", "unchanged lines");
        lines.push(Line::value(Sign::Skipped, "", text));
    }
}

/// The parts that differ, each with its own path.
pub(crate) fn structural_diff(before: &Value, after: &Value) -> Vec<Line> {
    let mut lines = Vec::new();
    compare("", Some(before), Some(after), &mut lines);
    cut(&mut lines);
    lines
}

/// Keeps the lines that are shown, and says how many changed ones are not.
fn cut(lines: &mut Vec<Line>) {
    if lines.len() <= SHOWN {
        return;
    }
    let hidden = lines.split_off(SHOWN);
    let count = |sign| hidden.iter().filter(|line| line.sign == sign).count();
    let (added, changed, removed) = (count(Sign::Add), count(Sign::Change), count(Sign::Remove));
    if added + changed + removed > 0 {
        let text = format!("not shown: {added} more added, {changed} changed, {removed} removed");
        lines.push(Line::value(Sign::Skipped, "", text));
    }
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, lines: &mut Vec<Line>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                compare(&below(path, key), old.get(key), new.get(key), lines);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            compare_items(path, old, new, lines);
        }
        (Some(before), Some(after)) => lines.push(Line {
            sign: Sign::Change,
            path: shown_path(path),
            body: Body::Pair(inline(before), Shown::Text(inline(after))),
        }),
        (None, Some(after)) => lines.push(Line::value(Sign::Add, shown_path(path), inline(after))),
        (Some(before), None) => {
            lines.push(Line::value(Sign::Remove, shown_path(path), inline(before)));
        }
        (None, None) => {}
    }
}

/// Items that stand in place of as many others are compared one by one; others came or went.
fn compare_items(path: &str, old: &[Value], new: &[Value], lines: &mut Vec<Line>) {
    let spelled = |items: &[Value]| items.iter().map(Value::to_string).collect::<Vec<_>>();
    for op in capture_diff_slices(Algorithm::Myers, &spelled(old), &spelled(new)) {
        if matches!(op, DiffOp::Equal { .. }) {
            continue;
        }
        let (before, after) = (op.old_range(), op.new_range());
        let in_place = before.len() == after.len();
        for (offset, index) in before.clone().enumerate() {
            let partner = new.get(after.start + offset).filter(|_| in_place);
            compare(&format!("{path}[{index}]"), old.get(index), partner, lines);
        }
        for index in after.filter(|_| !in_place) {
            compare(&format!("{path}[{index}]"), None, new.get(index), lines);
        }
    }
}

fn below(path: &str, key: &str) -> String {
    let key = Path::field(key).to_string();
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

fn shown_path(path: &str) -> String {
    if path.is_empty() { "(the whole)".to_owned() } else { safe(path).into_owned() }
}
