//! An object as TOML, in the order in which a person would write it: what identifies it, single
//! values, small tables in one line, then tables of their own.

use std::fmt::Write as _;

use relctl_plan::{Address, Field, Kind, Map, Path, Value};

use super::sift::{Reason, Sifted};
use crate::text::{is_hidden, safe};

/// The longest line that a table or a list is put on.
const LINE: usize = 100;

/// The object's table and those below it.
pub(super) fn object(
    address: &Address,
    kind: &Kind,
    head: &[(&str, Value)],
    sifted: &Sifted,
) -> String {
    let mut identity = Map::new();
    let mut rest = sifted.kept.clone();
    for name in &kind.identity {
        if let Some(value) = rest.remove(name) {
            identity.insert(name.clone(), value);
        }
    }
    let mut writer = Writer { text: String::new(), left_out: &sifted.left_out };
    writer.header(address.as_str());
    // In the kind's order: the order of the command line.
    for name in &kind.identity {
        if let Some(value) = identity.get(name) {
            writer.line(name, value);
        }
    }
    for (name, value) in head {
        writer.line(name, value);
    }
    writer.fields(address.as_str(), &Path::ROOT, &rest, Some(&kind.fields));
    writer.text
}

/// Writing to its text cannot fail.
struct Writer<'a> {
    text: String,
    left_out: &'a [(Path, Reason)],
}

impl Writer<'_> {
    fn header(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        writeln!(self.text, "[{name}]").ok();
    }

    fn line(&mut self, name: &str, value: &Value) {
        writeln!(self.text, "{} = {}", key(name), whole(value)).ok();
    }

    /// The fields of a table whose header is `header`: what fits into lines, what is left out, and
    /// then tables with headers of their own.
    fn fields(&mut self, header: &str, at: &Path, fields: &Map, field: Option<&Field>) {
        let below = |name: &String| field.and_then(|f| f.fields.get(name).or(f.entries.as_deref()));
        let (lines, tables): (Vec<_>, Vec<_>) =
            fields.iter().partition(|(name, value)| fits(name, value, below(name)));
        let (plain, inline): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|(_, value)| !value.is_object());
        for (name, value) in plain.into_iter().chain(inline) {
            self.line(name, &without_key(value, below(name)));
        }
        self.comments(at);
        for (name, value) in tables {
            let Value::Object(inner) = value else { continue };
            let (header, at) = (format!("{header}.{}", key(name)), at.join(name));
            self.table(&header, &at, inner, below(name));
        }
    }

    fn table(&mut self, header: &str, at: &Path, inner: &Map, field: Option<&Field>) {
        let keys = field.and_then(|field| field.key.as_deref());
        let has_lines = inner.iter().any(|(name, value)| {
            let below = field.and_then(|f| f.fields.get(name).or(f.entries.as_deref()));
            fits(name, &in_list(value, name, keys), below)
        });
        let has_comments = self.left_out.iter().any(|(path, _)| path.parent().as_ref() == Some(at));
        if has_lines || has_comments {
            self.header(header);
        }
        let entries: Map =
            inner.iter().map(|(name, value)| (name.clone(), in_list(value, name, keys))).collect();
        self.fields(header, at, &entries, field);
    }

    fn comments(&mut self, at: &Path) {
        for (path, reason) in self.left_out {
            // Saying what a missing field has is of no use where it is missing.
            if path.parent().as_ref() == Some(at) && !matches!(reason, Reason::Default(_)) {
                let name = path.last().unwrap_or_default();
                let line = format!("# {} is left out: it {reason}", key(name));
                self.text.push_str(&safe(&line));
                self.text.push('\n');
            }
        }
    }
}

/// An entry of a keyed list without its key, which its table's name says. Several keys stay.
fn in_list(value: &Value, name: &str, keys: Option<&[String]>) -> Value {
    match (value, keys) {
        (Value::Object(entry), Some([single])) => {
            let mut entry = entry.clone();
            if entry.get(single).is_some_and(|own| text_of(own) == name) {
                entry.remove(single);
            }
            Value::Object(entry)
        }
        _ => value.clone(),
    }
}

/// A keyed list that is written in one line.
fn without_key(value: &Value, field: Option<&Field>) -> Value {
    let keys = field.and_then(|field| field.key.as_deref());
    match (value, keys) {
        (Value::Object(list), Some(_)) => {
            list.iter().map(|(name, entry)| (name.clone(), in_list(entry, name, keys))).collect()
        }
        _ => value.clone(),
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Whether a field goes into lines of its table; else it gets a table of its own. Lists have none.
fn fits(name: &str, value: &Value, field: Option<&Field>) -> bool {
    let Value::Object(map) = value else { return true };
    let is_flat = map.values().all(|value| !value.is_object());
    let is_list = field.is_some_and(|field| field.key.is_some());
    (is_flat && !is_list) && key(name).len() + 3 + inline(value).chars().count() <= LINE
}

/// A value as the whole of what stands after `=`: a text may have many lines, a list too.
fn whole(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains('\n') => many_lines(text),
        Value::Array(items) if inline(value).chars().count() > LINE - 20 => {
            let items: Vec<String> =
                items.iter().map(|item| format!("  {},\n", inline(item))).collect();
            format!("[\n{}]", items.concat())
        }
        _ => inline(value),
    }
}

/// A value in one line.
fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => basic(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            // TOML has no null; nothing is what it means.
            let entries = map.iter().filter(|(_, value)| !value.is_null());
            let entries: Vec<String> =
                entries.map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        format!("\"{}\"", escaped(name, false))
    }
}

/// A text in one line. `${` would begin a reference.
fn basic(text: &str) -> String {
    format!("\"{}\"", escaped(&text.replace("${", "$${"), false))
}

fn many_lines(text: &str) -> String {
    // The line break right after the quotes does not count.
    format!("\"\"\"\n{}\"\"\"", escaped(&text.replace("${", "$${"), true))
}

/// With everything escaped that TOML does not take as it is, or that could forge a line of output
/// on its way through a terminal.
fn escaped(text: &str, keep_lines: bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 2);
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' if keep_lines => escaped.push('\n'),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            c if is_hidden(c) => drop(write!(escaped, "\\U{:08X}", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}
