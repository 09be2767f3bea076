//! Paths to fields: one grammar in release files, plans, ledgers and output.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

/// A path to a field, `container_definitions.api.image`.
///
/// Segments are separated by dots; one that is not made of letters, digits, `_` and `-` alone is
/// written in double quotes with `\"` and `\\` escaped: `labels."example.com/team"`. Entries of
/// keyed lists are named by their key; other lists have no paths into them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Path(Vec<Box<str>>);

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a path: write fields with dots between them, quoting odd names: `labels.\"a.b\"`"
)]
pub struct PathError(String);

impl Path {
    /// The path of the whole document.
    pub const ROOT: Self = Self(Vec::new());

    /// A path of one field.
    pub fn field(name: &str) -> Self {
        Self(vec![name.into()])
    }

    /// The path one level below this one.
    #[must_use]
    pub fn join(&self, segment: &str) -> Self {
        let mut segments = Vec::with_capacity(self.0.len() + 1);
        segments.extend(self.0.iter().cloned());
        segments.push(segment.into());
        Self(segments)
    }

    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.0.iter().map(AsRef::as_ref)
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The first segment: a top-level field of the object.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(AsRef::as_ref)
    }

    /// The last segment.
    pub fn last(&self) -> Option<&str> {
        self.0.last().map(AsRef::as_ref)
    }

    /// The path one level up; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        let (_, up) = self.0.split_last()?;
        Some(Self(up.to_vec()))
    }

    /// Whether this path is `other`, or lies above it.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The same path as a JSON pointer (RFC 6901), the form that crosses to plugins.
    pub fn to_pointer(&self) -> String {
        let mut pointer = String::new();
        for segment in &self.0 {
            pointer.push('/');
            pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
        }
        pointer
    }

    /// Reads a JSON pointer.
    pub fn from_pointer(pointer: &str) -> Result<Self, PathError> {
        if pointer.is_empty() {
            return Ok(Self::ROOT);
        }
        let rest = pointer.strip_prefix('/').ok_or_else(|| PathError(pointer.to_owned()))?;
        Ok(rest.split('/').map(|s| s.replace("~1", "/").replace("~0", "~")).collect())
    }
}

impl<S: Into<Box<str>>> FromIterator<S> for Path {
    fn from_iter<I: IntoIterator<Item = S>>(segments: I) -> Self {
        Self(segments.into_iter().map(Into::into).collect())
    }
}

fn is_bare(segment: &str) -> bool {
    !segment.is_empty()
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            if is_bare(segment) {
                f.write_str(segment)?;
            } else {
                write!(f, "\"{}\"", segment.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Ok(Self::ROOT);
        }
        let wrong = || PathError(text.to_owned());
        let mut segments: Vec<Box<str>> = Vec::new();
        let mut rest = text;
        loop {
            let (segment, after) = match rest.strip_prefix('"') {
                Some(quoted) => take_quoted(quoted).ok_or_else(wrong)?,
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    let (segment, after) = rest.split_at(end);
                    if !is_bare(segment) {
                        return Err(wrong());
                    }
                    (segment.to_owned(), after)
                }
            };
            segments.push(segment.into());
            match after.strip_prefix('.') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(Self(segments)),
                None => return Err(wrong()),
            }
        }
    }
}

/// Reads up to the closing quote; returns the segment and what follows the quote.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut segment = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((segment, text.get(index + 1..)?)),
            '\\' => segment.push(chars.next()?.1),
            _ => segment.push(c),
        }
    }
    None
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        text.parse()
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [only] if is_bare(only) => serializer.serialize_str(only),
            _ => serializer.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn writes_and_reads_odd_segments() {
        let path: Path = ["labels", "example.com/team", "a\"b\\c", ""].into_iter().collect();
        assert_eq!(path.to_string(), r#"labels."example.com/team"."a\"b\\c"."""#);
        assert_eq!(path.to_pointer(), r#"/labels/example.com~1team/a"b\c/"#);
    }

    #[test]
    fn refuses_what_is_not_a_path() {
        for text in [".", "a.", ".a", "a..b", "\"a", "\"a\"b", "a b"] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_path_survives_both_spellings(segments in prop::collection::vec(".{0,6}", 1..4)) {
            let path: Path = segments.into_iter().collect();
            prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path.clone());
            prop_assert_eq!(Path::from_pointer(&path.to_pointer()).unwrap(), path);
        }
    }
}
