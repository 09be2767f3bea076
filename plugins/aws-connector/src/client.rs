//! Carries the SDK's requests over the host's `http`: the one transport that a guest has.

use std::fmt;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::{Response, StatusCode};
use aws_smithy_types::body::SdkBody;

use relctl_sdk::{Host, HttpError, HttpRequest as HostRequest, HttpResponse, Replay};

/// Headers that the host passes on: what the two protocols need. It drops all others anyway.
const HEADERS: &[&str] = &["content-type", "x-amz-target"];

/// A service's write operations, and whether each may be sent again when its reply was lost. All
/// others are reads.
pub type Writes = &'static [(&'static str, Replay)];

/// Sends the SDK's requests through the host.
#[derive(Debug, Clone)]
pub struct Connector<H> {
    service: &'static str,
    writes: Writes,
    host: H,
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) struct NoReply(pub(crate) HttpError);

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host brought no reply")
    }
}

impl std::error::Error for NoReply {}

impl<H: Host> Connector<H> {
    pub fn new(service: &'static str, writes: Writes, host: H) -> Self {
        Self { service, writes, host }
    }

    fn send(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let Some(body) = request.body().bytes() else {
            return Err(HttpError::Denied("a request whose body is a stream".to_owned()));
        };
        let path = path_and_query(request.uri()).to_owned();
        let headers = request.headers();
        let headers = HEADERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), headers.get(*name)?.to_owned())))
            .collect::<Vec<_>>();
        let operation = operation_of(&headers, body);
        let request = HostRequest {
            service: self.service.to_owned(),
            method: request.method().to_owned(),
            path,
            headers,
            body: body.to_vec(),
        };
        match self.writes.iter().find(|(name, _)| *name == operation) {
            Some((_, replay)) => self.host.http_write(&request, *replay),
            None => self.host.http_read(&request),
        }
    }
}

/// The operation that a request asks for: `X-Amz-Target: Service.Operation`, or `Action=Operation`
/// as the first field of a form.
fn operation_of(headers: &[(String, String)], body: &[u8]) -> String {
    if let Some((_, target)) = headers.iter().find(|(name, _)| name == "x-amz-target") {
        return target.rsplit('.').next().unwrap_or_default().to_owned();
    }
    let form = std::str::from_utf8(body).unwrap_or_default();
    let action = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.unwrap_or_default().to_owned()
}

/// What follows the host's name; the host itself is chosen outside the guest.
fn path_and_query(uri: &str) -> &str {
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or("/")
}

impl<H: Host> HttpClient for Connector<H> {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl<H: Host> HttpConnector for Connector<H> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(self.send(&request).map_err(no_retry).and_then(|reply| {
            let status = StatusCode::try_from(reply.status)
                .map_err(|e| ConnectorError::other(e.into(), None))?;
            let mut response = Response::new(status, SdkBody::from(reply.body));
            for (name, value) in reply.headers {
                // A header that the SDK cannot hold says nothing to it.
                let _ = response.headers_mut().try_insert(name, value);
            }
            Ok(response)
        }))
    }
}

/// Retries belong to the host, so the SDK is given no reason for one.
fn no_retry(error: HttpError) -> ConnectorError {
    ConnectorError::other(Box::new(NoReply(error)), None)
}

/// Makes the configuration of an SDK crate's client: unsigned (the host signs), without retries,
/// timeouts, a clock or sleep, none of which a guest has.
#[macro_export]
macro_rules! client_config {
    ($sdk:ident, $connector:expr) => {
        $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::v2026_01_12())
            // The host chooses the endpoint; the SDK wants a region to name one.
            .region($sdk::config::Region::new("us-east-1"))
            .http_client($connector)
            .allow_no_auth()
            .identity_cache($sdk::config::IdentityCache::no_cache())
            .retry_config($sdk::config::retry::RetryConfig::disabled())
            .timeout_config($sdk::config::timeout::TimeoutConfig::disabled())
            .stalled_stream_protection($sdk::config::StalledStreamProtectionConfig::disabled())
            .time_source($crate::NoClock)
            .build()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_is_in_the_target_or_the_form() {
        let target = vec![(
            "x-amz-target".to_owned(),
            "AmazonEC2ContainerServiceV20141113.RunTask".to_owned(),
        )];
        assert_eq!(operation_of(&target, b"{}"), "RunTask");
        assert_eq!(
            operation_of(&[], b"Action=CreateDBSnapshot&Version=2014-10-31"),
            "CreateDBSnapshot"
        );
        assert_eq!(operation_of(&[], b"\xff"), "");
    }

    #[test]
    fn only_the_path_leaves_the_guest() {
        for (uri, path) in [
            ("https://ecs.us-east-1.amazonaws.com/", "/"),
            ("https://ecs.us-east-1.amazonaws.com", "/"),
            ("https://x/a?b=c", "/a?b=c"),
            ("/", "/"),
        ] {
            assert_eq!(path_and_query(uri), path);
        }
    }
}
