//! Mistakes in a release file, with their places, and how people see them.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::Serialize;

use crate::source::{Location, Place, Sources};

/// A mistake while reading: its places still point into the sources.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    place: Option<Place>,
    message: String,
    hint: Option<String>,
    related: Vec<(Place, String)>,
    /// It holds nothing but names.
    names_only: bool,
}

impl Found {
    pub(crate) fn at(place: Place, message: impl Into<String>) -> Self {
        Self { place: Some(place), ..Self::nowhere(message) }
    }

    /// A mistake that is in no file: an option, a missing file.
    pub(crate) fn nowhere(message: impl Into<String>) -> Self {
        Self {
            place: None,
            message: message.into(),
            hint: None,
            related: Vec::new(),
            names_only: false,
        }
    }

    /// Says that the message and the hint quote no value, so that nothing in them is masked.
    pub(crate) fn names_only(mut self) -> Self {
        self.names_only = true;
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    pub(crate) fn related(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related.push((place, label.into()));
        self
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// A sentence without its final full stop.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// `None`: it is in no file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Other places that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<Related>,
}

/// Another place that a mistake has to do with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Related {
    pub label: String,
    #[serde(flatten)]
    pub location: Location,
}

impl Mistake {
    pub(crate) fn locate(found: Found, sources: &Sources) -> Self {
        let related = found.related.into_iter();
        let mask = |text| if found.names_only { text } else { sources.masked(text) };
        Self {
            message: mask(found.message),
            hint: found.hint.map(mask),
            location: found.place.and_then(|place| sources.location(place)),
            related: related
                .filter_map(|(place, label)| {
                    sources.location(place).map(|location| Related { label, location })
                })
                .collect(),
        }
    }
}

/// Every mistake of one run, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diagnostics(Vec<Mistake>);

impl Diagnostics {
    pub(crate) fn locate(mut found: Vec<Found>, sources: &Sources) -> Self {
        found.sort_by_key(|found| found.place);
        // What stands in a layer below several objects is wrong once.
        let mut seen = BTreeSet::new();
        found.retain(|found| seen.insert((found.place, found.message.clone())));
        found.into_iter().map(|found| Mistake::locate(found, sources)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    pub fn push(&mut self, mistake: Mistake) {
        self.0.push(mistake);
    }

    /// All of them for a terminal or a log, in the manner of rustc, with a count at the end.
    pub fn render(&self, color: bool) -> String {
        let style = if color { &COLORED } else { &PLAIN };
        let mut text = String::new();
        for mistake in &self.0 {
            mistake.render(style, &mut text);
            text.push('\n');
        }
        if self.0.len() > 1 {
            let Style { bold, reset, .. } = style;
            let _ = writeln!(text, "{bold}{} mistakes{reset}", self.0.len());
        }
        text
    }
}

impl FromIterator<Mistake> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Mistake>>(mistakes: I) -> Self {
        Self(mistakes.into_iter().collect())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

struct Style {
    error: &'static str,
    bold: &'static str,
    frame: &'static str,
    reset: &'static str,
}

const PLAIN: Style = Style { error: "", bold: "", frame: "", reset: "" };
const COLORED: Style =
    Style { error: "\u{1b}[1;31m", bold: "\u{1b}[1m", frame: "\u{1b}[1;34m", reset: "\u{1b}[0m" };

// Writing to a `String` cannot fail, so the results of `write!` are dropped here.
impl Mistake {
    fn render(&self, style: &Style, text: &mut String) {
        let Style { error, bold, frame, reset } = style;
        let _ = writeln!(text, "{error}error{reset}{bold}: {}{reset}", self.message);
        let all = self.location.iter().chain(self.related.iter().map(|r| &r.location));
        let width = all.map(|l| l.line.to_string().len()).max().unwrap_or(0);
        if let Some(location) = &self.location {
            snippet(location, "-->", style.error, "", width, style, text);
        }
        for related in &self.related {
            snippet(&related.location, ":::", style.frame, &related.label, width, style, text);
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "{:width$} {frame}={reset} {bold}hint{reset}: {hint}", "");
        }
    }
}

fn snippet(
    location: &Location,
    arrow: &str,
    mark_style: &str,
    label: &str,
    width: usize,
    style: &Style,
    text: &mut String,
) {
    let Style { frame, reset, .. } = style;
    let Location { file, line, column, .. } = location;
    // A tab is shown as four spaces, so that the marks stand below what they mean.
    let shown = |chars: &mut dyn Iterator<Item = char>| -> String {
        chars.map(|c| if c == '\t' { "    ".to_owned() } else { c.to_string() }).collect()
    };
    let before = shown(&mut location.text.chars().take(column - 1)).chars().count();
    let end = if location.end_line == *line {
        location.end_column
    } else {
        location.text.chars().count() + 1
    };
    let marked = location.text.chars().skip(column - 1).take(end.saturating_sub(*column));
    let marks = shown(&mut marked.into_iter()).chars().count().max(1);
    let code = shown(&mut location.text.chars());
    let mark = if label.is_empty() { "^" } else { "-" }.repeat(marks);
    let gap = if label.is_empty() { "" } else { " " };
    let _ = writeln!(text, "{:width$}{frame}{arrow}{reset} {file}:{line}:{column}", "");
    let _ = writeln!(text, "{:width$} {frame}|{reset}", "");
    let _ = writeln!(text, "{frame}{line:>width$} |{reset} {code}");
    let _ = writeln!(
        text,
        "{:width$} {frame}|{reset} {:before$}{mark_style}{mark}{gap}{label}{reset}",
        "", ""
    );
}

/// A hint that names the nearest of `known`, else all of them if they are few.
pub(crate) fn did_you_mean<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    let few_edits = (wrong.chars().count().min(12) / 3).max(1);
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), *name))
        .filter(|(edits, name)| *edits <= few_edits || name.starts_with(wrong))
        .min_by_key(|(edits, _)| *edits);
    match nearest {
        Some((_, name)) => Some(format!("did you mean `{name}`?")),
        None if known.is_empty() => None,
        None if known.len() <= 12 => Some(there_is(&known)),
        None => None,
    }
}

/// All that there is.
pub(crate) fn there_is(names: &[&str]) -> String {
    format!("there {} {}", if names.len() == 1 { "is" } else { "are" }, list(names))
}

/// `a`, `b` and `c`.
pub(crate) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(|name| format!("`{name}`")).collect();
            format!("{} and `{last}`", rest.join(", "))
        }
    }
}
