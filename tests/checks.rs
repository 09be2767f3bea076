//! `[check.http.*]`, which relctl runs itself: on apply alone, before the first change or after the
//! last, and only where the release file says.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use insta::assert_snapshot;

use crate::environment::TestEnvironment;

/// A server that answers with these statuses, one after another, and the last for ever.
struct Server {
    url: String,
    asked: Receiver<String>,
}

impl Server {
    fn answering(statuses: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            for (nth, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") {
                    stream.read_exact(&mut byte).unwrap();
                    request.extend(byte);
                }
                let status = statuses.get(nth).or(statuses.last()).unwrap();
                let body = r#"{"status":"ok","version":"v1"}"#;
                let head = format!(
                    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}",
                    body.len()
                );
                write!(stream, "{head}\r\n\r\n{body}").unwrap();
                let line = String::from_utf8(request).unwrap().lines().next().unwrap().to_owned();
                // A test that has ended asks no more.
                sender.send(line).ok();
            }
        });
        Self { url, asked }
    }

    /// The request lines since it was asked before.
    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

/// A release of one file, with checks of this server.
fn site(checks: &str, server: &Server) -> TestEnvironment {
    let site = TestEnvironment::new();
    let release = "[release]\nname = \"site\"\nversion = \"v1\"\n\n[vars]\napi = \"URL\"\n\n\
                   [plugins.local]\nconfig = { root = \"www\" }\n\n\
                   [resource.local_file.index]\npath = \"index.html\"\ncontent = \"v1\"\n\n";
    site.write("release.toml", &(release.replace("URL", &server.url) + checks));
    site.relctl("init").success();
    site
}

const AFTER: &str = r#"
[check.http.health]
url = "${vars.api}/health"
headers = { Accept = "application/json" }
expect = { status = [200, 204], json = { status = "ok" }, text = "${release.version}" }
retries = 3
interval = 0.01
depends_on = ["resource.local_file.index"]
"#;

#[test]
fn a_check_runs_on_apply_alone() {
    let server = Server::answering(&["503 Starting", "200 OK"]);
    let site = site(AFTER, &server);
    for command in ["validate", "plan -o plan.json", "status", "drift", "schema"] {
        site.relctl(command).success();
    }
    assert_eq!(server.asked(), Vec::<String>::new());
    let applied = site.relctl("apply plan.json").success();
    assert!(applied.stderr.contains("check.http.health pass: GET"), "{applied}");
    assert!(applied.stderr.contains(": 200, at attempt 2"), "{applied}");
    assert_eq!(server.asked(), ["GET /health HTTP/1.1"; 2]);
    let status = site.relctl("status").success();
    assert!(status.stdout.contains("v1 #1, verified"), "{status}");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn a_gate_stops_before_anything_is_changed() {
    let server = Server::answering(&["500 Broken"]);
    let gate = AFTER.replace("depends_on = [\"resource.local_file.index\"]", "when = \"before\"");
    let site = site(&gate.replace("retries = 3", "retries = 1"), &server);
    let applied = site.relctl("apply --auto-approve").exits(4);
    assert!(applied.stderr.contains("the status is 500, not 200 or 204"), "{applied}");
    assert_eq!(server.asked().len(), 2);
    assert!(!site.exists("www/index.html"), "{applied}");
    assert!(site.relctl("status").success().stdout.contains("nothing"));
}

#[test]
fn a_check_that_fails_after_the_last_step_is_not_verified() {
    let server = Server::answering(&["500 Broken", "200 OK"]);
    let site = site(&AFTER.replace("retries = 3", "retries = 0"), &server);
    let applied = site.relctl("apply --auto-approve").exits(9);
    assert!(applied.stderr.contains("check.http.health FAIL"), "{applied}");
    assert!(site.exists("www/index.html"));
    let status = site.relctl("status").success();
    assert!(status.stdout.contains("NOT verified"), "{status}");
    // Nothing to change, and checked again.
    site.relctl("apply --auto-approve").success();
    assert!(site.relctl("status").success().stdout.contains("v1 #2, verified"));
}

#[test]
fn what_cannot_be_asked_is_for_a_person_to_decide() {
    let server = Server::answering(&["200 OK"]);
    let site = site(&AFTER.replace("${vars.api}", "http://nowhere.invalid"), &server);
    let applied = site.relctl("apply --auto-approve").exits(10);
    assert!(applied.stderr.contains("`nowhere.invalid` has no address"), "{applied}");
    assert_eq!(server.asked(), Vec::<String>::new());
}

#[test]
fn the_machine_s_own_credentials_are_out_of_reach() {
    let server = Server::answering(&["200 OK"]);
    for address in ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "0xa9fea9fe"]
    {
        let site = site(&AFTER.replace("${vars.api}", &format!("http://{address}")), &server);
        let plan = site.relctl("plan").exits(1);
        assert!(plan.stderr.contains("relctl does not connect to it"), "{address}: {plan}");
        assert!(plan.stderr.contains("release.toml:"), "{address}: {plan}");
    }
    let leading =
        Server::answering(&["302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/"]);
    let checks = AFTER.replace("retries = 3", "retries = 0\nredirects = 5");
    let applied = site(&checks, &leading).relctl("apply --auto-approve").exits(9);
    assert_snapshot!(
        applied.stderr.lines().find(|line| line.contains("FAIL")).unwrap().replace(&leading.url, "URL"),
        @r#"check.http.health FAIL: GET URL/health: the status is 302, not 200 or 204; it leads to http://169.254.169.254/latest/meta-data/; the body is: {"status":"ok","version":"v1"}"#
    );
    assert_eq!(leading.asked().len(), 1);
}
