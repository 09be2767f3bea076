//! Canaries: no credential in a log, an error, an answer or a `Debug` form.

use std::io;
use std::sync::{Arc, Mutex};

use relctl_broker::http::HttpBroker;
use relctl_broker::{Access, HttpTransport, Phase};
use tracing_subscriber::fmt::MakeWriter;

use crate::scripted::{Reply, Scripted, error, identity, ok};
use crate::{KEY_ID, SECRET, TOKEN, UNSAFE, call, ecs, grants, options, read, write};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// AWS's answer to a wrong signature: it repeats what was signed.
fn echo() -> Reply {
    let body = format!(
        "<E><Code>SignatureDoesNotMatch</Code><Message>The canonical string was\nPOST\n/\n\n\
         x-amz-security-token:{TOKEN}\n\nAWS4-HMAC-SHA256 Credential={KEY_ID}/x, \
         Signature=abcdef0123, {SECRET}</Message></E>"
    );
    let headers = "content-type: text/xml\r\nx-amzn-requestid: canary-session-token-91cc\r\n\
                   set-cookie: a=b";
    Reply::SendWith(403, headers, body)
}

#[tokio::test]
async fn canaries_stay_inside() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_writer(log.clone())
        .finish();
    let seen = tracing::subscriber::set_default(subscriber);

    let server = Scripted::start(vec![
        identity("123456789012", "aws"),
        ok(),
        error(503, "ServiceUnavailable"),
        echo(),
        Reply::Lose,
    ])
    .await;
    let mut options = options(&server.url);
    options.account = Some("123456789012".to_owned());
    let shown = format!("{options:?}");
    let broker = HttpBroker::new(options).unwrap();
    let mut answers = vec![format!("{:?}", read(&broker).await)];
    answers.push(format!("{:?}", read(&broker).await));
    answers.push(format!("{:?}", write(&broker, UNSAFE).await));
    let granted = Access::Read;
    let denied = broker.send(&call(Phase::Plan), &grants(), granted, ecs("RunTask", "{}")).await;
    answers.push(format!("{denied:?}"));
    drop(seen);

    assert_eq!(server.arrived().len(), 5);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // The log is not silent, and the answers hold what remains of the echo.
    assert!(log.contains("ecs:DescribeServices") && log.contains("SignatureDoesNotMatch"), "{log}");
    assert!(answers[1].contains("403") && !answers[1].contains("set-cookie"), "{answers:?}");
    let body = String::from_utf8(echo_body().await).unwrap();
    for (place, text) in [
        ("log", log.as_str()),
        ("answers", &answers.concat()),
        ("options", &shown),
        ("body", &body),
    ] {
        for canary in [SECRET, TOKEN, "abcdef0123"] {
            assert!(!text.contains(canary), "{canary} in {place}: {text}");
        }
    }
}

/// An error's body as the plugin gets it.
async fn echo_body() -> Vec<u8> {
    let server = Scripted::start(vec![echo()]).await;
    let broker = HttpBroker::new(options(&server.url)).unwrap();
    let response = read(&broker).await.unwrap();
    assert_eq!(response.status, 403);
    response.body
}
