//! The HTTP broker against servers that this test scripts, and against moto.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod check;
mod guard;
mod moto;
mod retries;
mod scripted;
mod secrets;
mod sent;

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use relctl_broker::http::{HttpBroker, HttpOptions, Retries, RetryBudget};
use relctl_broker::{
    Access, CallContext, Grants, HttpError, HttpRequest, HttpResponse, HttpTransport, Phase,
};

const KEY_ID: &str = "AKIDCANARY0000000001";
const SECRET: &str = "canary-secret-key-7f3a";
const TOKEN: &str = "canary-session-token-91cc";

const UNSAFE: Access = Access::Write { replay_safe: false };
const SAFE: Access = Access::Write { replay_safe: true };

fn credentials() -> Credentials {
    Credentials::new(KEY_ID, SECRET, Some(TOKEN.to_owned()), None, "test")
}

/// Options for an endpoint on this machine, with retries that take no time.
fn options(endpoint: &str) -> HttpOptions {
    let mut options = HttpOptions::new("aws-ecs", Arc::new(RetryBudget::new(100)));
    options.region = Some("us-east-1".to_owned());
    options.endpoint_url = Some(endpoint.to_owned());
    options.credentials = Some(SharedCredentialsProvider::new(credentials()));
    options.retries =
        Retries { attempts: 3, base: Duration::from_millis(1), cap: Duration::from_millis(1) };
    options
}

fn grants() -> Grants {
    serde_json::from_str(
        r#"{"http": {
            "ecs": {
                "read": ["DescribeServices", "ListClusters", "ListServiceDeployments"],
                "write": ["UpdateService", "CreateCluster", "RunTask"]},
            "rds": {"read": ["DescribeDBInstances"], "write": ["CreateDBSnapshot"]}}}"#,
    )
    .unwrap()
}

fn call(phase: Phase) -> CallContext {
    CallContext {
        plugin: "aws-ecs".to_owned(),
        function: "observe",
        phase,
        first_attempt: false,
        deadline: Instant::now() + Duration::from_secs(20),
        max_response: 64 * 1024,
    }
}

/// An ECS request, as the SDK inside a guest writes it.
fn ecs(operation: &str, body: &str) -> HttpRequest {
    let header = |name: &str, value: String| (name.to_owned(), value);
    HttpRequest {
        service: "ecs".to_owned(),
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: vec![
            header("content-type", "application/x-amz-json-1.1".to_owned()),
            header("x-amz-target", format!("AmazonEC2ContainerServiceV20141113.{operation}")),
            header("x-amz-user-agent", "guest/1".to_owned()),
            header("cookie", "guest=1".to_owned()),
        ],
        body: body.as_bytes().to_vec(),
    }
}

/// An RDS request, as the SDK inside a guest writes it.
fn rds(operation: &str, rest: &str) -> HttpRequest {
    HttpRequest {
        service: "rds".to_owned(),
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())],
        body: format!("Action={operation}&Version=2014-10-31{rest}").into_bytes(),
    }
}

async fn read(broker: &HttpBroker) -> Result<HttpResponse, HttpError> {
    let request = ecs("DescribeServices", "{}");
    broker.send(&call(Phase::Plan), &grants(), Access::Read, request).await
}

async fn write(broker: &HttpBroker, access: Access) -> Result<HttpResponse, HttpError> {
    let request = ecs("UpdateService", "{}");
    broker.send(&call(Phase::Apply), &grants(), access, request).await
}
