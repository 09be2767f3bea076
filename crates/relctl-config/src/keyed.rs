//! Keyed lists: arrays of tables told apart by their key fields, held as tables from key to entry.

use relctl_plan::Value;

use crate::mistake::Found;
use crate::source::Place;
use crate::tree::{Content, Entry, Node, Table};
use crate::validate::name_below;

/// An array's entries by key.
pub(crate) fn from_array(
    items: Vec<Node>,
    keys: &[String],
    name: &str,
    found: &mut Vec<Found>,
) -> Table {
    let mut entries = Table::new();
    for node in items {
        let Content::Table(table) = &node.content else {
            let message = format!("an entry of `{name}` must be a table, not {}", node.type_name());
            let hint = format!("its `{}` tells it from the others", keys.join("` and `"));
            found.push(Found::at(node.place, message).hint(hint));
            continue;
        };
        let Some(key) = key_of(table, keys, node.place, name, found) else { continue };
        let place = keys
            .first()
            .and_then(|key| table.get(key))
            .map_or(node.place, |entry| entry.node.place);
        if let Some(first) = entries.get(&key) {
            let first: &Entry = first;
            let message = format!("`{name}` has two entries `{key}`");
            found.push(Found::at(place, message).related(first.key, "the first one"));
            continue;
        }
        entries.insert(key, Entry { key: place, node });
    }
    entries
}

/// A table's entries carry their key in them too.
pub(crate) fn fill_in_keys(
    table: &mut Table,
    schema: &Value,
    keys: &[String],
    name: &str,
    found: &mut Vec<Found>,
) {
    table.retain(|_, entry| !matches!(entry.node.content, Content::Null));
    for (key, entry) in table.iter_mut() {
        let place = entry.node.place;
        let Content::Table(fields) = &mut entry.node.content else { continue };
        if let [single] = keys
            && !fields.contains_key(single)
        {
            let type_of_key = schema.pointer(&format!("/items/properties/{single}/type"));
            let number = key
                .parse::<i64>()
                .ok()
                .filter(|_| type_of_key.and_then(Value::as_str) == Some("integer"));
            let value = number.map_or_else(|| Value::from(key.as_str()), Value::from);
            let filled = Entry { key: entry.key, node: Node::of(entry.key, value) };
            fields.insert(single.clone(), filled);
            continue;
        }
        let inner = name_below(name, key);
        if let Some(own) = key_of(fields, keys, place, &inner, found)
            && own != *key
        {
            let message = format!("`{inner}` is called `{key}`, and its key says `{own}`");
            found.push(
                Found::at(entry.key, message).hint(format!("call it `{}`", name_below(name, &own))),
            );
        }
    }
}

/// The key of an entry: its key fields, joined with `/`.
fn key_of(
    fields: &Table,
    keys: &[String],
    place: Place,
    name: &str,
    found: &mut Vec<Found>,
) -> Option<String> {
    let mut parts = Vec::new();
    for key in keys {
        match fields.get(key).map(|entry| (&entry.node, &entry.node.content)) {
            Some((_, Content::Text(text))) => parts.push(text.clone()),
            Some((_, Content::Number(number))) => parts.push(number.to_string()),
            Some((_, Content::Bool(value))) => parts.push(value.to_string()),
            Some((node, Content::Open(_, references))) => {
                // Without references it was refused already.
                if !references.is_empty() {
                    let message =
                        format!("`{key}` tells the entries of `{name}` apart: it must be known");
                    found.push(Found::at(node.place, message).hint("write it without a reference"));
                }
            }
            Some((node, _)) => {
                let message =
                    format!("`{key}` tells the entries of `{name}` apart: it must be a string");
                found.push(Found::at(node.place, message));
            }
            None => {
                let message = format!("this entry of `{name}` has no `{key}`");
                let hint = format!("`{key}` tells it from the others");
                found.push(Found::at(place, message).hint(hint));
            }
        }
    }
    (parts.len() == keys.len()).then(|| parts.join("/"))
}
