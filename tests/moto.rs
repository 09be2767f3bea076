//! moto, an AWS that lives in memory, for one test; called as another tool would call AWS.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The account that moto answers for.
pub(crate) const ACCOUNT: &str = "123456789012";

/// A moto of a test's own; ends when it is dropped.
pub(crate) struct Moto {
    server: Child,
    port: u16,
    /// Holds the recording.
    folder: tempfile::TempDir,
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Moto {
    /// Starts it, with an ECS in which every service runs two tasks at once.
    pub(crate) fn start() -> Self {
        let program = std::env::var("RELCTL_TEST_MOTO").unwrap_or("moto_server".to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let server = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_ECS_SERVICE_RUNNING", "2")
            .env("MOTO_ACCOUNT_ID", ACCOUNT)
            .env("MOTO_RECORDER_FILEPATH", folder.path().join("recording"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} does not start: {error}; install moto[server], or set RELCTL_TEST_MOTO")
            });
        let moto = Self { server, port, folder };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_mins(1), "{program} does not listen");
            std::thread::yield_now();
        }
        moto
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Calls ECS.
    #[track_caller]
    pub(crate) fn ecs(&self, operation: &str, body: &Value) -> Value {
        ecs(self.port, operation, body)
    }

    /// Calls RDS; the answer is XML.
    #[track_caller]
    pub(crate) fn rds(&self, form: &str) -> String {
        self.form("rds", &format!("{form}&Version=2014-10-31"))
    }

    /// Calls EC2; returns the first element of this name.
    #[track_caller]
    pub(crate) fn ec2(&self, form: &str, element: &str) -> String {
        let answer = self.form("ec2", &format!("{form}&Version=2016-11-15"));
        let found = elements(&answer, element);
        found.into_iter().next().unwrap_or_else(|| panic!("no {element}: {answer}"))
    }

    /// Calls a service that speaks forms.
    #[track_caller]
    pub(crate) fn form(&self, service: &str, form: &str) -> String {
        self.post(service, "Content-Type: application/x-www-form-urlencoded\r\n", form)
    }

    #[track_caller]
    fn post(&self, service: &str, headers: &str, body: &str) -> String {
        post(self.port, service, headers, body)
    }

    /// Calls S3: the path is that of a bucket, or of an object in one.
    #[track_caller]
    pub(crate) fn s3(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        request(self.port, "s3", method, path, "", body)
    }

    /// Every object of a bucket, by key.
    #[track_caller]
    pub(crate) fn objects(&self, bucket: &str) -> BTreeMap<String, Vec<u8>> {
        let listing = self.s3("GET", &format!("/{bucket}?list-type=2"), b"");
        let listing = String::from_utf8(listing).unwrap();
        assert!(!listing.contains("<IsTruncated>true"), "too many objects for one listing");
        let keys = elements(&listing, "Key").into_iter();
        keys.map(|key| {
            let bytes = self.s3("GET", &format!("/{bucket}/{key}"), b"");
            (key, bytes)
        })
        .collect()
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) {
        send(self.port, "moto", "/moto-api/reset", "", "");
    }

    /// Records what is called from now on.
    pub(crate) fn record(&self) {
        for what in ["reset-recording", "start-recording"] {
            send(self.port, "moto", &format!("/moto-api/recorder/{what}"), "", "");
        }
    }

    /// The actions that were called since, as IAM names them, `ecs:DescribeServices`.
    pub(crate) fn recorded(&self) -> Vec<String> {
        send(self.port, "moto", "/moto-api/recorder/stop-recording", "", "");
        let recording = std::fs::read_to_string(self.folder.path().join("recording")).unwrap();
        recording.lines().map(|line| action(&serde_json::from_str(line).unwrap())).collect()
    }

    /// Makes a user with this policy; returns the key's id and its secret.
    pub(crate) fn user(&self, name: &str, policy: &str) -> (String, String) {
        let iam = |form: &str| self.form("iam", &format!("{form}&Version=2010-05-08"));
        iam(&format!("Action=CreateUser&UserName={name}"));
        iam(&format!(
            "Action=PutUserPolicy&UserName={name}&PolicyName=p&PolicyDocument={}",
            encoded(policy)
        ));
        let answer = iam(&format!("Action=CreateAccessKey&UserName={name}"));
        let one = |element| elements(&answer, element).remove(0);
        (one("AccessKeyId"), one("SecretAccessKey"))
    }

    /// From now on, looks at signatures and policies.
    pub(crate) fn enforce(&self) {
        let headers = "Content-Type: text/plain\r\n";
        send(self.port, "moto", "/moto-api/reset-auth", headers, "0");
    }
}

/// The action that a recorded request is.
fn action(request: &Value) -> String {
    let headers = request["headers"].as_object().unwrap();
    let header = |name: &str| {
        let found = headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_str())
    };
    let scope = header("authorization").unwrap().split('/').nth(3).unwrap();
    let operation = match header("x-amz-target") {
        Some(target) => target.rsplit('.').next().unwrap().to_owned(),
        None => {
            let form = from_base64(request["body"].as_str().unwrap());
            let pairs = form.split('&').find_map(|pair| pair.strip_prefix("Action="));
            pairs.unwrap_or_else(|| panic!("no action: {form}")).to_owned()
        }
    };
    format!("{scope}:{operation}")
}

fn from_base64(text: &str) -> String {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in text.chars().filter_map(|c| DIGITS.find(c)) {
        bits = (bits << 6 | u32::try_from(digit).unwrap()) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap());
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// As a form's value.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Calls the ECS of a moto on this port.
#[track_caller]
pub(crate) fn ecs(port: u16, operation: &str, body: &Value) -> Value {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    let headers = format!("Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {target}\r\n");
    serde_json::from_str(&post(port, "ecs", &headers, &body.to_string())).unwrap()
}

/// Posts to a moto on this port, as the service's own address would get it.
#[track_caller]
pub(crate) fn post(port: u16, service: &str, headers: &str, body: &str) -> String {
    send(port, service, "/", headers, body)
}

#[track_caller]
fn send(port: u16, service: &str, path: &str, headers: &str, body: &str) -> String {
    String::from_utf8(request(port, service, "POST", path, headers, body.as_bytes())).unwrap()
}

/// The body of the answer to a request that nobody signed: moto wants to see for which service.
#[track_caller]
fn request(
    port: u16,
    service: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let host =
        if service == "s3" { "127.0.0.1" } else { &format!("{service}.us-east-1.amazonaws.com") };
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer);
    assert!(head.contains(" 200 "), "{method} {path}: {head}{}", String::from_utf8_lossy(&body));
    body
}

/// The texts of every XML element of this name.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1).filter_map(|part| part.split_once(&close));
    parts.map(|(text, _)| text.to_owned()).collect()
}
