//! Variables: `--var` beats `--var-file` beats `RELCTL_VAR_<name>` beats `[vars]`.

use std::collections::BTreeMap;

use relctl_plan::{Map, Value};

use crate::mistake::Found;
use crate::secrets::shown;
use crate::source::Place;
use crate::tree::{Table, lay_over, parse_value, table_to_map};

/// The prefix of the environment variables that set variables.
pub const VARIABLE_PREFIX: &str = "RELCTL_VAR_";

/// Values given from outside, weakest first.
pub(crate) struct Given {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) files: Vec<Table>,
    pub(crate) options: Vec<(String, String)>,
}

/// The value of every variable that has one.
pub(crate) fn resolve(declared: Table, given: &Given, found: &mut Vec<Found>) -> Map {
    let defaults = table_to_map(&declared);
    let mut values = declared;
    let mut texts = Map::new();
    for (name, text) in &given.env {
        let Some(name) = name.strip_prefix(VARIABLE_PREFIX) else { continue };
        let source = format!("{VARIABLE_PREFIX}{name}");
        set(&mut texts, name, text, &source, &defaults, found);
    }
    for file in &given.files {
        for (name, entry) in file {
            texts.remove(name);
            values.remove(name);
            lay_over(&mut values, [(name.clone(), entry.clone())].into_iter().collect());
        }
    }
    for (name, text) in &given.options {
        set(&mut texts, name, text, &format!("--var {name}"), &defaults, found);
    }
    let mut values = table_to_map(&values);
    values.extend(texts);
    values
}

/// Every name that `--var` or a `--var-file` sets, with its place in a file.
pub(crate) fn named(given: &Given) -> impl Iterator<Item = (&str, Option<Place>)> {
    let files = given.files.iter().flatten();
    let from_files = files.map(|(name, entry)| (name.as_str(), Some(entry.key)));
    given.options.iter().map(|(name, _)| (name.as_str(), None)).chain(from_files)
}

/// A text takes the type of the default: strings are taken as they are, everything else is TOML.
fn set(
    values: &mut Map,
    name: &str,
    text: &str,
    source: &str,
    defaults: &Map,
    found: &mut Vec<Found>,
) {
    let value = match defaults.get(name) {
        None | Some(Value::String(_)) => Some(Value::String(text.to_owned())),
        Some(default) => parse_value(text).filter(|value| same_type(value, default)),
    };
    match value {
        Some(value) => {
            values.insert(name.to_owned(), value);
        }
        None => found.push(
            Found::nowhere(format!(
                "`{source}` is `{}`, which has another type than [vars]",
                shown(name, text)
            ))
            .hint(format!("its default is `{}`", defaults.get(name).unwrap_or(&Value::Null))),
        ),
    }
}

fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::tree::{Content, Node};

    fn table(values: &[(&str, &str)]) -> Table {
        let map = values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        match Node::of(Place::new(0, 0..0), Value::Object(map)).content {
            Content::Table(table) => table,
            _ => Table::new(),
        }
    }

    proptest! {
        /// The strongest source that names the variable wins, whichever others do.
        #[test]
        fn precedence(sources in prop::collection::vec(any::<bool>(), 5)) {
            let [default, env, first, second, option] = sources[..] else { panic!("five") };
            let some = |there: bool, value: &'static str| -> Vec<(&str, &str)> {
                if there { vec![("x", value)] } else { Vec::new() }
            };
            let given = Given {
                env: some(env, "env").into_iter()
                    .map(|(n, v)| (format!("{VARIABLE_PREFIX}{n}"), v.to_owned())).collect(),
                files: vec![table(&some(first, "first")), table(&some(second, "second"))],
                options: some(option, "option").into_iter()
                    .map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            };
            let mut found = Vec::new();
            let values = resolve(table(&some(default, "default")), &given, &mut found);
            let expected = [
                (option, "option"), (second, "second"), (first, "first"), (env, "env"),
                (default, "default"),
            ]
            .into_iter().find_map(|(there, value)| there.then(|| json!(value)));
            prop_assert!(found.is_empty());
            prop_assert_eq!(values.get("x").cloned(), expected);
        }
    }

    #[test]
    fn texts_take_the_type_of_the_default() {
        for (default, text, expected) in [
            (json!(1), "2", Some(json!(2))),
            (json!(1), "two", None),
            (json!("1"), "2", Some(json!("2"))),
            (json!(true), "false", Some(json!(false))),
            (json!(["a"]), "['b', 'c']", Some(json!(["b", "c"]))),
            (json!(["a"]), "b", None),
        ] {
            let defaults = [("x".to_owned(), default)].into_iter().collect();
            let (mut values, mut found) = (Map::new(), Vec::new());
            set(&mut values, "x", text, "--var x", &defaults, &mut found);
            assert_eq!(values.get("x"), expected.as_ref(), "{text}");
            assert_eq!(found.is_empty(), expected.is_some());
        }
    }
}
