//! What an answer, or the lack of one, means for sending again.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// What the cloud answered, in relctl's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// For the plugin to read, errors of the operation included.
    Final,
    /// Turned away at the door: not carried out.
    Throttled { after: Option<Duration> },
    /// Turned away since the credentials have expired: not carried out.
    Expired,
    /// The cloud failed: it may have been carried out.
    Failed,
    /// An endpoint that does not know the operation, or no AWS endpoint at all: asking again would
    /// not help.
    Foreign,
}

/// The error codes with which AWS throttles. `LimitExceeded…` is not among them: that is a quota.
const THROTTLING: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

const EXPIRED: &[&str] = &["ExpiredToken", "ExpiredTokenException", "RequestExpired"];

/// Errors that are not the caller's, whatever their status.
const FAILURES: &[&str] =
    &["InternalError", "InternalFailure", "RequestTimeout", "RequestTimeoutException"];

/// What an answer means.
pub(crate) fn meaning(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Meaning {
    if status.is_success() {
        return Meaning::Final;
    }
    let code = error_code(headers, body).unwrap_or_default();
    let is = |codes: &[&str]| codes.contains(&code.as_str());
    if status == StatusCode::TOO_MANY_REQUESTS || is(THROTTLING) {
        return Meaning::Throttled { after: retry_after(headers) };
    }
    if is(EXPIRED) {
        return Meaning::Expired;
    }
    let html = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/html"));
    // A load balancer's own page has 502 to 504; a 500 in HTML comes from something else.
    if status.is_redirection() || (status == StatusCode::INTERNAL_SERVER_ERROR && html) {
        return Meaning::Foreign;
    }
    if status.is_server_error() || is(FAILURES) {
        return Meaning::Failed;
    }
    Meaning::Final
}

/// The error's code, in whichever of AWS's ways it is written: moto answers some JSON requests in
/// XML.
pub(crate) fn error_code(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let plain = |text: &str| {
        let text = text.rsplit('#').next().unwrap_or(text);
        let text = text.split(':').next().unwrap_or(text).trim();
        (!text.is_empty() && text.len() <= 128).then(|| text.to_owned())
    };
    if let Some(code) = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()) {
        return plain(code);
    }
    if let Ok(Value::Object(object)) = serde_json::from_slice(body) {
        return object.get("__type").or_else(|| object.get("code"))?.as_str().and_then(plain);
    }
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").and_then(|(code, _)| plain(code))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn of(status: u16, content_type: &'static str, body: &str) -> Meaning {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        meaning(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes())
    }

    #[test]
    fn reads_what_aws_means() {
        let json = "application/x-amz-json-1.1";
        let throttled = Meaning::Throttled { after: None };
        for (status, content_type, body, expected) in [
            (200, json, "{}", Meaning::Final),
            (400, json, r#"{"__type":"ThrottlingException"}"#, throttled.clone()),
            (400, json, r#"{"__type":"com.amazonaws.ecs#ThrottlingException"}"#, throttled.clone()),
            (400, "text/xml", "<E><Code>Throttling</Code></E>", throttled.clone()),
            (503, "text/xml", "<E><Code>SlowDown</Code></E>", throttled.clone()),
            (429, "text/plain", "", throttled),
            (400, json, r#"{"__type":"LimitExceededException"}"#, Meaning::Final),
            (400, json, r#"{"__type":"ClusterNotFoundException"}"#, Meaning::Final),
            (403, "text/xml", "<E><Code>AccessDenied</Code></E>", Meaning::Final),
            (403, json, r#"{"__type":"ExpiredTokenException"}"#, Meaning::Expired),
            (500, json, r#"{"__type":"ServerException"}"#, Meaning::Failed),
            (500, "text/html; charset=utf-8", "<!doctype html>", Meaning::Foreign),
            (503, "text/html", "<html>busy</html>", Meaning::Failed),
            (504, "text/plain", "", Meaning::Failed),
            (400, json, r#"{"__type":"RequestTimeout"}"#, Meaning::Failed),
            (307, "text/html", "", Meaning::Foreign),
        ] {
            assert_eq!(of(status, content_type, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn reads_how_long_to_wait() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        let after = Some(Duration::from_secs(7));
        assert_eq!(
            meaning(StatusCode::TOO_MANY_REQUESTS, &headers, b""),
            Meaning::Throttled { after }
        );
    }

    #[test]
    fn prefers_the_header_for_the_code() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-amzn-errortype",
            HeaderValue::from_static("ServiceNotFoundException:http://internal.example/"),
        );
        assert_eq!(error_code(&headers, b"{}").unwrap(), "ServiceNotFoundException");
    }
}
