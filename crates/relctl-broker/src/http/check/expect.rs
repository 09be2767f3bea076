//! Comparing an answer with what is expected.

use regex::Regex;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::{Expect, Status};

/// What is not as expected, one short sentence each; empty: all is well.
pub(super) fn differences(
    expect: &Expect,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
) -> Vec<String> {
    let mut found = Vec::new();
    let statuses = match &expect.status {
        None => &[200][..],
        Some(Status::One(status)) => std::slice::from_ref(status),
        Some(Status::AnyOf(statuses)) => statuses,
    };
    if !statuses.contains(&status) {
        let wanted: Vec<String> = statuses.iter().map(ToString::to_string).collect();
        found.push(format!("the status is {status}, not {}", wanted.join(" or ")));
    }
    for (name, wanted) in expect.headers.iter().flatten() {
        match headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes())) {
            None => found.push(format!("there is no header `{name}`")),
            Some(value) if value != wanted.as_str() => {
                found.push(format!("the header `{name}` is `{value}`, not `{wanted}`"));
            }
            Some(_) => {}
        }
    }
    let text = String::from_utf8_lossy(body);
    if let Some(wanted) = expect.text.as_ref().filter(|wanted| !text.contains(wanted.as_str())) {
        found.push(format!("the body does not contain `{wanted}`"));
    }
    if let Some(pattern) = &expect.matches
        && !Regex::new(pattern).is_ok_and(|regex| regex.is_match(&text))
    {
        found.push(format!("the body does not match `{pattern}`"));
    }
    if let Some(wanted) = &expect.json {
        match serde_json::from_slice(body) {
            Ok(value) => contains(wanted, Some(&value), "", &mut found),
            Err(_) => found.push("the body is not JSON".to_owned()),
        }
    }
    found
}

/// Tables contain what is wanted if each entry does; everything else must be equal.
fn contains(wanted: &Value, value: Option<&Value>, at: &str, found: &mut Vec<String>) {
    let Some(value) = value else {
        found.push(format!("the body has no `{at}`"));
        return;
    };
    match (wanted, value) {
        (Value::Object(wanted), Value::Object(object)) => {
            for (name, wanted) in wanted {
                let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                contains(wanted, object.get(name), &at, found);
            }
        }
        _ if equal(wanted, value) => {}
        _ if at.is_empty() => found.push(format!("the body is not {wanted}")),
        _ => found.push(format!("`{at}` is {value}, not {wanted}")),
    }
}

/// As values are equal, with 1 and 1.0 the same number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use serde_json::json;

    use super::*;

    #[test]
    fn compares_all_of_an_answer() {
        let body = br#"{"status":"ok","db":{"ready":true,"lag":2},"tags":["a","b"]}"#;
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let table = [
            (json!({}), 200, ""),
            (json!({}), 503, "the status is 503, not 200"),
            (json!({"status": 204}), 200, "the status is 200, not 204"),
            (json!({"status": [200, 204]}), 204, ""),
            (json!({"status": [200, 204]}), 500, "the status is 500, not 200 or 204"),
            (json!({"json": {"status": "ok", "db": {"lag": 2.0}}}), 200, ""),
            (json!({"json": {"status": "up"}}), 200, r#"`status` is "ok", not "up""#),
            (json!({"json": {"db": {"ready": false}}}), 200, "`db.ready` is true, not false"),
            (json!({"json": {"cache": {}}}), 200, "the body has no `cache`"),
            (json!({"json": {"tags": ["a"]}}), 200, r#"`tags` is ["a","b"], not ["a"]"#),
            (
                json!({"json": {"db": "ready"}}),
                200,
                r#"`db` is {"lag":2,"ready":true}, not "ready""#,
            ),
            (json!({"json": []}), 200, "the body is not []"),
            (json!({"text": "ok"}), 200, ""),
            (json!({"text": "OK"}), 200, "the body does not contain `OK`"),
            (json!({"matches": r#""lag":\d+"#}), 200, ""),
            (json!({"matches": "^ok$"}), 200, "the body does not match `^ok$`"),
            (json!({"headers": {"Content-Type": "application/json"}}), 200, ""),
            (
                json!({"headers": {"content-type": "text/html"}}),
                200,
                "the header `content-type` is `application/json`, not `text/html`",
            ),
            (json!({"headers": {"x-version": "2"}}), 200, "there is no header `x-version`"),
        ];
        for (expect, status, expected) in table {
            let parsed: Expect = serde_json::from_value(expect.clone()).unwrap();
            let found = differences(&parsed, status, &headers, body);
            assert_eq!(found.join("; "), expected, "{expect}");
        }
        let wanted: Expect = serde_json::from_value(json!({"json": {"a": 1}})).unwrap();
        assert_eq!(differences(&wanted, 200, &headers, b"<html>"), ["the body is not JSON"]);
    }
}
