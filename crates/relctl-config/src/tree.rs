//! The tree of a TOML file: values with the places where they are written.

use std::collections::BTreeMap;

use relctl_plan::{MAX_INTEGER, Map, Reference, Value, escape};
use serde_json::Number;
use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use crate::mistake::Found;
use crate::source::{Place, Sources};

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
    /// The list or table of a lower layer that this value took the place of.
    pub(crate) replaced: Option<Place>,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// TOML has no null; files that `json()` reads have.
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    /// A string with references in it, constants put in, and where each reference stands.
    Open(String, Vec<(Place, Reference)>),
    List(Vec<Node>),
    Table(Table),
}

impl Content {
    /// Stands for a value that was refused: whatever it is, it is not a second mistake.
    pub(crate) fn refused() -> Self {
        Self::Open(String::new(), Vec::new())
    }
}

pub(crate) type Table = BTreeMap<String, Entry>;

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where the key is written.
    pub(crate) key: Place,
    pub(crate) node: Node,
}

/// Reads a file; mistakes in its syntax are all reported, and then there is no table.
pub(crate) fn parse(sources: &Sources, file: usize, found: &mut Vec<Found>) -> Option<Table> {
    let text = sources.text(file);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        // An error behind the last character of a line is shown under it.
        let span = if span.is_empty() && span.start > 0 && span.start >= text.len() {
            text.trim_end().len()..text.trim_end().len()
        } else {
            span
        };
        let mut message = error.message().trim();
        let mut hint = None;
        if message == "duplicate key" {
            message = "this is declared twice in the same file";
            hint = Some("put everything under one header".to_owned());
        }
        found.push(Found::at(Place::new(file, span), message).maybe_hint(hint));
    }
    errors.is_empty().then(|| read_table(file, table.into_inner(), found))
}

/// Reads one TOML value that stands in no file, `--var replicas=3`.
pub(crate) fn parse_value(text: &str) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    let mut found = Vec::new();
    let node = read(0, value, &mut found);
    found.is_empty().then(|| node.to_value())
}

fn read_table(file: usize, table: DeTable<'_>, found: &mut Vec<Found>) -> Table {
    table
        .into_iter()
        .map(|(key, value)| {
            let place = Place::new(file, key.span());
            (key.into_inner().into_owned(), Entry { key: place, node: read(file, value, found) })
        })
        .collect()
}

fn read(file: usize, value: Spanned<DeValue<'_>>, found: &mut Vec<Found>) -> Node {
    let place = Place::new(file, value.span());
    let mut refused = |message: String, hint: &str| {
        found.push(Found::at(place, message).hint(hint));
        Content::refused()
    };
    let content = match value.into_inner() {
        DeValue::String(text) => Content::Text(text.into_owned()),
        DeValue::Integer(integer) => match read_integer(&integer) {
            Some(number) => Content::Number(number.into()),
            None => refused(
                format!("the integer lies beyond ±{MAX_INTEGER}, and would lose digits"),
                "write it as a string",
            ),
        },
        DeValue::Float(float) => match read_float(&float) {
            Some(number) => Content::Number(number),
            None => refused(
                format!("`{}` is not a number that a plan can hold", float.as_str()),
                "write a finite number",
            ),
        },
        DeValue::Boolean(value) => Content::Bool(value),
        DeValue::Datetime(date) => Content::Text(date.to_string()),
        DeValue::Array(items) => {
            Content::List(items.into_iter().map(|item| read(file, item, found)).collect())
        }
        DeValue::Table(table) => Content::Table(read_table(file, table, found)),
    };
    Node { place, content, replaced: None }
}

fn read_integer(integer: &DeInteger<'_>) -> Option<i64> {
    let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    (number.unsigned_abs() <= MAX_INTEGER.unsigned_abs()).then_some(number)
}

fn read_float(float: &DeFloat<'_>) -> Option<Number> {
    Number::from_f64(float.as_str().parse().ok()?).map(whole)
}

/// `3.0` becomes `3`: canonical JSON (RFC 8785) has one form for both, and so what was written and
/// what is read back are the same.
fn whole(number: Number) -> Number {
    #[expect(clippy::cast_precision_loss, reason = "2⁵³ − 1 is exact")]
    let limit = MAX_INTEGER as f64;
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= limit => {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and within ±2⁵³")]
            let integer = float as i64;
            integer.into()
        }
        _ => number,
    }
}

impl Node {
    /// A plain value that is written, as a whole, at `place`.
    pub(crate) fn of(place: Place, value: Value) -> Self {
        let content = match value {
            Value::Null => Content::Null,
            Value::Bool(value) => Content::Bool(value),
            Value::Number(number) => Content::Number(whole(number)),
            Value::String(text) => Content::Text(text),
            Value::Array(items) => {
                Content::List(items.into_iter().map(|item| Self::of(place, item)).collect())
            }
            Value::Object(map) => Content::Table(
                map.into_iter()
                    .map(|(key, value)| (key, Entry { key: place, node: Self::of(place, value) }))
                    .collect(),
            ),
        };
        Self { place, content, replaced: None }
    }

    /// The value; strings as they are, without the language of templates.
    pub(crate) fn to_value(&self) -> Value {
        self.build(&|text| text.to_owned())
    }

    fn build(&self, plain: &dyn Fn(&str) -> String) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(plain(text)),
            Content::Open(text, _) => Value::String(text.clone()),
            Content::List(items) => Value::Array(items.iter().map(|i| i.build(plain)).collect()),
            Content::Table(table) => Value::Object(build_table(table, plain)),
        }
    }

    /// Calls `visit` for every reference with its place.
    pub(crate) fn each_reference(&self, visit: &mut dyn FnMut(Place, &Reference)) {
        match &self.content {
            Content::Open(_, references) => {
                for (place, reference) in references {
                    visit(*place, reference);
                }
            }
            Content::List(items) => {
                for item in items {
                    item.each_reference(visit);
                }
            }
            Content::Table(table) => {
                for entry in table.values() {
                    entry.node.each_reference(visit);
                }
            }
            _ => {}
        }
    }

    /// What TOML calls this, with its article.
    pub(crate) fn type_name(&self) -> &'static str {
        match &self.content {
            Content::Null => "null",
            Content::Bool(_) => "a boolean",
            Content::Number(number) if number.is_f64() => "a float",
            Content::Number(_) => "an integer",
            Content::Text(_) | Content::Open(..) => "a string",
            Content::List(_) => "an array",
            Content::Table(_) => "a table",
        }
    }
}

/// The table as a template: plain strings are escaped.
pub(crate) fn table_to_template(table: &Table) -> Map {
    build_table(table, &|text| escape(text).into_owned())
}

pub(crate) fn table_to_map(table: &Table) -> Map {
    build_table(table, &|text| text.to_owned())
}

fn build_table(table: &Table, plain: &dyn Fn(&str) -> String) -> Map {
    table.iter().map(|(key, entry)| (key.clone(), entry.node.build(plain))).collect()
}

/// Lays one table over another: tables merge, everything else replaces.
pub(crate) fn lay_over(base: &mut Table, over: Table) {
    for (key, entry) in over {
        match base.get_mut(&key) {
            Some(below) => lay_node_over(&mut below.node, entry.node),
            None => {
                base.insert(key, entry);
            }
        }
    }
}

fn lay_node_over(base: &mut Node, over: Node) {
    match (&mut base.content, over.content) {
        (Content::Table(below), Content::Table(above)) => lay_over(below, above),
        (below, content) => {
            let held_entries = matches!(below, Content::List(_) | Content::Table(_));
            let replaced = over.replaced.or(base.replaced).or(held_entries.then_some(base.place));
            *base = Node { place: over.place, content, replaced };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn table(value: Value) -> Table {
        match Node::of(Place::new(0, 0..0), value).content {
            Content::Table(table) => table,
            _ => Table::new(),
        }
    }

    fn layers(values: impl IntoIterator<Item = Value>) -> Value {
        let mut result = Table::new();
        for value in values {
            lay_over(&mut result, table(value));
        }
        Value::Object(table_to_map(&result))
    }

    #[test]
    fn a_number_has_one_form() {
        for (text, expected) in [
            ("3.0", json!(3)),
            ("-0.0", json!(0)),
            ("0.5", json!(0.5)),
            ("1e3", json!(1000)),
            ("1e300", json!(1e300)),
            ("0x1F", json!(31)),
            ("9007199254740991", json!(MAX_INTEGER)),
        ] {
            assert_eq!(parse_value(text), Some(expected.clone()), "{text}");
            assert_eq!(Node::of(Place::new(0, 0..0), expected.clone()).to_value(), expected);
        }
        assert_eq!(parse_value("9007199254740992"), None);
        assert_eq!(parse_value("inf"), None);
    }

    #[test]
    fn tables_merge_and_everything_else_replaces() {
        let base = json!({ "a": { "x": 1, "y": [1] }, "b": "t" });
        let over = json!({ "a": { "y": [2], "z": {} }, "b": { "c": true } });
        let expected = json!({ "a": { "x": 1, "y": [2], "z": {} }, "b": { "c": true } });
        assert_eq!(layers([base, over]), expected);
    }

    /// Layers that agree on what is a table: `t…` always is, `s…` never.
    fn any_table() -> impl Strategy<Value = Value> {
        let scalars = || {
            prop::collection::btree_map(
                "s[ab]",
                prop::sample::select(vec![json!(1), json!([2])]),
                0..3,
            )
        };
        let leaf = scalars().prop_map(|map| Value::Object(map.into_iter().collect()));
        leaf.prop_recursive(3, 12, 3, move |inner| {
            (scalars(), prop::collection::btree_map("t[ab]", inner, 0..3)).prop_map(
                |(scalars, tables)| Value::Object(scalars.into_iter().chain(tables).collect()),
            )
        })
    }

    proptest! {
        #[test]
        fn layering_is_associative(a in any_table(), b in any_table(), c in any_table()) {
            let right = layers([b.clone(), c.clone()]);
            let left = layers([a.clone(), b]);
            prop_assert_eq!(layers([left, c]), layers([a, right]));
        }

        #[test]
        fn the_last_layer_wins(a in any_table(), b in any_table()) {
            let both = layers([a.clone(), b.clone()]);
            prop_assert_eq!(layers([both.clone(), b]), both);
            prop_assert_eq!(layers([a.clone(), a.clone()]), a);
        }
    }
}
