//! `local_value`: any JSON value, kept by the ledger alone.

use relctl_sdk::{Assessment, Change, Document, Reversal, Step, Value, Verb};

/// Drops members that are `null`: absent and `null` are the same everywhere in relctl.
pub(crate) fn validate(mut desired: Document) -> Document {
    let known = desired.unknown.is_empty();
    if let Some(input) = desired.value.get_mut("input")
        && known
    {
        drop_nulls(input);
    }
    desired
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

pub(crate) fn assess(change: &Change) -> Assessment {
    let mut assessment = Assessment::new(Reversal::Exact);
    if let Some(desired) = change.desired.as_ref().filter(|_| change.verb != Verb::Delete) {
        assessment.planned.copy_field("output", desired, "input");
    }
    assessment
}

pub(crate) fn apply(step: &Step) -> Document {
    let change = &step.change;
    let mut done = Document::default();
    if let Some(input) =
        change.desired_field("input").known().filter(|_| change.verb != Verb::Delete)
    {
        done.set("input", input.clone());
        done.set("output", input.clone());
    }
    done
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::{change, document, step, subject};
    use relctl_sdk::{Field, Pointer};
    use serde_json::json;

    use super::*;

    #[test]
    fn null_members_are_absent_ones() {
        let written = document(json!({"input": {"a": null, "b": [null, {"c": null}]}}));
        assert_eq!(validate(written), document(json!({"input": {"b": [null, {}]}})));
    }

    #[test]
    fn the_output_is_the_input_also_where_a_part_is_unknown() {
        let mut desired = document(json!({"input": {"a": null, "b": 2}}));
        desired.unknown.insert(Pointer::raw("/input/a"));
        assert_eq!(validate(desired.clone()), desired);

        let mut value = subject("resource.local_value.x", json!({}));
        value.desired = Some(desired);
        let planned = assess(&change(Verb::Create, value, None)).planned;
        assert_eq!(planned.field("output"), Field::Unknown);
        assert_eq!(planned.unknown.iter().map(Pointer::as_str).collect::<Vec<_>>(), ["/output/a"]);
    }

    #[test]
    fn applies_and_deletes() {
        let value = subject("resource.local_value.x", json!({"input": [1, "two"]}));
        let create = step(change(Verb::Create, value.clone(), None));
        let both = document(json!({"input": [1, "two"], "output": [1, "two"]}));
        assert_eq!(apply(&create), both);
        assert_eq!(apply(&step(change(Verb::Delete, value, None))), Document::default());
    }
}
