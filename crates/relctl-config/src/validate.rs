//! Comparing fields with their kind's schema.
//!
//! The part of JSON Schema that kinds use: `type`, `enum`, `const`, `pattern`, bounds, lengths,
//! `properties`, `required`, `additionalProperties`, `items`, `anyOf`, `oneOf`. What is written
//! there beyond that, the plugin's own `validate` sees. An object schema with `properties` is
//! closed unless it says otherwise, so that a slip of the pen is found. A string with a reference
//! in it fits everywhere.
//!
//! On the way, keyed lists become tables from key to entry, the one form that documents have.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use relctl_plan::{Field, Kind, Path, Role, Value};

use crate::keyed;
use crate::mistake::{Found, did_you_mean, list};
use crate::objects::RESERVED;
use crate::source::Place;
use crate::tree::{Content, Entry, Node, Table};

/// Whether a number breaks a limit.
type Breaks = fn(f64, f64) -> bool;

/// Compiled patterns, kept over all objects.
#[derive(Default)]
pub(crate) struct Patterns(RefCell<BTreeMap<String, Option<Regex>>>);

impl Patterns {
    /// Whether `text` fits; a pattern that this regex engine cannot read is left to the plugin.
    fn fits(&self, pattern: &str, text: &str) -> bool {
        let mut known = self.0.borrow_mut();
        let regex = match known.get(pattern) {
            Some(regex) => regex,
            None => known.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).ok()),
        };
        regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

pub(crate) struct Validator<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) patterns: &'a Patterns,
    /// Only a part of the object is written, as in `undo`: nothing is required.
    pub(crate) partial: bool,
}

impl Validator<'_> {
    /// Checks an object's fields, and brings them into the form that documents have.
    pub(crate) fn object(&self, fields: &mut Table, header: Place, found: &mut Vec<Found>) {
        self.properties(fields, header, &self.kind.schema, Some(&self.kind.fields), "", found);
    }

    fn node(
        &self,
        node: &mut Node,
        schema: &Value,
        field: Option<&Field>,
        name: &str,
        found: &mut Vec<Found>,
    ) {
        if matches!(node.content, Content::Open(..)) {
            return;
        }
        if let Some(branches) = branches(schema).filter(|branches| !only_require(branches)) {
            self.any_of(node, branches, field, name, found);
        }
        if let Some(keys) = field.and_then(|field| field.key.as_deref())
            && matches!(node.content, Content::List(_) | Content::Table(_))
        {
            self.keyed(node, schema, keys, field.and_then(|f| f.entries.as_deref()), name, found);
            return;
        }
        if !has_type(node, schema, name, found) {
            return;
        }
        self.values(node, schema, name, found);
        let place = node.place;
        match &mut node.content {
            Content::Table(table) => self.properties(table, place, schema, field, name, found),
            Content::List(items) => {
                bounds(place, items.len(), schema, ["minItems", "maxItems"], name, found);
                if let Some(schema) = schema.get("items") {
                    for item in items {
                        self.node(item, schema, None, name, found);
                    }
                }
            }
            _ => {}
        }
    }

    fn any_of(
        &self,
        node: &mut Node,
        branches: &[Value],
        field: Option<&Field>,
        name: &str,
        found: &mut Vec<Found>,
    ) {
        let mut attempts = Vec::new();
        for branch in branches {
            let (mut attempt, mut wrong) = (node.clone(), Vec::new());
            self.node(&mut attempt, branch, field, name, &mut wrong);
            if wrong.is_empty() {
                *node = attempt;
                return;
            }
            // A branch of the right type says more than "none of the forms".
            if has_type(node, branch, name, &mut Vec::new()) {
                attempts.push(wrong);
            }
        }
        match <[Vec<Found>; 1]>::try_from(attempts) {
            Ok([only]) => found.extend(only),
            Err(_) => {
                let message =
                    format!("`{name}` fits none of the forms that `{}` has for it", self.kind.name);
                found.push(Found::at(node.place, message));
            }
        }
    }

    /// Checks what a value may be, beyond its type.
    fn values(&self, node: &Node, schema: &Value, name: &str, found: &mut Vec<Found>) {
        let fixed = schema.get("const").map(std::slice::from_ref);
        let choices = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice).or(fixed);
        if let Some(choices) = choices {
            let value = node.to_value();
            if !choices.contains(&value) {
                let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let hint = did_you_mean(&shown, choices.iter().filter_map(Value::as_str));
                let message = format!("`{name}` cannot be `{shown}`");
                found.push(Found::at(node.place, message).maybe_hint(hint));
            }
        }
        match &node.content {
            Content::Text(text) => {
                let length = text.chars().count();
                bounds(node.place, length, schema, ["minLength", "maxLength"], name, found);
                let pattern = schema.get("pattern").and_then(Value::as_str);
                if let Some(pattern) = pattern.filter(|pattern| !self.patterns.fits(pattern, text))
                {
                    let message = format!("`{name}` does not have the form that it must have");
                    let hint = schema.get("description").and_then(Value::as_str);
                    let hint =
                        hint.map_or_else(|| format!("it must match `{pattern}`"), str::to_owned);
                    found.push(Found::at(node.place, message).hint(hint));
                }
            }
            Content::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                let limit = |key: &str| schema.get(key).filter(|limit| limit.is_number());
                let limits: [(&str, &str, Breaks); 4] = [
                    ("minimum", "at least", |n, limit| n < limit),
                    ("maximum", "at most", |n, limit| n > limit),
                    ("exclusiveMinimum", "more than", |n, limit| n <= limit),
                    ("exclusiveMaximum", "less than", |n, limit| n >= limit),
                ];
                for (key, words, breaks) in limits {
                    if let Some(limit) = limit(key)
                        && limit.as_f64().is_some_and(|limit| breaks(number, limit))
                    {
                        let message = format!("`{name}` must be {words} {limit}");
                        found.push(Found::at(node.place, message));
                    }
                }
            }
            _ => {}
        }
    }

    fn properties(
        &self,
        table: &mut Table,
        place: Place,
        schema: &Value,
        field: Option<&Field>,
        name: &str,
        found: &mut Vec<Found>,
    ) {
        table.retain(|_, entry| !matches!(entry.node.content, Content::Null));
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        let open = match others {
            None => properties.is_none(),
            Some(others) => others.as_bool().unwrap_or(true),
        };
        let names = || {
            let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
            names.filter(|name| {
                let named = field.and_then(|field| field.fields.get(*name));
                !named.is_some_and(|field| field.computed || field.read_only)
            })
        };
        for (key, entry) in table.iter_mut() {
            let below = field.and_then(|f| f.fields.get(key).or(f.entries.as_deref()));
            let inner = name_below(name, key);
            if below.is_some_and(|below| below.computed) {
                let message = format!("`{inner}` is computed: it cannot be declared");
                let hint = format!("remove it; others may refer to it as `${{….{inner}}}`");
                found.push(Found::at(entry.key, message).hint(hint));
            } else if below.is_some_and(|below| below.read_only) {
                let message = format!("`{inner}` follows from the others: it cannot be declared");
                found.push(Found::at(entry.key, message).hint("remove it"));
            } else if let Some(schema) = properties.and_then(|properties| properties.get(key)) {
                self.node(&mut entry.node, schema, below, &inner, found);
            } else if !open {
                let hint = did_you_mean(key, names());
                found.push(self.unknown(entry, key, name, hint));
            } else if let Some(schema) = others.filter(|others| others.is_object()) {
                self.node(&mut entry.node, schema, below, &inner, found);
            }
        }
        if !self.partial {
            for missing in required(schema) {
                if !table.contains_key(missing) {
                    let of = if name.is_empty() { &self.kind.name } else { name };
                    let message = format!("`{of}` needs `{missing}`");
                    found.push(Found::at(place, message).maybe_hint(meaning(schema, missing)));
                }
            }
            self.alternatives(table, place, schema, name, found);
        }
    }

    /// Of several sets of fields one must be there: `oneOf` with branches that only require.
    fn alternatives(
        &self,
        table: &Table,
        place: Place,
        schema: &Value,
        name: &str,
        found: &mut Vec<Found>,
    ) {
        let Some(branches) = branches(schema).filter(|branches| only_require(branches)) else {
            return;
        };
        let sets: Vec<Vec<&str>> = branches.iter().map(required).collect();
        let given = sets.iter().filter(|set| set.iter().all(|name| table.contains_key(*name)));
        let of = if name.is_empty() { &self.kind.name } else { name };
        let all: Vec<String> = sets.iter().map(|set| list(set)).collect();
        let all = all.join(" or ");
        match given.count() {
            0 => found.push(Found::at(place, format!("`{of}` needs {all}"))),
            1 => {}
            _ if schema.get("oneOf").is_none() => {}
            _ => found.push(Found::at(place, format!("`{of}` takes only one of {all}"))),
        }
    }

    fn unknown(&self, entry: &Entry, key: &str, name: &str, hint: Option<String>) -> Found {
        let of = if name.is_empty() { &self.kind.name } else { name };
        let found = Found::at(entry.key, format!("`{of}` has no field `{key}`"));
        match RESERVED.iter().find(|(reserved, _)| *reserved == key) {
            Some((_, roles)) if name.is_empty() => {
                let roles: Vec<&str> = roles.iter().map(|role: &Role| role.as_str()).collect();
                found.hint(format!("`{key}` belongs in objects of role {}", roles.join(" or ")))
            }
            _ => found.maybe_hint(hint),
        }
    }

    /// Brings a keyed list into its table form, and checks the entries.
    fn keyed(
        &self,
        node: &mut Node,
        schema: &Value,
        keys: &[String],
        field: Option<&Field>,
        name: &str,
        found: &mut Vec<Found>,
    ) {
        if let Some(below) = node.replaced {
            let message = format!("`{name}` would replace the entries that a lower layer declares");
            let wrong = Found::at(node.place, message).related(below, "they are declared here");
            found.push(wrong.hint(format!(
                "write both as tables, which merge: `{name}.<{}> = {{ … }}`",
                keys.join("/")
            )));
        }
        let mut entries = match std::mem::replace(&mut node.content, Content::refused()) {
            Content::List(items) => keyed::from_array(items, keys, name, found),
            Content::Table(mut table) => {
                keyed::fill_in_keys(&mut table, schema, keys, name, found);
                table
            }
            other => {
                node.content = other;
                return;
            }
        };
        bounds(node.place, entries.len(), schema, ["minItems", "maxItems"], name, found);
        let items = schema.get("items").unwrap_or(&Value::Null);
        for (key, entry) in &mut entries {
            self.node(&mut entry.node, items, field, &name_below(name, key), found);
        }
        node.content = Content::Table(entries);
    }
}

fn has_type(node: &Node, schema: &Value, name: &str, found: &mut Vec<Found>) -> bool {
    let allowed: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return true,
    };
    let fits = allowed.iter().any(|allowed| match (*allowed, &node.content) {
        ("null", Content::Null)
        | ("boolean", Content::Bool(_))
        | ("string", Content::Text(_))
        | ("array", Content::List(_))
        | ("object", Content::Table(_))
        | ("number", Content::Number(_)) => true,
        ("integer", Content::Number(number)) => !number.is_f64(),
        _ => false,
    });
    if !fits {
        let expected: Vec<&str> = allowed.iter().map(|name| in_toml(name)).collect();
        let message =
            format!("`{name}` must be {}, not {}", expected.join(" or "), node.type_name());
        let hint = match &node.content {
            Content::Text(text) if is_written_as(text, &allowed) => {
                Some(format!("write {text} without quotes"))
            }
            Content::Number(_) | Content::Bool(_) if allowed.contains(&"string") => {
                Some("write it in quotes".to_owned())
            }
            _ if allowed.contains(&"array") => Some("put it in brackets: `[…]`".to_owned()),
            _ => None,
        };
        found.push(Found::at(node.place, message).maybe_hint(hint));
    }
    fits
}

fn bounds(
    place: Place,
    length: usize,
    schema: &Value,
    [least, most]: [&str; 2],
    name: &str,
    found: &mut Vec<Found>,
) {
    let what = if least == "minItems" { "entries" } else { "characters" };
    let limit = |key| schema.get(key).and_then(Value::as_u64);
    let length = length as u64;
    if let Some(least) = limit(least).filter(|least| length < *least) {
        let message = format!("`{name}` must have at least {least} {what}");
        found.push(Found::at(place, message));
    }
    if let Some(most) = limit(most).filter(|most| length > *most) {
        let message = format!("`{name}` must have at most {most} {what}");
        found.push(Found::at(place, message));
    }
}

/// The branches of `anyOf` or `oneOf`.
fn branches(schema: &Value) -> Option<&[Value]> {
    let branches = schema.get("anyOf").or_else(|| schema.get("oneOf"))?;
    branches.as_array().map(Vec::as_slice)
}

fn only_require(branches: &[Value]) -> bool {
    let only = |branch: &Value| {
        branch.as_object().is_some_and(|b| b.len() == 1 && b.contains_key("required"))
    };
    branches.iter().all(only)
}

fn required(schema: &Value) -> Vec<&str> {
    let names = schema.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The path of `key` below `name`, as files write it.
pub(crate) fn name_below(name: &str, key: &str) -> String {
    let key = Path::field(key);
    if name.is_empty() { key.to_string() } else { format!("{name}.{key}") }
}

/// What a schema says that a property means.
fn meaning(schema: &Value, property: &str) -> Option<String> {
    let text = schema.get("properties")?.get(property)?.get("description")?.as_str()?;
    Some(format!("`{property}`: {text}"))
}

fn in_toml(json_type: &str) -> &str {
    match json_type {
        "null" => "null",
        "boolean" => "true or false",
        "string" => "a string",
        "array" => "an array",
        "object" => "a table",
        "number" => "a number",
        "integer" => "an integer",
        other => other,
    }
}

/// Whether the text is what one of the types would be written as.
fn is_written_as(text: &str, types: &[&str]) -> bool {
    types.iter().any(|name| match *name {
        "integer" => text.parse::<i64>().is_ok(),
        "number" => text.parse::<f64>().is_ok_and(f64::is_finite),
        "boolean" => matches!(text, "true" | "false"),
        _ => false,
    })
}
