//! Values that look like credentials do not belong in a release file: it is committed, and what it
//! says stands in plans and in the ledger for ever.
//!
//! Two things give a credential away: its form, wherever it stands ([`shape`]), and the name of
//! the field that it is written to ([`is_secret_name`]). What was found is never shown: the lines
//! that messages quote are masked.

mod names;
mod shapes;

use std::collections::BTreeSet;
use std::fmt;

use relctl_plan::{Map, Value};

use crate::mistake::Found;
use crate::section::take_texts;
use crate::source::{Place, Sources};
use crate::tree::{Content, Node, Table};
use names::{is_harmless, is_secret_name, spoken};
use shapes::shape;

/// The key in `[release]` that lists what only looks like a credential.
pub(crate) const NOT_SECRET: &str = "not_secret";

/// Looks for credentials in everything that was read for one release.
#[derive(Default)]
pub(crate) struct Search {
    /// Paths that the release file vouches for.
    vouched: BTreeSet<String>,
    /// What was found: a value that is written in one place and used in another is one mistake.
    known: BTreeSet<String>,
    /// Where it is written.
    places: Vec<Place>,
    mistakes: Vec<Found>,
}

/// The way to a value, and what it is called there.
#[derive(Clone, Copy)]
struct At<'a> {
    above: Option<&'a At<'a>>,
    step: Step<'a>,
    /// The name that says what the value is: the key, or the entry's name where the key is `value`.
    name: &'a str,
}

/// One step on the way.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            write!(f, "{above}.")?;
        }
        match self.step {
            Step::Key(key) => f.write_str(key),
            Step::Index(index) => write!(f, "{index}"),
        }
    }
}

impl Search {
    /// Takes what the release file vouches for: `[release] not_secret`, out of its table.
    pub(crate) fn vouch(&mut self, root: &mut Table, found: &mut Vec<Found>) {
        let release = root.get_mut("release").map(|entry| &mut entry.node.content);
        let Some(Content::Table(release)) = release else { return };
        let Some(entry) = release.remove(NOT_SECRET) else { return };
        let paths = take_texts(NOT_SECRET, entry.node, found);
        self.vouched.extend(paths.into_iter().map(|(path, _)| path));
    }

    /// Looks through a release file as it is written.
    pub(crate) fn written(&mut self, root: &Table) {
        self.table(root, None, true);
    }

    /// Looks through a file of variables as it is written.
    pub(crate) fn written_variables(&mut self, table: &Table) {
        let vars = At { above: None, step: Step::Key("vars"), name: "" };
        self.table(table, Some(&vars), true);
    }

    /// Looks through a release file in which constants have taken their values.
    pub(crate) fn resolved(&mut self, root: &Table) {
        self.table(root, None, false);
    }

    /// Looks through one section of a release file in which constants have taken their values.
    pub(crate) fn resolved_section(&mut self, section: &str, node: &Node) {
        self.node(node, At { above: None, step: Step::Key(section), name: section }, false);
    }

    /// Looks through variables, some of which are written in no file.
    pub(crate) fn variables(&mut self, values: Map) {
        for (name, value) in values {
            if let Value::String(text) = value {
                let vars = At { above: None, step: Step::Key("vars"), name: "" };
                let at = At { above: Some(&vars), step: Step::Key(&name), name: &name };
                self.text(&text, at, None, false);
            }
        }
    }

    /// Reports what was found, and has messages about these files keep quiet about it.
    pub(crate) fn report(self, sources: &mut Sources, found: &mut Vec<Found>) {
        sources.keep_quiet(self.places, self.known);
        found.extend(self.mistakes);
    }

    fn table(&mut self, table: &Table, above: Option<&At<'_>>, written: bool) {
        let entry_name = match table.get("name").map(|entry| &entry.node.content) {
            Some(Content::Text(name)) => name.as_str(),
            _ => above.map_or("", |above| above.name),
        };
        for (key, entry) in table {
            let name = if key.eq_ignore_ascii_case("value") { entry_name } else { key.as_str() };
            self.node(&entry.node, At { above, step: Step::Key(key), name }, written);
        }
    }

    fn node(&mut self, node: &Node, at: At<'_>, written: bool) {
        match &node.content {
            Content::Text(text) | Content::Open(text, _) => {
                self.text(text, at, Some(node.place), written);
            }
            Content::Table(table) => self.table(table, Some(&at), written),
            Content::List(items) => {
                let mut flag = "";
                for (index, item) in items.iter().enumerate() {
                    // `["--password", "…"]`: the option names what follows it.
                    let name = if flag.is_empty() { at.name } else { flag };
                    self.node(
                        item,
                        At { above: Some(&at), step: Step::Index(index), name },
                        written,
                    );
                    flag = match &item.content {
                        Content::Text(text) if text.starts_with("--") => text,
                        _ => "",
                    };
                }
            }
            Content::Null | Content::Bool(_) | Content::Number(_) => {}
        }
    }

    fn text(&mut self, text: &str, at: At<'_>, place: Option<Place>, written: bool) {
        let (why, secret) = if let Some((what, secret)) = shape(text) {
            (format!("it has the form of {what}"), secret)
        } else if is_secret_name(at.name) && !is_harmless(text, at.name) {
            (format!("its name is `{}`", spoken(at.name)), text)
        } else {
            return;
        };
        let path = at.to_string();
        if self.is_vouched(&path) {
            return;
        }
        let is_new = self.known.insert(secret.to_owned());
        if written {
            self.places.extend(place);
        } else if !is_new {
            return;
        }
        let message = format!("`{path}` looks like a credential: {why}");
        let hint = format!(
            "refer to where the secret is kept, for example by its ARN in a `value_from`; if this \
             is none, say so in [release]: `{NOT_SECRET} = [\"{path}\"]`"
        );
        let wrong = match place {
            Some(place) => Found::at(place, message),
            None => Found::nowhere(message),
        };
        self.mistakes.push(wrong.hint(hint).names_only());
    }

    /// Whether this path, or one above it, is vouched for.
    fn is_vouched(&self, path: &str) -> bool {
        let above = path.match_indices('.').filter_map(|(end, _)| path.get(..end));
        above.chain([path]).any(|path| self.vouched.contains(path))
    }
}

/// The text of a variable as a message may show it.
pub(crate) fn shown<'a>(name: &str, text: &'a str) -> &'a str {
    let is_secret = shape(text).is_some() || (is_secret_name(name) && !is_harmless(text, name));
    if is_secret { "[redacted]" } else { text }
}

/// Hides what may be a credential in a file that could not be read as TOML.
pub(crate) fn hide_unread(sources: &mut Sources, file: usize) {
    let mut places = Vec::new();
    let mut start = 0;
    for line in sources.text(file).split_inclusive('\n') {
        let assigned = line.split_once('=').filter(|(key, _)| {
            let key = key.trim().trim_matches(['"', '\'']);
            is_secret_name(key.rsplit('.').next().unwrap_or_default())
        });
        if let Some((key, _)) = assigned {
            places.push(Place::new(file, start + key.len() + 1..start + line.trim_end().len()));
        } else if shape(line).is_some() {
            places.push(Place::new(file, start..start + line.trim_end().len()));
        }
        start += line.len();
    }
    sources.keep_quiet(places, BTreeSet::new());
}
