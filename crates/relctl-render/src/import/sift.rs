//! What of an object goes into a release file, and what does not.

use std::fmt;

use relctl_plan::{Field, Kind, Map, Path, Value};

use super::credentials::looks_like_a_credential;

/// What goes into the file, and what does not, with the reason.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    pub(super) kept: Map,
    pub(super) left_out: Vec<(Path, Reason)>,
}

/// Why something is left out.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reason {
    /// It has the value that it has where nothing is said.
    Default(Value),
    /// It may be a secret.
    Credential,
    /// Someone else usually moves it; the value that it has.
    External(Value, String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(value) => write!(f, "is {value}, as without it"),
            Self::Credential => {
                f.write_str("looks like a credential, which belongs into a secret store")
            }
            Self::External(value, other) => write!(f, "is {value} now, and {other} may move it"),
        }
    }
}

/// Sifts what may be declared.
pub(super) fn sift(kind: &Kind, fields: &Map) -> Sifted {
    let mut sifted = Sifted::default();
    for (name, value) in fields {
        let path = Path::field(name);
        let field = kind.fields.fields.get(name);
        if kind.identity.contains(name) {
            sifted.kept.insert(name.clone(), value.clone());
        } else if let Some(other) = field.and_then(|field| field.external.clone()) {
            sifted.left_out.push((path, Reason::External(value.clone(), other)));
        } else if field.and_then(|field| field.default.as_ref()) == Some(value) {
            sifted.left_out.push((path, Reason::Default(value.clone())));
        } else if let Some(value) = without_credentials(&path, field, value, &mut sifted.left_out) {
            sifted.kept.insert(name.clone(), value);
        }
    }
    sifted
}

/// The value without what looks like a credential; `None`: nothing is left of it.
fn without_credentials(
    path: &Path,
    field: Option<&Field>,
    value: &Value,
    left_out: &mut Vec<(Path, Reason)>,
) -> Option<Value> {
    if field.is_some_and(|field| field.secret_reference) {
        return Some(value.clone());
    }
    match value {
        Value::String(text) if looks_like_a_credential(path, text) => {
            left_out.push((path.clone(), Reason::Credential));
            None
        }
        // Lists are one value: what is declared of one is all of it.
        Value::Array(items) => {
            let mut inside = Vec::new();
            for item in items {
                without_credentials(path, field, item, &mut inside);
            }
            if inside.is_empty() {
                return Some(value.clone());
            }
            left_out.push((path.clone(), Reason::Credential));
            None
        }
        Value::Object(map) => {
            let mut inside = Vec::new();
            let mut kept = Map::new();
            for (name, value) in map {
                let below = field.and_then(|f| f.fields.get(name).or(f.entries.as_deref()));
                let path = path.join(name);
                if let Some(value) = without_credentials(&path, below, value, &mut inside) {
                    kept.insert(name.clone(), value);
                }
            }
            if inside.is_empty() {
                return Some(Value::Object(kept));
            }
            let atomic = field.is_some_and(|field| field.atomic);
            if atomic || is_only_a_name(path, &kept) {
                left_out.push((path.clone(), Reason::Credential));
                return None;
            }
            left_out.append(&mut inside);
            Some(Value::Object(kept))
        }
        other => Some(other.clone()),
    }
}

/// Whether all that is left of an entry is what tells it from the others.
fn is_only_a_name(path: &Path, entry: &Map) -> bool {
    entry.values().all(|value| value.as_str() == path.last())
}
