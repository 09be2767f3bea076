//! What RDS is told, in the form that it reads.

use std::fmt::Write as _;

use aws_connector::json::Object;
use relctl_sdk::Value;

/// The version of RDS's API that these names are of.
const API_VERSION: &str = "2014-10-31";

/// A field here, and RDS's parameter.
type Name = (&'static str, &'static str);

/// What creation, change and restore all take.
const COMMON: &[Name] = &[
    ("auto_minor_version_upgrade", "AutoMinorVersionUpgrade"),
    ("copy_tags_to_snapshot", "CopyTagsToSnapshot"),
    ("db_subnet_group_name", "DBSubnetGroupName"),
    ("deletion_protection", "DeletionProtection"),
    ("iam_database_authentication_enabled", "EnableIAMDatabaseAuthentication"),
    ("instance_class", "DBInstanceClass"),
    ("iops", "Iops"),
    ("license_model", "LicenseModel"),
    ("multi_az", "MultiAZ"),
    ("option_group_name", "OptionGroupName"),
    ("parameter_group_name", "DBParameterGroupName"),
    ("publicly_accessible", "PubliclyAccessible"),
    ("storage_throughput", "StorageThroughput"),
    ("storage_type", "StorageType"),
    ("vpc_security_group_ids", "VpcSecurityGroupIds.VpcSecurityGroupId"),
];

/// What creation and change take.
const SETTINGS: &[Name] = &[
    ("allocated_storage", "AllocatedStorage"),
    ("backup_retention_period", "BackupRetentionPeriod"),
    ("backup_window", "PreferredBackupWindow"),
    ("ca_cert_identifier", "CACertificateIdentifier"),
    ("engine_version", "EngineVersion"),
    ("maintenance_window", "PreferredMaintenanceWindow"),
    ("manage_master_user_password", "ManageMasterUserPassword"),
    ("max_allocated_storage", "MaxAllocatedStorage"),
    ("monitoring_interval", "MonitoringInterval"),
    ("monitoring_role_arn", "MonitoringRoleArn"),
    ("performance_insights_enabled", "EnablePerformanceInsights"),
];

/// The parameters of `CreateDBInstance`.
pub(crate) const CREATION: &[&[Name]] = &[
    COMMON,
    SETTINGS,
    &[
        ("db_name", "DBName"),
        ("enabled_cloudwatch_logs_exports", "EnableCloudwatchLogsExports.member"),
        ("engine", "Engine"),
        ("identifier", "DBInstanceIdentifier"),
        ("kms_key_id", "KmsKeyId"),
        ("port", "Port"),
        ("storage_encrypted", "StorageEncrypted"),
        ("username", "MasterUsername"),
    ],
];

/// The parameters of `ModifyDBInstance`.
pub(crate) const CHANGE: &[&[Name]] = &[COMMON, SETTINGS, &[("port", "DBPortNumber")]];

/// The parameters of `RestoreDBInstanceFromDBSnapshot`.
pub(crate) const RESTORE: &[&[Name]] = &[
    COMMON,
    &[
        ("engine", "Engine"),
        ("identifier", "DBInstanceIdentifier"),
        ("port", "Port"),
        ("snapshot_identifier", "DBSnapshotIdentifier"),
    ],
];

/// The parameters of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A list, whose items RDS counts from 1.
    pub(crate) fn list(mut self, name: &str, items: &[String]) -> Self {
        let items = items.iter().enumerate();
        self.0.extend(items.map(|(index, item)| (format!("{name}.{}", index + 1), item.clone())));
        self
    }

    /// Those fields of a document that the tables name.
    pub(crate) fn fields(mut self, document: &Object, tables: &[&[Name]]) -> Self {
        for (field, parameter) in tables.iter().flat_map(|table| table.iter()) {
            self = match document.get(*field) {
                None | Some(Value::Null) => self,
                Some(Value::Array(items)) => {
                    let items: Vec<String> =
                        items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
                    self.list(parameter, &items)
                }
                Some(Value::String(text)) => self.field(parameter, text),
                Some(other) => self.field(parameter, &other.to_string()),
            };
        }
        self
    }

    pub(crate) fn tags(mut self, tags: &Object) -> Self {
        for (index, (key, value)) in tags.iter().enumerate() {
            let at = format!("Tags.Tag.{}", index + 1);
            let value = value.as_str().unwrap_or_default();
            self = self.field(&format!("{at}.Key"), key).field(&format!("{at}.Value"), value);
        }
        self
    }

    /// The body, percent-encoded.
    pub(crate) fn encode(&self, operation: &str) -> String {
        let mut body = format!("Action={operation}&Version={API_VERSION}");
        for (name, value) in &self.0 {
            let _ = write!(body, "&{}={}", encoded(name), encoded(value));
        }
        body
    }
}

fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::map;
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_encoded_and_lists_counted() {
        let form = Form::default()
            .fields(
                &map(json!({ "multi_az": true, "iops": 3000, "vpc_security_group_ids": ["sg-1", "sg-2"], "port": null })),
                &[COMMON],
            )
            .tags(&map(json!({ "a b": "c&d=é" })));
        assert_eq!(
            form.encode("ModifyDBInstance"),
            "Action=ModifyDBInstance&Version=2014-10-31&Iops=3000&MultiAZ=true\
             &VpcSecurityGroupIds.VpcSecurityGroupId.1=sg-1&VpcSecurityGroupIds.VpcSecurityGroupId.2=sg-2\
             &Tags.Tag.1.Key=a%20b&Tags.Tag.1.Value=c%26d%3D%C3%A9"
        );
    }
}
