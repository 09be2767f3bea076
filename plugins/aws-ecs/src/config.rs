//! The plugin's `config`: where its objects live.

use aws_connector::wrong;
use relctl_sdk::{Diagnostic, Host, Value};

use crate::arn;

/// `config = { region = "…", account = "…" }`. The host signs for them and checks them; the plugin
/// only spells names with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Home {
    region: Option<String>,
    account: Option<String>,
}

impl Home {
    /// Reads the plugin's `config`.
    pub(crate) fn of(host: &impl Host) -> Result<Self, Diagnostic> {
        let config: Value = serde_json::from_str(&host.config_json()).map_err(|error| {
            wrong("", &format!("the plugin's `config` is not JSON: {error}"), "write a table")
        })?;
        let field = |name: &str| config.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok(Self { region: field("region"), account: field("account") })
    }

    pub(crate) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    pub(crate) fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// What every ECS ARN here begins with, where account and region are known.
    pub(crate) fn arn_prefix(&self) -> Option<String> {
        let (region, account) = (self.region()?, self.account()?);
        Some(format!("arn:{}:ecs:{region}:{account}:", arn::partition_of(region)))
    }
}
