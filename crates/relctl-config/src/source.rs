//! The files that a release was read from, and places in them.

use std::collections::BTreeSet;
use std::ops::Range;

/// A span of bytes in one of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    file: usize,
    start: usize,
    end: usize,
}

/// Every file that was read, in the order of reading.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    files: Vec<Source>,
    /// Where something is written that is not to be shown.
    quiet: Vec<Place>,
    /// What is not to be shown.
    secrets: BTreeSet<String>,
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
}

/// A place as people count: lines and columns from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Location {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub end_line: usize,
    /// The column behind the last character.
    pub end_column: usize,
    /// The line's text.
    #[serde(skip)]
    pub(crate) text: String,
}

impl Sources {
    /// Takes a file; `name` is what people call it.
    pub(crate) fn add(&mut self, name: String, text: String) -> usize {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(index, _)| index + 1)).collect();
        self.files.push(Source { name, text, lines });
        self.files.len() - 1
    }

    pub(crate) fn text(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |source| &source.text)
    }

    /// From now on, what stands at these places is masked where a line is quoted, and these texts
    /// where a message holds them.
    pub(crate) fn keep_quiet(&mut self, places: Vec<Place>, secrets: BTreeSet<String>) {
        self.quiet.extend(places);
        self.secrets.extend(secrets);
    }

    /// A message without what is not to be shown.
    pub(crate) fn masked(&self, message: String) -> String {
        self.shown_secrets().fold(message, |message, secret| message.replace(secret, "[redacted]"))
    }

    /// What is to be masked wherever it is shown. What is shorter is a word like any other.
    fn shown_secrets(&self) -> impl Iterator<Item = &str> {
        self.secrets.iter().map(|secret| secret.trim()).filter(|secret| secret.len() >= 4)
    }

    pub(crate) fn location(&self, place: Place) -> Option<Location> {
        let source = self.files.get(place.file)?;
        let (line, column) = source.position(place.start);
        let (end_line, end_column) = source.position(place.end);
        let from = *source.lines.get(line - 1)?;
        let text = source.text.get(from..)?.lines().next().unwrap_or_default();
        let quiet = self.quiet.iter().filter(|quiet| quiet.file == place.file);
        let elsewhere = self.shown_secrets().flat_map(|secret| {
            text.match_indices(secret).map(move |(at, _)| from + at..from + at + secret.len())
        });
        let quiet: Vec<Range<usize>> =
            quiet.map(|quiet| quiet.start..quiet.end).chain(elsewhere).collect();
        // One mark for each character, so that columns stay what they are.
        let text = text
            .char_indices()
            .map(|(at, c)| if quiet.iter().any(|r| r.contains(&(from + at))) { '*' } else { c })
            .collect();
        Some(Location { file: source.name.clone(), line, column, end_line, end_column, text })
    }

    /// The place of `range` within the string that is written at `place`.
    ///
    /// Escapes move what follows them; then the piece is searched for, and the whole string is the
    /// answer where it is not written literally.
    pub(crate) fn within(&self, place: Place, string: &str, range: &Range<usize>) -> Place {
        let raw = self.text(place.file).get(place.start..place.end).unwrap_or_default();
        let piece = string.get(range.clone()).unwrap_or_default();
        let (head, content) = content(raw);
        let offset = if content.starts_with(string) {
            range.start
        } else {
            match content.find(piece) {
                Some(found) if !piece.is_empty() => found,
                _ => return place,
            }
        };
        let start = place.start + head + offset;
        Place { start, end: start + piece.len(), ..place }
    }
}

/// What stands between a string's quotes, and where it starts.
fn content(raw: &str) -> (usize, &str) {
    for quote in ["\"\"\"", "'''", "\"", "'"] {
        if let Some(inside) = raw.strip_prefix(quote) {
            let inside = inside.strip_suffix(quote).unwrap_or(inside);
            let trimmed = match quote.len() {
                3 => inside.trim_start_matches('\r').strip_prefix('\n').unwrap_or(inside),
                _ => inside,
            };
            return (quote.len() + inside.len() - trimmed.len(), trimmed);
        }
    }
    (0, raw)
}

impl Source {
    /// Line and column, from 1.
    fn position(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        let before = self.text.get(start..byte).unwrap_or_default();
        (line, before.chars().count() + 1)
    }
}

impl Place {
    pub(crate) fn new(file: usize, span: Range<usize>) -> Self {
        Self { file, start: span.start, end: span.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let mut sources = Sources::default();
        let file = sources.add("a.toml".to_owned(), "x = 1\nä = \"ö${b}\"\n".to_owned());
        let start = "x = 1\nä = ".len();
        let string = Place::new(file, start..start + "\"ö${b}\"".len());
        let location = sources.location(string).unwrap();
        assert_eq!((location.line, location.column, location.end_column), (2, 5, 12));
        assert_eq!(location.text, "ä = \"ö${b}\"");
        let inner = sources.location(sources.within(string, "ö${b}", &(4..5))).unwrap();
        assert_eq!((inner.column, inner.end_column), (9, 10));
    }

    #[test]
    fn finds_a_piece_of_any_string() {
        for (raw, string) in [
            ("\"a ${x} b\"", "a ${x} b"),
            ("'a ${x} b'", "a ${x} b"),
            ("\"\"\"\na ${x} b\"\"\"", "a ${x} b"),
            ("'''\r\na ${x} b'''", "a ${x} b"),
            ("\"\\u0061 ${x} b\"", "a ${x} b"),
        ] {
            let mut sources = Sources::default();
            let file = sources.add("a.toml".to_owned(), raw.to_owned());
            let place = sources.within(Place::new(file, 0..raw.len()), string, &(2..6));
            assert_eq!(&raw[place.start..place.end], "${x}", "{raw}");
        }
    }
}
