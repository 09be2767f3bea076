//! One attempt: the request built anew and signed, sent once, and how that ended.

use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use tracing::Span;
use url::Url;

use super::address::Forbidden;
use super::answer::{Meaning, error_code, meaning};
use super::credentials::{NoCredentials, Source, causes};
use super::redact::redact;
use super::settings::Settings;
use super::sign::{Scope, add_signature};
use super::wire::Wire;
use crate::HttpResponse;

/// What an answer's headers may hold in all, in bytes.
const MAX_HEADERS: usize = 64 * 1024;
/// The headers of an answer that plugins get.
const PASSED_ON: [HeaderName; 6] = [
    CONTENT_TYPE,
    DATE,
    HeaderName::from_static("x-amz-request-id"),
    HeaderName::from_static("x-amzn-errortype"),
    HeaderName::from_static("x-amzn-query-error"),
    HeaderName::from_static("x-amzn-requestid"),
];

/// How one attempt ended.
pub(crate) enum Outcome {
    Answer(HttpResponse),
    Throttled {
        after: Option<Duration>,
    },
    /// Expired credentials, with the answer that says so.
    Expired(HttpResponse),
    /// Nothing left this machine.
    NotSent(String),
    /// Nothing may leave this machine.
    Refused(String),
    /// An answer that is not an AWS error, though it should be.
    Foreign(HttpResponse),
    /// It was sent, and failed or was never answered; or the answer cannot be handed on.
    Lost {
        detail: String,
        again: bool,
    },
}

/// What is sent, and under which terms.
pub(crate) struct Exchange<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) source: &'a Source,
    /// Sending it twice does no harm.
    pub(crate) repeatable: bool,
    /// It changes nothing.
    pub(crate) read: bool,
    pub(crate) deadline: Instant,
    pub(crate) max_response: u64,
}

/// Sends it once. The credentials are those that it was signed with.
pub(crate) async fn attempt(
    settings: &Settings,
    exchange: &Exchange<'_>,
    timeout: Duration,
) -> (Outcome, Option<Credentials>) {
    let left = exchange.deadline.saturating_duration_since(Instant::now());
    let limit = left.min(timeout);
    if limit.is_zero() {
        return (Outcome::NotSent("there was no time left".to_owned()), None);
    }
    let credentials = tokio::time::timeout(limit, exchange.source.credentials(&settings.sdk));
    let credentials = match credentials.await {
        Ok(Ok(credentials)) => credentials,
        Ok(Err(error @ NoCredentials::Absent { .. })) => {
            return (Outcome::Refused(error.to_string()), None);
        }
        Ok(Err(error @ NoCredentials::Failed { .. })) => {
            return (Outcome::NotSent(error.to_string()), None);
        }
        Err(_) => {
            let detail = "the credentials could not be fetched in time".to_owned();
            return (Outcome::NotSent(detail), None);
        }
    };
    let request = match build(settings, exchange.wire, &credentials) {
        Ok(request) => request,
        Err(detail) => return (Outcome::Refused(detail), Some(credentials)),
    };
    let sent = send(settings, exchange, request, &credentials);
    let outcome = tokio::time::timeout(limit, sent).await.unwrap_or_else(|_| Outcome::Lost {
        detail: format!("no answer within {} s", limit.as_secs_f32().ceil()),
        again: true,
    });
    (outcome, Some(credentials))
}

/// The request, built anew from what was understood, and signed.
fn build(
    settings: &Settings,
    wire: &Wire,
    credentials: &Credentials,
) -> Result<reqwest::Request, String> {
    let url: &Url = settings
        .endpoint(wire.service)
        .ok_or_else(|| format!("`{}` has no endpoint", wire.service.name))?;
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire.content_type));
    if let Some(target) = &wire.target {
        let target = HeaderValue::from_str(target).map_err(|error| error.to_string())?;
        headers.insert("x-amz-target", target);
    }
    let scope =
        Scope { service: wire.service.name, region: &settings.region, time: SystemTime::now() };
    add_signature(&mut headers, url, &wire.body, credentials, &scope)
        .map_err(|error| error.to_string())?;
    // Not signed: what stands on the way may change them.
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    let agent = concat!("relctl/", env!("CARGO_PKG_VERSION"));
    headers.insert(USER_AGENT, HeaderValue::from_static(agent));
    settings
        .client
        .post(url.clone())
        .headers(headers)
        .body(wire.body.clone())
        .build()
        .map_err(|error| redact(&causes(&error), &[]))
}

/// Sends it, and reads the answer up to its limit.
async fn send(
    settings: &Settings,
    exchange: &Exchange<'_>,
    request: reqwest::Request,
    credentials: &Credentials,
) -> Outcome {
    let known = secrets(credentials);
    let mut response = match settings.client.execute(request).await {
        Ok(response) => response,
        Err(error) => return failure(&error, &known),
    };
    let status = response.status();
    let headers = response.headers().clone();
    Span::current().record("status", status.as_u16());
    if headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>()
        > MAX_HEADERS
    {
        let detail = format!("the answer (HTTP {status}) has over {MAX_HEADERS} bytes of headers");
        return Outcome::Lost { detail, again: false };
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => {
                let detail = redact(&causes(&error), &known);
                return Outcome::Lost {
                    detail: format!("the answer was cut: {detail}"),
                    again: true,
                };
            }
        }
        let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
        if size > exchange.max_response {
            let detail = format!(
                "the answer (HTTP {status}) is over {} bytes, the limit for one",
                exchange.max_response
            );
            return Outcome::Lost { detail, again: false };
        }
    }
    read(status, &headers, body, &known)
}

/// What an answer comes to.
fn read(status: StatusCode, headers: &HeaderMap, body: Vec<u8>, known: &[&str]) -> Outcome {
    let span = Span::current();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if let Some(id) = text("x-amzn-requestid") {
        span.record("request", redact(id, known));
    }
    let meaning = meaning(status, headers, &body);
    let mut detail = format!("HTTP {}", status.as_u16());
    if !status.is_success()
        && let Some(code) = error_code(headers, &body)
    {
        let code = redact(&code, known);
        span.record("code", &code);
        detail = format!("{detail}, {code}");
    }
    let response = || HttpResponse {
        status: status.as_u16(),
        headers: passed_on(headers, known),
        body: if status.is_success() { body } else { without_secrets(body, known) },
    };
    match meaning {
        Meaning::Final => Outcome::Answer(response()),
        Meaning::Throttled { after } => Outcome::Throttled { after },
        Meaning::Expired => Outcome::Expired(response()),
        Meaning::Foreign => Outcome::Foreign(response()),
        Meaning::Failed => Outcome::Lost { detail, again: true },
    }
}

/// What must not leave this crate.
fn secrets(credentials: &Credentials) -> Vec<&str> {
    let mut secrets = vec![credentials.secret_access_key(), credentials.access_key_id()];
    secrets.extend(credentials.session_token());
    secrets
}

/// Why there is no answer, and whether the request left.
fn failure(error: &reqwest::Error, known: &[&str]) -> Outcome {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return Outcome::Refused(forbidden.to_string());
        }
        source = cause.source();
    }
    let detail = redact(&causes(error), known);
    // A connection that never stood has carried nothing; neither has a request that is not one.
    if error.is_connect() || error.is_builder() {
        return Outcome::NotSent(detail);
    }
    Outcome::Lost { detail, again: true }
}

fn passed_on(headers: &HeaderMap, known: &[&str]) -> Vec<(String, String)> {
    PASSED_ON
        .iter()
        .filter_map(|name| {
            let value = headers.get(name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), redact(value, known)))
        })
        .collect()
}

/// An error's body. AWS echoes what was signed when a signature does not match.
fn without_secrets(body: Vec<u8>, known: &[&str]) -> Vec<u8> {
    match String::from_utf8(body) {
        Ok(text) => redact(&text, known).into_bytes(),
        Err(error) => error.into_bytes(),
    }
}
