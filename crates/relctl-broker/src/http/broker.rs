//! One request of a plugin, from its bytes to its answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_types::service_config::ServiceConfigKey;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use reqwest::{Client, Proxy, StatusCode, redirect};
use tokio::sync::OnceCell;
use tracing::{Instrument, Span, debug, debug_span, field};
use url::Url;

use super::address::{Forbidden, Guarded};
use super::answer::{Meaning, error_code, meaning};
use super::credentials::{Identity, NoCredentials, Source, causes, load_settings};
use super::endpoint::{EndpointError, configured, is_region, regional};
use super::redact::{excerpt, redact};
use super::service::{Service, partition, service};
use super::sign::{Scope, SignError, add_signature};
use super::wire::{CONTENT_TYPE_FORM, Wire, verdict};
use super::HttpOptions;
use crate::{Access, CallContext, Grants, HttpError, HttpRequest, HttpResponse, HttpTransport, Phase};

/// What an answer's headers may hold in all, in bytes.
const MAX_HEADERS: usize = 64 * 1024;
/// AWS closes idle connections after some twenty seconds. One that is closed while a write goes out
/// on it makes that write's outcome unknown, so they are given up well before.
const IDLE_LIFE: Duration = Duration::from_secs(8);
/// How much of an error's text goes into a message.
const MAX_DETAIL: usize = 300;

/// The headers of an answer that plugins get.
const PASSED_ON: [HeaderName; 6] = [
    CONTENT_TYPE,
    DATE,
    HeaderName::from_static("x-amzn-errortype"),
    HeaderName::from_static("x-amzn-query-error"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amz-request-id"),
];

/// Sends one plugin instance's requests to its cloud.
pub struct HttpBroker {
    options: HttpOptions,
    client: Client,
    /// What AWS's own settings say, read once, when the first request needs it.
    settings: OnceCell<Settings>,
    plan: Arc<Source>,
    apply: Arc<Source>,
}

/// Where requests go.
struct Settings {
    sdk: SdkConfig,
    region: String,
    /// A client for the endpoints that these settings name.
    client: Client,
}

/// Settings that no broker can be made of.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    #[error("plugin `{plugin}`: region `{region}` is not one like `us-east-1`; correct its config")]
    Region { plugin: String, region: String },
    #[error("plugin `{plugin}`: account `{account}` is not twelve digits; quote it in its config")]
    Account { plugin: String, account: String },
    #[error("plugin `{plugin}`: role `{role}` is not an ARN like `arn:aws:iam::123456789012:role/ci`")]
    Role { plugin: String, role: String },
    #[error("plugin `{plugin}`: {source}")]
    Endpoint { plugin: String, source: EndpointError },
    #[error("plugin `{plugin}`: its HTTP client could not be made: {detail}; check `config.proxy`")]
    Client { plugin: String, detail: String },
}

impl HttpBroker {
    /// Checks the settings. Nothing is read or sent before the first request.
    pub fn new(options: HttpOptions) -> Result<Self, HttpSetupError> {
        let plugin = || options.plugin.clone();
        if let Some(region) = options.region.as_ref().filter(|region| !is_region(region)) {
            return Err(HttpSetupError::Region { plugin: plugin(), region: region.clone() });
        }
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        if let Some(account) = options.account.as_ref().filter(|account| !is_account(account)) {
            return Err(HttpSetupError::Account { plugin: plugin(), account: account.clone() });
        }
        let roles = [&options.plan_role, &options.apply_role];
        if let Some(role) = roles.into_iter().flatten().find(|role| !is_role(role)) {
            return Err(HttpSetupError::Role { plugin: plugin(), role: role.clone() });
        }
        let named = options.endpoint_url.iter().map(String::as_str).chain(options.proxy.as_deref());
        let client = client(&options, named)?;
        let plan = Arc::new(Source::new(options.plan_role.clone(), &options.plugin));
        // One role for both is asked who it is once.
        let apply = if options.plan_role == options.apply_role {
            Arc::clone(&plan)
        } else {
            Arc::new(Source::new(options.apply_role.clone(), &options.plugin))
        };
        Ok(Self { options, client, settings: OnceCell::new(), plan, apply })
    }
}
