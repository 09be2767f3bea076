//! The HTTP check against scripted servers.

use std::sync::Arc;

use relctl_broker::http::{CheckOutcome, CheckReport, HttpCheck};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::scripted::{Reply, Scripted};

fn answer(status: u16, body: &str) -> Reply {
    Reply::Send(status, "application/json", body.to_owned())
}

/// Runs a check with these fields, and no waits.
async fn run(url: &str, mut fields: Value) -> CheckReport {
    fields["url"] = url.into();
    fields["interval"] = fields["interval"].as_f64().unwrap_or(0.0).into();
    let fields = serde_json::from_value(fields).unwrap();
    HttpCheck::read(&fields).unwrap().run().await
}

/// Script, retries, outcome, requests that arrive, what the evidence contains.
type Row = (Vec<Reply>, u32, CheckOutcome, usize, &'static str);

#[tokio::test]
async fn the_last_answer_decides() {
    let healthy = || answer(200, r#"{"status":"ok"}"#);
    let starting = || answer(503, r#"{"status":"starting"}"#);
    let expect = json!({"json": {"status": "ok"}});
    let table: [Row; 6] = [
        (vec![healthy()], 3, CheckOutcome::Pass, 1, "/health: 200"),
        (
            vec![starting(), Reply::Lose, healthy()],
            3,
            CheckOutcome::Pass,
            3,
            "/health: 200, at attempt 3",
        ),
        (
            vec![starting(), starting(), healthy()],
            1,
            CheckOutcome::Fail,
            2,
            "the status is 503, not 200; `status` is \"starting\", not \"ok\"; the body is: \
             {\"status\":\"starting\"}, at attempt 2",
        ),
        (vec![Reply::Lose], 0, CheckOutcome::Fail, 1, "no answer"),
        // The server is gone by the second attempt.
        (vec![starting()], 1, CheckOutcome::Fail, 1, "no answer"),
        (
            vec![answer(200, &"x".repeat(1_100_000)), healthy()],
            1,
            CheckOutcome::Inconclusive,
            1,
            "over 1048576 bytes",
        ),
    ];
    for (script, retries, outcome, count, evidence) in table {
        let server = Scripted::start(script).await;
        let fields = json!({"retries": retries, "expect": expect});
        let report = run(&format!("{}/health", server.url), fields).await;
        assert_eq!((report.outcome, server.arrived().len()), (outcome, count), "{report:?}");
        assert!(report.evidence.contains(evidence), "{report:?}");
        assert!(report.evidence.starts_with("GET http://127.0.0.1:"), "{report:?}");
    }
}

#[tokio::test]
async fn sends_what_was_declared() {
    let server = Scripted::start(vec![answer(204, "")]).await;
    let fields = json!({
        "method": "POST", "body": "ping", "headers": {"X-Probe": "1"}, "expect": {"status": 204}
    });
    let report = run(&format!("{}/a?b=c", server.url), fields).await;
    assert_eq!(report.outcome, CheckOutcome::Pass, "{report:?}");
    let arrived = &server.arrived()[0];
    assert_eq!(arrived.line, "POST /a?b=c HTTP/1.1");
    assert_eq!(arrived.body, "ping");
    assert_eq!(arrived.header("x-probe"), Some("1"));
}

#[tokio::test]
async fn time_is_bounded() {
    let server = Scripted::start(vec![Reply::Hang, Reply::Hang]).await;
    let report = run(&server.url, json!({"timeout": 0.2, "retries": 1})).await;
    assert_eq!((report.outcome, server.arrived().len()), (CheckOutcome::Fail, 2), "{report:?}");
    // A wait that does not fit before the deadline is not begun.
    let server = Scripted::start(vec![answer(500, ""), answer(200, "")]).await;
    let report = run(&server.url, json!({"interval": 600, "deadline": 5})).await;
    assert_eq!((report.outcome, server.arrived().len()), (CheckOutcome::Fail, 1), "{report:?}");
}

#[tokio::test]
async fn redirects_stay_on_the_host() {
    let leading_to = |location: &str| {
        let lines: &'static str = Box::leak(format!("location: {location}").into());
        Reply::SendWith(302, lines, String::new())
    };
    let elsewhere = Scripted::start(vec![answer(200, "")]).await;
    let fields = |redirects: u32| json!({"redirects": redirects, "retries": 0});
    for (redirects, location, outcome, count) in [
        (1, "/next", CheckOutcome::Pass, 2),
        (0, "/next", CheckOutcome::Fail, 1),
        (1, elsewhere.url.as_str(), CheckOutcome::Fail, 1),
        (1, "http://169.254.169.254/", CheckOutcome::Fail, 1),
    ] {
        let server = Scripted::start(vec![leading_to(location), answer(200, "")]).await;
        let report = run(&server.url, fields(redirects)).await;
        assert_eq!((report.outcome, server.arrived().len()), (outcome, count), "{report:?}");
        let says = report.evidence.contains(&format!("it leads to {location}"));
        assert_eq!(says, outcome == CheckOutcome::Fail, "{report:?}");
    }
    assert!(elsewhere.arrived().is_empty());
}

#[tokio::test]
async fn what_cannot_be_asked_is_inconclusive() {
    let report = run("http://nowhere.invalid/", json!({"retries": 2})).await;
    assert_eq!(report.outcome, CheckOutcome::Inconclusive, "{report:?}");
    assert!(report.evidence.contains("`nowhere.invalid` has no address"), "{report:?}");
}

#[tokio::test]
async fn evidence_holds_no_credential() {
    let body = r#"{"you_sent":"canary-token-5","SecretAccessKey":"canary-key-6"}"#;
    let server = Scripted::start(vec![answer(403, body)]).await;
    let fields = json!({"headers": {"X-Api-Key": "canary-token-5"}, "retries": 0});
    let report = run(&format!("{}/?X-Amz-Signature=canary-sig-7", server.url), fields).await;
    assert_eq!(report.outcome, CheckOutcome::Fail);
    assert!(report.evidence.contains("you_sent"), "{report:?}");
    assert!(!report.evidence.contains("canary"), "{report:?}");
}

/// Answers over TLS with a certificate of its own; gives the URL and the certificate.
async fn secure_server() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // A client that does not trust the certificate goes away during the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(reply).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (url, made.cert.pem())
}

#[tokio::test]
async fn certificates_are_verified() {
    let (url, ca) = secure_server().await;
    for (tls, outcome, evidence) in [
        (json!({}), CheckOutcome::Fail, "certificate"),
        (json!({"ca": ca}), CheckOutcome::Pass, "200"),
        (json!({"skip_verify": true}), CheckOutcome::Pass, "certificate not verified"),
    ] {
        let report = run(&url, json!({"tls": tls, "retries": 0})).await;
        assert_eq!(report.outcome, outcome, "{report:?}");
        assert!(report.evidence.contains(evidence), "{report:?}");
    }
}
