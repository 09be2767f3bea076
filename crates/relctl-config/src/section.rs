//! Taking typed keys out of a table, and reporting those that do not belong there.

use crate::mistake::{Found, did_you_mean};
use crate::source::Place;
use crate::tree::{Content, Entry, Node, Table};

/// A table of relctl's own, such as `[release]` or `lifecycle`, while it is read.
pub(crate) struct Section<'a> {
    /// What messages call it, `[release]`.
    name: String,
    place: Place,
    table: Table,
    asked: Vec<&'static str>,
    found: &'a mut Vec<Found>,
}

impl<'a> Section<'a> {
    /// `None`, and a mistake, where the value is no table.
    pub(crate) fn of(name: String, node: Node, found: &'a mut Vec<Found>) -> Option<Self> {
        let place = node.place;
        let table = take_table(&name, node, found)?;
        Some(Self { name, place, table, asked: Vec::new(), found })
    }

    pub(crate) fn take(&mut self, key: &'static str) -> Option<Entry> {
        self.asked.push(key);
        self.table.remove(key)
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Option<(String, Place)> {
        let entry = self.take(key)?;
        take_text(key, entry.node, self.found)
    }

    pub(crate) fn required_text(&mut self, key: &'static str) -> Option<(String, Place)> {
        if !self.table.contains_key(key) {
            let message = format!("{} has no `{key}`", self.name);
            let hint = format!("add `{key} = \"…\"`");
            self.found.push(Found::at(self.place, message).hint(hint));
        }
        self.text(key)
    }

    pub(crate) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let entry = self.take(key)?;
        take_boolean(key, &entry.node, self.found)
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<(String, Place)> {
        self.take(key).map_or_else(Vec::new, |entry| take_texts(key, entry.node, self.found))
    }

    pub(crate) fn found(&mut self) -> &mut Vec<Found> {
        self.found
    }

    /// Reports every key that nobody asked for.
    pub(crate) fn finish(self) {
        for (key, entry) in &self.table {
            let message = format!("`{key}` does not belong in {}", self.name);
            let hint = did_you_mean(key, self.asked.iter().copied());
            self.found.push(Found::at(entry.key, message).maybe_hint(hint));
        }
    }
}

/// `what` must be … , not …
pub(crate) fn wrong_type(what: &str, expected: &str, node: &Node) -> Found {
    Found::at(node.place, format!("`{what}` must be {expected}, not {}", node.type_name()))
}

fn must_be_plain(what: &str, node: &Node) -> Found {
    let message = format!("`{what}` must be known without a reference");
    Found::at(node.place, message).hint("only `vars`, `release`, `file()` and `json()` work here")
}

pub(crate) fn take_table(name: &str, node: Node, found: &mut Vec<Found>) -> Option<Table> {
    match node.content {
        Content::Table(table) => Some(table),
        _ => {
            found.push(wrong_type(name, "a table", &node));
            None
        }
    }
}

pub(crate) fn take_text(key: &str, node: Node, found: &mut Vec<Found>) -> Option<(String, Place)> {
    match node.content {
        Content::Text(text) => Some((text, node.place)),
        Content::Open(..) => {
            found.push(must_be_plain(key, &node));
            None
        }
        _ => {
            found.push(wrong_type(key, "a string", &node));
            None
        }
    }
}

pub(crate) fn take_boolean(key: &str, node: &Node, found: &mut Vec<Found>) -> Option<bool> {
    match node.content {
        Content::Bool(value) => Some(value),
        Content::Open(..) => {
            found.push(must_be_plain(key, node));
            None
        }
        _ => {
            found.push(wrong_type(key, "true or false", node));
            None
        }
    }
}

pub(crate) fn take_texts(key: &str, node: Node, found: &mut Vec<Found>) -> Vec<(String, Place)> {
    match node.content {
        Content::List(items) => {
            items.into_iter().filter_map(|item| take_text(key, item, found)).collect()
        }
        _ => {
            found.push(wrong_type(key, "an array of strings", &node));
            Vec::new()
        }
    }
}

/// Reports every reference where none may stand.
pub(crate) fn refuse_references(what: &str, node: &Node, found: &mut Vec<Found>) {
    node.each_reference(&mut |place, reference| {
        let message = format!("{what} cannot refer to `{}`", reference.address);
        found.push(
            Found::at(place, message).hint("it must be known before anything is read or planned"),
        );
    });
}
