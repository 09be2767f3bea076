//! What credentials look like, wherever they stand.

use std::collections::BTreeSet;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::AhoCorasick;
use regex::Regex;

/// What it is, what some of must stand in the text in whatever case, and its pattern, whose first
/// group is the credential.
const SHAPES: [(&str, &[&str], &str); 19] = [
    ("an AWS access key", &["akia", "asia"], r"\b((?:AKIA|ASIA)[A-Z0-9]{16})\b"),
    (
        "a GitHub token",
        &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"],
        r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
    ),
    (
        "a GitLab token",
        &["glpat-", "glptt-", "gldt-", "glrt-"],
        r"\b(gl(?:pat|ptt|dt|rt)-[A-Za-z0-9_-]{20,})",
    ),
    ("a Slack token", &["xox"], r"\b(xox[abeoprs]-[A-Za-z0-9-]{10,})"),
    (
        "a Slack webhook",
        &["hooks.slack.com"],
        r"(hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9_/-]{20,})",
    ),
    ("a Stripe key", &["k_live_", "k_test_"], r"\b([rs]k_(?:live|test)_[A-Za-z0-9]{16,})"),
    ("a Google API key", &["aiza"], r"\b(AIza[A-Za-z0-9_-]{35})"),
    ("an npm token", &["npm_"], r"\b(npm_[A-Za-z0-9]{36})\b"),
    ("a PyPI token", &["pypi-age"], r"\b(pypi-AgE[A-Za-z0-9_-]{40,})"),
    ("a SendGrid key", &["sg."], r"\b(SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"),
    ("a Vault token", &["hvs.", "hvb."], r"\b(hv[sb]\.[A-Za-z0-9_-]{24,})"),
    (
        "an API key",
        &["sk-ant-", "sk-proj-", "dop_v1_", "hf_"],
        r"\b(sk-(?:ant|proj)-[A-Za-z0-9_-]{20,}|dop_v1_[a-f0-9]{64}|hf_[A-Za-z]{34})\b",
    ),
    ("an age identity", &["age-secret-key-1"], r"(AGE-SECRET-KEY-1[0-9A-Z]{50,})"),
    (
        "a signed token",
        &["eyj"],
        r"\b(eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,})",
    ),
    ("a private key", &["-----begin "], r"(-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)"),
    ("a URL with a password", &["://"], r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@]*:([^/\s@${}<>*%]+)@"),
    (
        "an authorization header",
        &["authorization:"],
        r"(?i)\bauthorization:\s*(?:bearer|basic|token)\s+([\w.~+/=-]{16,})",
    ),
    (
        "a signed URL",
        &["signature=", "sig=", "accountkey="],
        r"(?i)[?&;](?:x-amz-signature|sig|accountkey)=([\w%+/=-]{32,})",
    ),
    (
        "a password",
        &["="],
        r#"(?i)\b(?:password|passwd|pwd|client_?secret|api_?key|secret_?key|account_?key|access_?token|auth_?token)=([^\s;&"'$<*{\[/%=][^\s;&"']{3,})"#,
    ),
];

/// Compiled when first needed: most release files need few of them.
static PATTERNS: [OnceLock<Option<Regex>>; SHAPES.len()] =
    [const { OnceLock::new() }; SHAPES.len()];

/// Finds the needles of all shapes at once, in whatever case. That it can be built is tested.
static NEEDLES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let needles = SHAPES.iter().flat_map(|(_, needles, _)| *needles);
    AhoCorasick::builder().ascii_case_insensitive(true).build(needles).ok()
});

/// The shape that each needle belongs to.
static SHAPE_OF_NEEDLE: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let count = |(shape, (_, needles, _)): (usize, &(_, &[&str], _))| {
        std::iter::repeat_n(shape, needles.len())
    };
    SHAPES.iter().enumerate().flat_map(count).collect()
});

/// What credential there is in a text, and which part of it.
pub(super) fn shape(text: &str) -> Option<(&'static str, &str)> {
    let needles = NEEDLES.as_ref()?;
    // By far the most texts end here.
    needles.find(text)?;
    let found = needles.find_overlapping_iter(text);
    let shapes: BTreeSet<usize> = found
        .filter_map(|found| SHAPE_OF_NEEDLE.get(found.pattern().as_usize()).copied())
        .collect();
    let candidates = SHAPES.iter().zip(&PATTERNS).enumerate();
    candidates.filter(|(index, _)| shapes.contains(index)).find_map(|(_, (shape, compiled))| {
        let (what, _, pattern) = shape;
        // That all of them compile is tested.
        let regex = compiled.get_or_init(|| Regex::new(pattern).ok()).as_ref()?;
        let secret = regex.captures(text)?.get(1)?.as_str();
        Some((*what, secret))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_compile() {
        assert!(NEEDLES.is_some());
        for (what, _, pattern) in SHAPES {
            assert!(Regex::new(pattern).is_ok(), "{what}");
        }
    }

    /// Joined here, so that no scanner takes this file for a leak.
    fn made(parts: &[&str]) -> String {
        parts.concat()
    }

    #[test]
    fn credentials() {
        let long = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8";
        for (text, what) in [
            (made(&["key AK", "IAIOSFODNN7EXAMPLE!"]), "an AWS access key"),
            (made(&["gh", "p_", long]), "a GitHub token"),
            (made(&["github", "_pat_", long]), "a GitHub token"),
            (made(&["glp", "at-", long]), "a GitLab token"),
            (made(&["xo", "xb-1234567890-abc"]), "a Slack token"),
            (made(&["https://hooks.", "slack.com/services/T000/B000/", long]), "a Slack webhook"),
            (made(&["sk_", "live_", long]), "a Stripe key"),
            (made(&["AI", "za", &long[..35]]), "a Google API key"),
            (made(&["np", "m_", long]), "an npm token"),
            (made(&["pyp", "i-AgE", long, long]), "a PyPI token"),
            (made(&["S", "G.", long, ".", long]), "a SendGrid key"),
            (made(&["hv", "s.", long]), "a Vault token"),
            (made(&["sk", "-ant-", long]), "an API key"),
            (made(&["AGE-SECRET", "-KEY-1", &"Q".repeat(58)]), "an age identity"),
            (made(&["eyJ", long, ".eyJ", long, ".", long]), "a signed token"),
            (made(&["-----BEGIN RSA PRIVATE", " KEY-----\nMII"]), "a private key"),
            ("postgres://app:hunter2@db:5432/x".to_owned(), "a URL with a password"),
            (
                "curl -H 'Authorization: Bearer 0123456789abcdef'".to_owned(),
                "an authorization header",
            ),
            (format!("https://b.example/k?X-Amz-Signature={}", "0f".repeat(32)), "a signed URL"),
            ("Server=db;User=a;Password=hunter2;".to_owned(), "a password"),
            ("--password=hunter2".to_owned(), "a password"),
        ] {
            assert_eq!(shape(&text).map(|(what, _)| what), Some(what), "{text}");
        }
    }

    #[test]
    fn other_things() {
        for text in [
            "",
            "v1.2.0",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/api:v1.0.0",
            "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "arn:aws:iam::123456789012:role/AKIA",
            "postgres://app@db:5432/x",
            "postgres://app:${lookup.secret.db.value}@db/x",
            "postgres://app:$PASSWORD@db/x",
            "postgres://app:<password>@db/x",
            "https://example.com/a:b/c@d",
            "git@github.com:team/repository.git",
            "ghp_short",
            "sk-learn and sk_live are words",
            "<input type=\"password\" name=password>",
            "password=$DB_PASSWORD",
            "--password={{ password }}",
            "--password-file=/run/secrets/db",
            "password=/run/secrets/db",
            "PASSWORD=",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----",
            "eyJhbGciOiJIUzI1NiJ9 is a header",
            "3d5f2a7c-1b9e-4a55-9d0e-7f6f5a1c2b3d",
            "npm run migrate:up",
            "Authorization: Bearer $TOKEN",
            "SG.com is a host, hvs.example.org too",
            "key=AAAAB3NzaC1yc2EAAAADAQABAAABgQ",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }
}
