//! Names that say that their value is a credential, and values that are none all the same.

/// What ends the name of a credential.
const SECRETS: [&[&str]; 19] = [
    &["password"],
    &["passwd"],
    &["passphrase"],
    &["pwd"],
    &["secret"],
    &["token"],
    &["apikey"],
    &["api", "key"],
    &["secret", "key"],
    &["private", "key"],
    &["access", "key"],
    &["signing", "key"],
    &["encryption", "key"],
    &["account", "key"],
    &["storage", "key"],
    &["master", "key"],
    &["credential"],
    &["credentials"],
    &["connection", "string"],
];

/// What makes a token one that is no credential.
const HARMLESS_TOKENS: [&str; 9] =
    ["client", "continuation", "idempotency", "marker", "max", "next", "page", "request", "run"];

/// Whether a field, a variable or an option of this name holds a credential.
pub(super) fn is_secret_name(name: &str) -> bool {
    if !may_be_secret(name) {
        return false;
    }
    let words = words(name);
    // `DB_PASSWORD_2` and `PASSWORD_V1` are passwords too.
    let counted = |word: &&String| word.trim_start_matches('v').bytes().all(|b| b.is_ascii_digit());
    let end = words.len() - words.iter().rev().take_while(counted).count();
    let words: Vec<&str> = words.iter().take(end).map(String::as_str).collect();
    if let [.., before, "token"] = words.as_slice()
        && HARMLESS_TOKENS.contains(before)
    {
        return false;
    }
    SECRETS.iter().any(|secret| words.ends_with(secret))
}

/// Whether it is worth to take the name apart: whether it ends, but for a count, with the last word of
/// a credential's name. Most names do not.
fn may_be_secret(name: &str) -> bool {
    let is_count = |c: char| !c.is_ascii_alphabetic() || c.eq_ignore_ascii_case(&'v');
    let name = name.trim_end_matches(is_count).as_bytes();
    let ends_with = |word: &&str| {
        let start = name.len().checked_sub(word.len());
        let end = start.and_then(|start| name.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
    };
    SECRETS.iter().filter_map(|words| words.last()).any(ends_with)
}

/// The name as messages show it.
pub(super) fn spoken(name: &str) -> &str {
    name.trim_start_matches('-')
}

/// Whether a value in a field with a credential's name gives nothing away: a reference, a place, a
/// switch, a blank to be filled in.
pub(super) fn is_harmless(value: &str, name: &str) -> bool {
    const SWITCHES: [&str; 12] = [
        "", "none", "null", "true", "false", "yes", "no", "on", "off", "required", "optional",
        "disabled",
    ];
    let value = value.trim();
    SWITCHES.contains(&value.to_ascii_lowercase().as_str())
        || (value.len() <= 4 && value.parse::<f64>().is_ok())
        || is_reference(value)
        || is_blank(value)
        || is_path(value)
        || (is_words(value) && names_a_secret(name))
}

/// A place where the value is kept, or an expression of relctl or of a shell.
fn is_reference(value: &str) -> bool {
    const SCHEMES: [&str; 9] =
        ["arn:", "aws:", "env:", "file:", "http://", "https://", "op://", "ssm:", "vault:"];
    value.contains("${")
        || value.starts_with('$')
        || value.starts_with("@Microsoft.KeyVault(")
        || value.starts_with("projects/")
        || value.starts_with("--")
        || SCHEMES.iter().any(|scheme| value.starts_with(scheme))
}

/// `<password>`, `{{ password }}`, `%PASSWORD%`, `***`, `xxxx`, `...`.
fn is_blank(value: &str) -> bool {
    let framed = |open: &str, close: &str| value.starts_with(open) && value.ends_with(close);
    let first = value.chars().next().unwrap_or_default();
    framed("<", ">")
        || framed("{{", "}}")
        || (framed("%", "%") && value.len() > 2)
        || ("*x.•".contains(first) && value.chars().all(|c| c == first))
}

/// A path of plain words, `/run/secrets/db`, `prod/db/password`.
fn is_path(value: &str) -> bool {
    value.contains('/')
        && !value.contains("//")
        && value.split('/').all(|part| part.is_empty() || is_words(part))
}

/// Lower-case words: the name of something, not a value that nobody shall guess.
fn is_words(value: &str) -> bool {
    let mut words = value.split(['-', '_', '.']).filter(|word| !word.is_empty());
    value.starts_with(|c: char| c.is_ascii_lowercase() || c == '.')
        && words.all(|word| {
            let letters = word.trim_end_matches(|c: char| c.is_ascii_digit());
            letters.bytes().all(|b| b.is_ascii_lowercase()) && word.len() - letters.len() <= 2
        })
}

/// `secret = "db-credentials"`: such a field takes a secret's name as often as its value.
fn names_a_secret(name: &str) -> bool {
    matches!(words(name).last().map(String::as_str), Some("secret" | "credential" | "credentials"))
}

/// The words of a name, lower-case: `DB_PASSWORD`, `dbPassword`, `--db-password`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        let begins = !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && was_lower);
        if begins && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c.to_ascii_lowercase());
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in [
            "password",
            "DB_PASSWORD",
            "dbPassword",
            "--db-password",
            "MYSQL_PWD",
            "api_key",
            "APIKEY",
            "apiKey",
            "stripe.secret_key",
            "client_secret",
            "GITHUB_TOKEN",
            "accessToken",
            "AWS_SECRET_ACCESS_KEY",
            "PASSWORD_2",
            "token_v1",
            "ssh_passphrase",
            "AZURE_STORAGE_CONNECTION_STRING",
            "credentials",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "",
            "name",
            "passwords_table",
            "password_policy",
            "PASSWORD_FILE",
            "token_url",
            "max_tokens",
            "secret_name",
            "secret_arn",
            "key",
            "public_key",
            "primary_key",
            "client_token",
            "nextToken",
            "kms_key_id",
            "tokenizer",
            "compass",
            "secrets",
            "password_reset_path",
            "value_from",
            "v1",
            "manage_master_user_password_enabled",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn values() {
        for value in [
            "",
            "true",
            "optional",
            "8",
            "3.5",
            "${lookup.secret.db.arn}",
            "$DB_PASSWORD",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf",
            "<your password>",
            "{{ db_password }}",
            "********",
            "xxx",
            "/run/secrets/db_password",
            "prod/db/password",
            "https://vault.example/v1/db",
            "op://vault/db/password",
            "vault:secret/db#password",
            "ssm:/prod/db",
            "projects/p/secrets/db/versions/latest",
            "--verbose",
        ] {
            assert!(is_harmless(value, "password"), "{value}");
        }
        for value in [
            "hunter2",
            "correct-horse-battery-staple",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "S3cr3t!",
            "p@ss//word",
            "dGhpcyBpcyBhIHNlY3JldA==",
            "x",
            "%",
        ] {
            assert_eq!(is_harmless(value, "password"), value == "x", "{value}");
        }
        assert!(is_harmless("db-credentials", "secret"));
        assert!(!is_harmless("4f9a1c77b2e0", "secret"));
        assert!(!is_harmless("db-credentials", "token"));
    }
}
