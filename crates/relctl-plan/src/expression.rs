//! Expressions: what stands between `${` and `}` in one string.
//!
//! ```text
//! expression = head { "|" filter }
//! head       = "resource.kind.name.attribute" | "vars.name" | "release.version"
//!            | file("name") | json("name") [ ".attribute" ] | 'text'
//! filter     = name [ "(" literal { "," literal } ")" ]
//! ```
//!
//! Filters are minijinja's; the rest of that language stays out, so that a release file holds no
//! logic. Strings without `${`, and references without filters, never reach minijinja.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use minijinja::Environment;
use minijinja::value::Serde;

use crate::{Address, MAX_INTEGER, Map, Path, Reference, Role, Value};

/// The filters that an expression may use: those that give the same for the same, everywhere.
pub const FILTERS: [&str; 25] = [
    "abs",
    "bool",
    "capitalize",
    "first",
    "float",
    "indent",
    "int",
    "join",
    "json",
    "last",
    "length",
    "lines",
    "lower",
    "max",
    "min",
    "replace",
    "reverse",
    "round",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "upper",
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.add_filter("json", |value: minijinja::Value| {
        serde_json::to_string(&value).map_err(|error| {
            minijinja::Error::new(minijinja::ErrorKind::BadSerialization, error.to_string())
        })
    });
    environment
});

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// Bytes of the string.
    pub range: Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// What an expression can name that is known before there is a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    /// `vars.registry`, `release.version`: the path starts with the root.
    Named(Path),
    /// `file("name")`: a file's text.
    File(String),
    /// `json("name")`: a part of a file's document; the root is the whole.
    Json { file: String, attribute: Path },
}

/// Why a constant has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoValue {
    pub message: String,
    pub hint: Option<String>,
}

/// A string after its constants were put in.
#[derive(Debug, Clone, PartialEq)]
pub enum Substituted {
    /// Nothing is open; the value is plain, its strings follow no language.
    Plain(Value),
    /// References stay: the text to keep, and where they stood in the text as written.
    Open { text: String, references: Vec<(Range<usize>, Reference)> },
}

/// Puts constants in place in one string, and finds its references. Reports every mistake.
pub fn substitute(
    text: &str,
    constant: &dyn Fn(&Constant) -> Result<Value, NoValue>,
) -> Result<Substituted, Vec<ExpressionError>> {
    if !has_expressions(text) {
        return Ok(Substituted::Plain(Value::String(text.to_owned())));
    }
    let (segments, mut errors) = segments(text);
    let whole = segments.len() == 1 && errors.is_empty();
    let mut references = Vec::new();
    let mut written = String::new();
    let mut literal = String::new();
    for segment in segments {
        let expression = match segment {
            Segment::Text(text) => {
                literal.push_str(text);
                continue;
            }
            Segment::Expression(expression) => expression,
        };
        let value = match &expression.head {
            Head::Reference(reference) => {
                references.push((expression.head_range.clone(), reference.clone()));
                push_escaped(&mut written, &literal, true);
                literal.clear();
                written.push_str(text.get(expression.range.clone()).unwrap_or_default());
                continue;
            }
            Head::Literal(text) => Ok(Value::String(text.clone())),
            Head::Constant(named) => constant(named).map_err(|no_value| ExpressionError {
                range: expression.head_range.clone(),
                message: no_value.message,
                hint: no_value.hint,
            }),
        };
        match value.and_then(|value| expression.filter(value)) {
            Ok(value) if whole => return Ok(Substituted::Plain(value)),
            Ok(value) => match expression.text_of(&value) {
                Ok(text) => literal.push_str(&text),
                Err(error) => errors.push(error),
            },
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if references.is_empty() {
        return Ok(Substituted::Plain(Value::String(literal)));
    }
    push_escaped(&mut written, &literal, false);
    Ok(Substituted::Open { text: written, references })
}

/// The string that stands for exactly this text.
pub fn escape(text: &str) -> Cow<'_, str> {
    if has_expressions(text) { Cow::Owned(text.replace("${", "$${")) } else { Cow::Borrowed(text) }
}

/// The value whose strings stand for exactly those of `value`.
pub fn escape_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(escape(text).into_owned()),
        Value::Array(items) => Value::Array(items.iter().map(escape_value).collect()),
        Value::Object(map) => Value::Object(escape_map(map)),
        other => other.clone(),
    }
}

pub(crate) fn escape_map(map: &Map) -> Map {
    map.iter().map(|(name, value)| (name.clone(), escape_value(value))).collect()
}

/// Appends a literal. A `$` that would stand right before an expression cannot be written as
/// itself, since `$${` is an escape.
fn push_escaped(written: &mut String, literal: &str, before_expression: bool) {
    match literal.strip_suffix('$').filter(|_| before_expression) {
        Some(rest) => {
            written.push_str(&escape(rest));
            written.push_str("${'$'}");
        }
        None => written.push_str(&escape(literal)),
    }
}

/// Whether a string can hold an expression, or an escaped one.
pub(crate) fn has_expressions(text: &str) -> bool {
    text.contains("${")
}

/// A piece of a string.
pub(crate) enum Segment<'a> {
    Text(&'a str),
    Expression(Box<Expression>),
}

pub(crate) struct Expression {
    /// From `$` to behind `}`.
    pub(crate) range: Range<usize>,
    pub(crate) head: Head,
    head_range: Range<usize>,
    filters: Vec<Filter>,
}

pub(crate) enum Head {
    Reference(Reference),
    Constant(Constant),
    Literal(String),
}

struct Filter {
    range: Range<usize>,
    name: String,
    arguments: Vec<Value>,
}

impl Expression {
    /// The reference, if the expression is nothing else.
    pub(crate) fn bare_reference(&self) -> Option<&Reference> {
        match &self.head {
            Head::Reference(reference) if self.filters.is_empty() => Some(reference),
            _ => None,
        }
    }

    /// Why the expression cannot stand in a template.
    pub(crate) fn constant_error(&self) -> ExpressionError {
        let hint = "`vars`, `release`, `file()` and `json()` are known in release files alone";
        self.error("has no value here".to_owned(), Some(hint))
    }

    pub(crate) fn error(&self, message: String, hint: Option<&str>) -> ExpressionError {
        error(self.head_range.clone(), message, hint)
    }

    /// The value after the expression's filters.
    pub(crate) fn filter(&self, value: Value) -> Result<Value, ExpressionError> {
        if self.filters.is_empty() {
            return Ok(value);
        }
        let mut state = ENVIRONMENT.empty_state();
        let mut at = minijinja::Value::from(Serde(&value));
        for filter in &self.filters {
            let failed = |detail: &str| {
                let message = format!("filter `{}` cannot take this value: {detail}", filter.name);
                error(filter.range.clone(), message, None)
            };
            let mut arguments = vec![at];
            arguments.extend(filter.arguments.iter().map(|argument| Serde(argument).into()));
            at = state
                .apply_filter(&filter.name, &arguments)
                .map_err(|error| failed(error.detail().unwrap_or("wrong arguments")))?;
            if at.is_undefined() {
                return Err(failed("it is empty"));
            }
            if f64::try_from(at.clone()).is_ok_and(|number| !number.is_finite()) {
                return Err(failed("the result is not a number"));
            }
        }
        let result = serde_json::to_value(&at)
            .map_err(|error| self.error(format!("the result is no value: {error}"), None))?;
        if result.is_number() && !is_safe_number(&result) {
            let message = format!("{result} is an integer beyond ±{MAX_INTEGER}");
            return Err(self.error(message, Some("keep it as text, without `int`")));
        }
        Ok(result)
    }

    /// The value as a part of a longer text.
    pub(crate) fn text_of(&self, value: &Value) -> Result<String, ExpressionError> {
        match value {
            Value::String(text) => Ok(text.clone()),
            Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
            Value::Null => {
                Err(self.error("has no value, so it cannot be part of a text".into(), None))
            }
            Value::Array(_) | Value::Object(_) => Err(self.error(
                "a list or table cannot be part of a text".to_owned(),
                Some("use `| json` or `| join(',')`, or let the string be this one expression"),
            )),
        }
    }
}

fn is_safe_number(value: &Value) -> bool {
    value.is_f64() || value.as_i64().is_some_and(|n| n.unsigned_abs() <= MAX_INTEGER.unsigned_abs())
}

fn error(range: Range<usize>, message: String, hint: Option<&str>) -> ExpressionError {
    ExpressionError { range, message, hint: hint.map(str::to_owned) }
}

/// Cuts a string into texts and expressions; `$${` becomes the text `${`. Mistakes stand beside what
/// could be read.
pub(crate) fn segments(text: &str) -> (Vec<Segment<'_>>, Vec<ExpressionError>) {
    let mut segments = Vec::new();
    let mut errors = Vec::new();
    let mut rest = 0;
    while let Some(found) = text.get(rest..).and_then(|tail| tail.find("${")) {
        let start = rest + found;
        let escaped = found > 0 && text.as_bytes().get(start - 1) == Some(&b'$');
        let literal = text.get(rest..if escaped { start - 1 } else { start }).unwrap_or_default();
        if !literal.is_empty() {
            segments.push(Segment::Text(literal));
        }
        if escaped {
            segments.push(Segment::Text("${"));
            rest = start + 2;
            continue;
        }
        let mut cursor = Cursor { text, at: start + 2 };
        match cursor.expression(start) {
            Ok(expression) => {
                rest = expression.range.end;
                segments.push(Segment::Expression(Box::new(expression)));
            }
            Err(error) => {
                let from = cursor.at.max(error.range.start);
                let end = text.get(from..).and_then(|tail| tail.find('}'));
                rest = end.map_or(text.len(), |end| from + end + 1);
                errors.push(error);
            }
        }
    }
    if let Some(tail) = text.get(rest..).filter(|tail| !tail.is_empty()) {
        segments.push(Segment::Text(tail));
    }
    (segments, errors)
}

/// Reads one whole reference, `resource.kind.name.attribute`.
pub(crate) fn parse_reference(text: &str) -> Result<Reference, ExpressionError> {
    let mut cursor = Cursor { text, at: 0 };
    let path = cursor.path()?;
    if cursor.at < text.len() {
        let message = format!("`{text}` is not a reference");
        return Err(error(0..text.len(), message, Some(REFERENCE_HINT)));
    }
    reference(&path, 0..text.len())
}

const REFERENCE_HINT: &str = "write `resource.<kind>.<name>.<attribute>`, or `lookup.…`, \
                              `action.…`, `vars.<name>`, `release.version`";

fn reference(path: &Path, range: Range<usize>) -> Result<Reference, ExpressionError> {
    let mut segments = path.segments();
    let root = segments.next().unwrap_or_default();
    let Ok(role) = root.parse::<Role>() else {
        let message = format!("`{root}` is nothing that an expression can name");
        return Err(error(range, message, Some(REFERENCE_HINT)));
    };
    let (Some(kind), Some(name)) = (segments.next(), segments.next()) else {
        let message = format!("`{path}` names no object");
        return Err(error(range, message, Some(REFERENCE_HINT)));
    };
    let address = Address::new(role, kind, name)
        .map_err(|wrong| error(range, wrong.to_string(), Some(REFERENCE_HINT)))?;
    Ok(Reference { address, attribute: segments.collect() })
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        self.at += usize::from(taken);
        taken
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn word(&mut self, belongs: fn(u8) -> bool) -> &str {
        let start = self.at;
        while self.peek().is_some_and(belongs) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// What stands here does not belong here.
    fn unexpected(&self, expected: &str) -> ExpressionError {
        let next = self.text.get(self.at..).and_then(|rest| rest.chars().next());
        match next {
            Some(c) => {
                let message = format!("expected {expected}, found `{c}`");
                error(self.at..self.at + c.len_utf8(), message, None)
            }
            None => {
                let message = format!("expected {expected}, found the end of the string");
                let hint = "close the expression with `}`, or write `$${` for a literal `${`";
                error(self.at..self.at, message, Some(hint))
            }
        }
    }

    /// Reads what follows `${` at `start`, up to and with `}`.
    fn expression(&mut self, start: usize) -> Result<Expression, ExpressionError> {
        self.skip_space();
        let head_start = self.at;
        let head = self.head()?;
        let head_range = head_start..self.at;
        let mut filters = Vec::new();
        loop {
            self.skip_space();
            if self.take(b'}') {
                return Ok(Expression { range: start..self.at, head, head_range, filters });
            }
            if !self.take(b'|') {
                let mut wrong = self.unexpected("`|` or `}`");
                wrong.hint.get_or_insert_with(|| {
                    "an expression is one reference with filters: there are no operators".to_owned()
                });
                return Err(wrong);
            }
            self.skip_space();
            filters.push(self.filter()?);
        }
    }

    fn head(&mut self) -> Result<Head, ExpressionError> {
        if matches!(self.peek(), Some(b'\'' | b'"')) {
            return self.quoted().map(Head::Literal);
        }
        let start = self.at;
        let path = self.path()?;
        if self.peek() == Some(b'(') {
            return self.call(&path, start);
        }
        match path.first() {
            Some("vars" | "release") if path.segments().len() > 1 => {
                Ok(Head::Constant(Constant::Named(path)))
            }
            Some(root @ ("vars" | "release")) => {
                let message = format!("`{root}` alone has no value");
                Err(error(start..self.at, message, Some(REFERENCE_HINT)))
            }
            _ => reference(&path, start..self.at).map(Head::Reference),
        }
    }

    fn call(&mut self, function: &Path, start: usize) -> Result<Head, ExpressionError> {
        let name = function.to_string();
        if !matches!(name.as_str(), "file" | "json") {
            let message = format!("there is no function `{name}`");
            let hint = "the functions are `file(\"name\")` and `json(\"name\")`";
            return Err(error(start..self.at, message, Some(hint)));
        }
        self.take(b'(');
        self.skip_space();
        let file = self.quoted()?;
        self.skip_space();
        if !self.take(b')') {
            return Err(self.unexpected("`)`"));
        }
        if name == "file" {
            return Ok(Head::Constant(Constant::File(file)));
        }
        let attribute = if self.take(b'.') { self.path()? } else { Path::ROOT };
        Ok(Head::Constant(Constant::Json { file, attribute }))
    }

    fn path(&mut self) -> Result<Path, ExpressionError> {
        let mut segments: Vec<String> = Vec::new();
        loop {
            if matches!(self.peek(), Some(b'\'' | b'"')) && !segments.is_empty() {
                segments.push(self.quoted()?);
            } else {
                let word = self.word(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                if word.is_empty() {
                    return Err(self.unexpected("a name"));
                }
                segments.push(word.to_owned());
            }
            if !self.take(b'.') {
                return Ok(segments.into_iter().collect());
            }
        }
    }

    fn quoted(&mut self) -> Result<String, ExpressionError> {
        let start = self.at;
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => char::from(quote),
            _ => return Err(self.unexpected("a text in quotes")),
        };
        let mut text = String::new();
        let inside = self.text.get(start + 1..).unwrap_or_default();
        let mut chars = inside.char_indices();
        while let Some((index, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                c if c == quote => {
                    self.at = start + 1 + index + 1;
                    return Ok(text);
                }
                _ => text.push(c),
            }
        }
        self.at = self.text.len();
        let message = format!("the text has no closing `{quote}`");
        Err(error(start..self.text.len(), message, None))
    }

    fn filter(&mut self) -> Result<Filter, ExpressionError> {
        let start = self.at;
        let name = self.word(|b| b.is_ascii_alphanumeric() || b == b'_').to_owned();
        let range = start..self.at;
        if name.is_empty() {
            return Err(self.unexpected("a filter"));
        }
        if !FILTERS.contains(&name.as_str()) {
            let hint = format!("the filters are {}", FILTERS.join(", "));
            return Err(error(range, format!("there is no filter `{name}`"), Some(&hint)));
        }
        let mut arguments = Vec::new();
        if self.take(b'(') {
            self.skip_space();
            while !self.take(b')') {
                arguments.push(self.literal()?);
                self.skip_space();
                if self.take(b',') {
                    self.skip_space();
                } else if self.peek() != Some(b')') {
                    return Err(self.unexpected("`,` or `)`"));
                }
            }
        }
        Ok(Filter { range, name, arguments })
    }

    fn literal(&mut self) -> Result<Value, ExpressionError> {
        if matches!(self.peek(), Some(b'\'' | b'"')) {
            return self.quoted().map(Value::String);
        }
        let start = self.at;
        let word =
            self.word(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'.'));
        match serde_json::from_str(word) {
            Ok(value) => Ok(value),
            Err(_) if word.is_empty() => Err(self.unexpected("a text in quotes, or a number")),
            Err(_) => {
                let message = format!("`{word}` is not a text in quotes, a number, true or false");
                Err(error(start..self.at, message, None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{Binding, Template};

    fn constant(constant: &Constant) -> Result<Value, NoValue> {
        match constant {
            Constant::Named(path) => match path.to_string().as_str() {
                "vars.registry" => Ok(json!("example.com")),
                "vars.count" => Ok(json!(2)),
                "vars.odd" => Ok(json!("${x}$")),
                "release.version" => Ok(json!("v1.1.0")),
                other => Err(NoValue { message: format!("no {other}"), hint: None }),
            },
            Constant::File(name) => Ok(json!(format!("text of {name}"))),
            Constant::Json { file, attribute } => Ok(json!([file, attribute.to_string()])),
        }
    }

    #[test]
    fn constants_alone_give_a_plain_value() {
        for (text, expected) in [
            ("no expression", json!("no expression")),
            ("${vars.registry}/api:${release.version}", json!("example.com/api:v1.1.0")),
            ("v-${release.version | replace('.', '-')}", json!("v-v1-1-0")),
            ("${vars.count}", json!(2)),
            ("${file(\"a.txt\")}", json!("text of a.txt")),
            ("${ json( 'a.json' ).x.\"y z\" }", json!(["a.json", "x.\"y z\""])),
            ("$${vars.registry} ${vars.odd}", json!("${vars.registry} ${x}$")),
        ] {
            assert_eq!(substitute(text, &constant), Ok(Substituted::Plain(expected)), "{text}");
        }
    }

    #[test]
    fn references_stay_and_keep_their_place() {
        let text = "${vars.odd}${ lookup.k.n.a | upper } $${";
        let Ok(Substituted::Open { text: kept, references }) = substitute(text, &constant) else {
            panic!("it has a reference");
        };
        assert_eq!(kept, "$${x}${'$'}${ lookup.k.n.a | upper } $${");
        assert_eq!(references, [(14..26, "lookup.k.n.a".parse().unwrap())]);
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        for (text, range, message) in [
            ("a ${", 4..4, "expected a name, found the end of the string"),
            ("${}", 2..3, "expected a name, found `}`"),
            ("${vars.a", 8..8, "expected `|` or `}`, found the end of the string"),
            ("${vars.count + 1}", 13..14, "expected `|` or `}`, found `+`"),
            ("${vars}", 2..6, "`vars` alone has no value"),
            ("${vars.none}", 2..11, "no vars.none"),
            ("${resource.k}", 2..12, "`resource.k` names no object"),
            ("${thing.k.n}", 2..11, "`thing` is nothing that an expression can name"),
            ("${env(\"HOME\")}", 2..5, "there is no function `env`"),
            ("${file(name)}", 7..8, "expected a text in quotes, found `n`"),
            ("${file('a)}", 7..11, "the text has no closing `'`"),
            ("${vars.count | shout}", 15..20, "there is no filter `shout`"),
            ("${vars.count | }", 15..16, "expected a filter, found `}`"),
            ("${vars.count | round(x)}", 21..22, "`x` is not a text in quotes"),
            ("${vars.registry | abs}", 18..21, "filter `abs` cannot take this value"),
            ("${vars.registry | split('.') | sum}", 31..34, "filter `sum` cannot take this value"),
        ] {
            let errors = substitute(text, &constant).unwrap_err();
            let [error] = errors.as_slice() else { panic!("{text}: {errors:?}") };
            assert_eq!(error.range, range, "{text}: {error}");
            assert!(error.message.starts_with(message), "{text}: {error}");
        }
        assert_eq!(substitute("${+} ${vars.no} ${-}", &constant).unwrap_err().len(), 3);
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[${}'\"|()., \\\\avrs]{0,24}") {
            drop(substitute(&text, &constant));
        }

        /// Putting constants in first, or resolving all at once, is the same.
        #[test]
        fn substituting_changes_no_meaning(parts in prop::collection::vec(
            prop::sample::select(vec![
                "a", "$", "{", "$${", "${'$'}", "${vars.odd}", "${vars.count}", "${lookup.k.n.a}",
            ]),
            0..8,
        )) {
            // A `$` right before `${` escapes it: not what this law is about.
            let text = parts.join("\u{200b}");
            let plain = text
                .replace("$${", "<open>").replace("${'$'}", "$").replace("${vars.odd}", "${x}$")
                .replace("${vars.count}", "2").replace("${lookup.k.n.a}", "R").replace("<open>", "${");
            let single = parts.len() == 1;
            let resolved = match substitute(&text, &constant).unwrap() {
                Substituted::Plain(value) => value,
                Substituted::Open { text, .. } => {
                    let template = Template::parse([("t".to_owned(), json!(text))].into_iter().collect());
                    let bound = template.unwrap().resolve(&|_| Binding::Known(json!("R"))).unwrap();
                    bound.value["t"].clone()
                }
            };
            if single && resolved.is_number() {
                prop_assert_eq!(resolved, json!(2));
            } else {
                prop_assert_eq!(resolved, json!(plain));
            }
        }
    }
}
