//! Keeps credentials out of what others read: error bodies echo signed requests, people paste
//! tokens into URLs.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
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
        // Tokens and keys by their form.
        r"|\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,})",
        r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
        r"|-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]*-----|\z)",
        // What is left of a key whose beginning was cut off.
        r"|(?:[A-Za-z0-9+/=]{16,}\s+)+-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----",
        // What stands before the host of a URL.
        r"|(://)[^/\s@]+@",
    ))
    .expect("the pattern is valid")
});

/// The text without what looks like a credential, and without these values, however they are
/// written there: plain, escaped for a URL or for JSON, in base64.
pub fn redact(text: &str, known: &[&str]) -> String {
    let mut text = text.to_owned();
    for value in known.iter().filter(|value| value.len() >= 4) {
        for form in forms(value) {
            if text.contains(&form) {
                text = text.replace(&form, HIDDEN);
            }
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

/// What a value may look like in a text, the longest first.
fn forms(value: &str) -> Vec<String> {
    let escaped: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
    let mut forms = vec![
        escaped.replace('+', "%20"),
        escaped,
        value.replace('/', "%2f").replace('+', "%2b").replace('=', "%3d"),
        value.replace('/', "\\/"),
        serde_json::Value::from(value).to_string().trim_matches('"').to_owned(),
        value.to_owned(),
    ];
    forms.extend((0..3).filter_map(|offset| base64_within(value, offset)));
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.dedup();
    forms
}

/// What base64 makes of a value that stands `offset` bytes after a multiple of three, without the
/// digits that its neighbours share. `None`: too short to be told from others.
fn base64_within(value: &str, offset: usize) -> Option<String> {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(value.as_bytes());
    let digits = STANDARD_NO_PAD.encode(&bytes);
    let start = (offset * 8).div_ceil(6);
    let end = bytes.len() * 8 / 6;
    digits.get(start..end).filter(|form| form.len() >= 8).map(str::to_owned)
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
    fn hides_known_values_in_other_writings() {
        let secret = "wJalr/K7+MDENG b\"é";
        for text in [
            "wJalr%2FK7%2BMDENG+b%22%C3%A9",
            "wJalr%2FK7%2BMDENG%20b%22%C3%A9",
            r#"wJalr/K7+MDENG b\"é"#,
            r#"wJalr\/K7+MDENG b"é"#,
        ] {
            assert_eq!(redact(&format!("<{text}>"), &[secret]), "<[redacted]>", "{text}");
        }
        for before in ["", "a", "ab", "abc", "user:"] {
            let encoded = STANDARD_NO_PAD.encode(format!("{before}{secret}, and more"));
            let hidden = redact(&encoded, &[secret]);
            assert!(hidden.contains(HIDDEN), "{before}: {hidden}");
            // At most the digits that are shared with a neighbour are left on each side.
            let decoded = |text: &str| STANDARD_NO_PAD.encode(text).len();
            assert!(hidden.len() <= decoded(before) + 2 + HIDDEN.len() + decoded(", and more") + 2);
        }
    }

    #[test]
    fn hides_tokens_and_keys() {
        let token = ["gh", "p_0123456789abcdefghijklmnopqrstuvwxyz"].concat();
        assert_eq!(redact(&format!("it is {token}."), &[]), "it is [redacted].");
        let key = ["-----BEGIN PRIVATE", " KEY-----\nMIIE\n-----END PRIVATE", " KEY-----"].concat();
        assert_eq!(redact(&format!("a {key} b"), &[]), "a [redacted] b");
        let half =
            ["a\n  MIIEvQIBADANBgkqhkiG\n  9w0BAQEFAASCBKcw==\n  -----END PRIVATE", " KEY-----\nb"];
        assert_eq!(redact(&half.concat(), &[]), "a\n  [redacted]\nb");
    }

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(excerpt("  aéb  ", &[], 2), "a…");
        assert_eq!(excerpt("abc", &[], 3), "abc");
    }
}
