//! Whose credentials a request is signed with. They stay in this crate.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::{Mutex, OnceCell};

use super::HttpOptions;
use super::redact::redact;

/// Credentials are fetched again this long before they expire.
const EXPIRY_MARGIN: Duration = Duration::from_mins(5);
/// Those that name no expiry are fetched again after this long.
const UNDATED_LIFE: Duration = Duration::from_mins(1);

/// The settings that AWS's own tools would find here: environment, profile files, and what they
/// name. What the release file says goes before.
pub(crate) async fn load_settings(options: &HttpOptions) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(provider) = &options.credentials {
        loader = loader.credentials_provider(provider.clone());
    }
    loader.load().await
}

/// Who the cloud says that a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) account: String,
    pub(crate) arn: String,
}

impl Identity {
    /// Reads the answer of `GetCallerIdentity`.
    pub(crate) fn read(answer: &str) -> Option<Self> {
        let text = |tag: &str| {
            let (_, rest) = answer.split_once(&format!("<{tag}>"))?;
            rest.split_once(&format!("</{tag}>")).map(|(text, _)| text.trim().to_owned())
        };
        Some(Self { account: text("Account")?, arn: text("Arn")? })
    }

    /// The second part of the ARN, `aws-cn`.
    pub(crate) fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or_default()
    }
}

/// Credentials of the chain, or of a role that they may assume.
#[derive(Debug)]
pub(crate) struct Source {
    role: Option<String>,
    /// How the assumed role's session is named in the cloud's own audit log.
    session: String,
    provider: OnceCell<SharedCredentialsProvider>,
    held: Mutex<Option<Held>>,
    pub(crate) identity: OnceCell<Identity>,
}

#[derive(Debug)]
struct Held {
    credentials: Credentials,
    until: SystemTime,
}

/// Why there are no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoCredentials {
    #[error(
        "no credentials were found{whose}: {detail}; set AWS_PROFILE or the AWS_* variables, or \
         sign in"
    )]
    Absent { whose: String, detail: String },
    #[error("credentials could not be fetched{whose}: {detail}; try again")]
    Failed { whose: String, detail: String },
}

impl Source {
    pub(crate) fn new(role: Option<String>, plugin: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_=,.@-".contains(c);
        let name: String = plugin.chars().filter(|c| plain(*c)).take(50).collect();
        Self {
            role,
            session: format!("relctl-{name}"),
            provider: OnceCell::new(),
            held: Mutex::new(None),
            identity: OnceCell::new(),
        }
    }

    /// Credentials that are good for a while.
    pub(crate) async fn credentials(
        &self,
        settings: &SdkConfig,
    ) -> Result<Credentials, NoCredentials> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| SystemTime::now() < held.until) {
            return Ok(held.credentials.clone());
        }
        let credentials = self.fetch(settings).await?;
        let until = match credentials.expiry() {
            Some(expiry) => expiry.checked_sub(EXPIRY_MARGIN).unwrap_or(SystemTime::UNIX_EPOCH),
            None => SystemTime::now() + UNDATED_LIFE,
        };
        *held = Some(Held { credentials: credentials.clone(), until });
        Ok(credentials)
    }

    /// Forgets these credentials, which the cloud said have expired.
    pub(crate) async fn forget(&self, stale: &Credentials) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| held.credentials == *stale) {
            *held = None;
        }
    }

    async fn fetch(&self, settings: &SdkConfig) -> Result<Credentials, NoCredentials> {
        let whose = match &self.role {
            Some(role) => format!(" for {role}"),
            None => String::new(),
        };
        let Some(chain) = settings.credentials_provider() else {
            return Err(NoCredentials::Absent { whose, detail: "the chain is empty".to_owned() });
        };
        let provider = self.provider.get_or_init(|| async {
            match &self.role {
                None => chain,
                Some(role) => SharedCredentialsProvider::new(
                    AssumeRoleProvider::builder(role)
                        .session_name(&self.session)
                        .configure(settings)
                        .build_from_provider(chain)
                        .await,
                ),
            }
        });
        provider.await.provide_credentials().await.map_err(|error| {
            let detail = redact(&causes(&error), &[]);
            match error {
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_) => {
                    NoCredentials::Absent { whose, detail }
                }
                _ => NoCredentials::Failed { whose, detail },
            }
        })
    }
}

/// An error and what caused it, in one line.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_who_the_caller_is() {
        let answer = "<GetCallerIdentityResponse><GetCallerIdentityResult>\
             <Arn>arn:aws-cn:sts::123456789012:assumed-role/ci/x</Arn><UserId>A:x</UserId>\
             <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
        let identity = Identity::read(answer).unwrap();
        assert_eq!(identity.account, "123456789012");
        assert_eq!(identity.partition(), "aws-cn");
        assert_eq!(Identity::read("<html>busy</html>"), None);
    }
}
