//! A fleet: services of several clusters, each on a task definition of its own, and databases. What
//! planning it costs is bounded by `tests/aws_calls.rs` and measured by `cargo xtask bench --aws`.
//!
//! Text and JSON alone: xtask takes this file as it is, to depend on no crate of ours.

use serde_json::{Value, json};

pub const CLUSTERS: usize = 5;
/// Of each cluster.
pub const SERVICES: usize = 10;
pub const DATABASES: usize = 10;

/// The part of a release file that declares it as it is.
pub fn objects() -> String {
    let service = |(cluster, name): (String, String)| {
        format!(
            r#"
[resource.aws_ecs_task_definition.{name}]
family = "{name}"
cpu = "256"
memory = "512"
network_mode = "awsvpc"
requires_compatibilities = ["FARGATE"]
container_definitions.api = {{ image = "registry/{name}:v1", memory = 512 }}

[resource.aws_ecs_service.{name}]
cluster = "{cluster}"
name = "{name}"
task_definition = "${{resource.aws_ecs_task_definition.{name}.arn}}"
"#
        )
    };
    let database =
        |name: String| format!("\n[resource.aws_db_instance.{name}]\nidentifier = \"{name}\"\n");
    services()
        .map(service)
        .chain(databases().map(database))
        .fold(String::new(), |all, one| all + &one)
}

/// The calls to ECS that make it, each with its body.
pub fn ecs_calls() -> Vec<(&'static str, Value)> {
    let mut calls: Vec<(&str, Value)> = (0..CLUSTERS)
        .map(|n| ("CreateCluster", json!({ "clusterName": format!("c{n}") })))
        .collect();
    for (cluster, name) in services() {
        let container =
            json!({ "name": "api", "image": format!("registry/{name}:v1"), "memory": 512 });
        calls.push((
            "RegisterTaskDefinition",
            json!({
                "family": name, "networkMode": "awsvpc", "cpu": "256", "memory": "512",
                "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [container],
            }),
        ));
        calls.push((
            "CreateService",
            json!({
                "cluster": cluster, "serviceName": name, "taskDefinition": format!("{name}:1"),
                "desiredCount": 2, "launchType": "EC2",
            }),
        ));
    }
    calls
}

/// The names of the databases.
pub fn databases() -> impl Iterator<Item = String> {
    (0..DATABASES).map(|n| format!("db{n}"))
}

/// Cluster and name of each service.
fn services() -> impl Iterator<Item = (String, String)> {
    (0..CLUSTERS * SERVICES).map(|n| (format!("c{}", n / SERVICES), format!("s{n}")))
}
