//! Templates: documents with references in them, `${resource.local_file.index.sha256}`.
//!
//! The language: a string holds text and expressions `${ reference | filter(arguments) | … }`. An
//! expression has exactly one reference. A string that is one whole expression keeps the type of
//! its value. `$${` is a literal `${`. What is constant (`vars`, `release`, `file()`, `json()`) has
//! been put in place before ([`substitute`](crate::substitute)): templates hold references to objects alone.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::expression::{Head, Segment, escape_map, has_expressions, parse_reference, segments};
use crate::{Address, Document, ExpressionError, Map, Path, Value};

/// An object's attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    pub address: Address,
    /// The root: the whole object.
    pub attribute: Path,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attribute.is_root() {
            write!(f, "{}", self.address)
        } else {
            write!(f, "{}.{}", self.address, self.attribute)
        }
    }
}

impl FromStr for Reference {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        parse_reference(text).map_err(|error| TemplateError::at(Path::ROOT, error))
    }
}

/// What a reference stands for at the moment.
#[derive(Debug, Clone, PartialEq)]
pub enum Binding {
    Known(Value),
    /// It will be known once the object's step is done.
    Unknown,
    /// There is no such object, or it has no such attribute.
    Missing,
}

/// What is wrong with an expression in a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The field that holds the string; for a string in a list, the list.
    pub path: Path,
    /// The expression's bytes within the string.
    pub range: std::ops::Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

impl TemplateError {
    fn at(path: Path, error: ExpressionError) -> Self {
        Self { path, range: error.range, message: error.message, hint: error.hint }
    }
}

/// A document with references in its strings. Cheap to clone: it goes from the release file through
/// the plan into the ledger as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(Arc<Map>);

impl Template {
    /// Takes a document whose strings follow the language; reports every mistake.
    pub fn parse(value: Map) -> Result<Self, Vec<TemplateError>> {
        let mut errors = Vec::new();
        each_text(&value, &mut |path, text| {
            let (segments, wrong) = segments(text);
            let constants = segments.iter().filter_map(not_constant);
            errors.extend(
                wrong
                    .into_iter()
                    .chain(constants)
                    .map(|error| TemplateError::at(path.iter().copied().collect(), error)),
            );
        });
        if errors.is_empty() { Ok(Self(Arc::new(value))) } else { Err(errors) }
    }

    /// A template that stands for exactly this value: `${` is escaped.
    pub fn closed(value: &Map) -> Self {
        Self(Arc::new(escape_map(value)))
    }

    /// As written.
    pub fn as_map(&self) -> &Map {
        &self.0
    }

    /// As written, for whoever holds the same map.
    pub fn shared(&self) -> Arc<Map> {
        Arc::clone(&self.0)
    }

    /// Every reference in it.
    pub fn references(&self) -> BTreeSet<Reference> {
        let mut found = BTreeSet::new();
        each_text(&self.0, &mut |_, text| {
            for segment in segments(text).0 {
                if let Segment::Expression(expression) = segment
                    && let Head::Reference(reference) = expression.head
                {
                    found.insert(reference);
                }
            }
        });
        found
    }

    /// The reference at `path`, if the string there is one whole reference.
    pub fn reference_at(&self, path: &Path) -> Option<Reference> {
        let text = crate::document::get(&self.0, path.segments())?.as_str()?;
        let (segments, errors) = segments(text);
        match segments.as_slice() {
            [Segment::Expression(expression)] if errors.is_empty() => {
                expression.bare_reference().cloned()
            }
            _ => None,
        }
    }

    /// Puts values in place of references. A string with an unknown reference is unknown as a
    /// whole, and so is a list with an unknown in it; a missing one is an error.
    pub fn resolve(&self, bind: &dyn Fn(&Reference) -> Binding) -> Result<Document, TemplateError> {
        let mut is_closed = true;
        each_text(&self.0, &mut |_path, _text| is_closed = false);
        if is_closed {
            return Ok(Document::known(Arc::clone(&self.0)));
        }
        let mut resolver = Resolver { bind, path: Vec::new(), unknown: BTreeSet::new() };
        let value = resolver.map(&self.0)?;
        Ok(Document { value: value.into(), unknown: resolver.unknown })
    }
}

/// Calls `visit` for every string that may hold an expression, with the names above it.
fn each_text<'a>(map: &'a Map, visit: &mut dyn FnMut(&[&'a str], &'a str)) {
    fn walk<'a>(
        value: &'a Value,
        path: &mut Vec<&'a str>,
        visit: &mut dyn FnMut(&[&'a str], &'a str),
    ) {
        match value {
            Value::String(text) if has_expressions(text) => visit(path, text),
            Value::Array(items) => items.iter().for_each(|item| walk(item, path, visit)),
            Value::Object(map) => {
                for (name, inner) in map {
                    path.push(name);
                    walk(inner, path, visit);
                    path.pop();
                }
            }
            _ => {}
        }
    }
    let mut path = Vec::new();
    for (name, value) in map {
        path.push(name.as_str());
        walk(value, &mut path, visit);
        path.pop();
    }
}

fn not_constant(segment: &Segment<'_>) -> Option<ExpressionError> {
    match segment {
        Segment::Expression(expression) if matches!(expression.head, Head::Constant(_)) => {
            Some(expression.constant_error())
        }
        _ => None,
    }
}

struct Resolver<'a> {
    bind: &'a dyn Fn(&Reference) -> Binding,
    path: Vec<&'a str>,
    unknown: BTreeSet<Path>,
}

impl<'a> Resolver<'a> {
    fn map(&mut self, map: &'a Map) -> Result<Map, TemplateError> {
        let mut resolved = Map::new();
        for (name, value) in map {
            self.path.push(name);
            let value = self.value(value)?;
            if value.is_none() {
                self.unknown.insert(self.here());
            }
            resolved.insert(name.clone(), value.unwrap_or(Value::Null));
            self.path.pop();
        }
        Ok(resolved)
    }

    /// `None`: not known yet.
    fn value(&mut self, value: &'a Value) -> Result<Option<Value>, TemplateError> {
        match value {
            Value::String(text) if has_expressions(text) => self.text(text),
            Value::Object(map) => self.map(map).map(|map| Some(Value::Object(map))),
            Value::Array(items) => self.list(items),
            plain => Ok(Some(plain.clone())),
        }
    }

    fn list(&mut self, items: &'a [Value]) -> Result<Option<Value>, TemplateError> {
        let outside = std::mem::take(&mut self.unknown);
        let mut resolved = Vec::with_capacity(items.len());
        let mut known = true;
        for item in items {
            match self.value(item)? {
                Some(item) => resolved.push(item),
                None => known = false,
            }
        }
        let inside = std::mem::replace(&mut self.unknown, outside);
        Ok((known && inside.is_empty()).then_some(Value::Array(resolved)))
    }

    fn text(&self, text: &str) -> Result<Option<Value>, TemplateError> {
        let at = |error| TemplateError::at(self.here(), error);
        let (segments, errors) = segments(text);
        if let Some(error) = errors.into_iter().next() {
            return Err(at(error));
        }
        let whole = segments.len() == 1;
        let mut result = String::new();
        let mut known = true;
        for segment in &segments {
            let expression = match segment {
                Segment::Text(text) => {
                    result.push_str(text);
                    continue;
                }
                Segment::Expression(expression) => expression,
            };
            let value = match &expression.head {
                Head::Literal(text) => Value::String(text.clone()),
                Head::Constant(_) => return Err(at(expression.constant_error())),
                Head::Reference(reference) => match (self.bind)(reference) {
                    Binding::Known(value) => value,
                    Binding::Unknown => {
                        known = false;
                        continue;
                    }
                    Binding::Missing => {
                        return Err(at(expression.error(
                            format!("`{reference}` has no value"),
                            Some("name an attribute that the object has"),
                        )));
                    }
                },
            };
            let value = expression.filter(value).map_err(at)?;
            if whole {
                return Ok(Some(value));
            }
            result.push_str(&expression.text_of(&value).map_err(at)?);
        }
        Ok(known.then_some(Value::String(result)))
    }

    fn here(&self) -> Path {
        self.path.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn template(value: Value) -> Template {
        let Value::Object(map) = value else { panic!("an object") };
        Template::parse(map).unwrap()
    }

    fn bind(reference: &Reference) -> Binding {
        match reference.attribute.to_string().as_str() {
            "arn" => Binding::Known(json!("arn:1")),
            "count" => Binding::Known(json!(3)),
            "network" => Binding::Known(json!({ "subnets": ["a", "b"] })),
            "network.subnets" => Binding::Known(json!(["a", "b"])),
            "labels.\"example.com/team\"" => Binding::Known(json!("x")),
            "nothing" => Binding::Known(Value::Null),
            "later" => Binding::Unknown,
            _ => Binding::Missing,
        }
    }

    #[test]
    fn puts_values_in_place() {
        for (text, expected) in [
            ("plain $ { } $x", json!("plain $ { } $x")),
            ("${resource.k.n.arn}", json!("arn:1")),
            ("${ resource.k.n.arn }", json!("arn:1")),
            ("${resource.k.n.count}", json!(3)),
            ("${action.k.n.network}", json!({ "subnets": ["a", "b"] })),
            ("${lookup.k.n.labels.\"example.com/team\"}", json!("x")),
            ("${lookup.k.n.labels.'example.com/team'}!", json!("x!")),
            ("${resource.k.n.nothing}", Value::Null),
            ("a-${resource.k.n.count}-${resource.k.n.arn}", json!("a-3-arn:1")),
            ("${resource.k.n.arn | upper}", json!("ARN:1")),
            ("${resource.k.n.arn|replace(':', '}')|trim('a')}", json!("rn}1")),
            ("${resource.k.n.network.subnets | join(', ')}", json!("a, b")),
            ("${resource.k.n.network.subnets | first}", json!("a")),
            ("${resource.k.n.network.subnets | length}", json!(2)),
            ("${resource.k.n.count | string}", json!("3")),
            ("x${resource.k.n.network | json}", json!("x{\"subnets\":[\"a\",\"b\"]}")),
            ("$${resource.k.n.arn}", json!("${resource.k.n.arn}")),
            ("$$${", json!("$${")),
            ("${'$'}${resource.k.n.count}", json!("$3")),
        ] {
            let resolved = template(json!({ "a": text })).resolve(&bind).unwrap();
            assert_eq!(resolved, Document::known(json_map(json!({ "a": expected }))), "{text}");
        }
    }

    fn json_map(value: Value) -> Map {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    #[test]
    fn unknown_is_a_whole_string_or_list() {
        let resolved = template(json!({
            "whole": "${resource.k.n.later}",
            "part": "a ${resource.k.n.later | upper} b",
            "in": { "side": "${resource.k.n.later}", "known": 1 },
            "list": [{ "x": "${resource.k.n.later}" }, 2],
            "known": ["${resource.k.n.count}"],
        }))
        .resolve(&bind)
        .unwrap();
        let unknown: Vec<String> = resolved.unknown.iter().map(ToString::to_string).collect();
        assert_eq!(unknown, ["in.side", "list", "part", "whole"]);
        assert_eq!(
            Value::Object(resolved.value.as_ref().clone()),
            json!({
                "whole": null, "part": null, "in": { "side": null, "known": 1 },
                "list": null, "known": [3],
            })
        );
    }

    #[test]
    fn finds_references() {
        let template = template(json!({
            "a": "${resource.k.n.arn}",
            "b": ["x ${lookup.k.m | json} ${resource.k.n.arn}"],
            "c": "$${action.k.no}",
        }));
        let found: Vec<String> = template.references().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["lookup.k.m", "resource.k.n.arn"]);
        let at = |path: &str| template.reference_at(&path.parse().unwrap());
        assert_eq!(at("a"), Some("resource.k.n.arn".parse().unwrap()));
        assert_eq!(at("b"), None);
        assert_eq!(at("c"), None);
    }

    #[test]
    fn resolving_names_what_is_wrong() {
        for (text, message) in [
            ("${resource.k.n.missing}", "`resource.k.n.missing` has no value"),
            ("x${resource.k.n.network}", "a list or table cannot be part of a text"),
            ("x${resource.k.n.nothing}", "has no value, so it cannot be part of a text"),
            ("${resource.k.n.count | split(',') | first | float | join(3, 4, 5, 6)}", "filter"),
        ] {
            let error = template(json!({ "a": { "b": text } })).resolve(&bind).unwrap_err();
            assert!(error.message.starts_with(message), "{text}: {}", error.message);
            assert_eq!(error.path.to_string(), "a.b");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[${}a|. ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[${}a]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn any_map() -> impl Strategy<Value = Map> {
        prop::collection::btree_map("[${}a]{1,3}", any_value(), 0..4)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_closed_template_stands_for_its_value(value in any_map()) {
            let closed = Template::closed(&value);
            prop_assert_eq!(Template::parse(closed.as_map().clone()), Ok(closed.clone()));
            prop_assert!(closed.references().is_empty());
            prop_assert_eq!(closed.resolve(&|_| Binding::Missing), Ok(Document::known(value)));
        }
    }
}
