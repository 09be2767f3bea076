//! Cloud APIs on behalf of plugins, and the HTTP check of the core.
//!
//! A plugin says which service it means and what to send. [`HttpBroker`] derives the operation from
//! the bytes (`wire`), asks phase and grants, builds its own request for the endpoint that it
//! chooses (`endpoint`, `address`), signs it (`credentials`, `sign`), and sends it again where that
//! can do no harm (`retry`). What comes back is cut to size, and to what a plugin needs.

mod address;
mod answer;
mod attempt;
mod broker;
mod check;
mod credentials;
mod endpoint;
mod redact;
mod retry;
mod service;
mod settings;
mod sign;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;

pub use broker::HttpBroker;
pub use check::{
    CheckOutcome, CheckProblem, CheckReport, HTTP_CHECK_SCHEMA, HttpCheck, check_problems,
};
pub use endpoint::EndpointError;
pub use retry::{Retries, RetryBudget};
pub use settings::HttpSetupError;

/// How one plugin instance reaches its cloud: from `[plugins.X]` of the release file.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// The plugin instance, as messages and the cloud's audit log name it.
    pub plugin: String,
    /// `config.region`. `None`: what AWS's own tools would use here.
    pub region: Option<String>,
    /// `config.account`: twelve digits. The caller's identity is compared with it before anything
    /// else is sent. `None`: whatever account the credentials belong to.
    pub account: Option<String>,
    /// `config.endpoint_url`, for all services. `None`: `AWS_ENDPOINT_URL_<SERVICE>`,
    /// `AWS_ENDPOINT_URL`, the profile's, or else the region's own endpoints.
    pub endpoint_url: Option<String>,
    /// `config.profile`. `None`: `AWS_PROFILE`, or the default one.
    pub profile: Option<String>,
    /// `auth.plan_role`: the role to assume while planning, as an ARN.
    pub plan_role: Option<String>,
    /// `auth.apply_role`: the role to assume while applying, as an ARN.
    pub apply_role: Option<String>,
    /// `config.proxy`. No proxy is used that is not named here.
    pub proxy: Option<String>,
    /// Credentials instead of those that AWS's own tools would find here.
    pub credentials: Option<SharedCredentialsProvider>,
    pub retries: Retries,
    /// Shared by all plugins of one operation.
    pub budget: Arc<RetryBudget>,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for one answer.
    pub attempt_timeout: Duration,
}

impl HttpOptions {
    /// The defaults of every limit, and nothing configured.
    pub fn new(plugin: impl Into<String>, budget: Arc<RetryBudget>) -> Self {
        Self {
            plugin: plugin.into(),
            region: None,
            account: None,
            endpoint_url: None,
            profile: None,
            plan_role: None,
            apply_role: None,
            proxy: None,
            credentials: None,
            retries: Retries {
                attempts: 6,
                base: Duration::from_millis(200),
                cap: Duration::from_secs(5),
            },
            budget,
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30),
        }
    }
}
