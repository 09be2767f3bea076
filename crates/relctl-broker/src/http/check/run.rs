//! Asking, and asking again.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use reqwest::{Certificate, Client, Method, Response, redirect};
use url::Url;

use super::expect::differences;
use super::{CheckOutcome, CheckReport, HttpCheck};
use crate::http::address::{Forbidden, Guarded, Unresolved};
use crate::http::credentials::causes;
use crate::http::redact::{excerpt, redact};

/// The most of a body that is read, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// How much of a body may stand in evidence, in bytes.
const MAX_EXCERPT: usize = 300;
/// How much of everything else, in bytes.
const MAX_DETAIL: usize = 600;

/// What one attempt saw.
struct Seen {
    outcome: CheckOutcome,
    detail: String,
}

impl HttpCheck {
    /// Asks until the answer is as expected, retries or time are used up, or it is clear that
    /// asking is of no use. The last answer decides.
    pub async fn run(&self) -> CheckReport {
        let (url, client) = match self.prepare() {
            Ok(ready) => ready,
            Err(detail) => return self.report(CheckOutcome::Inconclusive, &detail),
        };
        let seconds = |declared: Option<f64>, default| {
            Duration::try_from_secs_f64(declared.unwrap_or(default)).unwrap_or_default()
        };
        let interval = seconds(self.interval, 5.0);
        let deadline = Instant::now() + seconds(self.deadline, 120.0);
        let timeout = seconds(self.timeout, 10.0);
        let attempts = self.retries.unwrap_or(3).saturating_add(1);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = timeout.min(left);
            let seen = tokio::time::timeout(limit, self.ask(&client, &url)).await;
            let mut seen = seen.unwrap_or_else(|_| Seen {
                outcome: CheckOutcome::Fail,
                detail: format!("no answer within {} s", limit.as_secs_f32().ceil()),
            });
            let left = deadline.saturating_duration_since(Instant::now());
            let again = seen.outcome == CheckOutcome::Fail && attempt < attempts && interval < left;
            if !again {
                if attempt > 1 {
                    // Writing to a string cannot fail.
                    write!(seen.detail, ", at attempt {attempt}").ok();
                }
                return self.report(seen.outcome, &seen.detail);
            }
            tracing::debug!(attempt, detail = self.hidden(&seen.detail), "checking again");
            tokio::time::sleep(interval).await;
        }
    }

    fn method(&self) -> &str {
        self.method.as_deref().unwrap_or("GET")
    }

    fn prepare(&self) -> Result<(Url, Client), String> {
        let url = Url::parse(&self.url).map_err(|error| error.to_string())?;
        let mut builder = Client::builder()
            .no_proxy()
            .retry(reqwest::retry::never())
            .redirect(on_the_same_host(self.redirects.unwrap_or(0)))
            .dns_resolver(Guarded {
                named: BTreeSet::from_iter(url.host_str().map(str::to_owned)),
            });
        if let Some(tls) = &self.tls {
            if let Some(pem) = &tls.ca {
                let certificates = Certificate::from_pem_bundle(pem.as_bytes());
                builder = builder.tls_certs_only(certificates.map_err(|error| causes(&error))?);
            }
            builder = builder.tls_danger_accept_invalid_certs(tls.skip_verify.unwrap_or(false));
        }
        let client = builder.build().map_err(|error| causes(&error))?;
        Ok((url, client))
    }

    async fn ask(&self, client: &Client, url: &Url) -> Seen {
        let method = Method::from_bytes(self.method().as_bytes()).unwrap_or(Method::GET);
        let agent = concat!("relctl/", env!("CARGO_PKG_VERSION"));
        let mut request = client.request(method, url.clone()).header("user-agent", agent);
        for (name, value) in self.headers.iter().flatten() {
            request = request.header(name, value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        match request.send().await {
            Ok(response) => self.compare(response).await,
            Err(error) => failure(&error),
        }
    }

    async fn compare(&self, mut response: Response) -> Seen {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    let detail = format!("{status}, and the answer was cut: {}", causes(&error));
                    return Seen { outcome: CheckOutcome::Fail, detail };
                }
            }
            if body.len() > MAX_BODY {
                let detail =
                    format!("{status}, with a body over {MAX_BODY} bytes, which is not read");
                return Seen { outcome: CheckOutcome::Inconclusive, detail };
            }
        }
        let mut found = differences(&self.expect(), status, &headers, &body);
        if found.is_empty() {
            let unverified = self.tls.as_ref().and_then(|tls| tls.skip_verify).unwrap_or(false);
            let note = if unverified { ", certificate not verified" } else { "" };
            return Seen { outcome: CheckOutcome::Pass, detail: format!("{status}{note}") };
        }
        if let Some(location) = headers.get("location").and_then(|value| value.to_str().ok()) {
            found.push(format!("it leads to {location}"));
        }
        let mut detail = excerpt(&found.join("; "), &self.secrets(), MAX_DETAIL);
        let text = excerpt(&String::from_utf8_lossy(&body), &self.secrets(), MAX_EXCERPT);
        if !text.is_empty() {
            write!(detail, "; the body is: {text}").ok();
        }
        Seen { outcome: CheckOutcome::Fail, detail }
    }

    /// What the request carries and evidence must not: credentials are sent as headers.
    fn secrets(&self) -> Vec<&str> {
        self.headers.iter().flatten().map(|(_, value)| value.as_str()).collect()
    }

    fn hidden(&self, text: &str) -> String {
        redact(text, &self.secrets())
    }

    fn report(&self, outcome: CheckOutcome, detail: &str) -> CheckReport {
        let asked = excerpt(&self.url, &self.secrets(), MAX_EXCERPT);
        let evidence = format!("{} {asked}: {}", self.method(), self.hidden(detail));
        CheckReport { outcome, evidence }
    }
}

/// Follows so many redirects, as long as they lead to the same host, and not away from TLS.
fn on_the_same_host(most: usize) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        let same = attempt.previous().last().is_some_and(|from| {
            let to = attempt.url();
            let secured = from.scheme() == "http"
                && to.scheme() == "https"
                && to.port_or_known_default() == Some(443);
            from.host() == to.host()
                && (secured
                    || (from.scheme() == to.scheme()
                        && from.port_or_known_default() == to.port_or_known_default()))
        });
        if same && attempt.previous().len() <= most { attempt.follow() } else { attempt.stop() }
    })
}

/// What it means that there is no answer.
fn failure(error: &reqwest::Error) -> Seen {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        if cause.is::<Forbidden>() || cause.is::<Unresolved>() {
            return Seen { outcome: CheckOutcome::Inconclusive, detail: cause.to_string() };
        }
        source = cause.source();
    }
    let detail = excerpt(&causes(error), &[], MAX_DETAIL);
    Seen { outcome: CheckOutcome::Fail, detail: format!("no answer: {detail}") }
}
