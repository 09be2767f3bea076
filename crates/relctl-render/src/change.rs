//! Field changes as lines: what a field was and what it will be.

use relctl_plan::{FieldChange, Map, Value};

use crate::Style;
use crate::compare::{line_diff, structural_diff};
use crate::style::Tone;
use crate::text::{elide_shared, pad, safe, shorten, width};
use crate::value::inline;

/// What happens to a field, or to a line of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Sign {
    Add,
    Change,
    Remove,
    /// It stays: context, or a field that is not managed here.
    Same,
    /// A remark of relctl's on lines that are not shown.
    Skipped,
}

impl Sign {
    fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Change => "~",
            Self::Remove => "-",
            Self::Same => " ",
            Self::Skipped => "@",
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Add => Tone::Good,
            Self::Change => Tone::Change,
            Self::Remove => Tone::Bad,
            Self::Same | Self::Skipped => Tone::Quiet,
        }
    }
}

/// What is shown of one side of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    Text(String),
    /// Known once this step is done, at this address.
    AfterStep(usize, String),
}

impl Shown {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::AfterStep(number, _) => format!("(known after step {number})"),
        }
    }
}

/// One field, or one line of a text. Nothing in it needs escaping any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sign: Sign,
    /// Empty for a line of a text.
    pub(crate) path: String,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Value(Shown),
    Pair(String, Shown),
    Block { title: String, lines: Vec<Line> },
}

impl Line {
    pub(crate) fn value(sign: Sign, path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { sign, path: path.into(), body: Body::Value(Shown::Text(text.into())) }
    }

    /// The same line with `change` made to every text in it.
    pub(crate) fn map(&self, change: &dyn Fn(&str) -> String) -> Self {
        let shown = |shown: &Shown| match shown {
            Shown::Text(text) => Shown::Text(change(text)),
            Shown::AfterStep(_, address) => {
                Shown::Text(format!("(known after {})", change(address)))
            }
        };
        let body = match &self.body {
            Body::Value(value) => Body::Value(shown(value)),
            Body::Pair(before, after) => Body::Pair(change(before), shown(after)),
            Body::Block { title, lines } => Body::Block {
                title: title.clone(),
                lines: lines.iter().map(|line| line.map(change)).collect(),
            },
        };
        Self { sign: self.sign, path: self.path.clone(), body }
    }

    /// The same line without what both sides of the change share.
    pub(crate) fn elided(&self, style: Style) -> Self {
        match &self.body {
            Body::Pair(before, Shown::Text(after)) => {
                let (before, after) = elide_shared(before, after, style);
                Self { body: Body::Pair(before, Shown::Text(after)), ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    /// The value or pair of values in one line, however long.
    pub(crate) fn one_line(&self, style: Style) -> Option<String> {
        match &self.body {
            Body::Value(value) => Some(value.text()),
            Body::Pair(before, after) => {
                Some(format!("{before} {} {}", style.arrow(), after.text()))
            }
            Body::Block { .. } => None,
        }
    }
}

/// The line for a change. `unknown` is what is shown where the new value is not known yet.
pub(crate) fn line_of(change: &FieldChange, unknown: impl FnOnce() -> Shown) -> Line {
    let path = safe(&change.path.to_string()).into_owned();
    let (sign, body) = match (&change.before, &change.after) {
        (Some(before), _) if change.unknown => {
            (Sign::Change, Body::Pair(inline(before), unknown()))
        }
        (None, _) if change.unknown => (Sign::Add, Body::Value(unknown())),
        (Some(before), Some(after)) => (Sign::Change, both(before, after)),
        (None, Some(after)) => (Sign::Add, one_sided(Sign::Add, after)),
        (Some(before), None) => (Sign::Remove, one_sided(Sign::Remove, before)),
        (None, None) => (Sign::Remove, Body::Value(Shown::Text("(absent)".to_owned()))),
    };
    Line { sign, path, body }
}

fn both(before: &Value, after: &Value) -> Body {
    if let (Some(before), Some(after)) = (text_of(before), text_of(after)) {
        if let (Some(before), Some(after)) = (json_in(before), json_in(after)) {
            // Without a difference in content only the spelling changes: that is shown as text.
            let lines = structural_diff(&before, &after);
            if !lines.is_empty() {
                return Body::Block { title: "(JSON)".to_owned(), lines };
            }
        }
        if before.contains('\n') || after.contains('\n') {
            let (title, lines) = line_diff(before, after);
            return Body::Block { title, lines };
        }
    }
    let same_shape = matches!(
        (before, after),
        (Value::Object(_), Value::Object(_)) | (Value::Array(_), Value::Array(_))
    );
    let (before_text, after_text) = (inline(before), inline(after));
    if same_shape && width(&before_text) + width(&after_text) > 60 {
        return Body::Block { title: String::new(), lines: structural_diff(before, after) };
    }
    Body::Pair(before_text, Shown::Text(after_text))
}

/// A value that was not there before, or will not be there after.
fn one_sided(sign: Sign, value: &Value) -> Body {
    /// A text that is new or goes needs fewer lines than one that changes.
    const LINES: usize = 8;
    if let Some(json) = text_of(value).and_then(json_in) {
        let nothing =
            if json.is_array() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        let (before, after) = if sign == Sign::Add { (&nothing, &json) } else { (&json, &nothing) };
        let mut lines = structural_diff(before, after);
        if !lines.is_empty() {
            let more = lines.len().saturating_sub(LINES);
            lines.truncate(LINES);
            if more > 0 {
                lines.push(Line::value(Sign::Skipped, "", format!("{more} more parts")));
            }
            return Body::Block { title: "(JSON)".to_owned(), lines };
        }
    }
    let Some(text) = text_of(value).filter(|text| text.trim_end().contains('\n')) else {
        return Body::Value(Shown::Text(inline(value)));
    };
    let count = text.lines().count();
    let mut lines: Vec<Line> = text
        .lines()
        .take(LINES)
        .map(|line| Line::value(sign, "", crate::text::safe_line(line)))
        .collect();
    if count > LINES {
        lines.push(Line::value(Sign::Skipped, "", format!("{} more lines", count - LINES)));
    }
    Body::Block { title: format!("({count} lines)"), lines }
}

fn text_of(value: &Value) -> Option<&str> {
    value.as_str()
}

/// The JSON object or array that a string holds.
fn json_in(text: &str) -> Option<Value> {
    if !text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// Lays lines out below one another, paths aligned.
pub(crate) fn layout(lines: &[Line], indent: usize, style: Style) -> Vec<String> {
    const PATHS: usize = 48;
    let path_width = lines
        .iter()
        .filter(|line| !matches!(line.body, Body::Block { .. }))
        .map(|line| width(&line.path))
        .filter(|width| *width <= PATHS)
        .max()
        .unwrap_or(0);
    let mut out = Vec::new();
    for line in lines {
        let sign = style.paint(line.sign.tone(), line.sign.as_str());
        let path = if line.path.is_empty() {
            String::new()
        } else {
            format!("{}   ", pad(&line.path, path_width))
        };
        let head = format!("{:indent$}{sign} {path}", "");
        let used = indent + 2 + width(&path);
        let room = style.columns().saturating_sub(used).max(24);
        match &line.body {
            Body::Value(value) => {
                let text = shorten(&value.text(), room, style);
                let text = match (line.path.is_empty(), line.sign) {
                    (true, sign) | (false, sign @ Sign::Same) => style.paint(sign.tone(), &text),
                    (false, _) => text,
                };
                out.push(format!("{head}{text}"));
            }
            Body::Pair(..) => pair(line, &head, used, room, style, &mut out),
            Body::Block { title, lines } => {
                let title = if title.is_empty() { String::new() } else { format!("   {title}") };
                out.push(format!("{:indent$}{sign} {}{title}", "", line.path));
                out.extend(layout(lines, indent + 4, style));
            }
        }
    }
    out
}

/// In one line if it fits, then without what both sides share, then one below the other.
fn pair(line: &Line, head: &str, used: usize, room: usize, style: Style, out: &mut Vec<String>) {
    let fits = |line: &Line| line.one_line(style).filter(|text| width(text) <= room);
    if let Some(text) = fits(line) {
        out.push(format!("{head}{text}"));
        return;
    }
    let elided = line.elided(style);
    if let Some(text) = fits(&elided) {
        out.push(format!("{head}{text}"));
        return;
    }
    let Body::Pair(before, after) = &elided.body else { return };
    let arrow = style.arrow();
    out.push(format!("{head}{}", shorten(before, room, style)));
    let room = room.saturating_sub(width(arrow) + 1);
    out.push(format!("{:used$}{arrow} {}", "", shorten(&after.text(), room, style)));
}

#[cfg(test)]
mod tests {
    use relctl_plan::Path;
    use serde_json::json;

    use super::*;

    fn change(path: &str, before: Value, after: Value) -> FieldChange {
        let present = |value: Value| (!value.is_null()).then_some(value);
        FieldChange {
            path: path.parse::<Path>().unwrap(),
            before: present(before),
            after: present(after),
            unknown: false,
            multiline: false,
        }
    }

    fn shown(changes: &[FieldChange]) -> String {
        let unknown = || Shown::AfterStep(2, "resource.a.b".to_owned());
        let lines: Vec<Line> = changes.iter().map(|c| line_of(c, unknown)).collect();
        layout(&lines, 2, Style { width: 80, ..Style::PLAIN }).join("\n")
    }

    #[test]
    fn one_line_each() {
        let unknown = FieldChange {
            unknown: true,
            ..change("task_definition", json!("backend:41"), json!(null))
        };
        let text = shown(&[
            change("desired_count", json!(2), json!(6)),
            change("cpu", json!("512"), json!(512)),
            change("labels.\"example.com/team\"", json!("ops"), json!(null)),
            change("new", json!(null), json!(["a", "b"])),
            unknown,
        ]);
        insta::assert_snapshot!(text, @r#"
        ~ desired_count               2 → 6
        ~ cpu                         "512" → 512
        - labels."example.com/team"   ops
        + new                         ["a","b"]
        ~ task_definition             backend:41 → (known after step 2)
        "#);
    }

    #[test]
    fn long_values_keep_their_difference() {
        let image =
            |tag: &str| json!(format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/{tag}"));
        let long = |tail: &str| json!(format!("{}{tail}", "x".repeat(300)));
        let text = shown(&[
            change("image", image("api:v1.0.0"), image("api:v1.1.0")),
            change("end", long("old"), long("new")),
            change("all", json!("a".repeat(200)), json!("b".repeat(150))),
        ]);
        insta::assert_snapshot!(text, @"
        ~ image   …/api:v1.0.0 → …/api:v1.1.0
        ~ end     …xxxxxxxxxxxxxxxxold → …xxxxxxxxxxxxxxxxnew
        ~ all     aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…(145 more)…aaaaaaaaaaaaaaaaaa
                  → bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…(96 more)…bbbbbbbbbbbbbbbbbb
        ");
    }

    #[test]
    fn texts_as_line_diffs() {
        let before: Vec<String> = (1..=30).map(|n| format!("line {n}")).collect();
        let mut after = before.clone();
        after[9] = "line ten \u{1b}[31m".to_owned();
        after.push("last ".to_owned());
        let text = shown(&[change("content", json!(before.join("\n")), json!(after.join("\n")))]);
        insta::assert_snapshot!(text, @r"
        ~ content   (3 lines added, 2 removed)
            @ 7 unchanged lines
              line 8
              line 9
            - line 10
            + line ten \u{1b}[31m
              line 11
              line 12
            @ 15 unchanged lines
              line 28
              line 29
            - line 30 (no line break at the end)
            + line 30
            + last\u{20} (no line break at the end)
        ");
    }

    #[test]
    fn texts_that_are_new_or_go() {
        let text = shown(&[
            change("new", json!(null), json!("a\nb\n")),
            change("old", json!("line\n".repeat(19)), json!(null)),
        ]);
        insta::assert_snapshot!(text, @"
        + new   (2 lines)
            + a
            + b
        - old   (19 lines)
            - line
            - line
            - line
            - line
            - line
            - line
            - line
            - line
            @ 11 more lines
        ");
    }

    #[test]
    fn json_in_strings_by_structure() {
        let text = shown(&[
            change(
                "policy",
                json!(r#"{"Statement":[{"Effect":"Allow","Action":["a","b"]}],"Version":1}"#),
                json!(
                    r#"{"Version":1, "Statement":[{"Effect":"Deny","Action":["a","c","b"]}],"Id":"x"}"#
                ),
            ),
            change("spelling", json!(r#"{"a":1}"#), json!(r#"{ "a": 1 }"#)),
            change(
                "new",
                json!(null),
                json!(r#"{"Version": 1, "Statement": [{"Effect": "Allow"}]}"#),
            ),
            change("gone", json!(r#"["a", "b"]"#), json!(null)),
            change("empty", json!(null), json!("{}")),
        ]);
        insta::assert_snapshot!(text, @r#"
        ~ policy   (JSON)
            + Id                       x
            + Statement[0].Action[1]   c
            ~ Statement[0].Effect      Allow → Deny
        ~ spelling   "{\"a\":1}" → "{ \"a\": 1 }"
        + new   (JSON)
            + Statement   [{"Effect":"Allow"}]
            + Version     1
        - gone   (JSON)
            - [0]   a
            - [1]   b
        + empty      "{}"
        "#);
    }
}
