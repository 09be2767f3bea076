//! What AWS's own tools would find: credentials, region and endpoint of the environment, the profile
//! files, SSO, a web identity, a container or the instance.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error};
use tokio::sync::Mutex;

/// Credentials are fetched again this long before they expire.
const EXPIRY_MARGIN: Duration = Duration::from_mins(5);
/// Those that name no expiry are fetched again after this long.
const UNDATED_LIFE: Duration = Duration::from_mins(1);

/// How the error begins where nothing of the chain has credentials.
pub(crate) const NO_CREDENTIALS: &str = "no AWS credentials were found";

/// Whether the settings hold credentials themselves.
pub(crate) fn has_keys(settings: &BTreeMap<String, String>) -> bool {
    settings.contains_key("AWS_ACCESS_KEY_ID")
}

/// The settings, with the region and the endpoint that profile files or the instance name where the
/// settings name none.
pub(crate) async fn complete(settings: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut complete = settings.clone();
    let names = |wanted: &[&str]| wanted.iter().any(|name| settings.contains_key(*name));
    let region = names(&["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let endpoint = names(&["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"]);
    if region && endpoint {
        return complete;
    }
    let found = load(settings).await;
    if let Some(found) = found.region().filter(|_| !region) {
        complete.insert("AWS_REGION".to_owned(), found.to_string());
    }
    if let Some(found) = found.endpoint_url().filter(|_| !endpoint) {
        complete.insert("AWS_ENDPOINT_URL".to_owned(), found.to_owned());
    }
    complete
}

async fn load(settings: &BTreeMap<String, String>) -> SdkConfig {
    let region = RegionProviderChain::first_try(ProfileFileRegionProvider::new());
    // Who brings keys is on no instance that is worth waiting for.
    let region = if has_keys(settings) || settings.contains_key("AWS_REGION") {
        region
    } else {
        region.or_else(ImdsRegionProvider::builder().build())
    };
    aws_config::defaults(BehaviorVersion::latest()).region(region).load().await
}

/// Credentials of the chain, fetched when they are needed.
#[derive(Debug, Default)]
pub(crate) struct Chain(Mutex<Option<Held>>);

#[derive(Debug)]
struct Held {
    provider: Option<SharedCredentialsProvider>,
    credential: Arc<AwsCredential>,
    until: SystemTime,
}

#[async_trait]
impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut held = self.0.lock().await;
        let known = match held.take() {
            Some(known) if SystemTime::now() < known.until => {
                let credential = known.credential.clone();
                *held = Some(known);
                return Ok(credential);
            }
            Some(known) => known.provider,
            None => None,
        };
        let provider = match known {
            Some(provider) => Some(provider),
            None => load(&BTreeMap::new()).await.credentials_provider(),
        };
        let absent = |why: String| Error::Unauthenticated {
            path: "the credential chain".to_owned(),
            source: format!("{NO_CREDENTIALS}: {why}").into(),
        };
        let chain = provider.clone().ok_or_else(|| absent("the chain is empty".to_owned()))?;
        let found = chain.provide_credentials().await.map_err(|error| match error {
            CredentialsError::CredentialsNotLoaded(_) => absent(
                "environment, profile, SSO, web identity, container and instance were asked"
                    .to_owned(),
            ),
            error => absent(match error.source() {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            }),
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(ToOwned::to_owned),
        });
        let until = match found.expiry() {
            Some(expiry) => expiry.checked_sub(EXPIRY_MARGIN).unwrap_or(SystemTime::UNIX_EPOCH),
            None => SystemTime::now() + UNDATED_LIFE,
        };
        *held = Some(Held { provider, credential: credential.clone(), until });
        Ok(credential)
    }
}
