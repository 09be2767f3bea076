//! The calls to RDS that this plugin makes, each by name, with the limits of the API.

use aws_connector::json::{Object, text};
use aws_connector::{Connector, Problem, Writes, block_on, client_config};
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbInstance, Filter, Tag};
use relctl_sdk::{Host, Replay, Value};

use crate::snapshot::{Snapshot, Source};

/// Operations that only look.
pub(crate) const READS: &[&str] = &[
    "DescribeDBClusterSnapshots",
    "DescribeDBClusters",
    "DescribeDBInstances",
    "DescribeDBSnapshots",
];

/// Operations that change something, and whether a lost reply allows sending them again. RDS has no
/// idempotency tokens: what makes something is looked for instead.
pub(crate) const WRITES: Writes = &[
    ("AddTagsToResource", Replay::Safe),
    ("CreateDBClusterSnapshot", Replay::Unsafe),
    ("CreateDBInstance", Replay::Unsafe),
    ("CreateDBSnapshot", Replay::Unsafe),
    ("DeleteDBClusterSnapshot", Replay::Safe),
    ("DeleteDBInstance", Replay::Unsafe),
    ("DeleteDBSnapshot", Replay::Safe),
    ("ModifyDBInstance", Replay::Safe),
    ("RemoveTagsFromResource", Replay::Safe),
    ("RestoreDBInstanceFromDBSnapshot", Replay::Unsafe),
];

/// IAM actions that these operations need besides their own: for encrypted databases, managed
/// passwords and enhanced monitoring.
pub(crate) const ALSO_NEEDS: &[&str] = &[
    "iam:PassRole",
    "kms:CreateGrant",
    "kms:DescribeKey",
    "kms:GenerateDataKey",
    "secretsmanager:CreateSecret",
    "secretsmanager:TagResource",
];

/// Sends a request of the SDK.
macro_rules! send {
    ($name:literal, $request:expr) => {
        block_on($request.send()).map_err(|error| {
            let is_write = WRITES.iter().any(|(name, _)| *name == $name);
            Problem::of("rds", $name, is_write, &error)
        })
    };
}

/// Sets those fields of a request that the document has, by kind of value.
macro_rules! set_fields {
    ($request:ident, $from:ident; $kind:ident: $($field:literal => $setter:ident),+ $(,)?) => {
        $(
            let $request = match $from.get($field).and_then(|value| crate::api::$kind(value)) {
                Some(value) => $request.$setter(value),
                None => $request,
            };
        )+
    };
}

pub(crate) fn as_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

pub(crate) fn as_number(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|number| i32::try_from(number).ok())
}

pub(crate) fn as_flag(value: &Value) -> Option<bool> {
    value.as_bool()
}

/// RDS, as this plugin uses it.
#[derive(Debug, Clone)]
pub(crate) struct Rds {
    client: Client,
}

impl Rds {
    pub(crate) fn new(host: &impl Host) -> Self {
        let connector = Connector::new("rds", WRITES, host.clone());
        Self { client: Client::from_conf(client_config!(aws_sdk_rds, connector)) }
    }

    /// The instances of these identifiers, all pages, without those that are not there.
    pub(crate) fn instances(&self, identifiers: &[String]) -> Result<Vec<DbInstance>, Problem> {
        let filter =
            Filter::builder().name("db-instance-id").set_values(Some(identifiers.to_vec())).build();
        let mut found = Vec::new();
        let mut marker = None;
        loop {
            let request = self
                .client
                .describe_db_instances()
                .filters(filter.clone())
                .max_records(100)
                .set_marker(marker.take());
            match send!("DescribeDBInstances", request) {
                Ok(page) => {
                    found.extend(page.db_instances().iter().cloned());
                    marker = page.marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
                }
                Err(problem) if problem.is("DBInstanceNotFound") => return Ok(found),
                Err(problem) => return Err(problem),
            }
            if marker.is_none() {
                return Ok(found);
            }
        }
    }

    pub(crate) fn instance(&self, identifier: &str) -> Result<Option<DbInstance>, Problem> {
        Ok(self.instances(&[identifier.to_owned()])?.into_iter().next())
    }

    /// Makes an instance; RDS keeps its password.
    pub(crate) fn create_instance(&self, wanted: &Object, tags: &Object) -> Result<(), Problem> {
        let request = self
            .client
            .create_db_instance()
            .set_tags(Some(sdk_tags(tags)))
            .set_vpc_security_group_ids(texts(wanted, "vpc_security_group_ids"))
            .set_enable_cloudwatch_logs_exports(texts(wanted, "enabled_cloudwatch_logs_exports"));
        set_fields!(request, wanted; as_text: "identifier" => db_instance_identifier, "instance_class" => db_instance_class,
            "engine" => engine, "engine_version" => engine_version, "db_name" => db_name, "username" => master_username,
            "db_subnet_group_name" => db_subnet_group_name, "parameter_group_name" => db_parameter_group_name,
            "option_group_name" => option_group_name, "storage_type" => storage_type, "kms_key_id" => kms_key_id,
            "backup_window" => preferred_backup_window, "maintenance_window" => preferred_maintenance_window,
            "license_model" => license_model, "ca_cert_identifier" => ca_certificate_identifier,
            "monitoring_role_arn" => monitoring_role_arn);
        set_fields!(request, wanted; as_number: "allocated_storage" => allocated_storage, "max_allocated_storage" => max_allocated_storage,
            "iops" => iops, "storage_throughput" => storage_throughput, "backup_retention_period" => backup_retention_period,
            "monitoring_interval" => monitoring_interval, "port" => port);
        set_fields!(request, wanted; as_flag: "multi_az" => multi_az, "publicly_accessible" => publicly_accessible,
            "auto_minor_version_upgrade" => auto_minor_version_upgrade, "deletion_protection" => deletion_protection,
            "copy_tags_to_snapshot" => copy_tags_to_snapshot, "storage_encrypted" => storage_encrypted,
            "iam_database_authentication_enabled" => enable_iam_database_authentication,
            "performance_insights_enabled" => enable_performance_insights,
            "manage_master_user_password" => manage_master_user_password);
        send!("CreateDBInstance", request).map(drop)
    }

    /// Makes an instance from a snapshot. Every setting that RDS would otherwise put back to its
    /// default is sent; what it does not take here is modified afterwards.
    pub(crate) fn restore_instance(&self, wanted: &Object, tags: &Object) -> Result<(), Problem> {
        let request = self
            .client
            .restore_db_instance_from_db_snapshot()
            .set_tags(Some(sdk_tags(tags)))
            .set_vpc_security_group_ids(texts(wanted, "vpc_security_group_ids"));
        set_fields!(request, wanted; as_text: "identifier" => db_instance_identifier, "snapshot_identifier" => db_snapshot_identifier,
            "instance_class" => db_instance_class, "engine" => engine, "db_subnet_group_name" => db_subnet_group_name,
            "parameter_group_name" => db_parameter_group_name, "option_group_name" => option_group_name,
            "storage_type" => storage_type, "license_model" => license_model);
        set_fields!(request, wanted; as_number: "iops" => iops, "storage_throughput" => storage_throughput, "port" => port);
        set_fields!(request, wanted; as_flag: "multi_az" => multi_az, "publicly_accessible" => publicly_accessible,
            "auto_minor_version_upgrade" => auto_minor_version_upgrade, "deletion_protection" => deletion_protection,
            "copy_tags_to_snapshot" => copy_tags_to_snapshot,
            "iam_database_authentication_enabled" => enable_iam_database_authentication);
        send!("RestoreDBInstanceFromDBSnapshot", request).map(drop)
    }

    /// Changes these fields of an instance, and no others.
    pub(crate) fn modify_instance(
        &self,
        identifier: &str,
        fields: &Object,
        immediately: bool,
        allow_major: bool,
    ) -> Result<(), Problem> {
        let request = self
            .client
            .modify_db_instance()
            .db_instance_identifier(identifier)
            .apply_immediately(immediately)
            .allow_major_version_upgrade(allow_major)
            .set_vpc_security_group_ids(texts(fields, "vpc_security_group_ids"));
        set_fields!(request, fields; as_text: "instance_class" => db_instance_class, "engine_version" => engine_version,
            "db_subnet_group_name" => db_subnet_group_name, "parameter_group_name" => db_parameter_group_name,
            "option_group_name" => option_group_name, "storage_type" => storage_type,
            "backup_window" => preferred_backup_window, "maintenance_window" => preferred_maintenance_window,
            "license_model" => license_model, "ca_cert_identifier" => ca_certificate_identifier,
            "monitoring_role_arn" => monitoring_role_arn);
        set_fields!(request, fields; as_number: "allocated_storage" => allocated_storage, "max_allocated_storage" => max_allocated_storage,
            "iops" => iops, "storage_throughput" => storage_throughput, "backup_retention_period" => backup_retention_period,
            "monitoring_interval" => monitoring_interval, "port" => db_port_number);
        set_fields!(request, fields; as_flag: "multi_az" => multi_az, "publicly_accessible" => publicly_accessible,
            "auto_minor_version_upgrade" => auto_minor_version_upgrade, "deletion_protection" => deletion_protection,
            "copy_tags_to_snapshot" => copy_tags_to_snapshot,
            "iam_database_authentication_enabled" => enable_iam_database_authentication,
            "performance_insights_enabled" => enable_performance_insights,
            "manage_master_user_password" => manage_master_user_password);
        send!("ModifyDBInstance", request).map(drop)
    }

    /// Deletes an instance; `None` skips the final snapshot.
    pub(crate) fn delete_instance(
        &self,
        identifier: &str,
        last: Option<&str>,
    ) -> Result<(), Problem> {
        let request = self.client.delete_db_instance().db_instance_identifier(identifier);
        let request = match last {
            Some(last) => request.final_db_snapshot_identifier(last),
            None => request.skip_final_snapshot(true),
        };
        send!("DeleteDBInstance", request).map(drop)
    }

    pub(crate) fn tag(&self, arn: &str, tags: &Object) -> Result<(), Problem> {
        let request =
            self.client.add_tags_to_resource().resource_name(arn).set_tags(Some(sdk_tags(tags)));
        send!("AddTagsToResource", request).map(drop)
    }

    pub(crate) fn untag(&self, arn: &str, keys: &[String]) -> Result<(), Problem> {
        let request = self
            .client
            .remove_tags_from_resource()
            .resource_name(arn)
            .set_tag_keys(Some(keys.to_vec()));
        send!("RemoveTagsFromResource", request).map(drop)
    }

    /// The status of what a snapshot is taken of; `None`: it is not there.
    pub(crate) fn status_of(&self, source: &Source) -> Result<Option<String>, Problem> {
        match source {
            Source::Instance(identifier) => {
                let found = self.instance(identifier)?;
                Ok(found.and_then(|found| found.db_instance_status().map(str::to_owned)))
            }
            Source::Cluster(identifier) => {
                let request = self.client.describe_db_clusters().db_cluster_identifier(identifier);
                match send!("DescribeDBClusters", request) {
                    Ok(answer) => Ok(answer
                        .db_clusters()
                        .first()
                        .and_then(|cluster| cluster.status().map(str::to_owned))),
                    Err(problem) if problem.is("DBClusterNotFound") => Ok(None),
                    Err(problem) => Err(problem),
                }
            }
        }
    }

    /// One snapshot by its identifier.
    pub(crate) fn snapshot(
        &self,
        source: &Source,
        identifier: &str,
    ) -> Result<Option<Snapshot>, Problem> {
        let found = match source {
            Source::Instance(_) => {
                let request =
                    self.client.describe_db_snapshots().db_snapshot_identifier(identifier);
                send!("DescribeDBSnapshots", request)
                    .map(|answer| answer.db_snapshots().first().map(Snapshot::of_instance))
            }
            Source::Cluster(_) => {
                let request = self
                    .client
                    .describe_db_cluster_snapshots()
                    .db_cluster_snapshot_identifier(identifier);
                send!("DescribeDBClusterSnapshots", request)
                    .map(|answer| answer.db_cluster_snapshots().first().map(Snapshot::of_cluster))
            }
        };
        match found {
            Err(problem)
                if problem.is("DBSnapshotNotFound") || problem.is("DBClusterSnapshotNotFound") =>
            {
                Ok(None)
            }
            found => found,
        }
    }

    /// The manual snapshots of a source, all pages.
    pub(crate) fn snapshots(&self, source: &Source) -> Result<Vec<Snapshot>, Problem> {
        let mut found = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let next = match source {
                Source::Instance(identifier) => {
                    let request = self
                        .client
                        .describe_db_snapshots()
                        .db_instance_identifier(identifier)
                        .snapshot_type("manual")
                        .set_marker(marker.take());
                    let page = send!("DescribeDBSnapshots", request)?;
                    found.extend(page.db_snapshots().iter().map(Snapshot::of_instance));
                    page.marker().map(str::to_owned)
                }
                Source::Cluster(identifier) => {
                    let request = self
                        .client
                        .describe_db_cluster_snapshots()
                        .db_cluster_identifier(identifier)
                        .snapshot_type("manual")
                        .set_marker(marker.take());
                    let page = send!("DescribeDBClusterSnapshots", request)?;
                    found.extend(page.db_cluster_snapshots().iter().map(Snapshot::of_cluster));
                    page.marker().map(str::to_owned)
                }
            };
            marker = next.filter(|marker| !marker.is_empty());
            if marker.is_none() {
                // An endpoint may answer with automated ones too.
                found.retain(|snapshot| snapshot.is_manual);
                return Ok(found);
            }
        }
    }

    pub(crate) fn create_snapshot(
        &self,
        source: &Source,
        identifier: &str,
        tags: &Object,
    ) -> Result<(), Problem> {
        match source {
            Source::Instance(instance) => {
                let request = self
                    .client
                    .create_db_snapshot()
                    .db_instance_identifier(instance)
                    .db_snapshot_identifier(identifier)
                    .set_tags(Some(sdk_tags(tags)));
                send!("CreateDBSnapshot", request).map(drop)
            }
            Source::Cluster(cluster) => {
                let request = self
                    .client
                    .create_db_cluster_snapshot()
                    .db_cluster_identifier(cluster)
                    .db_cluster_snapshot_identifier(identifier)
                    .set_tags(Some(sdk_tags(tags)));
                send!("CreateDBClusterSnapshot", request).map(drop)
            }
        }
    }

    pub(crate) fn delete_snapshot(&self, source: &Source, identifier: &str) -> Result<(), Problem> {
        match source {
            Source::Instance(_) => {
                let request = self.client.delete_db_snapshot().db_snapshot_identifier(identifier);
                send!("DeleteDBSnapshot", request).map(drop)
            }
            Source::Cluster(_) => {
                let request = self
                    .client
                    .delete_db_cluster_snapshot()
                    .db_cluster_snapshot_identifier(identifier);
                send!("DeleteDBClusterSnapshot", request).map(drop)
            }
        }
    }
}

fn texts(from: &Object, name: &str) -> Option<Vec<String>> {
    let list = from.get(name)?.as_array()?;
    Some(list.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
}

fn sdk_tags(tags: &Object) -> Vec<Tag> {
    tags.keys()
        .filter_map(|key| Some(Tag::builder().key(key).value(text(tags, key)?).build()))
        .collect()
}

/// Tags as a map, without AWS's own.
pub(crate) fn tag_map(tags: &[Tag]) -> Object {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default())))
        .filter(|(key, _)| !key.starts_with("aws:"))
        .map(|(key, value)| (key, value.into()))
        .collect()
}
