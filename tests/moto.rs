//! moto, an AWS that lives in memory, for one test; called as another tool would call AWS.

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
        let server = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_ECS_SERVICE_RUNNING", "2")
            .env("MOTO_ACCOUNT_ID", ACCOUNT)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} does not start: {error}; install moto[server], or set RELCTL_TEST_MOTO")
            });
        let moto = Self { server, port };
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
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let headers =
            format!("Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {target}\r\n");
        serde_json::from_str(&self.post("ecs", &headers, &body.to_string())).unwrap()
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
}

/// Posts to a moto on this port, as the service's own address would get it.
#[track_caller]
pub(crate) fn post(port: u16, service: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST / HTTP/1.0\r\nHost: {service}.us-east-1.amazonaws.com\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    body.to_owned()
}

/// The texts of every XML element of this name.
pub(crate) fn elements(xml: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(&open).skip(1).filter_map(|part| part.split_once(&close));
    parts.map(|(text, _)| text.to_owned()).collect()
}
