//! What looks like a credential. Rather one too many than one too few: what is left out is named,
//! and a person can put it back.

use relctl_plan::Path;

/// Words that name credentials wherever they stand.
const PLAIN: &[&str] = &[
    "APIKEY",
    "CREDENTIAL",
    "CREDENTIALS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "TOKENS",
];

/// Words that name credentials as the name of a field or a variable.
const AS_NAMES: &[&str] = &[
    "AUTH",
    "AUTHORIZATION",
    "CONNECTIONSTRING",
    "COOKIE",
    "DSN",
    "JWT",
    "KEY",
    "PASS",
    "PAT",
    "PEM",
    "PIN",
    "PRIVATE",
    "PW",
    "PWD",
    "SALT",
    "SIGNATURE",
];

/// Last words of names that say something about a credential, and are none.
const ABOUT: &[&str] = &[
    "ALGORITHM",
    "ALIAS",
    "ARN",
    "ENABLED",
    "EXPIRY",
    "FILE",
    "ID",
    "LENGTH",
    "LIFETIME",
    "NAME",
    "PATH",
    "PERIOD",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "VERSION",
];

/// Words in names of what is hexadecimal and no secret.
const DIGESTS: &[&str] =
    &["CHECKSUM", "COMMIT", "DIGEST", "HASH", "IMAGE", "REVISION", "SHA", "TAG"];

/// Beginnings of well-known tokens.
const PREFIXES: &[&str] = &[
    "-----BEGIN",
    "AGE-SECRET-KEY-",
    "AIza",
    "AKIA",
    "ASIA",
    "Basic ",
    "Bearer ",
    "SG.",
    "dop_v1_",
    "eyJ",
    "gho_",
    "ghp_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "hvs.",
    "npm_",
    "pk_live_",
    "pypi-",
    "rk_live_",
    "shpat_",
    "sk-",
    "sk_live_",
    "sk_test_",
    "whsec_",
    "xapp-",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "ya29.",
];

/// The shortest text that is judged by how random it is.
const RANDOM_FROM: usize = 20;

/// Whether the value at `path` looks like a credential.
pub(super) fn looks_like_a_credential(path: &Path, value: &str) -> bool {
    let value = value.trim();
    if value.is_empty() || is_a_reference(value) {
        return false;
    }
    let name = words(name_of(path));
    PREFIXES.iter().any(|prefix| value.starts_with(prefix))
        || has_user_info(value)
        || is_random(value, &name)
        || (names_a_credential(&name, true) && !is_a_setting(value))
        || value.lines().any(assigns_a_credential)
}

/// What the value at `path` is called: a variable's name is that of its entry.
fn name_of(path: &Path) -> &str {
    let mut segments = path.segments().rev();
    match segments.next() {
        Some("value") => segments.next().unwrap_or("value"),
        other => other.unwrap_or_default(),
    }
}

/// An ARN, or a key's alias: it names a secret and is none.
fn is_a_reference(value: &str) -> bool {
    value.starts_with("arn:") || value.starts_with("alias/")
}

/// A switch or a small number.
fn is_a_setting(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "false" | "on" | "off" | "yes" | "no")
        || value.parse::<u32>().is_ok_and(|number| number < 10_000)
}

/// Whether one of a name's words says so. `short`: also those that other things are called, too.
fn names_a_credential(name: &[String], short: bool) -> bool {
    let is = |word: &String, list: &[&str]| list.contains(&word.as_str());
    let squeezed = name.concat();
    let named = name.iter().any(|word| is(word, PLAIN) || (short && is(word, AS_NAMES)))
        || PLAIN.iter().any(|word| squeezed.ends_with(word));
    named && !name.last().is_some_and(|last| is(last, ABOUT))
}

/// A line of a file, `password = "…"`.
fn assigns_a_credential(line: &str) -> bool {
    let Some((name, value)) = line.split_once(['=', ':']) else { return false };
    let value = value.trim().trim_matches(['"', '\'', ',']);
    let is_one_word = !value.is_empty() && !value.contains(char::is_whitespace);
    is_one_word
        && !value.contains("${")
        && !is_a_setting(value)
        && !is_a_reference(value)
        && names_a_credential(&words(name.trim()), false)
}

/// `DB_PASSWORD`, `dbPassword`, `api-key`, in words and in capitals.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = vec![String::new()];
    let mut after_small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_small) {
            words.push(String::new());
        }
        after_small = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_uppercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `scheme://user:password@host`, anywhere.
fn has_user_info(value: &str) -> bool {
    value.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', '?', '#', ' ', '"']).next().unwrap_or_default();
        authority.contains('@')
    })
}

/// Whether a text is letters and digits of no language: keys and tokens.
fn is_random(value: &str, name: &[String]) -> bool {
    let is_digest = name.iter().any(|word| DIGESTS.contains(&word.as_str()));
    // What people write has separators: paths, URLs, images, sentences, names in clouds.
    let mut runs = value.split(|c: char| !(c.is_ascii_alphanumeric() || "+=".contains(c)));
    runs.any(|run| {
        let count = |is: fn(&u8) -> bool| run.bytes().filter(is).count();
        let (digits, upper, lower) = (
            count(u8::is_ascii_digit),
            count(u8::is_ascii_uppercase),
            count(u8::is_ascii_lowercase),
        );
        let mixed = digits > 1 && upper > 1 && lower > 1;
        let hexadecimal =
            digits > 3 && upper + lower > 3 && run.bytes().all(|b| b.is_ascii_hexdigit());
        run.len() >= RANDOM_FROM && (mixed || (hexadecimal && !is_digest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_from_settings() {
        for (path, value, expected) in [
            ("environment.NODE_ENV.value", "production", false),
            ("environment.PORT.value", "3000", false),
            ("environment.API_URL.value", "https://api.example.com/v1?x=1", false),
            ("environment.KEYBOARD.value", "qwerty", false),
            ("environment.MONKEY.value", "george", false),
            ("environment.PASSWORD_LOGIN.value", "false", false),
            ("environment.TOKEN_LIFETIME.value", "900s", false),
            ("environment.PASSWORD_FILE.value", "/run/secrets/db", false),
            ("environment.COMMIT.value", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", false),
            ("container_definitions.auth.command", "serve", false),
            (
                "image",
                "1.dkr.ecr.us-east-1.amazonaws.com/api:9f86d081884c7d659a2feaa0c55ad015",
                false,
            ),
            ("network_configuration.subnets", "subnet-0a1b2c3d4e5f67890", false),
            ("parameter_group_name", "default.postgres15", false),
            ("monitoring_role_arn", "arn:aws:iam::123456789012:role/KeyOfAll", false),
            ("secrets.DB_PASSWORD.value_from", "arn:aws:secretsmanager:x:1:secret:a-Ab12", false),
            ("kms_key_id", "arn:aws:kms:us-east-1:123456789012:key/0a-b", false),
            ("kms_key_id", "alias/production", false),
            ("content", "port = 8080\nthe password: it is not here\n", false),
            ("content", "password = ${file('x')}\n", false),
            ("environment.DB_PASSWORD.value", "hunter2", true),
            ("environment.dbPassword.value", "hunter2", true),
            ("environment.PGPASSWORD.value", "hunter2", true),
            ("environment.SECRET_KEY_BASE.value", "hunter2", true),
            ("environment.STRIPE_KEY.value", "abc", true),
            ("log_configuration.options.splunk-token", "abc", true),
            ("environment.X.value", "sk_live_abcdef", true),
            ("environment.X.value", "postgres://app:pw@db:5432/x", true),
            ("environment.X.value", "eyJhbGciOiJIUzI1NiJ9.e30.abc", true),
            ("environment.X.value", "-----BEGIN RSA PRIVATE KEY-----\nabc", true),
            ("environment.X.value", "wJalrXUtnFEMI7MDENGbPxRfiCYEXAMPLEKEY2", true),
            ("environment.X.value", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", true),
            ("docker_labels.auth", "x", true),
            ("content", "user = app\ndb_password = \"hunter2\"\n", true),
        ] {
            let looks = looks_like_a_credential(&path.parse().unwrap(), value);
            assert_eq!(looks, expected, "{path} = {value}");
        }
    }
}
