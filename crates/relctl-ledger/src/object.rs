//! The remote backend: S3 and what is like it, Google Cloud Storage, Azure Blob Storage.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig,
    UpdateVersion,
};
use relctl_engine::LedgerError;

use crate::aws;
use crate::backend::{Append, Backend, Guard, Object, Put, Version};
use crate::error::{damaged, io, refused};
use crate::location::{Location, Scheme};
use crate::reason::{failed, is_no_bucket};

/// The largest object that is read into memory.
const MAX_OBJECT: u64 = 512 << 20;

/// One release's ledger in one environment, in an object store.
#[derive(Debug, Clone)]
pub struct ObjectBackend {
    store: Arc<dyn ObjectStore>,
    /// For messages: the ledger's URL.
    url: String,
    prefix: Path,
}

impl ObjectBackend {
    /// The ledger in `folder` below a remote root. Nothing is asked of the store yet.
    pub fn new(
        root: &Location,
        folder: &str,
        settings: &BTreeMap<String, String>,
    ) -> Result<Self, LedgerError> {
        let Location::Url { scheme, bucket, prefix } = root else {
            return Err(refused(format!("`{root}` is a folder"), "open it as one"));
        };
        let url = format!("{root}/{folder}");
        let unusable = |e: Error| {
            let why = match &e {
                Error::Generic { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            let hint = match scheme {
                Scheme::S3 => "check the variables AWS_*",
                Scheme::Gcs => {
                    "set GOOGLE_APPLICATION_CREDENTIALS, or check the variables GOOGLE_*"
                }
                Scheme::Azure => {
                    "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or check the \
                     variables AZURE_*"
                }
                Scheme::Memory => "choose another name",
            };
            refused(format!("`{url}` cannot be reached with these settings: {why}"), hint)
        };
        let store: Arc<dyn ObjectStore> = match scheme {
            Scheme::S3 => {
                let mut builder = AmazonS3Builder::new()
                    .with_bucket_name(bucket)
                    .with_retry(retry())
                    .with_client_options(client(settings));
                for (key, value) in known::<AmazonS3ConfigKey>(settings) {
                    builder = builder.with_config(key, value);
                }
                if !aws::has_keys(settings) {
                    builder = builder.with_credentials(Arc::new(aws::Chain::default()));
                }
                Arc::new(builder.build().map_err(unusable)?)
            }
            Scheme::Gcs => {
                let mut builder = GoogleCloudStorageBuilder::new()
                    .with_bucket_name(bucket)
                    .with_retry(retry())
                    .with_client_options(client(settings));
                for (key, value) in known::<GoogleConfigKey>(settings) {
                    builder = builder.with_config(key, value);
                }
                Arc::new(builder.build().map_err(unusable)?)
            }
            Scheme::Azure => {
                let mut builder = MicrosoftAzureBuilder::new()
                    .with_container_name(bucket)
                    .with_retry(retry())
                    .with_client_options(client(settings));
                for (key, value) in known::<AzureConfigKey>(settings) {
                    builder = builder.with_config(key, value);
                }
                Arc::new(builder.build().map_err(unusable)?)
            }
            Scheme::Memory => memory(bucket),
        };
        let prefix = Path::parse(format!("{prefix}/{folder}").trim_matches('/'))
            .map_err(|e| unusable(e.into()))?;
        Ok(Self { store, url, prefix })
    }

    /// The names of the folders below a folder.
    pub(crate) async fn folders(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let below = self.path(folder)?;
        let found = self
            .store
            .list_with_delimiter(Some(&below))
            .await
            .map_err(|e| failed("list", &self.locate(folder), &e))?;
        let names = found.common_prefixes.iter().filter_map(|path| path.filename());
        Ok(names.map(ToOwned::to_owned).collect())
    }

    fn path(&self, path: &str) -> Result<Path, LedgerError> {
        Path::parse(format!("{}/{path}", self.prefix).trim_matches('/'))
            .map_err(|e| io("name", &self.locate(path), e))
    }

    async fn put(&self, path: &str, bytes: &[u8], mode: PutMode) -> Result<Put, LedgerError> {
        let payload = PutPayload::from(bytes.to_vec());
        let failed = |e: &Error| failed("write", &self.locate(path), e);
        match self.store.put_opts(&self.path(path)?, payload, mode.into()).await {
            Ok(done) => Ok(Put::Done(Version { e_tag: done.e_tag, version: done.version })),
            Err(e) if is_no_bucket(&e) => Err(failed(&e)),
            Err(
                Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotFound { .. },
            ) => Ok(Put::Refused),
            Err(
                e @ (Error::NotImplemented { .. }
                | Error::NotSupported { .. }
                | Error::PermissionDenied { .. }
                | Error::Unauthenticated { .. }),
            ) => Err(failed(&e)),
            Err(e) => Ok(Put::Unsure(failed(&e))),
        }
    }
}

#[async_trait]
impl Backend for ObjectBackend {
    fn locate(&self, path: &str) -> String {
        format!("{}/{path}", self.url).trim_end_matches('/').to_owned()
    }

    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError> {
        let failed = |e: &Error| failed("read", &self.locate(path), e);
        let result = match self.store.get(&self.path(path)?).await {
            Ok(result) => result,
            Err(e) if is_no_bucket(&e) => return Err(failed(&e)),
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(e) => return Err(failed(&e)),
        };
        if result.meta.size > MAX_OBJECT {
            let why = format!("it has {} bytes, more than {MAX_OBJECT}", result.meta.size);
            return Err(damaged(&self.locate(path), why));
        }
        let version =
            Version { e_tag: result.meta.e_tag.clone(), version: result.meta.version.clone() };
        let bytes = result.bytes().await.map_err(|e| failed(&e))?.to_vec();
        Ok(Some(Object { bytes, version }))
    }

    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError> {
        self.put(path, bytes, PutMode::Create).await
    }

    async fn put_if_match(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Version,
    ) -> Result<Put, LedgerError> {
        let Version { e_tag, version } = expected.clone();
        self.put(path, bytes, PutMode::Update(UpdateVersion { e_tag, version })).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let below = self.path(folder)?;
        let start = format!("{}/", self.prefix);
        let mut found: Vec<String> = self
            .store
            .list(Some(&below))
            .try_filter_map(|meta| {
                let path = meta.location.as_ref().strip_prefix(&start).map(ToOwned::to_owned);
                futures::future::ready(Ok(path))
            })
            .try_collect()
            .await
            .map_err(|e| failed("list", &self.locate(folder), &e))?;
        found.sort();
        Ok(found)
    }

    fn can_append(&self) -> bool {
        false
    }

    async fn appender(&self, path: &str, _keep: u64) -> Result<Box<dyn Append>, LedgerError> {
        Err(io("append to", &self.locate(path), "objects do not grow in an object store"))
    }

    async fn guard(&self, _path: &str) -> Result<Guard, LedgerError> {
        Ok(Guard::Unsupported)
    }
}

/// The settings that mean something to one cloud.
fn known<K: FromStr>(settings: &BTreeMap<String, String>) -> impl Iterator<Item = (K, &String)> {
    settings.iter().filter_map(|(name, value)| Some((name.to_lowercase().parse().ok()?, value)))
}

/// Few tries: whoever asks has a lock to keep, and knows how to go on.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() }
}

fn client(settings: &BTreeMap<String, String>) -> ClientOptions {
    // Who writes an endpoint without TLS wants it: a test service, a store on the own machine.
    let allow_http = settings
        .iter()
        .any(|(name, value)| name.contains("ENDPOINT") && value.starts_with("http://"));
    ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(20))
        .with_allow_http(allow_http)
}

/// Stores of this process, by name.
fn memory(name: &str) -> Arc<dyn ObjectStore> {
    static STORES: LazyLock<Mutex<BTreeMap<String, Arc<InMemory>>>> = LazyLock::new(Mutex::default);
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.entry(name.to_owned()).or_default().clone()
}
