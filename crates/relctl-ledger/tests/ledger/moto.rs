//! The ledger on S3, as moto serves it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use relctl_ledger::{Backend, Location, ObjectBackend, Timing};

use crate::{conformance, lock};

/// A server of one's own, stopped when it is dropped.
struct Moto {
    process: Child,
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Moto {
    fn start() -> Self {
        let binary = std::env::var("RELCTL_TEST_MOTO").unwrap_or_else(|_| "moto_server".to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new(&binary)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| {
                panic!(
                    "`{binary}` cannot be started ({e}): run `cargo xtask test`, which brings \
                     moto, or set RELCTL_TEST_MOTO to a moto_server"
                )
            });
        let moto = Self { process, port };
        let deadline = Instant::now() + Duration::from_mins(1);
        while moto.request("GET", "/moto-api/").is_none() {
            assert!(Instant::now() < deadline, "`{binary}` does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        moto
    }

    /// The status line of a plain request: without a signature, S3 answers.
    fn request(&self, method: &str, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.port
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.lines().next().map(ToOwned::to_owned)
    }

    /// A backend in a new bucket.
    fn backend(&self, bucket: &str) -> Arc<dyn Backend> {
        let created = self.request("PUT", &format!("/{bucket}")).unwrap();
        assert!(created.contains("200"), "{created}");
        let settings = BTreeMap::from(
            [
                ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port).as_str()),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "testing"),
                ("AWS_SECRET_ACCESS_KEY", "testing"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let root = Location::parse(&format!("s3://{bucket}/team/ledgers")).unwrap();
        Arc::new(ObjectBackend::new(&root, "shop/default", &settings).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3() {
    let moto = Moto::start();
    conformance::run(moto.backend("conformance")).await;
    let timing = Timing { ttl: Duration::from_secs(4), poll: Duration::from_millis(50) };
    lock::takeover(moto.backend("takeover"), timing).await;
    lock::race(moto.backend("race"), lock::rounds()).await;
    lock::rush(moto.backend("rush"), lock::rounds()).await;
}
