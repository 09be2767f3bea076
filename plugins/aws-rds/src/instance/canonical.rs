//! The one spelling of a database instance: Terraform's attribute names.

use aws_connector::documents;
use aws_connector::json::{Object, Side, drop_empty, sort, text};
use aws_sdk_rds::types::{DbInstance, PendingModifiedValues};
use relctl_sdk::{Subject, Value};
use serde_json::json;

use crate::api::tag_map;
use crate::restore::SETTINGS;

/// What only steers relctl: RDS does not have it.
pub(crate) const STEERING: &[&str] = &[
    "allow_major_version_upgrade",
    "apply_immediately",
    "final_snapshot_identifier",
    "manage_master_user_password",
    "skip_final_snapshot",
    "snapshot_identifier",
];

/// Returns what the release file declares, in the canonical spelling.
pub(crate) fn of_declared(declared: &Object) -> Object {
    let mut document = declared.clone();
    // RDS keeps identifiers in small letters.
    for name in ["identifier", "final_snapshot_identifier", "snapshot_identifier"] {
        if let Some(Value::String(identifier)) = document.get_mut(name) {
            *identifier = identifier.to_lowercase();
        }
    }
    if let Some(version) = document.get_mut("engine_version")
        && version.is_number()
    {
        *version = version.to_string().into();
    }
    canonicalise(&mut document, Side::Desired);
    document
}

fn canonicalise(document: &mut Object, side: Side) {
    sort(document, "vpc_security_group_ids");
    sort(document, "enabled_cloudwatch_logs_exports");
    for name in ["backup_window", "maintenance_window"] {
        if let Some(Value::String(window)) = document.get_mut(name) {
            *window = window.to_lowercase();
        }
    }
    drop_empty(document, side);
}

/// Returns what RDS answered, as relctl sees it for this subject.
///
/// A value that waits for the maintenance window and is the declared one counts as being there:
/// asking for it again changes nothing (facts: R2).
pub(crate) fn of_answer(instance: &DbInstance, subject: &Subject) -> Object {
    let mut document = plain(instance);
    let pending = instance.pending_modified_values().map(pending_values).unwrap_or_default();
    let desired = subject.desired.as_ref().map(|desired| &desired.value);
    for (name, value) in &pending {
        if desired.and_then(|desired| desired.get(name)) == Some(value) {
            document.insert(name.clone(), value.clone());
        }
    }
    if !pending.is_empty() {
        document.insert("pending".to_owned(), pending.into());
    }
    let version = desired.and_then(|desired| text(desired, "engine_version"));
    let same = |observed: &str| version.is_some_and(|wanted| is_version_prefix(wanted, observed));
    if text(&document, "engine_version").is_some_and(same) {
        document.insert("engine_version".to_owned(), version.unwrap_or_default().into());
    }
    documents::steer(&mut document, subject, STEERING);
    document
}

/// What a restore has to set again.
pub(crate) fn settings(instance: &DbInstance) -> Object {
    let mut settings = plain(instance);
    settings.retain(|name, _| SETTINGS.contains(&name.as_str()));
    settings
}

/// Whether a declared version, `15`, means the observed one, `15.4`.
fn is_version_prefix(wanted: &str, observed: &str) -> bool {
    observed.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn plain(instance: &DbInstance) -> Object {
    let security_groups: Vec<&str> = instance
        .vpc_security_groups()
        .iter()
        .filter_map(|group| group.vpc_security_group_id())
        .collect();
    let mut document = Object::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            document.insert(name.to_owned(), value);
        }
    };
    put("identifier", json!(instance.db_instance_identifier()));
    put("arn", json!(instance.db_instance_arn()));
    put("status", json!(instance.db_instance_status()));
    put("address", json!(instance.endpoint().and_then(|endpoint| endpoint.address())));
    put("port", json!(instance.endpoint().and_then(aws_sdk_rds::types::Endpoint::port)));
    put("engine", json!(instance.engine()));
    put("engine_version", json!(instance.engine_version()));
    put("instance_class", json!(instance.db_instance_class()));
    put("db_name", json!(instance.db_name()));
    put("username", json!(instance.master_username()));
    put("allocated_storage", json!(instance.allocated_storage()));
    put("max_allocated_storage", json!(instance.max_allocated_storage()));
    put("storage_type", json!(instance.storage_type()));
    put("iops", json!(instance.iops()));
    put("storage_throughput", json!(instance.storage_throughput()));
    put("storage_encrypted", json!(instance.storage_encrypted()));
    put("kms_key_id", json!(instance.kms_key_id()));
    put("multi_az", json!(instance.multi_az()));
    put(
        "db_subnet_group_name",
        json!(instance.db_subnet_group().and_then(|group| group.db_subnet_group_name())),
    );
    put("vpc_security_group_ids", json!(security_groups));
    put(
        "parameter_group_name",
        json!(
            instance
                .db_parameter_groups()
                .first()
                .and_then(|group| group.db_parameter_group_name())
        ),
    );
    put(
        "parameter_apply_status",
        json!(
            instance.db_parameter_groups().first().and_then(|group| group.parameter_apply_status())
        ),
    );
    put(
        "option_group_name",
        json!(
            instance.option_group_memberships().first().and_then(|group| group.option_group_name())
        ),
    );
    put("publicly_accessible", json!(instance.publicly_accessible().unwrap_or_default()));
    put("backup_retention_period", json!(instance.backup_retention_period()));
    put("backup_window", json!(instance.preferred_backup_window()));
    put("maintenance_window", json!(instance.preferred_maintenance_window()));
    put("auto_minor_version_upgrade", json!(instance.auto_minor_version_upgrade()));
    put("deletion_protection", json!(instance.deletion_protection().unwrap_or_default()));
    put("copy_tags_to_snapshot", json!(instance.copy_tags_to_snapshot().unwrap_or_default()));
    put(
        "iam_database_authentication_enabled",
        json!(instance.iam_database_authentication_enabled().unwrap_or_default()),
    );
    put(
        "performance_insights_enabled",
        json!(instance.performance_insights_enabled().unwrap_or_default()),
    );
    put("monitoring_interval", json!(instance.monitoring_interval().unwrap_or_default()));
    put("monitoring_role_arn", json!(instance.monitoring_role_arn()));
    put("license_model", json!(instance.license_model()));
    put("ca_cert_identifier", json!(instance.ca_certificate_identifier()));
    put("enabled_cloudwatch_logs_exports", json!(instance.enabled_cloudwatch_logs_exports()));
    put("tags", tag_map(instance.tag_list()).into());
    canonicalise(&mut document, Side::Observed);
    document
}

/// What waits for the maintenance window or a reboot. A password is not among it.
fn pending_values(pending: &PendingModifiedValues) -> Object {
    let mut document = Object::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            document.insert(name.to_owned(), value);
        }
    };
    put("identifier", json!(pending.db_instance_identifier()));
    put("instance_class", json!(pending.db_instance_class()));
    put("allocated_storage", json!(pending.allocated_storage()));
    put("port", json!(pending.port()));
    put("backup_retention_period", json!(pending.backup_retention_period()));
    put("multi_az", json!(pending.multi_az()));
    put("engine_version", json!(pending.engine_version()));
    put("license_model", json!(pending.license_model()));
    put("iops", json!(pending.iops()));
    put("storage_throughput", json!(pending.storage_throughput()));
    put("storage_type", json!(pending.storage_type()));
    put("ca_cert_identifier", json!(pending.ca_certificate_identifier()));
    put("db_subnet_group_name", json!(pending.db_subnet_group_name()));
    put(
        "iam_database_authentication_enabled",
        json!(pending.iam_database_authentication_enabled()),
    );
    document
}

#[cfg(test)]
mod tests {
    use aws_sdk_rds::types::{Endpoint, Tag};
    use relctl_sdk::testing::subject;

    use super::*;

    fn observed(instance: &DbInstance, desired: Value) -> Value {
        Value::Object(of_answer(instance, &subject("resource.aws_db_instance.db", desired)))
    }

    #[test]
    fn terraforms_names_and_small_letters() {
        let instance = DbInstance::builder()
            .db_instance_identifier("prod-db")
            .db_instance_status("available")
            .endpoint(Endpoint::builder().address("prod-db.example").port(5432).build())
            .engine("postgres")
            .engine_version("15.4")
            .preferred_backup_window("01:00-02:00")
            .preferred_maintenance_window("Sun:03:00-Sun:04:00")
            .tag_list(Tag::builder().key("aws:x").value("1").build())
            .tag_list(Tag::builder().key("team").value("x").build())
            .build();
        let seen = observed(
            &instance,
            json!({ "identifier": "prod-db", "engine_version": "15", "apply_immediately": true }),
        );
        for (name, value) in [
            ("identifier", json!("prod-db")),
            ("engine_version", json!("15")),
            ("maintenance_window", json!("sun:03:00-sun:04:00")),
            ("deletion_protection", json!(false)),
            ("port", json!(5432)),
            ("tags", json!({ "team": "x" })),
            ("apply_immediately", json!(true)),
        ] {
            assert_eq!(seen.get(name), Some(&value), "{name}");
        }
        let declared = of_declared(
            json!({ "identifier": "Prod-DB", "engine_version": 15 }).as_object().unwrap(),
        );
        assert_eq!(
            Value::Object(declared),
            json!({ "identifier": "prod-db", "engine_version": "15" })
        );
    }

    #[test]
    fn versions_are_told_apart_by_their_parts() {
        for (wanted, observed, same) in [
            ("15", "15.4", true),
            ("15.4", "15.4", true),
            ("15", "150.1", false),
            ("15.4", "15", false),
        ] {
            assert_eq!(is_version_prefix(wanted, observed), same, "{wanted} {observed}");
        }
    }

    #[test]
    fn what_waits_and_is_wanted_counts_as_there() {
        let instance = || {
            DbInstance::builder()
                .db_instance_identifier("db")
                .allocated_storage(20)
                .multi_az(false)
                .pending_modified_values(
                    PendingModifiedValues::builder().allocated_storage(50).multi_az(true).build(),
                )
                .build()
        };
        let seen = observed(&instance(), json!({ "identifier": "db", "allocated_storage": 50 }));
        assert_eq!(seen.get("allocated_storage"), Some(&json!(50)));
        assert_eq!(seen.get("multi_az"), Some(&json!(false)));
        assert_eq!(
            seen.get("pending"),
            Some(&json!({ "allocated_storage": 50, "multi_az": true }))
        );
    }
}
