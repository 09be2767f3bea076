//! Against moto: what a real client library's server makes of the broker's requests.

use std::process::Stdio;
use std::time::{Duration, Instant};

use relctl_broker::http::HttpBroker;
use relctl_broker::{Access, HttpError, HttpTransport, Phase};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::{KEY_ID, SAFE, SECRET, TOKEN, call, ecs, grants, options, rds};

/// The account that moto puts everything into that names no other.
const ACCOUNT: &str = "123456789012";
const OTHER: &str = "222222222222";

/// A moto of this test's own.
struct Moto {
    url: String,
    /// Ends with the test.
    _process: Child,
    _folder: tempfile::TempDir,
}

impl Moto {
    /// Starts the one that `RELCTL_TEST_MOTO` names, or the one on the path.
    async fn start() -> Self {
        let program = std::env::var("RELCTL_TEST_MOTO").unwrap_or("moto_server".to_owned());
        let folder = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut process = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .env("MOTO_RECORDER_FILEPATH", folder.path().join("recording"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} does not start: {error}; install moto[server], or set RELCTL_TEST_MOTO")
            });
        let patience = Instant::now() + Duration::from_mins(1);
        while TcpStream::connect(address).await.is_err() {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "{program} ended: {ended:?}");
            assert!(Instant::now() < patience, "{program} does not listen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { url: format!("http://{address}"), _process: process, _folder: folder }
    }

    async fn control(&self, method: reqwest::Method, path: &str) -> String {
        let url = format!("{}/moto-api/recorder/{path}", self.url);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.request(method, url).send().await.unwrap();
        response.error_for_status().unwrap().text().await.unwrap()
    }

    async fn record(&self) {
        self.control(reqwest::Method::POST, "reset-recording").await;
        self.control(reqwest::Method::POST, "start-recording").await;
    }

    /// What arrived since, one JSON object each.
    async fn recorded(&self) -> Vec<Value> {
        self.control(reqwest::Method::POST, "stop-recording").await;
        let lines = self.control(reqwest::Method::GET, "download-recording").await;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn header<'a>(request: &'a Value, name: &str) -> &'a str {
    let headers = request["headers"].as_object().unwrap();
    let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.and_then(|(_, value)| value.as_str()).unwrap_or_default()
}

/// The scope that a recorded request was signed for, without the date, and its key.
fn signed(request: &Value) -> (String, String) {
    let authorization = header(request, "authorization");
    let credential = authorization.split(['=', ',']).nth(1).unwrap();
    let parts: Vec<&str> = credential.split('/').collect();
    (parts[0].to_owned(), format!("{}/{}", parts[2], parts[3]))
}

#[tokio::test]
async fn reads_and_writes_arrive_where_they_belong() {
    let moto = Moto::start().await;
    moto.record().await;
    let mut options = options(&moto.url);
    options.account = Some(ACCOUNT.to_owned());
    let broker = HttpBroker::new(options).unwrap();
    let apply = call(Phase::Apply);

    let create = ecs("CreateCluster", r#"{"clusterName":"production"}"#);
    let created = broker.send(&apply, &grants(), SAFE, create).await.unwrap();
    assert_eq!(created.status, 200);
    let listed = broker.send(&apply, &grants(), Access::Read, ecs("ListClusters", "{}")).await;
    let listed: Value = serde_json::from_slice(&listed.unwrap().body).unwrap();
    assert_eq!(
        listed["clusterArns"][0],
        format!("arn:aws:ecs:us-east-1:{ACCOUNT}:cluster/production")
    );
    let describe = rds("DescribeDBInstances", "");
    let instances = broker.send(&apply, &grants(), Access::Read, describe).await.unwrap();
    let instances = String::from_utf8(instances.body).unwrap();
    assert!(instances.contains("<DBInstances"), "{instances}");
    // An operation that moto does not have: one request, and its answer.
    let missing = ecs("ListServiceDeployments", r#"{"service":"s"}"#);
    let missing = broker.send(&apply, &grants(), Access::Read, missing).await.unwrap();
    assert_eq!(missing.status, 500);

    let recorded = moto.recorded().await;
    let scopes: Vec<String> = recorded.iter().map(|request| signed(request).1).collect();
    assert_eq!(
        scopes,
        ["us-east-1/sts", "us-east-1/ecs", "us-east-1/ecs", "us-east-1/rds", "us-east-1/ecs"]
    );
    assert!(recorded.iter().all(|request| signed(request).0 == KEY_ID));
    assert!(recorded.iter().all(|request| !request.to_string().contains(SECRET)));
}

#[tokio::test]
async fn a_wrong_account_is_found_before_anything_else() {
    let moto = Moto::start().await;
    moto.record().await;
    let mut options = options(&moto.url);
    options.account = Some("999999999999".to_owned());
    let broker = HttpBroker::new(options).unwrap();
    let request = ecs("CreateCluster", "{}");
    let result = broker.send(&call(Phase::Apply), &grants(), SAFE, request).await;
    let expected = "belong to account 123456789012";
    assert!(
        matches!(&result, Err(HttpError::Denied(said)) if said.contains(expected)),
        "{result:?}"
    );
    let recorded = moto.recorded().await;
    assert_eq!(recorded.len(), 1);
    assert_eq!(signed(&recorded[0]).1, "us-east-1/sts");
}

#[tokio::test]
async fn the_host_assumes_the_role_of_each_phase() {
    let moto = Moto::start().await;
    moto.record().await;
    let mut options = options(&moto.url);
    options.account = Some(OTHER.to_owned());
    options.plan_role = Some(format!("arn:aws:iam::{OTHER}:role/plan"));
    options.apply_role = Some(format!("arn:aws:iam::{OTHER}:role/apply"));
    let broker = HttpBroker::new(options).unwrap();

    let create = ecs("CreateCluster", r#"{"clusterName":"production"}"#);
    broker.send(&call(Phase::Apply), &grants(), SAFE, create).await.unwrap();
    for _ in 0..2 {
        let list = ecs("ListClusters", "{}");
        let listed = broker.send(&call(Phase::Plan), &grants(), Access::Read, list).await.unwrap();
        let listed: Value = serde_json::from_slice(&listed.body).unwrap();
        assert_eq!(
            listed["clusterArns"][0],
            format!("arn:aws:ecs:us-east-1:{OTHER}:cluster/production")
        );
    }

    let recorded = moto.recorded().await;
    let what: Vec<(bool, String)> = recorded
        .iter()
        .map(|request| {
            let (key, scope) = signed(request);
            (key == KEY_ID, scope)
        })
        .collect();
    let sts = "us-east-1/sts".to_owned();
    let ecs = "us-east-1/ecs".to_owned();
    // AssumeRole with the chain's key, then all with the role's; once for each role.
    assert_eq!(
        what,
        [
            (true, sts.clone()),
            (false, sts.clone()),
            (false, ecs.clone()),
            (true, sts.clone()),
            (false, sts),
            (false, ecs.clone()),
            (false, ecs),
        ]
    );
    let tokens = recorded.iter().filter(|request| header(request, "x-amz-security-token") == TOKEN);
    assert_eq!(tokens.count(), 2);
}
