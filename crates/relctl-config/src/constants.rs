//! What is known before there is a plan: `vars`, `release`, `file()` and `json()`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path as FilePath, PathBuf};

use relctl_plan::{
    Constant, ExpressionError, MAX_INTEGER, Map, NoValue, Path, Substituted, Value, substitute,
};

use crate::mistake::{Found, did_you_mean};
use crate::source::{Place, Sources};
use crate::tree::{Content, Node, Table};

/// The largest file that `file()` and `json()` read: what a plugin call may carry is 4 MiB.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// How many levels `json()` may give: with the plan around them, a reader of JSON takes 128 in all.
const DEEPEST: usize = 64;

/// The values of constants.
pub(crate) struct Constants {
    /// The folder that `file()` and `json()` read from, canonical.
    folder: PathBuf,
    /// `vars` and `release`; a root that is not there cannot be named yet.
    known: BTreeMap<String, Map>,
    /// The variables that were asked for.
    used: RefCell<BTreeSet<String>>,
    files: RefCell<BTreeMap<String, Result<String, NoValue>>>,
}

impl Constants {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, known: BTreeMap::new(), used: RefCell::default(), files: RefCell::default() }
    }

    /// From now on `root` can be named.
    pub(crate) fn define(&mut self, root: &str, values: Map) {
        self.known.insert(root.to_owned(), values);
    }

    pub(crate) fn is_used(&self, variable: &str) -> bool {
        self.used.borrow().contains(variable)
    }

    /// The variables that were asked for, with their values.
    pub(crate) fn used_variables(&self) -> Map {
        let mut values = self.known.get("vars").cloned().unwrap_or_default();
        values.retain(|name, _| self.is_used(name));
        values
    }

    fn value(&self, constant: &Constant) -> Result<Value, NoValue> {
        match constant {
            Constant::Named(path) => self.named(path),
            Constant::File(name) => self.read(name).map(Value::String),
            Constant::Json { file, attribute } => {
                let text = self.read(file)?;
                let value: Value = serde_json::from_str(&text).map_err(|error| NoValue {
                    message: format!("`{file}` is not JSON: {error}"),
                    hint: None,
                })?;
                let part = descend(&value, attribute).ok_or_else(|| NoValue {
                    message: format!("`{file}` has no `{attribute}`"),
                    hint: None,
                })?;
                refuse_unfit(file, part, DEEPEST)?;
                Ok(part.clone())
            }
        }
    }

    fn named(&self, path: &Path) -> Result<Value, NoValue> {
        let mut segments = path.segments();
        let root = segments.next().unwrap_or_default();
        let name = segments.next().unwrap_or_default();
        if root == "vars" {
            self.used.borrow_mut().insert(name.to_owned());
        }
        let Some(values) = self.known.get(root) else {
            return Err(NoValue {
                message: format!("`{path}` is not known here"),
                hint: Some(if self.known.is_empty() {
                    "a variable holds a plain value: combine values where they are used".to_owned()
                } else {
                    "here only `vars`, `file()` and `json()` are known".to_owned()
                }),
            });
        };
        let Some(value) = values.get(name) else {
            let hint = did_you_mean(name, values.keys().map(String::as_str));
            return Err(if root == "vars" {
                let declare = format!("declare it in [vars], or pass `--var {name}=…`");
                NoValue {
                    message: format!("variable `{name}` has no value"),
                    hint: hint.or(Some(declare)),
                }
            } else {
                NoValue { message: format!("there is no `{root}.{name}`"), hint }
            });
        };
        descend(value, &segments.collect()).cloned().ok_or_else(|| NoValue {
            message: format!("`{root}.{name}` has no such part: `{path}`"),
            hint: None,
        })
    }

    fn read(&self, name: &str) -> Result<String, NoValue> {
        if let Some(read) = self.files.borrow().get(name) {
            return read.clone();
        }
        let text = read_beside(&self.folder, name);
        self.files.borrow_mut().insert(name.to_owned(), text.clone());
        text
    }

    /// Puts constants in place in every string below `table`.
    pub(crate) fn put_in(&self, table: &mut Table, sources: &Sources, found: &mut Vec<Found>) {
        for entry in table.values_mut() {
            self.put_in_node(&mut entry.node, sources, found);
        }
    }

    pub(crate) fn put_in_node(&self, node: &mut Node, sources: &Sources, found: &mut Vec<Found>) {
        let place = node.place;
        match &mut node.content {
            Content::Text(text) if text.contains("${") => {
                match substitute(text, &|constant| self.value(constant)) {
                    Ok(Substituted::Plain(value)) => node.content = Node::of(place, value).content,
                    Ok(Substituted::Open { text: kept, references }) => {
                        let references = references.into_iter().map(|(range, reference)| {
                            (sources.within(place, text, &range), reference)
                        });
                        node.content = Content::Open(kept, references.collect());
                    }
                    Err(errors) => {
                        found.extend(errors.into_iter().map(|e| locate(sources, place, text, e)));
                        node.content = Content::refused();
                    }
                }
            }
            Content::List(items) => {
                for item in items {
                    self.put_in_node(item, sources, found);
                }
            }
            Content::Table(table) => self.put_in(table, sources, found),
            _ => {}
        }
    }
}

fn locate(sources: &Sources, place: Place, text: &str, error: ExpressionError) -> Found {
    let at = sources.within(place, text, &error.range);
    Found::at(at, error.message).maybe_hint(error.hint)
}

fn descend<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.segments().try_fold(value, |value, segment| value.as_object()?.get(segment))
}

/// Refuses integers that do not survive canonical JSON, and what is nested more deeply.
fn refuse_unfit(file: &str, value: &Value, levels: usize) -> Result<(), NoValue> {
    let Some(below) = levels.checked_sub(1) else {
        return Err(NoValue {
            message: format!("`{file}` is nested more than {DEEPEST} levels deep"),
            hint: Some(format!("use a part of it, or its text: `file('{file}')`")),
        });
    };
    match value {
        Value::Number(number) => {
            let survives = number.as_i64().map_or(!number.is_u64(), |integer| {
                integer.unsigned_abs() <= MAX_INTEGER.unsigned_abs()
            });
            if survives {
                return Ok(());
            }
            Err(NoValue {
                message: format!("`{file}` holds the integer {number}, beyond ±{MAX_INTEGER}"),
                hint: Some("write it as a string there".to_owned()),
            })
        }
        Value::Array(items) => items.iter().try_for_each(|v| refuse_unfit(file, v, below)),
        Value::Object(map) => map.values().try_for_each(|v| refuse_unfit(file, v, below)),
        _ => Ok(()),
    }
}

/// Reads a file below the release file's folder; nothing leads out of it.
fn read_beside(folder: &FilePath, name: &str) -> Result<String, NoValue> {
    let no_value =
        |message: String, hint: Option<&str>| NoValue { message, hint: hint.map(str::to_owned) };
    let stays = Some("it may read only what is beside the release file, or in folders below");
    let relative = FilePath::new(name);
    if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(no_value(format!("`{name}` leads out of the release's folder"), stays));
    }
    let unreadable =
        |error: std::io::Error| no_value(format!("cannot read `{name}`: {error}"), None);
    let path = folder.join(relative).canonicalize().map_err(unreadable)?;
    if !path.starts_with(folder) {
        return Err(no_value(format!("`{name}` links out of the release's folder"), stays));
    }
    let metadata = path.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(no_value(format!("`{name}` is not a file"), None));
    }
    if metadata.len() > MAX_FILE_BYTES {
        let message = format!("`{name}` has more than {MAX_FILE_BYTES} bytes");
        return Err(no_value(message, Some("a release describes; large data belongs elsewhere")));
    }
    let bytes = std::fs::read(&path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| no_value(format!("`{name}` is not UTF-8 text"), None))
}
