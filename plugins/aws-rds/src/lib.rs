//! Amazon RDS for relctl: database instances, and snapshots of instances and clusters.
//!
//! Each kind is a module: its canonical form, what a change means, the calls that make it. This
//! file only tells them apart. `api` holds every call to AWS, and what the plugin asks for.

mod api;
mod form;
mod instance;
mod restore;
mod snapshot;

use relctl_sdk::{
    Assessment, Change, Description, Diagnostic, Document, Failure, Host, Kind, Map, Operations,
    Progress, Role, Step, Subject,
};

/// The tag that says whose an object is: the ledger's lineage.
const LINEAGE_TAG: &str = "relctl:lineage";

/// The tag that says which run of an action made an object.
const RUN_TAG: &str = "relctl:run";

/// The tag that says which action made an object.
const STEP_TAG: &str = "relctl:step";

/// The plugin.
#[derive(Debug)]
pub struct AwsRds;

relctl_sdk::export!(AwsRds);

impl relctl_sdk::Plugin for AwsRds {
    fn describe() -> Description {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let writes: Vec<&str> = api::WRITES.iter().map(|(name, _)| *name).collect();
        Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kinds: vec![
                kind(
                    "aws_db_instance",
                    Role::Resource,
                    include_str!("../kinds/instance.json"),
                    100,
                ),
                kind("aws_db_snapshot", Role::Action, include_str!("../kinds/snapshot.json"), 100),
                kind(
                    "aws_db_cluster_snapshot",
                    Role::Action,
                    include_str!("../kinds/cluster_snapshot.json"),
                    100,
                ),
                kind(
                    "aws_db_instance",
                    Role::Lookup,
                    include_str!("../kinds/lookup_instance.json"),
                    100,
                ),
                kind(
                    "aws_db_snapshot",
                    Role::Lookup,
                    include_str!("../kinds/lookup_snapshot.json"),
                    1,
                ),
                kind(
                    "aws_db_cluster_snapshot",
                    Role::Lookup,
                    include_str!("../kinds/lookup_cluster_snapshot.json"),
                    1,
                ),
            ],
            files: false,
            http: vec![Operations {
                service: "rds".to_owned(),
                read: texts(api::READS),
                write: texts(&writes),
                also_needs: texts(api::ALSO_NEEDS),
            }],
        }
    }

    fn validate(_host: &impl Host, subject: &Subject) -> Result<Document, Vec<Diagnostic>> {
        let declared = subject.desired.clone().unwrap_or_default();
        match subject.kind() {
            "aws_db_instance" => instance::validate(&declared),
            "aws_db_snapshot" | "aws_db_cluster_snapshot" => snapshot::validate(subject, &declared),
            _ => Err(vec![aws_connector::wrong("", &not_served(subject), "check the kind's name")]),
        }
    }

    fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
        match subjects.first().map(Subject::kind) {
            Some("aws_db_instance") => instance::observe(host, subjects),
            Some("aws_db_snapshot" | "aws_db_cluster_snapshot") => {
                snapshot::observe(host, subjects)
            }
            _ => subjects.iter().map(|s| Err(Failure::Unavailable(not_served(s)))).collect(),
        }
    }

    fn assess(_host: &impl Host, change: &Change) -> Result<Assessment, Failure> {
        match change.subject.kind() {
            "aws_db_instance" => instance::assess(change),
            "aws_db_snapshot" | "aws_db_cluster_snapshot" => snapshot::assess(change),
            _ => Err(Failure::Unavailable(not_served(&change.subject))),
        }
    }

    fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
        match step.change.subject.kind() {
            "aws_db_instance" => instance::apply(host, step),
            "aws_db_snapshot" | "aws_db_cluster_snapshot" => snapshot::apply(host, step),
            _ => Err(Failure::Unavailable(not_served(&step.change.subject))),
        }
    }

    fn poll(host: &impl Host, step: &Step, token: &str) -> Result<Progress, Failure> {
        match step.change.subject.kind() {
            "aws_db_instance" => instance::poll(host, step, token),
            "aws_db_snapshot" | "aws_db_cluster_snapshot" => snapshot::poll(host, step, token),
            _ => Err(Failure::Unavailable(not_served(&step.change.subject))),
        }
    }
}

fn kind(name: &str, role: Role, schema: &str, batch: u32) -> Kind {
    Kind { name: name.to_owned(), role, schema: schema.to_owned(), batch, group_by: Vec::new() }
}

fn not_served(subject: &Subject) -> String {
    format!("`{}` is not a kind of this plugin", subject.kind())
}
