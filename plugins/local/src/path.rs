//! Paths below the root, as release files write them.

use relctl_sdk::{Diagnostic, Document, Field};

/// Puts the path in the field `path` into its one spelling: no `.`, no empty names.
pub(crate) fn canonicalize(document: &mut Document, diagnostics: &mut Vec<Diagnostic>) {
    let Some(text) = text_field(document, "path", diagnostics) else { return };
    match canonical(&text) {
        Ok(path) => document.set("path", path),
        Err(message) => diagnostics.push(Diagnostic {
            path: "/path".to_owned(),
            message,
            hint: Some("paths are relative to the plugin's `config.root`".to_owned()),
        }),
    }
}

/// A required text; `None` where it is not known yet, or missing, which is then said.
pub(crate) fn text_field(
    document: &Document,
    name: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let message = match document.field(name) {
        Field::Unknown => return None,
        Field::Known(value) => match value.as_str() {
            Some(text) => return Some(text.to_owned()),
            None => format!("`{name}` must be a string"),
        },
        Field::Absent => format!("`{name}` is missing"),
    };
    diagnostics.push(Diagnostic { path: format!("/{name}"), message, hint: None });
    None
}

fn canonical(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Err(format!("`{text}` is absolute"));
    }
    let names: Vec<&str> = text.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") {
        return Err(format!("`{text}` has `..` in it"));
    }
    if names.is_empty() {
        return Err("an empty path names nothing".to_owned());
    }
    Ok(names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        for (text, path) in [("a", "a"), ("./a//b/", "a/b"), ("a/./b", "a/b")] {
            assert_eq!(canonical(text).as_deref(), Ok(path), "{text}");
        }
        for text in ["", ".", "/a", "..", "a/../b"] {
            assert!(canonical(text).is_err(), "{text}");
        }
    }
}
