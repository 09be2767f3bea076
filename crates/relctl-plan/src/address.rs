//! Addresses: the one name of an object, as written in the release file.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

/// What part an object plays in a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read while planning, never owned.
    Lookup,
    /// Has a state that relctl compares and changes.
    Resource,
    /// Does something, once per run key.
    Action,
    /// Passes, fails, or is inconclusive. Changes nothing.
    Check,
}

impl Role {
    /// Every role, in the order in which a release file introduces them.
    pub const ALL: [Self; 4] = [Self::Lookup, Self::Resource, Self::Action, Self::Check];

    /// The role's table name in a release file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lookup => "lookup",
            Self::Resource => "resource",
            Self::Action => "action",
            Self::Check => "check",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(())
    }
}

/// An object's address: `<role>.<kind>.<name>`, for example `resource.local_file.index`.
///
/// Kind and name are identifiers: a letter or `_`, then letters, digits, `_` or `-`. Cheap to clone: an
/// address goes wherever its object goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    text: Arc<str>,
    role: Role,
    kind_end: u32,
}

/// Why a text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("`{0}` is not an address: expected `<role>.<kind>.<name>`")]
    Shape(String),
    #[error("`{0}` does not start with `lookup`, `resource`, `action` or `check`")]
    Role(String),
    #[error("`{0}` in `{1}` is not a name: use a letter or `_`, then letters, digits, `_` or `-`")]
    Name(String, String),
}

impl Address {
    /// Builds an address from its parts.
    pub fn new(role: Role, kind: &str, name: &str) -> Result<Self, AddressError> {
        let text = format!("{role}.{kind}.{name}");
        for part in [kind, name] {
            if !is_identifier(part) {
                return Err(AddressError::Name(part.to_owned(), text));
            }
        }
        let kind_end = role.as_str().len() + 1 + kind.len();
        let kind_end = u32::try_from(kind_end).map_err(|_| AddressError::Shape(text.clone()))?;
        Ok(Self { text: text.into(), role, kind_end })
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// The kind, for example `local_file`.
    pub fn kind(&self) -> &str {
        self.text.get(self.role.as_str().len() + 1..self.kind_end as usize).unwrap_or_default()
    }

    /// The name that the release file gave the object.
    pub fn name(&self) -> &str {
        self.text.get(self.kind_end as usize + 1..).unwrap_or_default()
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether `text` can name a kind, an object or a plugin instance.
pub fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut parts = text.split('.');
        let (Some(role), Some(kind), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AddressError::Shape(text.to_owned()));
        };
        let role = role.parse().map_err(|()| AddressError::Role(text.to_owned()))?;
        Self::new(role, kind, name)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address() {
        let address: Address = "resource.local_file.index".parse().unwrap();
        assert_eq!(address.role(), Role::Resource);
        assert_eq!(address.kind(), "local_file");
        assert_eq!(address.name(), "index");
        assert_eq!(address.to_string(), "resource.local_file.index");
    }

    #[test]
    fn refuses_what_is_not_an_address() {
        for text in [
            "",
            "resource",
            "resource.a",
            "resource.a.b.c",
            "thing.a.b",
            "resource.1.b",
            "resource.a.",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
