//! How one plugin instance reaches its cloud: from `[plugins.X]` of the release file.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::Value;

use super::{HttpSetupError, Retries, RetryBudget};

/// How one plugin instance reaches its cloud.
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
    /// `config.proxy`. No proxy is used that is not named here.
    pub proxy: Option<String>,
    /// `auth.plan_role`: the role to assume while planning, as an ARN.
    pub plan_role: Option<String>,
    /// `auth.apply_role`: the role to assume while applying, as an ARN.
    pub apply_role: Option<String>,
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
            proxy: None,
            plan_role: None,
            apply_role: None,
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

    /// Reads `config` and `auth` of `[plugins.X]`. What else stands in `config` is the plugin's;
    /// `auth` is the host's alone, so nothing else may stand there.
    pub fn read(
        plugin: impl Into<String>,
        budget: Arc<RetryBudget>,
        config: &Value,
        auth: &Value,
    ) -> Result<Self, HttpSetupError> {
        let mut options = Self::new(plugin, budget);
        let plugin = options.plugin.clone();
        let text =
            |section: &'static str, value: &Value, field: &'static str| match value.get(field) {
                None | Some(Value::Null) => Ok(None),
                Some(Value::String(text)) => Ok(Some(text.clone())),
                Some(_) => Err(HttpSetupError::NotText { plugin: plugin.clone(), section, field }),
            };
        for (field, slot) in [
            ("region", &mut options.region),
            ("account", &mut options.account),
            ("endpoint_url", &mut options.endpoint_url),
            ("profile", &mut options.profile),
            ("proxy", &mut options.proxy),
        ] {
            *slot = text("config", config, field)?;
        }
        for (field, slot) in
            [("plan_role", &mut options.plan_role), ("apply_role", &mut options.apply_role)]
        {
            *slot = text("auth", auth, field)?;
        }
        let mut names = auth.as_object().into_iter().flat_map(|auth| auth.keys());
        match names.find(|name| !matches!(name.as_str(), "plan_role" | "apply_role")) {
            Some(name) => Err(HttpSetupError::UnknownAuth { plugin, name: name.clone() }),
            None => Ok(options),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &Value, auth: &Value) -> Result<HttpOptions, HttpSetupError> {
        HttpOptions::read("aws-ecs", Arc::new(RetryBudget::new(1)), config, auth)
    }

    #[test]
    fn reads_what_the_release_file_says() {
        let config =
            json!({"region": "us-east-1", "account": "123456789012", "cluster": {"own": 1}});
        let auth = json!({"plan_role": "arn:aws:iam::123456789012:role/plan"});
        let options = read(&config, &auth).unwrap();
        assert_eq!(options.region.as_deref(), Some("us-east-1"));
        assert_eq!(options.account.as_deref(), Some("123456789012"));
        assert!(options.plan_role.unwrap().ends_with("role/plan"));
        assert_eq!((options.apply_role, options.profile), (None, None));
        assert!(read(&Value::Null, &Value::Null).is_ok());
    }

    #[test]
    fn says_what_is_wrong_with_it() {
        for (config, auth, expected) in [
            (
                json!({"account": 123_456_789_012_u64}),
                Value::Null,
                "plugin `aws-ecs`: `config.account` is not text; put it in quotes",
            ),
            (
                Value::Null,
                json!({"role": "x"}),
                "plugin `aws-ecs`: `auth.role` is not known; it has `plan_role` and `apply_role`",
            ),
        ] {
            assert_eq!(read(&config, &auth).unwrap_err().to_string(), expected);
        }
    }
}
