//! Templates: documents with references in them, `${resource.local_file.index.sha256}`.
//!
//! The language: a string holds text and expressions `${ reference | filter(arguments) | … }`. An
//! expression has exactly one reference. A string that is one whole expression keeps the type of
//! its value. `$${` is a literal `${`. What is constant (`vars`, `release`, `file()`, `json()`) has
//! been put in place before ([`substitute`](crate::substitute)): templates hold references to objects alone.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

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

/// A document with references in its strings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(Map);

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
        if errors.is_empty() { Ok(Self(value)) } else { Err(errors) }
    }

    /// A template that stands for exactly this value: `${` is escaped.
    pub fn closed(value: &Map) -> Self {
        Self(escape_map(value))
    }

    /// As written.
    pub fn as_map(&self) -> &Map {
        &self.0
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
        let text = crate::document::get(&self.0, path)?.as_str()?;
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
        let mut resolver = Resolver { bind, path: Vec::new(), unknown: BTreeSet::new() };
        let value = resolver.map(&self.0)?;
        Ok(Document { value, unknown: resolver.unknown })
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
