//! What differs between what two entries left behind.

use std::collections::BTreeSet;

use relctl_plan::{
    Address, Document, Field, FieldChange, Recorded, Run, RunOutcome, Snapshot, diff,
};

use crate::Style;
use crate::change::{Line, Shown, layout, line_of};
use crate::style::Tone;
use crate::text::{joined, safe};

/// How to get from what `a` left behind to what `b` left behind, on owned fields; for `diff A B`.
/// The titles name the two entries.
pub fn snapshot_diff_text(
    (title_a, a): (&str, &Snapshot),
    (title_b, b): (&str, &Snapshot),
    style: &Style,
) -> String {
    let mut lines = Vec::new();
    let addresses: BTreeSet<&Address> = a.objects.keys().chain(b.objects.keys()).collect();
    for address in addresses {
        let (old, new) = (a.objects.get(address), b.objects.get(address));
        lines.extend(object_lines(address, old, new, *style));
    }
    let retained = |snapshot: &Snapshot| -> BTreeSet<Address> {
        snapshot.retained.iter().map(|retained| retained.address.clone()).collect()
    };
    for address in retained(b).difference(&retained(a)) {
        lines.push(format!("  {address} is there still, no longer managed"));
    }
    for (key, run) in &b.runs {
        let undone_before = a.runs.get(key).is_some_and(|run| run.undone.is_some());
        match (a.runs.contains_key(key), run.undone) {
            (_, Some(serial)) if !undone_before => {
                lines.push(format!("{}, undone by #{serial}", run_line(run, *style)));
            }
            (false, _) => lines.push(run_line(run, *style)),
            _ => {}
        }
    }
    let arrow = style.arrow();
    let title = format!("{} {arrow} {}", safe(title_a), safe(title_b));
    if lines.is_empty() {
        return joined([format!("no difference: {title}")]);
    }
    lines.insert(0, style.paint(Tone::Heading, &title));
    joined(lines)
}

fn run_line(run: &Run, style: Style) -> String {
    let glyph = style.glyph(relctl_plan::Verb::Run);
    let outcome = match run.outcome {
        RunOutcome::Done => "",
        RunOutcome::Failed => ", FAILED",
        RunOutcome::Unknown => ", outcome UNKNOWN",
    };
    format!("{glyph} {} was run by #{}{outcome}", run.address, run.serial)
}

fn object_lines(
    address: &Address,
    old: Option<&Recorded>,
    new: Option<&Recorded>,
    style: Style,
) -> Vec<String> {
    let (head, tone) = match (old, new) {
        (None, Some(_)) => (format!("+ {address}"), Tone::Good),
        (Some(_), None) => (format!("- {address}"), Tone::Bad),
        _ => (format!("~ {address}"), Tone::Change),
    };
    let changes = changes(old, new);
    let mut remarks = Vec::new();
    if let (Some(old), Some(new)) = (old, new) {
        match (old.is_protected(), new.is_protected()) {
            (false, true) => remarks.push("protected since"),
            (true, false) => remarks.push("no longer protected"),
            _ => {}
        }
        match (old.settled, new.settled) {
            (true, false) => remarks.push("UNSETTLED since"),
            (false, true) => remarks.push("settled since"),
            _ => {}
        }
        if changes.is_empty() && remarks.is_empty() {
            return Vec::new();
        }
    }
    let mut lines = vec![style.paint(tone, &head)];
    lines.extend(remarks.into_iter().map(|remark| format!("    {remark}")));
    let fields: Vec<Line> =
        changes.iter().map(|c| line_of(c, || Shown::Text(String::new()))).collect();
    lines.extend(layout(&fields, 4, style));
    lines
}

/// Changes of fields owned by either: a field that only one of them owns came or went.
fn changes(old: Option<&Recorded>, new: Option<&Recorded>) -> Vec<FieldChange> {
    let schema = Field::default();
    let forward = new.map(|new| {
        diff(&Document::known(new.desired.clone()), old.map(|old| old.desired.as_ref()), &schema)
    });
    let mut changes = forward.unwrap_or_default();
    let backward = old.map(|old| {
        diff(&Document::known(old.desired.clone()), new.map(|new| new.desired.as_ref()), &schema)
    });
    for change in backward.unwrap_or_default() {
        let known =
            changes.iter().any(|c| c.path.contains(&change.path) || change.path.contains(&c.path));
        if !known {
            let FieldChange { path, before, after, unknown, multiline } = change;
            changes.push(FieldChange { path, before: after, after: before, unknown, multiline });
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn recorded(desired: &Value, protect: bool) -> Value {
        json!({
            "plugin": "local",
            "identity": {},
            "inputs": {},
            "desired": desired,
            "observed": desired,
            "depends_on": [],
            "lifecycle": { "protect": protect },
            "before": {},
            "existed": false,
            "created": 1,
            "changed": 1,
            "settled": true,
        })
    }

    fn snapshot(objects: &Value, runs: &Value) -> Snapshot {
        let text = json!({ "format": 1, "plugins": {}, "objects": objects, "runs": runs });
        serde_json::from_value(text).unwrap()
    }

    fn run(undone: Option<u64>) -> Value {
        json!({
            "address": "action.local_append.migrate",
            "plugin": "local",
            "inputs": {},
            "output": {},
            "depends_on": [],
            "serial": 2,
            "undone": undone,
            "outcome": "done",
        })
    }

    #[test]
    fn what_came_went_and_changed() {
        let a = snapshot(
            &json!({
                "resource.local_file.same": recorded(&json!({ "path": "s" }), false),
                "resource.local_file.index": recorded(&json!({ "content": "a", "mode": "0644" }), true),
                "resource.local_file.gone": recorded(&json!({ "path": "g" }), false),
            }),
            &json!({}),
        );
        let b = snapshot(
            &json!({
                "resource.local_file.same": recorded(&json!({ "path": "s" }), false),
                "resource.local_file.index": recorded(&json!({ "content": "b", "owner": "www" }), false),
                "resource.local_link.new": recorded(&json!({ "path": "n" }), false),
            }),
            &json!({ "k1": run(None), "k2": run(Some(3)) }),
        );
        let (a, b) = (("#1 v1", &a), ("#2 v2", &b));
        insta::assert_snapshot!(snapshot_diff_text(a, b, &Style::PLAIN), @"
        #1 v1 → #2 v2
        - resource.local_file.gone
            - path   g
        ~ resource.local_file.index
            no longer protected
            ~ content   a → b
            - mode      0644
            + owner     www
        + resource.local_link.new
            + path   n
        ▶ action.local_append.migrate was run by #2
        ▶ action.local_append.migrate was run by #2, undone by #3
        ");
        insta::assert_snapshot!(snapshot_diff_text(b, b, &Style::PLAIN), @"no difference: #2 v2 → #2 v2");
    }
}
