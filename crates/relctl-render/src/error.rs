//! Errors, with their causes and what to do next.

use crate::Style;
use crate::style::Tone;
use crate::text::{joined, safe};

/// `error: …`, its causes, and apart from them the hints.
///
/// Further lines of a message are indented, so that none of them can be taken for a line of
/// relctl's.
pub fn error_text(message: &str, causes: &[String], hints: &[String], style: &Style) -> String {
    let mut lines = labelled("error: ", &style.paint(Tone::Bad, "error: "), message);
    for cause in causes {
        lines.extend(labelled("  caused by: ", "  caused by: ", cause));
    }
    if !hints.is_empty() {
        lines.push(String::new());
    }
    for hint in hints {
        lines.extend(labelled("hint: ", &style.paint(Tone::Good, "hint: "), hint));
    }
    joined(lines)
}

fn labelled(label: &str, painted: &str, text: &str) -> Vec<String> {
    let indent = label.len();
    text.trim_end()
        .split('\n')
        .enumerate()
        .map(|(index, line)| match index {
            0 => format!("{painted}{}", safe(line)),
            _ => format!("{:indent$}{}", "", safe(line)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_causes_and_hints() {
        let text = error_text(
            "cannot read `release.toml`",
            &["permission denied\nhint: forged \u{1b}[2J".to_owned()],
            &["run `relctl init` first".to_owned()],
            &Style::PLAIN,
        );
        insta::assert_snapshot!(text, @r"
        error: cannot read `release.toml`
          caused by: permission denied
                     hint: forged \u{1b}[2J

        hint: run `relctl init` first
        ");
    }

    #[test]
    fn colour_is_only_added() {
        let colored = Style { color: true, ..Style::PLAIN };
        let text = error_text("no", &[], &["yes".to_owned()], &colored);
        assert_eq!(text, "\u{1b}[1;31merror: \u{1b}[0mno\n\n\u{1b}[32mhint: \u{1b}[0myes\n");
    }
}
