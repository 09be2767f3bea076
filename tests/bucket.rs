//! A bucket on an S3 of the test's own: moto.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::environment::{Output, TestEnvironment};

/// The bucket that is there.
pub(crate) const BUCKET: &str = "releases";

/// A moto with one bucket, stopped when it is dropped.
pub(crate) struct Bucket {
    server: Child,
    port: u16,
}

impl Drop for Bucket {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let program = std::env::var("RELCTL_TEST_MOTO").unwrap_or("moto_server".to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} does not start: {error}; install moto[server], or set RELCTL_TEST_MOTO")
            });
        let bucket = Self { server, port };
        let started = Instant::now();
        while bucket.request("PUT", &format!("/{BUCKET}"), b"").is_none() {
            assert!(started.elapsed() < Duration::from_mins(1), "{program} does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        bucket
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The environment variables with which it is reached.
    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ]
    }

    /// `relctl` with these arguments, written as in a shell without quotes, not yet started.
    pub(crate) fn command(&self, site: &TestEnvironment, arguments: &str) -> Command {
        let mut command = site.command(&arguments.split_whitespace().collect::<Vec<_>>());
        command.envs(self.variables());
        command
    }

    /// Runs `relctl` with these arguments.
    #[must_use = "compare it with a snapshot, or call `success` or `exits`"]
    pub(crate) fn relctl(&self, site: &TestEnvironment, arguments: &str) -> Output {
        site.run(&mut self.command(site, arguments))
    }

    /// Everything in it, by key.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let listing = self.request("GET", &format!("/{BUCKET}?list-type=2"), b"").unwrap();
        let listing = String::from_utf8(listing).unwrap();
        assert!(!listing.contains("<IsTruncated>true"), "too many objects for one listing");
        let keys = listing.split("<Key>").skip(1).filter_map(|rest| rest.split('<').next());
        keys.map(|key| {
            let bytes = self.request("GET", &format!("/{BUCKET}/{key}"), b"").unwrap();
            (key.to_owned(), bytes)
        })
        .collect()
    }

    /// Puts an object there as it is.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.request("PUT", &format!("/{BUCKET}/{key}"), bytes).unwrap();
    }

    /// The body of the answer to a plain request, signed as moto wants it: not at all.
    fn request(&self, method: &str, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x\r\n\
             Content-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
        let body = answer.split_off(end + 4);
        assert!(
            answer.starts_with(b"HTTP/1.1 200"),
            "{method} {path}: {}",
            String::from_utf8_lossy(&answer)
        );
        Some(body)
    }
}
