//! What is sent again, what is not, and what is certain in the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relctl_broker::http::{HttpBroker, RetryBudget};
use relctl_broker::{Access, HttpError, HttpTransport, Phase};

use crate::scripted::{Reply, Scripted, error, ok};
use crate::{SAFE, UNSAFE, call, ecs, grants, options, read, write};

async fn against(script: Vec<Reply>) -> (Scripted, HttpBroker) {
    let server = Scripted::start(script).await;
    let broker = HttpBroker::new(options(&server.url)).unwrap();
    (server, broker)
}

/// What a call came to, in a word.
fn word(result: Result<relctl_broker::HttpResponse, HttpError>) -> String {
    match result {
        Ok(response) => response.status.to_string(),
        Err(HttpError::Denied(_)) => "denied".to_owned(),
        Err(HttpError::Throttled(_)) => "throttled".to_owned(),
        Err(HttpError::Unavailable(_)) => "unavailable".to_owned(),
        Err(HttpError::Unknown(_)) => "unknown".to_owned(),
    }
}

fn html() -> Reply {
    Reply::Send(500, "text/html; charset=utf-8", "<!doctype html>".to_owned())
}

/// A name, a script, then for read, safe and unsafe write: how it ends, how many requests arrive.
type Row = (&'static str, fn() -> Vec<Reply>, [(&'static str, usize); 3]);

#[tokio::test]
async fn what_is_sent_again() {
    let table: [Row; 12] = [
        // The server goes away when its script ends, so a further attempt finds nobody.
        ("at once", || vec![ok()], [("200", 1), ("200", 1), ("200", 1)]),
        (
            "the operation's own error",
            || vec![error(400, "ClusterNotFoundException"), ok()],
            [("400", 1), ("400", 1), ("400", 1)],
        ),
        (
            "throttled twice",
            || {
                let second = Reply::Send(429, "text/plain", String::new());
                vec![error(400, "ThrottlingException"), second, ok()]
            },
            [("200", 3), ("200", 3), ("200", 3)],
        ),
        (
            "throttled throughout",
            || (0..4).map(|_| error(400, "ThrottlingException")).collect(),
            [("throttled", 3), ("throttled", 3), ("throttled", 3)],
        ),
        (
            "failed once",
            || vec![error(500, "ServerException"), ok()],
            [("200", 2), ("200", 2), ("unknown", 1)],
        ),
        (
            "failed throughout",
            || (0..4).map(|_| error(503, "ServiceUnavailable")).collect(),
            [("unavailable", 3), ("unknown", 3), ("unknown", 1)],
        ),
        ("reply lost", || vec![Reply::Lose, ok()], [("200", 2), ("200", 2), ("unknown", 1)]),
        ("reply cut", || vec![Reply::Cut, ok()], [("200", 2), ("200", 2), ("unknown", 1)]),
        (
            "reply lost, then nobody there",
            || vec![Reply::Lose],
            [("unavailable", 1), ("unknown", 1), ("unknown", 1)],
        ),
        (
            "reply lost, then throttled",
            || vec![Reply::Lose, error(400, "Throttling"), error(400, "Throttling")],
            [("throttled", 3), ("unknown", 3), ("unknown", 1)],
        ),
        (
            "an operation that moto does not have",
            || vec![html(), ok()],
            [("500", 1), ("unknown", 1), ("unknown", 1)],
        ),
        (
            "too long an answer",
            || vec![Reply::Send(200, "text/plain", "x".repeat(65 * 1024)), ok()],
            [("unavailable", 1), ("unknown", 1), ("unknown", 1)],
        ),
    ];
    for (name, script, expected) in table {
        for (access, expected) in [Access::Read, SAFE, UNSAFE].into_iter().zip(expected) {
            let (server, broker) = against(script()).await;
            let result = match access {
                Access::Read => read(&broker).await,
                write_access @ Access::Write { .. } => write(&broker, write_access).await,
            };
            let got = (word(result), server.arrived().len());
            assert_eq!((got.0.as_str(), got.1), expected, "{name}, {access:?}");
        }
    }
}

#[tokio::test]
async fn what_was_certainly_not_sent_is_not_unknown() {
    let (server, broker) = against(vec![]).await;
    let result = write(&broker, UNSAFE).await;
    assert!(matches!(&result, Err(HttpError::Unavailable(said)) if said.contains("was not sent")));
    assert!(server.arrived().is_empty());
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    for (access, expected, count) in [(Access::Read, "200", 2), (UNSAFE, "unknown", 1)] {
        let server = Scripted::start(vec![Reply::Hang, ok()]).await;
        let mut options = options(&server.url);
        options.attempt_timeout = Duration::from_millis(300);
        let broker = HttpBroker::new(options).unwrap();
        let result = match access {
            Access::Read => read(&broker).await,
            write_access @ Access::Write { .. } => write(&broker, write_access).await,
        };
        assert_eq!((word(result).as_str(), server.arrived().len()), (expected, count));
    }
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let (server, broker) = against(vec![ok()]).await;
    let mut late = call(Phase::Apply);
    late.deadline = Instant::now();
    let result = broker.send(&late, &grants(), UNSAFE, ecs("UpdateService", "{}")).await;
    assert!(matches!(result, Err(HttpError::Unavailable(_))), "{result:?}");
    assert!(server.arrived().is_empty());
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let throttled = "content-type: text/plain\r\nretry-after: 3600";
    let (server, broker) =
        against(vec![Reply::SendWith(429, throttled, String::new()), ok()]).await;
    assert_eq!(read(&broker).await, Err(HttpError::Throttled(Some(3_600_000))));
    assert_eq!(server.arrived().len(), 1);
}

#[tokio::test]
async fn calls_share_one_retry_budget() {
    let script = || (0..10).map(|_| error(500, "ServerException")).collect();
    let (first, second) = (Scripted::start(script()).await, Scripted::start(script()).await);
    let budget = Arc::new(RetryBudget::new(3));
    for server in [&first, &second] {
        let mut options = options(&server.url);
        options.budget = Arc::clone(&budget);
        let broker = HttpBroker::new(options).unwrap();
        assert_eq!(word(read(&broker).await), "unavailable");
    }
    // Two attempts are everyone's own; of the budget's three retries the first call took two.
    assert_eq!((first.arrived().len(), second.arrived().len()), (3, 2));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Scripted::start(vec![ok()]).await;
    let location: &'static str =
        Box::leak(format!("content-type: text/html\r\nlocation: {}/", elsewhere.url).into());
    for (access, expected) in [(Access::Read, "307"), (UNSAFE, "unknown")] {
        let (server, broker) =
            against(vec![Reply::SendWith(307, location, String::new()), ok()]).await;
        let result = match access {
            Access::Read => read(&broker).await,
            write_access @ Access::Write { .. } => write(&broker, write_access).await,
        };
        assert_eq!((word(result).as_str(), server.arrived().len()), (expected, 1));
    }
    assert!(elsewhere.arrived().is_empty());
}
