//! Values in one line, as a reader of the release file would write them.

use relctl_plan::Value;

use crate::text::{is_hidden, safe};

/// The value in one line. A string stands bare where it cannot be taken for anything else,
/// otherwise in quotes.
pub(crate) fn inline(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => safe(&other.to_string()).into_owned(),
    }
}

/// Whether a string without quotes reads as that string: not as a number, a remark of relctl's, or
/// two values.
fn is_plain(text: &str) -> bool {
    const TELLING: [&str; 8] = ["\"", "\\", "…", "...", "→", "->", ", ", " = "];
    let Some(first) = text.chars().next() else { return false };
    if matches!(first, '(' | '[' | '{') || first.is_whitespace() {
        return false;
    }
    // Only these begin a number, `true`, `false` or `null`.
    let maybe_json = first == '-' || first.is_ascii_digit() || matches!(first, 't' | 'f' | 'n');
    let is_json = maybe_json && serde_json::from_str::<Value>(text).is_ok();
    // Nothing telling and nothing hidden is made of these alone, and most values are.
    let is_common = |b: u8| b.is_ascii_alphanumeric() || b"_-:/@+ ".contains(&b);
    !is_json
        && !text.ends_with(char::is_whitespace)
        && (text.bytes().all(is_common)
            || !text.chars().any(is_hidden)
                && !TELLING.iter().any(|telling| text.contains(telling)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strings_stand_bare_only_where_they_cannot_mislead() {
        let shown: Vec<String> = [
            json!("…/api"),
            json!("api:v1.0"),
            json!("512"),
            json!(512),
            json!("true"),
            json!(""),
            json!("(known after step 1)"),
            json!("a → b"),
            json!("two\nlines\u{1b}[0m"),
            json!("x\u{202e}y"),
            json!(["npm", "run"]),
            json!(null),
        ]
        .iter()
        .map(inline)
        .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        "…/api"
        api:v1.0
        "512"
        512
        "true"
        ""
        "(known after step 1)"
        "a → b"
        "two\nlines\u001b[0m"
        "x\u{202e}y"
        ["npm","run"]
        null
        "#);
    }
}
