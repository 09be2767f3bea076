//! Where one plugin instance's requests go: its config, then what AWS's own settings say.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use reqwest::{Client, Proxy, redirect};
use url::Url;

use super::HttpOptions;
use super::address::Guarded;
use super::credentials::{causes, load_settings};
use super::endpoint::{EndpointError, configured, is_region, regional};
use super::redact::redact;
use super::service::{SERVICES, Service};

/// AWS closes idle connections after some twenty seconds. One that is closed while a write goes out
/// on it makes that write's outcome unknown, so they are given up well before.
const IDLE_LIFE: std::time::Duration = std::time::Duration::from_secs(8);

/// Settings that no request can be sent with.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    #[error("plugin `{plugin}`: `{section}.{field}` is not text; put it in quotes")]
    NotText { plugin: String, section: &'static str, field: &'static str },
    #[error("plugin `{plugin}`: `auth.{name}` is not known; it has `plan_role` and `apply_role`")]
    UnknownAuth { plugin: String, name: String },
    #[error("plugin `{plugin}`: region `{region}` is not one like `us-east-1`; correct its config")]
    Region { plugin: String, region: String },
    #[error(
        "plugin `{plugin}`: no region is configured; set `config.region` in the release file, or \
         AWS_REGION"
    )]
    NoRegion { plugin: String },
    #[error("plugin `{plugin}`: account `{account}` is not twelve digits; correct its config")]
    Account { plugin: String, account: String },
    #[error(
        "plugin `{plugin}`: role `{role}` is not an ARN like `arn:aws:iam::123456789012:role/ci`; \
         correct its auth"
    )]
    Role { plugin: String, role: String },
    #[error("plugin `{plugin}`: {problem}")]
    Endpoint { plugin: String, problem: EndpointError },
    #[error("plugin `{plugin}`: no HTTP client could be made: {detail}; check `config.proxy`")]
    Client { plugin: String, detail: String },
}

/// Finds what is wrong with the options, without asking anything outside.
pub(crate) fn check(options: &HttpOptions) -> Result<(), HttpSetupError> {
    let plugin = || options.plugin.clone();
    if let Some(region) = options.region.as_ref().filter(|region| !is_region(region)) {
        return Err(HttpSetupError::Region { plugin: plugin(), region: region.clone() });
    }
    let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(account) = options.account.as_ref().filter(|account| !is_account(account)) {
        return Err(HttpSetupError::Account { plugin: plugin(), account: account.clone() });
    }
    let is_role = |text: &str| text.starts_with("arn:") && text.contains(":role/");
    let mut roles = [&options.plan_role, &options.apply_role].into_iter().flatten();
    if let Some(role) = roles.find(|role| !is_role(role)) {
        return Err(HttpSetupError::Role { plugin: plugin(), role: role.clone() });
    }
    for url in [&options.endpoint_url, &options.proxy].into_iter().flatten() {
        configured(url)
            .map_err(|problem| HttpSetupError::Endpoint { plugin: plugin(), problem })?;
    }
    Ok(())
}

/// Everything that a request needs, besides credentials.
pub(crate) struct Settings {
    pub(crate) sdk: SdkConfig,
    pub(crate) region: String,
    pub(crate) client: Client,
    endpoints: BTreeMap<&'static str, Url>,
}

impl Settings {
    /// Reads AWS's own settings, and puts those of the release file before them.
    pub(crate) async fn load(options: &HttpOptions) -> Result<Self, HttpSetupError> {
        let plugin = || options.plugin.clone();
        let sdk = load_settings(options).await;
        let region = sdk
            .region()
            .map(ToString::to_string)
            .ok_or_else(|| HttpSetupError::NoRegion { plugin: plugin() })?;
        if !is_region(&region) {
            return Err(HttpSetupError::Region { plugin: plugin(), region });
        }
        let mut endpoints = BTreeMap::new();
        let mut named: BTreeSet<String> = BTreeSet::new();
        for service in SERVICES {
            let setting = options.endpoint_url.clone().or_else(|| endpoint_setting(&sdk, service));
            let url = match &setting {
                Some(text) => configured(text),
                None => regional(service, &region),
            }
            .map_err(|problem| HttpSetupError::Endpoint { plugin: plugin(), problem })?;
            if setting.is_some() {
                named.extend(url.host_str().map(str::to_owned));
            }
            endpoints.insert(service.name, url);
        }
        let client = client(options, named).map_err(|error| HttpSetupError::Client {
            plugin: plugin(),
            detail: redact(&causes(&error), &[]),
        })?;
        Ok(Self { sdk, region, client, endpoints })
    }

    /// Where a service's requests go.
    pub(crate) fn endpoint(&self, service: &Service) -> Option<&Url> {
        self.endpoints.get(service.name)
    }
}

/// What environment or profile say about a service's endpoint.
fn endpoint_setting(sdk: &SdkConfig, service: &Service) -> Option<String> {
    let key = ServiceConfigKey::builder()
        .service_id(service.id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .ok()?;
    let own = sdk.service_config().and_then(|settings| settings.load_config(key));
    own.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

/// A client that follows no redirect, uses no proxy that was not named, sends nothing twice by
/// itself, and dials only addresses that were judged.
fn client(options: &HttpOptions, mut named: BTreeSet<String>) -> Result<Client, reqwest::Error> {
    let mut builder = Client::builder()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(IDLE_LIFE);
    if let Some(proxy) = &options.proxy {
        named.extend(Url::parse(proxy).ok().and_then(|url| url.host_str().map(str::to_owned)));
        builder = builder.proxy(Proxy::all(proxy)?);
    }
    builder.dns_resolver(Guarded { named }).build()
}
