//! The schema's version before and after a migration, as its log states them.

use aws_connector::json::{Object, text};
use aws_connector::wrong;
use regex_lite::{Regex, RegexBuilder};
use relctl_sdk::{Diagnostic, Document, Field, Host, Value};

use super::log::Log;
use crate::logs::End;

/// How much of a log is searched from each end, and how much of one line. With the size of a
/// pattern this bounds what a search may cost: a plugin that used up its time could not say how the
/// task ended.
const BYTES: usize = 256 * 1024;
const LINE_BYTES: usize = 1024;
const PATTERN_BYTES: usize = 64 * 1024;

/// How many events a page has.
const PAGE: usize = 1_000;

/// A version that is looked for.
struct Wanted {
    /// Below `schema_version`.
    field: &'static str,
    /// The computed field that holds what was found.
    output: &'static str,
    /// Where it is looked for: the first line that matches from there on counts.
    from: End,
}

const WANTED: [Wanted; 2] = [
    Wanted { field: "before", output: "schema_version_before", from: End::Head },
    Wanted { field: "after", output: "schema_version_after", from: End::Tail },
];

/// What a log states, and why it does not state the rest.
#[derive(Debug, Default)]
pub(super) struct Versions {
    found: Vec<(&'static str, String)>,
    pub(super) missing: Vec<String>,
    /// The log was read, and may state the rest in a moment.
    pub(super) may_come: bool,
}

impl Versions {
    /// Looks for the versions that are asked for.
    pub(super) fn read(host: &impl Host, desired: &Object, log: Option<&Log>) -> Self {
        let mut versions = Self::default();
        for Wanted { field, output, from } in WANTED {
            let Some(pattern) = pattern_of(desired, field) else { continue };
            match search(host, pattern, log, from) {
                Ok(Some(version)) => versions.found.push((output, version)),
                Ok(None) => {
                    versions.may_come = true;
                    let missing =
                        format!("{output} is not known: no line of the log matches `{pattern}`");
                    versions.missing.push(missing);
                }
                Err(why) => versions.missing.push(format!("{output} is not known: {why}")),
            }
        }
        versions
    }

    pub(super) fn record(&self, document: &mut Document) {
        for (output, version) in &self.found {
            document.set(output, version.clone());
        }
    }

    /// What is known and what is not: further lines of a message.
    pub(super) fn said(&self) -> String {
        let found = self.found.iter().map(|(output, version)| format!("{output} is {version}"));
        let lines = found.chain(self.missing.iter().cloned());
        lines.fold(String::new(), |said, line| said + "\n  " + &line)
    }
}

/// What is wrong with the patterns.
pub(super) fn problems(declared: &Document) -> Vec<Diagnostic> {
    let Field::Known(Value::Object(patterns)) = declared.field("schema_version") else {
        return Vec::new();
    };
    let wanted =
        WANTED.iter().filter_map(|Wanted { field, .. }| Some((field, text(patterns, field)?)));
    wanted
        .filter_map(|(field, pattern)| {
            let why = match compiled(pattern) {
                Ok(regex) if regex.captures_len() == 2 => return None,
                Ok(regex) => format!("has {} groups", regex.captures_len() - 1),
                Err(error) => format!("is no regular expression: {error}"),
            };
            Some(wrong(
                &format!("/schema_version/{field}"),
                &why,
                "write one group around the version, as in `now at version (\\d+)`; other groups as `(?:…)`",
            ))
        })
        .collect()
}

fn pattern_of<'a>(desired: &'a Object, field: &str) -> Option<&'a str> {
    desired.get("schema_version")?.get(field)?.as_str()
}

fn compiled(pattern: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build()
}

fn search(
    host: &impl Host,
    pattern: &str,
    log: Option<&Log>,
    from: End,
) -> Result<Option<String>, String> {
    let log =
        log.ok_or("the container does not log to CloudWatch, or not where it can be found")?;
    let regex = compiled(pattern).map_err(|error| error.to_string())?;
    let mut left = BYTES;
    let mut found = None;
    log.read(host, from, PAGE, |page| {
        let lines = page.iter().flat_map(|message| message.lines()).map(beginning);
        found = match from {
            End::Head => first(&regex, lines, &mut left),
            End::Tail => first(&regex, lines.rev(), &mut left),
        };
        found.is_some() || left == 0
    })?;
    Ok(found)
}

/// The group in the first of the lines that matches, as far as they may be searched.
fn first<'a>(
    regex: &Regex,
    lines: impl Iterator<Item = &'a str>,
    left: &mut usize,
) -> Option<String> {
    let within = |line: &&str| {
        let fits = line.len() <= *left;
        *left = if fits { *left - line.len() } else { 0 };
        fits
    };
    lines.take_while(within).find_map(|line| {
        let group = regex.captures(line)?.get(1)?.as_str().trim();
        (!group.is_empty()).then(|| group.to_owned())
    })
}

fn beginning(line: &str) -> &str {
    line.get(..line.floor_char_boundary(LINE_BYTES)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::document;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pattern_has_one_group() {
        let wrong = |before: &str| {
            let declared = document(json!({ "schema_version": { "before": before } }));
            let problems = problems(&declared);
            problems.first().map(|problem| (problem.path.clone(), problem.message.clone()))
        };
        assert_eq!(wrong(r"version (\d+)"), None);
        assert_eq!(wrong(r"(?:v|version) (\d+)"), None);
        for (pattern, part) in [
            ("version", "has 0 groups"),
            (r"(v)(\d+)", "has 2 groups"),
            ("(", "is no regular expression"),
            ("(a{1000}{1000})", "is no regular expression"),
        ] {
            let (path, message) = wrong(pattern).unwrap();
            assert_eq!(path, "/schema_version/before", "{pattern}");
            assert!(message.contains(part), "{pattern}: {message}");
        }
    }

    #[test]
    fn a_search_is_bounded() {
        let regex = compiled("at (.*)").unwrap();
        let mut left = 100;
        assert_eq!(first(&regex, ["at ", "at 41", "at 42"].into_iter(), &mut left).unwrap(), "41");
        let line = "x".repeat(60);
        assert_eq!(first(&regex, [line.as_str(), &line, "at 42"].into_iter(), &mut left), None);
        assert_eq!(left, 0);
    }
}
