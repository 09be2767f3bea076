//! The check kind `http`: one request to one host, and what is expected of the answer.
//!
//! The release file names the host, and that is the only one that is spoken to: redirects are
//! followed on it alone, and only as many as are declared.

mod expect;
mod run;

use std::collections::BTreeMap;

use regex::Regex;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::address::judge_literal;

/// JSON Schema (2020-12) of the kind's fields.
pub const HTTP_CHECK_SCHEMA: &str = include_str!("schema.json");

/// A check as it is declared. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpCheck {
    url: String,
    method: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    body: Option<String>,
    expect: Option<Expect>,
    tls: Option<Tls>,
    redirects: Option<usize>,
    retries: Option<u32>,
    interval: Option<f64>,
    timeout: Option<f64>,
    deadline: Option<f64>,
}

/// What an answer must be. All of it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    status: Option<Status>,
    /// What the body, read as JSON, must contain.
    json: Option<Value>,
    /// What the body must contain as text.
    text: Option<String>,
    /// A regular expression that must match somewhere in the body.
    matches: Option<String>,
    headers: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Status {
    One(u16),
    AnyOf(Vec<u16>),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tls {
    /// Certificates, as PEM, that are trusted instead of the system's.
    ca: Option<String>,
    skip_verify: Option<bool>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckOutcome {
    Pass,
    /// The host answered otherwise, or not at all.
    Fail,
    /// It could not be asked: its name is not known, or its address is not one to connect to.
    Inconclusive,
}

/// How a check ended, and what it saw: for people, without credentials, at most about 1 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    pub outcome: CheckOutcome,
    pub evidence: String,
}

/// A declared field that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckProblem {
    /// A JSON pointer; empty: the whole check.
    pub path: String,
    pub message: String,
    pub hint: Option<String>,
}

impl HttpCheck {
    /// Reads a check's fields, all of them known.
    pub fn read(fields: &Map<String, Value>) -> Result<Self, Vec<CheckProblem>> {
        let problems = check_problems(fields);
        if !problems.is_empty() {
            return Err(problems);
        }
        let fields = fields.iter().filter(|(_, value)| !value.is_null());
        let fields: Map<String, Value> =
            fields.map(|(name, value)| (name.clone(), value.clone())).collect();
        serde_json::from_value(Value::Object(fields))
            .map_err(|error| vec![problem("", &error.to_string(), None)])
    }

    fn expect(&self) -> Expect {
        self.expect.clone().unwrap_or_default()
    }
}

/// What is wrong with those of a check's fields that are known by now.
pub fn check_problems(fields: &Map<String, Value>) -> Vec<CheckProblem> {
    let text = |pointer: &str| {
        let mut names = pointer.split('/').skip(1);
        let first = fields.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))?.as_str()
    };
    let headers = fields.get("headers").and_then(Value::as_object);
    let mut problems = Vec::new();
    problems.extend(text("/url").and_then(url_problem));
    if let Some(pattern) = text("/expect/matches")
        && let Err(error) = Regex::new(pattern)
    {
        problems.push(problem(
            "/expect/matches",
            &format!("it is no regular expression: {error}"),
            None,
        ));
    }
    if let Some(pem) = text("/tls/ca") {
        let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
        if !certificates.is_ok_and(|certificates| !certificates.is_empty()) {
            let hint = "put PEM text there: ca = \"${file('ca.pem')}\"";
            problems.push(problem("/tls/ca", "it holds no certificate", Some(hint)));
        }
    }
    for (name, value) in headers.into_iter().flatten() {
        let good = HeaderName::from_bytes(name.as_bytes()).is_ok()
            && value.as_str().is_none_or(|value| HeaderValue::from_str(value).is_ok());
        if !good {
            let path = format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
            problems.push(problem(&path, "it is no HTTP header", None));
        }
    }
    problems
}

fn url_problem(text: &str) -> Option<CheckProblem> {
    let say = |message: &str, hint: &str| Some(problem("/url", message, Some(hint)));
    let Ok(url) = Url::parse(text) else {
        return say("it is no URL", "write one like `https://api.example.com/health`");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return say("it is no HTTP URL", "write one like `https://api.example.com/health`");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return say("it has a user name or a password, which would be recorded", "leave them out");
    }
    match judge_literal(&url, true) {
        Ok(()) => None,
        Err(error) => Some(problem("/url", &error.to_string(), None)),
    }
}

fn problem(path: &str, message: &str, hint: Option<&str>) -> CheckProblem {
    CheckProblem {
        path: path.to_owned(),
        message: message.to_owned(),
        hint: hint.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_schema_names_the_fields_that_are_read() {
        let schema: Value = serde_json::from_str(HTTP_CHECK_SCHEMA).unwrap();
        let everything = json!({
            "url": "https://h.example/", "method": "GET", "headers": {"a": "b"}, "body": "x",
            "expect": {"status": 200, "json": {}, "text": "", "matches": "", "headers": {}},
            "tls": {"skip_verify": true},
            "redirects": 1, "retries": 1, "interval": 0.5, "timeout": 1, "deadline": 1
        });
        HttpCheck::read(&fields(everything.clone())).unwrap();
        let names =
            |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(names(&schema["properties"]), names(&everything));
        let expect = &schema["properties"]["expect"]["properties"];
        assert_eq!(names(expect), names(&everything["expect"]));
    }

    #[test]
    fn says_what_cannot_be_meant() {
        for (value, path) in [
            (json!({"url": "not a url"}), "/url"),
            (json!({"url": "ftp://h/"}), "/url"),
            (json!({"url": "https://user:pw@h/"}), "/url"),
            (json!({"url": "http://169.254.169.254/latest/meta-data/"}), "/url"),
            (json!({"url": "https://h/", "expect": {"matches": "("}}), "/expect/matches"),
            (json!({"url": "https://h/", "tls": {"ca": "no pem"}}), "/tls/ca"),
            (json!({"url": "https://h/", "headers": {"a b": "c"}}), "/headers/a b"),
            (json!({"url": "https://h/", "retries": -1}), ""),
            (json!({}), ""),
        ] {
            let problems = HttpCheck::read(&fields(value.clone())).unwrap_err();
            assert_eq!(problems[0].path, path, "{value}: {problems:?}");
        }
    }

    #[test]
    fn what_is_absent_or_not_known_yet_is_no_problem() {
        assert!(check_problems(&fields(json!({"url": null, "tls": null}))).is_empty());
        HttpCheck::read(&fields(json!({"url": "http://127.0.0.1:1/", "body": null}))).unwrap();
    }
}
