//! Pieces of text: made harmless, measured, wrapped, shortened.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use crate::Style;

/// The text with every character escaped that moves the cursor, changes the direction of writing,
/// or cannot be seen: no value can forge a line of output.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            c if is_hidden(c) => escape_into(&mut escaped, c),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Like [`safe`], for one line of a longer text: blanks at its end are made visible too.
pub(crate) fn safe_line(line: &str) -> String {
    let kept = line.trim_end();
    let mut escaped = safe(kept).into_owned();
    for c in line.chars().skip(kept.chars().count()) {
        match c {
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            c => escape_into(&mut escaped, c),
        }
    }
    escaped
}

fn escape_into(text: &mut String, c: char) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
}

/// Control characters, and those of Unicode's format characters that are invisible or reorder
/// what is read (bidirectional overrides, zero-width characters, tags).
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Columns that the text takes in a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text with spaces after it up to `columns`.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{:missing$}", "")
}

/// Breaks the text at spaces into lines of at most `columns`. A longer word stays whole, and so
/// does what stands between backticks: commands are copied.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for word in words(text) {
        let needed = width(word);
        match lines.last_mut() {
            Some(line) if used + 1 + needed <= columns => {
                line.push(' ');
                line.push_str(word);
                used += 1 + needed;
            }
            _ => {
                lines.push(word.to_owned());
                used = needed;
            }
        }
    }
    lines
}

/// The parts between spaces, of which what is in backticks is one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut end = 0;
        for part in text.split_inclusive(' ') {
            end += part.len();
            let word = text.get(..end).unwrap_or(text).trim_end_matches(' ');
            let is_open = word.matches('`').count() % 2 == 1;
            // A backtick without its partner is a letter like any other.
            if part.ends_with(' ') && !(is_open && text.get(end..).is_some_and(|t| t.contains('`')))
            {
                rest = text.get(end..);
                return text.get(..end - 1);
            }
        }
        rest = None;
        Some(text)
    })
}

/// Shortens the text to about `columns` by leaving out its middle, saying how much.
pub(crate) fn shorten(text: &str, columns: usize, style: Style) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let chars = text.chars().count();
    let mark = |left_out| format!("{0}({left_out} more){0}", style.ellipsis());
    let room = columns.saturating_sub(width(&mark(chars))).max(8);
    let head = take_columns(text.chars(), room * 2 / 3);
    let tail: String = take_columns(text.chars().rev(), room / 3).chars().rev().collect();
    let left_out = chars.saturating_sub(head.chars().count() + tail.chars().count());
    format!("{head}{}{tail}", mark(left_out))
}

fn take_columns(chars: impl Iterator<Item = char>, columns: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
            used <= columns
        })
        .collect()
}

/// Leaves out what two texts share, but for some context on either side of where they differ. The
/// difference itself stays whole.
pub(crate) fn elide_shared(before: &str, after: &str, style: Style) -> (String, String) {
    const CONTEXT: usize = 16;
    let (before, after): (Vec<char>, Vec<char>) =
        (before.chars().collect(), after.chars().collect());
    let shared = |mut pairs: Box<dyn Iterator<Item = (&char, &char)> + '_>| {
        let mut count = 0;
        while pairs.next().is_some_and(|(a, b)| a == b) {
            count += 1;
        }
        count
    };
    let prefix: usize = shared(Box::new(before.iter().zip(&after)));
    let shorter = before.len().min(after.len());
    let suffix: usize =
        shared(Box::new(before.iter().rev().zip(after.iter().rev()))).min(shorter - prefix);

    // A cut at a slash reads best: `…/api:v1.0.0`.
    let slash = before.iter().take(prefix).rposition(|c| *c == '/');
    let start = match slash {
        Some(at) if prefix - at <= 2 * CONTEXT => at,
        _ => prefix.saturating_sub(CONTEXT),
    };
    let cut_end = suffix.saturating_sub(CONTEXT);
    let cut = |chars: &[char]| {
        let kept = chars.get(start..chars.len() - cut_end).unwrap_or_default();
        let mark = |left_out: usize| if left_out > 0 { style.ellipsis() } else { "" };
        format!("{}{}{}", mark(start), kept.iter().collect::<String>(), mark(cut_end))
    };
    (cut(&before), cut(&after))
}

/// `1–3, 7` for 1, 2, 3, 7, which are sorted.
pub(crate) fn ranges(numbers: &[usize], style: Style) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => parts.push((number, number)),
        }
    }
    let texts: Vec<String> = parts
        .iter()
        .map(|&(start, end)| match end - start {
            0 => start.to_string(),
            1 => format!("{start}, {end}"),
            _ => format!("{start}{}{end}", style.to()),
        })
        .collect();
    texts.join(", ")
}

/// `1 check`, `2 checks`.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// `340 ms`, `4.2 s`, `41 s`, `3 min 20 s`.
pub(crate) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..10_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        10_000..60_000 => format!("{} s", milliseconds / 1_000),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
    }
}

/// Joins lines into a text that ends in a line break, without blanks at the ends of lines.
pub(crate) fn joined(lines: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref().trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hidden_characters_are_shown() {
        assert_eq!(safe("a\u{1b}[2J\nb\u{202e}c\u{200b}"), r"a\u{1b}[2J\nb\u{202e}c\u{200b}");
        assert_eq!(safe("grün 日本"), "grün 日本");
        assert_eq!(safe_line("end \t"), r"end\u{20}\t");
    }

    #[test]
    fn commands_are_not_broken() {
        let text = "go back by `aws rds restore --from a`, `x y` then, and a single ` is one";
        assert_eq!(
            wrap(text, 12).join("\n"),
            "go back by\n`aws rds restore --from a`,\n`x y` then,\nand a single\n` is one"
        );
    }

    #[test]
    fn shortened_text_says_what_is_missing() {
        let text = "a".repeat(40) + &"b".repeat(60);
        insta::assert_snapshot!(shorten(&text, 40, Style::PLAIN), @"aaaaaaaaaaaaaaaaaa…(73 more)…bbbbbbbbb");
        assert_eq!(shorten("short", 40, Style::PLAIN), "short");
    }

    #[test]
    fn shared_parts_are_left_out_at_a_slash() {
        let (before, after) = elide_shared(
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/api:v1.0.0",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/api:v1.1.0",
            Style::PLAIN,
        );
        assert_eq!((before.as_str(), after.as_str()), ("…/api:v1.0.0", "…/api:v1.1.0"));
    }

    #[test]
    fn ranges_of_numbers() {
        assert_eq!(ranges(&[1, 2, 3, 5, 7, 8], Style::PLAIN), "1–3, 5, 7, 8");
    }

    #[test]
    fn durations() {
        let texts: Vec<_> = [0, 999, 1_250, 41_000, 200_000].map(duration).into();
        assert_eq!(texts, ["0 ms", "999 ms", "1.2 s", "41 s", "3 min 20 s"]);
    }

    proptest! {
        #[test]
        fn safe_text_has_nothing_hidden(text in any::<String>()) {
            prop_assert!(!safe(&text).chars().any(is_hidden));
            prop_assert!(!safe_line(&text).chars().any(is_hidden));
        }

        #[test]
        fn different_texts_stay_different(before in "[a/]{0,60}", after in "[a/]{0,60}") {
            prop_assume!(before != after);
            let (before, after) = elide_shared(&before, &after, Style::PLAIN);
            prop_assert_ne!(before, after);
        }

        #[test]
        fn wrapping_loses_no_word(text in "[a-z `]{0,80}", columns in 1_usize..40) {
            prop_assert_eq!(wrap(&text, columns).join(" "), text);
        }
    }
}
