//! Snapshots of instances and of clusters, which RDS tells apart by name only.

use aws_connector::json::Object;
use aws_sdk_rds::primitives::DateTime;
use aws_sdk_rds::types::{DbCluster, DbClusterSnapshot, DbInstance, DbSnapshot};
use relctl_sdk::{Document, Map, Value};
use serde_json::json;

use crate::api::tag_map;
use crate::instance;
use crate::restore::Restore;

/// What a snapshot is taken of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Instance(String),
    Cluster(String),
}

impl Source {
    pub(crate) fn identifier(&self) -> &str {
        match self {
            Self::Instance(identifier) | Self::Cluster(identifier) => identifier,
        }
    }
}

/// A database of which a snapshot is taken, as it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Database {
    pub(crate) status: String,
    /// What a restore has to set again.
    settings: Object,
    traits: Traits,
}

/// What a snapshot has in common with the database that it is of, as far as RDS says it.
type Traits = [(&'static str, Value); 5];

impl Database {
    pub(crate) fn of_instance(instance: &DbInstance) -> Self {
        let traits = [
            ("resource id", json!(instance.dbi_resource_id())),
            ("engine", json!(instance.engine())),
            ("engine version", json!(instance.engine_version())),
            ("encryption", json!(instance.storage_encrypted())),
            ("size in GiB", json!(instance.allocated_storage())),
        ];
        let status = owned(instance.db_instance_status());
        Self { status, settings: instance::settings(instance), traits }
    }

    pub(crate) fn of_cluster(cluster: &DbCluster) -> Self {
        let groups = cluster.vpc_security_groups().iter();
        let groups: Vec<&str> = groups.filter_map(|g| g.vpc_security_group_id()).collect();
        let settings = [
            ("engine", json!(cluster.engine())),
            ("engine_version", json!(cluster.engine_version())),
            ("db_subnet_group_name", json!(cluster.db_subnet_group())),
            ("vpc_security_group_ids", json!(groups)),
            ("parameter_group_name", json!(cluster.db_cluster_parameter_group())),
            ("deletion_protection", json!(cluster.deletion_protection().unwrap_or_default())),
            ("port", json!(cluster.port())),
        ];
        let settings = settings.into_iter().filter(|(_, value)| !value.is_null());
        Self {
            status: owned(cluster.status()),
            settings: settings.map(|(name, value)| (name.to_owned(), value)).collect(),
            traits: [
                ("resource id", json!(cluster.db_cluster_resource_id())),
                ("engine", json!(cluster.engine())),
                ("engine version", json!(cluster.engine_version())),
                ("encryption", json!(cluster.storage_encrypted())),
                // The storage of a cluster grows by itself.
                ("size in GiB", Value::Null),
            ],
        }
    }

    /// How to restore the source from a snapshot of it, as it is now.
    pub(crate) fn procedure(&self, source: &Source, snapshot: &str) -> Value {
        let restore = Restore {
            name: source.identifier(),
            snapshot: Some(snapshot),
            was: &self.settings,
            is_cluster: matches!(source, Source::Cluster(_)),
        };
        json!(restore.procedure())
    }
}

/// How a kind names its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    pub(crate) source: &'static str,
    pub(crate) identifier: &'static str,
    arn: &'static str,
    of_cluster: bool,
}

impl Names {
    pub(crate) fn of_kind(kind: &str) -> Self {
        if kind == "aws_db_cluster_snapshot" {
            Self {
                source: "db_cluster_identifier",
                identifier: "db_cluster_snapshot_identifier",
                arn: "db_cluster_snapshot_arn",
                of_cluster: true,
            }
        } else {
            Self {
                source: "db_instance_identifier",
                identifier: "db_snapshot_identifier",
                arn: "db_snapshot_arn",
                of_cluster: false,
            }
        }
    }

    pub(crate) fn source_of(&self, identifier: &str) -> Source {
        let identifier = identifier.to_owned();
        if self.of_cluster { Source::Cluster(identifier) } else { Source::Instance(identifier) }
    }
}

/// A snapshot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) identifier: String,
    arn: String,
    pub(crate) source: String,
    pub(crate) status: String,
    pub(crate) percent: i32,
    /// Milliseconds since 1970; `None` while it is being taken.
    pub(crate) created_ms: Option<i64>,
    engine: String,
    engine_version: String,
    encrypted: bool,
    pub(crate) is_manual: bool,
    pub(crate) tags: Object,
    traits: Traits,
}

impl Snapshot {
    pub(crate) fn of_instance(snapshot: &DbSnapshot) -> Self {
        Self {
            identifier: owned(snapshot.db_snapshot_identifier()),
            arn: owned(snapshot.db_snapshot_arn()),
            source: owned(snapshot.db_instance_identifier()),
            status: owned(snapshot.status()),
            percent: snapshot.percent_progress().unwrap_or_default(),
            created_ms: milliseconds(snapshot.snapshot_create_time()),
            engine: owned(snapshot.engine()),
            engine_version: owned(snapshot.engine_version()),
            encrypted: snapshot.encrypted().unwrap_or_default(),
            is_manual: snapshot.snapshot_type().is_none_or(|kind| kind == "manual"),
            tags: tag_map(snapshot.tag_list()),
            traits: [
                ("resource id", json!(snapshot.dbi_resource_id())),
                ("engine", json!(snapshot.engine())),
                ("engine version", json!(snapshot.engine_version())),
                ("encryption", json!(snapshot.encrypted())),
                ("size in GiB", json!(snapshot.allocated_storage())),
            ],
        }
    }

    pub(crate) fn of_cluster(snapshot: &DbClusterSnapshot) -> Self {
        Self {
            identifier: owned(snapshot.db_cluster_snapshot_identifier()),
            arn: owned(snapshot.db_cluster_snapshot_arn()),
            source: owned(snapshot.db_cluster_identifier()),
            status: owned(snapshot.status()),
            percent: snapshot.percent_progress().unwrap_or_default(),
            created_ms: milliseconds(snapshot.snapshot_create_time()),
            engine: owned(snapshot.engine()),
            engine_version: owned(snapshot.engine_version()),
            encrypted: snapshot.storage_encrypted().unwrap_or_default(),
            is_manual: snapshot.snapshot_type().is_none_or(|kind| kind == "manual"),
            tags: tag_map(snapshot.tag_list()),
            traits: [
                ("resource id", json!(snapshot.db_cluster_resource_id())),
                ("engine", json!(snapshot.engine())),
                ("engine version", json!(snapshot.engine_version())),
                ("encryption", json!(snapshot.storage_encrypted())),
                ("size in GiB", Value::Null),
            ],
        }
    }

    pub(crate) fn is_available(&self) -> bool {
        self.status == "available"
    }

    /// In what it differs from the database that it should be of.
    pub(crate) fn mismatch(&self, database: &Database) -> Option<String> {
        let both = self.traits.iter().zip(&database.traits);
        let mut said = both.filter(|((_, own), (_, its))| !own.is_null() && !its.is_null());
        said.find(|((_, own), (_, its))| own != its)
            .map(|((name, own), (_, its))| format!("its {name} is {own}, the database's {its}"))
    }

    /// The snapshot as relctl shows it.
    pub(crate) fn document(&self, names: &Names) -> Map {
        let created = self.created_ms.map(DateTime::from_millis);
        let created = created
            .and_then(|time| time.fmt(aws_sdk_rds::primitives::DateTimeFormat::DateTime).ok());
        let mut document = Document::default();
        document.set(names.identifier, self.identifier.clone());
        document.set(names.source, self.source.clone());
        document.set(names.arn, self.arn.clone());
        document.set("engine", self.engine.clone());
        document.set("engine_version", self.engine_version.clone());
        document.set("encrypted", self.encrypted);
        if let Some(created) = created {
            document.set("snapshot_create_time", json!(created));
        }
        document.value
    }
}

fn owned(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn milliseconds(time: Option<&DateTime>) -> Option<i64> {
    time.and_then(|time| time.to_millis().ok())
}
