//! Whose account it is, before anything else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use relctl_broker::HttpError;
use relctl_broker::http::HttpBroker;

use crate::scripted::{Scripted, error, identity, ok};
use crate::{KEY_ID, UNSAFE, options, read, write};

const ACCOUNT: &str = "123456789012";

#[tokio::test]
async fn the_account_is_asked_for_once() {
    let server = Scripted::start(vec![identity(ACCOUNT, "aws"), ok(), ok(), ok()]).await;
    let mut options = options(&server.url);
    options.account = Some(ACCOUNT.to_owned());
    let broker = HttpBroker::new(options).unwrap();
    let (first, second) = tokio::join!(read(&broker), read(&broker));
    assert!(first.is_ok() && second.is_ok());
    write(&broker, UNSAFE).await.unwrap();
    assert_eq!(
        server.operations(),
        ["GetCallerIdentity", "DescribeServices", "DescribeServices", "UpdateService"]
    );
}

#[tokio::test]
async fn another_account_or_partition_gets_nothing() {
    for (account, partition, hint) in [
        ("999999999999", "aws", "belong to account 999999999999"),
        (ACCOUNT, "aws-cn", "the partition `aws-cn`"),
    ] {
        let server = Scripted::start(vec![identity(account, partition), ok()]).await;
        let mut options = options(&server.url);
        options.account = Some(ACCOUNT.to_owned());
        let broker = HttpBroker::new(options).unwrap();
        for _ in 0..2 {
            let result = read(&broker).await;
            assert!(
                matches!(&result, Err(HttpError::Denied(said)) if said.contains(hint)),
                "{result:?}"
            );
        }
        assert_eq!(server.operations(), ["GetCallerIdentity"]);
    }
}

#[tokio::test]
async fn an_endpoint_that_will_not_say_gets_nothing() {
    let server = Scripted::start(vec![error(403, "InvalidClientTokenId"), ok()]).await;
    let mut options = options(&server.url);
    options.account = Some(ACCOUNT.to_owned());
    let broker = HttpBroker::new(options).unwrap();
    let result = read(&broker).await;
    assert!(
        matches!(&result, Err(HttpError::Denied(said)) if said.contains("InvalidClientTokenId")),
        "{result:?}"
    );
    assert_eq!(server.operations(), ["GetCallerIdentity"]);
}

/// Hands out these credentials, one after the other, and the last for ever.
#[derive(Debug)]
struct Series {
    left: Mutex<Vec<Credentials>>,
    asked: Arc<AtomicUsize>,
}

impl ProvideCredentials for Series {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut left = self.left.lock().unwrap();
        let next = if left.len() > 1 { Some(left.remove(0)) } else { left.first().cloned() };
        future::ProvideCredentials::ready(
            next.ok_or_else(|| CredentialsError::not_loaded("nobody is signed in")),
        )
    }
}

fn series(keys: &[&str]) -> (SharedCredentialsProvider, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let left = keys.iter().map(|key| Credentials::new(*key, "secret", None, None, "test"));
    let left = Mutex::new(left.collect());
    (SharedCredentialsProvider::new(Series { left, asked: Arc::clone(&asked) }), asked)
}

#[tokio::test]
async fn expired_credentials_are_fetched_again() {
    let server = Scripted::start(vec![error(403, "ExpiredTokenException"), ok(), ok()]).await;
    let (provider, asked) = series(&["AKIDOLD", "AKIDNEW"]);
    let mut options = options(&server.url);
    options.credentials = Some(provider);
    let broker = HttpBroker::new(options).unwrap();
    // Turned away at the door, so even a write that must not be repeated is sent again.
    write(&broker, UNSAFE).await.unwrap();
    read(&broker).await.unwrap();
    let keys: Vec<bool> = server
        .arrived()
        .iter()
        .map(|request| request.header("authorization").unwrap().contains("AKIDNEW"))
        .collect();
    assert_eq!(keys, [false, true, true]);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_same_expired_credentials_are_not_tried_again() {
    let server = Scripted::start(vec![error(403, "ExpiredTokenException"), ok()]).await;
    let (provider, _) = series(&[KEY_ID]);
    let mut options = options(&server.url);
    options.credentials = Some(provider);
    let response = read(&HttpBroker::new(options).unwrap()).await.unwrap();
    assert_eq!((response.status, server.arrived().len()), (403, 1));
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let server = Scripted::start(vec![ok()]).await;
    let (provider, _) = series(&[]);
    let mut options = options(&server.url);
    options.credentials = Some(provider);
    let result = read(&HttpBroker::new(options).unwrap()).await;
    assert!(
        matches!(&result, Err(HttpError::Denied(said)) if said.contains("nobody is signed in")),
        "{result:?}"
    );
    assert!(server.arrived().is_empty());
}
