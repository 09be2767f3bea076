//! Amazon ECS for relctl: clusters, task definitions, services, and one-off tasks.
//!
//! Each kind is a module: its canonical form, what a change means, the calls that make it. This
//! file only tells them apart. `api` and `logs` hold every call to AWS, and what the plugin asks
//! for.

mod api;
mod arn;
mod carrier;
mod cluster;
mod config;
mod logs;
mod names;
mod service;
mod tags;
mod task;
mod task_definition;

use relctl_sdk::{
    Assessment, Change, Description, Diagnostic, Document, Failure, Host, Kind, Map, Operations,
    Progress, Role, Step, Subject,
};

/// The plugin.
#[derive(Debug)]
pub struct AwsEcs;

relctl_sdk::export!(AwsEcs);

impl relctl_sdk::Plugin for AwsEcs {
    fn describe() -> Description {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let writes: Vec<&str> = api::WRITES.iter().map(|(name, _)| *name).collect();
        let lookup = |name, schema| kind(name, Role::Lookup, schema, 10, &[]);
        Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kinds: vec![
                kind(
                    "aws_ecs_cluster",
                    Role::Resource,
                    include_str!("../kinds/cluster.json"),
                    100,
                    &[],
                ),
                // Each asks for one or two revisions by itself: few in a call, calls side by side.
                kind(
                    "aws_ecs_task_definition",
                    Role::Resource,
                    include_str!("../kinds/task_definition.json"),
                    5,
                    &[],
                ),
                kind(
                    "aws_ecs_service",
                    Role::Resource,
                    include_str!("../kinds/service.json"),
                    10,
                    &["cluster"],
                ),
                kind("aws_ecs_task", Role::Action, include_str!("../kinds/task.json"), 100, &[]),
                lookup("aws_ecs_cluster", include_str!("../kinds/lookup_cluster.json")),
                lookup(
                    "aws_ecs_task_definition",
                    include_str!("../kinds/lookup_task_definition.json"),
                ),
                kind(
                    "aws_ecs_service",
                    Role::Lookup,
                    include_str!("../kinds/lookup_service.json"),
                    10,
                    &["cluster"],
                ),
            ],
            files: false,
            http: vec![
                Operations {
                    service: "ecs".to_owned(),
                    read: texts(api::READS),
                    write: texts(&writes),
                    also_needs: texts(api::ALSO_NEEDS),
                },
                Operations {
                    service: "logs".to_owned(),
                    read: texts(logs::READS),
                    write: Vec::new(),
                    also_needs: Vec::new(),
                },
            ],
        }
    }

    fn validate(host: &impl Host, subject: &Subject) -> Result<Document, Vec<Diagnostic>> {
        let declared = subject.desired.clone().unwrap_or_default();
        match (subject.role(), subject.kind()) {
            (_, "aws_ecs_cluster") => cluster::validate(&declared),
            ("lookup", "aws_ecs_task_definition") => Ok(declared),
            (_, "aws_ecs_task_definition") => task_definition::validate(&declared),
            (_, "aws_ecs_service") => service::validate(host, &declared),
            (_, "aws_ecs_task") => task::validate(host, &declared),
            _ => Err(vec![aws_connector::wrong("", &not_served(subject), "check the kind's name")]),
        }
    }

    fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
        match subjects.first().map(Subject::kind) {
            Some("aws_ecs_cluster") => cluster::observe(host, subjects),
            Some("aws_ecs_task_definition") => task_definition::observe(host, subjects),
            Some("aws_ecs_service") => service::observe(host, subjects),
            Some("aws_ecs_task") => subjects.iter().map(|_| Ok(None)).collect(),
            _ => subjects.iter().map(|s| Err(Failure::Unavailable(not_served(s)))).collect(),
        }
    }

    fn assess(_host: &impl Host, change: &Change) -> Result<Assessment, Failure> {
        match change.subject.kind() {
            "aws_ecs_cluster" => Ok(cluster::assess(change)),
            "aws_ecs_task_definition" => task_definition::assess(change),
            "aws_ecs_service" => service::assess(change),
            "aws_ecs_task" => Ok(task::assess(change)),
            _ => Err(Failure::Unavailable(not_served(&change.subject))),
        }
    }

    fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
        match step.change.subject.kind() {
            "aws_ecs_cluster" => cluster::apply(host, step),
            "aws_ecs_task_definition" => task_definition::apply(host, step).map(Progress::Done),
            "aws_ecs_service" => service::apply(host, step),
            "aws_ecs_task" => task::apply(host, step),
            _ => Err(Failure::Unavailable(not_served(&step.change.subject))),
        }
    }

    fn poll(host: &impl Host, step: &Step, token: &str) -> Result<Progress, Failure> {
        match step.change.subject.kind() {
            "aws_ecs_service" => service::poll(host, step, token),
            "aws_ecs_task" => task::poll(host, step, token),
            _ => Err(Failure::Unavailable(not_served(&step.change.subject))),
        }
    }
}

fn kind(name: &str, role: Role, schema: &str, batch: u32, group_by: &[&str]) -> Kind {
    Kind {
        name: name.to_owned(),
        role,
        schema: schema.to_owned(),
        batch,
        group_by: group_by.iter().map(|field| (*field).to_owned()).collect(),
    }
}

fn not_served(subject: &Subject) -> String {
    format!("`{}` is not a kind of this plugin", subject.kind())
}
