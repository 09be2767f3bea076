//! The calls to RDS that this plugin makes, each by name, with the limits of the API.

use aws_connector::json::Object;
use aws_connector::{Connector, Exchange, Problem, Writes, block_on, client_config};
use aws_sdk_rds::Client;
use aws_sdk_rds::types::{DbInstance, Filter, Tag};
use relctl_sdk::{Host, Replay};

use crate::form::{self, Form};
use crate::snapshot::{Database, Snapshot, Source};

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

/// Asks with a request of the SDK.
macro_rules! ask {
    ($name:literal, $request:expr) => {
        block_on($request.send()).map_err(|error| Problem::of("rds", $name, false, &error))
    };
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
            match ask!("DescribeDBInstances", request) {
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
        let found = self.instances(&[identifier.to_owned()])?;
        // An endpoint may ignore the filter.
        Ok(found.into_iter().find(|found| found.db_instance_identifier() == Some(identifier)))
    }

    /// Tells RDS something. The SDK's smallest operation lends its pipeline: the shapes of what
    /// RDS answers to a change would be half of this plugin, and are not looked at.
    fn tell(&self, operation: &'static str, form: &Form) -> Result<(), Problem> {
        let exchange = Exchange::form(form.encode(operation));
        let carrier = self.client.add_tags_to_resource().customize().interceptor(exchange);
        let told = block_on(carrier.send());
        told.map(drop).map_err(|error| Problem::of("rds", operation, true, &error))
    }

    /// Makes an instance; RDS keeps its password.
    pub(crate) fn create_instance(&self, wanted: &Object, tags: &Object) -> Result<(), Problem> {
        let form = Form::default().fields(wanted, form::CREATION).tags(tags);
        self.tell("CreateDBInstance", &form)
    }

    /// Makes an instance from a snapshot. Every setting that RDS would otherwise put back to its
    /// default is sent; what it does not take here is modified afterwards.
    pub(crate) fn restore_instance(&self, wanted: &Object, tags: &Object) -> Result<(), Problem> {
        let form = Form::default().fields(wanted, form::RESTORE).tags(tags);
        self.tell("RestoreDBInstanceFromDBSnapshot", &form)
    }

    /// Changes these fields of an instance, and no others.
    pub(crate) fn modify_instance(
        &self,
        identifier: &str,
        fields: &Object,
        immediately: bool,
        allow_major: bool,
    ) -> Result<(), Problem> {
        let form = Form::default()
            .field("DBInstanceIdentifier", identifier)
            .field("ApplyImmediately", &immediately.to_string())
            .field("AllowMajorVersionUpgrade", &allow_major.to_string())
            .fields(fields, form::CHANGE);
        self.tell("ModifyDBInstance", &form)
    }

    /// Deletes an instance; `None` skips the final snapshot.
    pub(crate) fn delete_instance(
        &self,
        identifier: &str,
        last: Option<&str>,
    ) -> Result<(), Problem> {
        let form = Form::default().field("DBInstanceIdentifier", identifier);
        let form = match last {
            Some(last) => form.field("FinalDBSnapshotIdentifier", last),
            None => form.field("SkipFinalSnapshot", "true"),
        };
        self.tell("DeleteDBInstance", &form)
    }

    pub(crate) fn tag(&self, arn: &str, tags: &Object) -> Result<(), Problem> {
        self.tell("AddTagsToResource", &Form::default().field("ResourceName", arn).tags(tags))
    }

    pub(crate) fn untag(&self, arn: &str, keys: &[String]) -> Result<(), Problem> {
        let form = Form::default().field("ResourceName", arn).list("TagKeys.member", keys);
        self.tell("RemoveTagsFromResource", &form)
    }

    /// What a snapshot is taken of, as it is now; `None`: it is not there.
    pub(crate) fn source(&self, source: &Source) -> Result<Option<Database>, Problem> {
        match source {
            Source::Instance(identifier) => {
                Ok(self.instance(identifier)?.as_ref().map(Database::of_instance))
            }
            Source::Cluster(identifier) => {
                let request = self.client.describe_db_clusters().db_cluster_identifier(identifier);
                match ask!("DescribeDBClusters", request) {
                    Ok(answer) => Ok(answer.db_clusters().first().map(Database::of_cluster)),
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
                ask!("DescribeDBSnapshots", request)
                    .map(|answer| answer.db_snapshots().first().map(Snapshot::of_instance))
            }
            Source::Cluster(_) => {
                let request = self
                    .client
                    .describe_db_cluster_snapshots()
                    .db_cluster_snapshot_identifier(identifier);
                ask!("DescribeDBClusterSnapshots", request)
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
                    let page = ask!("DescribeDBSnapshots", request)?;
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
                    let page = ask!("DescribeDBClusterSnapshots", request)?;
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
        let form = Form::default().tags(tags);
        match source {
            Source::Instance(instance) => {
                let form = form
                    .field("DBInstanceIdentifier", instance)
                    .field("DBSnapshotIdentifier", identifier);
                self.tell("CreateDBSnapshot", &form)
            }
            Source::Cluster(cluster) => {
                let form = form
                    .field("DBClusterIdentifier", cluster)
                    .field("DBClusterSnapshotIdentifier", identifier);
                self.tell("CreateDBClusterSnapshot", &form)
            }
        }
    }

    pub(crate) fn delete_snapshot(&self, source: &Source, identifier: &str) -> Result<(), Problem> {
        match source {
            Source::Instance(_) => {
                let form = Form::default().field("DBSnapshotIdentifier", identifier);
                self.tell("DeleteDBSnapshot", &form)
            }
            Source::Cluster(_) => {
                let form = Form::default().field("DBClusterSnapshotIdentifier", identifier);
                self.tell("DeleteDBClusterSnapshot", &form)
            }
        }
    }
}

/// Tags as a map, without AWS's own.
pub(crate) fn tag_map(tags: &[Tag]) -> Object {
    tags.iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default())))
        .filter(|(key, _)| !key.starts_with("aws:"))
        .map(|(key, value)| (key, value.into()))
        .collect()
}
