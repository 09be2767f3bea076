//! A release whose ledger is in a bucket, on a moto of the test's own.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::environment::{Output, TestEnvironment};
use crate::moto::Moto;

/// After how many milliseconds of silence a lock's holder counts as dead in these tests.
pub(crate) const SOON: &str = "1000";

/// S3 in memory.
pub(crate) struct Store {
    moto: Moto,
    buckets: AtomicU32,
}

impl Store {
    pub(crate) fn start() -> Self {
        Self { moto: Moto::start(), buckets: AtomicU32::new(0) }
    }

    pub(crate) fn url(&self) -> String {
        self.moto.url()
    }

    /// A new, empty bucket.
    fn bucket(&self) -> String {
        let name = format!("ledgers-{}", self.buckets.fetch_add(1, Ordering::SeqCst));
        self.moto.s3("PUT", &format!("/{name}"), b"");
        name
    }
}

/// A release with its ledger in a bucket of its own.
pub(crate) struct Shared<'a> {
    pub(crate) store: &'a Store,
    pub(crate) site: TestEnvironment,
    bucket: String,
}

impl<'a> Shared<'a> {
    /// Initialised, with nothing released.
    pub(crate) fn new(store: &'a Store, release: &str) -> Self {
        let shared = Self { store, site: TestEnvironment::new(), bucket: store.bucket() };
        shared.site.write("release.toml", release);
        shared.relctl("init").success();
        shared
    }

    /// A copy of everything as it is now.
    pub(crate) fn fork(&self) -> Self {
        let bucket = self.store.bucket();
        for (key, bytes) in self.objects() {
            self.store.moto.s3("PUT", &format!("/{bucket}/{key}"), &bytes);
        }
        Self { store: self.store, site: self.site.fork(), bucket }
    }

    /// `relctl` with these arguments, whose store is at `endpoint`; not yet started.
    pub(crate) fn command(&self, arguments: &str, endpoint: &str) -> Command {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let mut command = self.site.command(&arguments);
        command
            .env("RELCTL_LEDGER", format!("s3://{}/team", self.bucket))
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    pub(crate) fn relctl(&self, arguments: &str) -> Output {
        self.site.run(&mut self.command(arguments, &self.store.url()))
    }

    /// As [`Self::relctl`], taking the lock of a dead holder soon.
    pub(crate) fn impatient(&self, arguments: &str) -> Output {
        let arguments = format!("{arguments} --lock-timeout 60s");
        let mut command = self.command(&arguments, &self.store.url());
        self.site.run(command.env("RELCTL_TEST_LOCK_TTL_MS", SOON))
    }

    /// The ledger's objects.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.store.moto.objects(&self.bucket)
    }

    pub(crate) fn head(&self) -> Value {
        let objects = self.objects();
        let head = objects.iter().find(|(key, _)| key.ends_with("/HEAD")).unwrap();
        serde_json::from_slice(head.1).unwrap()
    }

    pub(crate) fn serial(&self) -> u64 {
        self.head()["serial"].as_u64().unwrap()
    }
}
