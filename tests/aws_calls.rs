//! What the plugins for AWS cost: how many calls planning makes, how many of them wait for each
//! other, and how large the plugins are.

use std::fmt::Write as _;
use std::time::Duration;

use relctl_test::proxy::{ProxyRules, rounds};
use serde_json::json;

use crate::environment::plugins;
use crate::moto::Moto;
use crate::production::{HEAD, Production};

const CLUSTERS: usize = 5;
const SERVICES: usize = 10;
const DATABASES: usize = 10;

/// 50 services of 5 clusters with 50 task definitions, and 10 databases, as they are now.
fn release() -> String {
    let mut release = HEAD.to_owned();
    for cluster in 0..CLUSTERS {
        for service in 0..SERVICES {
            let name = format!("s{cluster}-{service}");
            write!(
                release,
                r#"
[resource.aws_ecs_task_definition.{name}]
family = "{name}"
cpu = "256"
memory = "512"
network_mode = "awsvpc"
requires_compatibilities = ["FARGATE"]
container_definitions.api = {{ image = "registry/{name}:v1", memory = 512 }}

[resource.aws_ecs_service.{name}]
cluster = "c{cluster}"
name = "{name}"
task_definition = "${{resource.aws_ecs_task_definition.{name}.arn}}"
"#
            )
            .unwrap();
        }
    }
    for database in 0..DATABASES {
        write!(
            release,
            "\n[resource.aws_db_instance.db{database}]\nidentifier = \"db{database}\"\ndeletion_protection = true\n"
        )
        .unwrap();
    }
    release
}

fn seed(moto: &Moto) {
    for cluster in 0..CLUSTERS {
        moto.ecs("CreateCluster", &json!({ "clusterName": format!("c{cluster}") }));
        for service in 0..SERVICES {
            let name = format!("s{cluster}-{service}");
            let image = format!("registry/{name}:v1");
            moto.ecs(
                "RegisterTaskDefinition",
                &json!({ "family": name, "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512",
                    "containerDefinitions": [{ "name": "api", "image": image, "memory": 512 }] }),
            );
            moto.ecs(
                "CreateService",
                &json!({ "cluster": format!("c{cluster}"), "serviceName": name, "taskDefinition": format!("{name}:1"), "desiredCount": 2, "launchType": "EC2" }),
            );
        }
    }
    for database in 0..DATABASES {
        moto.rds(&format!("Action=CreateDBInstance&DBInstanceIdentifier=db{database}&DBInstanceClass=db.t3.medium&Engine=postgres&AllocatedStorage=20&MasterUsername=app&MasterUserPassword=canary-of-the-test&DeletionProtection=true"));
    }
}

#[test]
fn planning_makes_no_more_calls_than_batches_need_and_few_of_them_in_a_row() {
    let moto = Moto::start();
    seed(&moto);
    // Long beside what this machine takes, however busy it is.
    let rules = ProxyRules::default().delay(Duration::from_millis(300));
    let production = Production::on(moto, &release(), rules);
    let plan = production.relctl("plan").success();
    assert!(plan.stdout.contains("110 to adopt"), "{plan}");

    let count = |operation| production.proxy.count(operation);
    // One for each plugin; ten services of a cluster; one definition; all databases.
    assert_eq!(count("GetCallerIdentity"), 2);
    assert_eq!(count("DescribeServices"), CLUSTERS);
    assert_eq!(count("DescribeTaskDefinition"), CLUSTERS * SERVICES);
    assert_eq!(count("DescribeDBInstances"), 1);
    let calls = production.proxy.calls();
    assert_eq!(calls.len(), 2 + CLUSTERS + CLUSTERS * SERVICES + 1);
    // Whose account it is, then five definitions of one batch; all else is beside them.
    let in_a_row = rounds(&calls);
    assert!(in_a_row <= 7, "{in_a_row} calls in a row: {calls:#?}");
}

/// They hold parts of the AWS SDK, of which each operation weighs: whoever adds one sees it here.
#[test]
fn a_plugin_stays_below_two_megabytes() {
    for name in ["aws-ecs.wasm", "aws-rds.wasm"] {
        let size = plugins().join(name).metadata().unwrap().len();
        assert!(size < 2_000_000, "{name} has {size} bytes");
    }
}
