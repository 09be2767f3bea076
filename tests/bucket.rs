//! A bucket on an S3 of the test's own: moto.

use std::collections::BTreeMap;
use std::process::Command;

use crate::environment::{Output, TestEnvironment};
use crate::moto::Moto;

/// The bucket that is there.
pub(crate) const BUCKET: &str = "releases";

/// A moto with one bucket, stopped when it is dropped.
pub(crate) struct Bucket {
    moto: Moto,
}

impl Bucket {
    pub(crate) fn start() -> Self {
        let moto = Moto::start();
        moto.s3("PUT", &format!("/{BUCKET}"), b"");
        Self { moto }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> String {
        self.moto.url()
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
        self.moto.objects(BUCKET)
    }

    /// Puts an object there as it is.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.moto.s3("PUT", &format!("/{BUCKET}/{key}"), bytes);
    }
}
