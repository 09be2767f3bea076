//! Templates: documents with references in them, `${resource.local_file.index.sha256}`.
//!
//! The language: a string holds text and expressions `${ reference | filter(arguments) | … }`. An
//! expression has exactly one reference. A string that is one whole reference without filters keeps
//! the type of what it refers to. `$${` is a literal `${`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Address, Document, Map, Path, Value};

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

    fn from_str(_text: &str) -> Result<Self, TemplateError> {
        todo!()
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

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// The field that holds the string.
    pub path: Path,
    /// The expression's bytes within the string.
    pub range: std::ops::Range<usize>,
    pub message: String,
    pub hint: Option<String>,
}

/// A document with references in its strings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(Map);

impl Template {
    /// Takes a document whose strings follow the language; reports every mistake.
    pub fn parse(_value: Map) -> Result<Self, Vec<TemplateError>> {
        todo!()
    }

    /// A template that stands for exactly this value: `${` is escaped.
    pub fn closed(_value: &Map) -> Self {
        todo!()
    }

    /// As written.
    pub fn as_map(&self) -> &Map {
        &self.0
    }

    /// Every reference in it.
    pub fn references(&self) -> BTreeSet<Reference> {
        todo!()
    }

    /// The reference at `path`, if the string there is one whole reference.
    pub fn reference_at(&self, _path: &Path) -> Option<Reference> {
        todo!()
    }

    /// Puts values in place of references. A string with an unknown reference is unknown as a
    /// whole; a missing one is an error.
    pub fn resolve(
        &self,
        _bind: &dyn Fn(&Reference) -> Binding,
    ) -> Result<Document, TemplateError> {
        todo!()
    }
}
