//! A production as a team has it, on moto behind a proxy, and a release of it.
//!
//! What moto does as AWS does, the tests let moto do. What it cannot show (failed tasks, rollouts
//! that take their time, snapshots that fail, lost replies) the proxy scripts at the HTTP level.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relctl_test::proxy::{Proxy, ProxyRules};
use serde_json::{Value, json};

use crate::environment::{Output, TestEnvironment};
use crate::moto::{ACCOUNT, Moto, elements};

pub(crate) const CLUSTER: &str = "production";
pub(crate) const DATABASE: &str = "production-db";
pub(crate) const REGISTRY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

/// The head of the release file.
pub(crate) const HEAD: &str = r#"[release]
name = "shop"
version = "v1.1.0"

[vars]
registry = "123456789012.dkr.ecr.us-east-1.amazonaws.com"

[plugins.aws-ecs]
config = { region = "us-east-1", account = "123456789012" }

[plugins.aws-rds]
config = { region = "us-east-1", account = "123456789012" }
"#;

/// What service `api` runs, with the new image.
pub(crate) const DEFINITION: &str = r#"
[resource.aws_ecs_task_definition.api]
family = "api"
from = { cluster = "production", service = "api" }
container_definitions.api.image = "${vars.registry}/api:${release.version}"
"#;

/// A snapshot of the database, before anything that depends on it runs.
pub(crate) const SNAPSHOT: &str = r#"
[action.aws_db_snapshot.before]
db_instance_identifier = "production-db"
name_prefix = "production-db-${release.version | replace('.', '-')}"
"#;

/// The migration, in the network of the service, after the snapshot.
pub(crate) const MIGRATION: &str = r#"
[lookup.aws_ecs_service.now]
cluster = "production"
name = "api"

[action.aws_ecs_task.migrate]
cluster = "production"
task_definition = "${resource.aws_ecs_task_definition.api.arn}"
container = "api"
command = ["npm", "run", "migrate:up"]
network = "${lookup.aws_ecs_service.now.network}"
launch_type = "FARGATE"
depends_on = ["action.aws_db_snapshot.before"]
"#;

/// The roll-out.
pub(crate) const SERVICE: &str = r#"
[resource.aws_ecs_service.api]
cluster = "production"
name = "api"
task_definition = "${resource.aws_ecs_task_definition.api.arn}"
"#;

/// All of it: snapshot, definition, migration, roll-out.
pub(crate) fn whole() -> String {
    let after = "depends_on = [\"action.aws_ecs_task.migrate\"]\n";
    [HEAD, SNAPSHOT, DEFINITION, MIGRATION, SERVICE, after].concat()
}

/// A definition and its roll-out alone.
pub(crate) fn roll_out() -> String {
    [HEAD, DEFINITION, SERVICE].concat()
}

/// A cluster with service `api` on revision 1 (`api:v1.0.0`), and a database.
pub(crate) struct Production {
    pub(crate) moto: Moto,
    pub(crate) proxy: Proxy,
    pub(crate) environment: TestEnvironment,
    /// `networkConfiguration` as services take it.
    network: Value,
}

impl Production {
    /// Production with this release file, initialised.
    pub(crate) fn start(release: &str) -> Self {
        Self::behind(release, ProxyRules::default())
    }

    /// The same, with what these rules do to the calls of relctl.
    pub(crate) fn behind(release: &str, rules: ProxyRules) -> Self {
        Self::on(Moto::start(), release, rules)
    }

    /// The same on a moto that was there before.
    pub(crate) fn on(moto: Moto, release: &str, rules: ProxyRules) -> Self {
        let network = network(&moto);
        let proxy = rules.before(&moto.url()).unwrap();
        let environment = TestEnvironment::new();
        let production = Self { moto, proxy, environment, network };
        production.moto.ecs("CreateCluster", &json!({ "clusterName": CLUSTER }));
        production.create_service("api");
        production.create_database(DATABASE, "15.4");
        production.environment.write("release.toml", release);
        production.relctl("init").success();
        production.proxy.clear();
        production
    }

    /// Runs relctl against the proxy.
    #[must_use = "compare it with a snapshot, or call `success` or `exits`"]
    pub(crate) fn relctl(&self, arguments: &str) -> Output {
        self.environment.run(&mut self.command(arguments, self.proxy.url()))
    }

    /// `relctl` with these arguments, for which AWS is at `endpoint`; not yet started.
    pub(crate) fn command(&self, arguments: &str, endpoint: &str) -> Command {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let mut command = self.environment.command(&arguments);
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// Runs a service by this name with a family of the same name, version `v1.0.0`.
    pub(crate) fn create_service(&self, name: &str) {
        let definition = definition(name, "v1.0.0");
        let registered = self.moto.ecs("RegisterTaskDefinition", &definition);
        let arn = &registered["taskDefinition"]["taskDefinitionArn"];
        self.moto.ecs(
            "CreateService",
            &json!({ "cluster": CLUSTER, "serviceName": name, "taskDefinition": arn, "desiredCount": 2,
                "launchType": "FARGATE", "networkConfiguration": self.network }),
        );
    }

    pub(crate) fn create_database(&self, identifier: &str, version: &str) {
        self.moto.rds(&format!(
            "Action=CreateDBInstance&DBInstanceIdentifier={identifier}&DBInstanceClass=db.t3.medium&Engine=postgres&EngineVersion={version}&AllocatedStorage=20&MasterUsername=app&MasterUserPassword=canary-of-the-test&DeletionProtection=true"
        ));
    }

    /// Goes on to another version.
    pub(crate) fn bump(&self, from: &str, to: &str) {
        let version = |version: &str| format!("version = \"{version}\"");
        self.environment.edit("release.toml", &version(from), &version(to));
    }

    /// A service as ECS shows it.
    pub(crate) fn service(&self, name: &str) -> Value {
        let body = json!({ "cluster": CLUSTER, "services": [name], "include": ["TAGS"] });
        self.moto.ecs("DescribeServices", &body)["services"][0].clone()
    }

    /// The tag of the image that a service runs, and the number of the revision.
    pub(crate) fn runs(&self, name: &str) -> (String, u64) {
        let definition = self.definition(&self.service(name)["taskDefinition"]);
        let image = definition["containerDefinitions"][0]["image"].as_str().unwrap();
        (image.rsplit(':').next().unwrap().to_owned(), definition["revision"].as_u64().unwrap())
    }

    pub(crate) fn definition(&self, which: &Value) -> Value {
        self.moto.ecs("DescribeTaskDefinition", &json!({ "taskDefinition": which }))
            ["taskDefinition"]
            .clone()
    }

    /// The names of the active revisions of a family, `api:1`.
    pub(crate) fn revisions(&self, family: &str) -> Vec<String> {
        let body = json!({ "familyPrefix": family });
        let answer = self.moto.ecs("ListTaskDefinitions", &body);
        let arns = answer["taskDefinitionArns"].as_array().unwrap().iter();
        arns.map(|arn| arn.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    }

    /// The names of the database's manual snapshots.
    pub(crate) fn snapshots(&self) -> Vec<String> {
        let answer = self.moto.rds("Action=DescribeDBSnapshots&SnapshotType=manual");
        elements(&answer, "DBSnapshotIdentifier")
    }

    /// What was called, without reads: names of operations in their order.
    pub(crate) fn writes(&self) -> Vec<String> {
        let reads = ["Describe", "List", "Get"];
        let calls = self.proxy.calls().into_iter().map(|call| call.operation);
        calls.filter(|name| !reads.iter().any(|read| name.starts_with(read))).collect()
    }
}

/// What a team registers for its service.
pub(crate) fn definition(name: &str, version: &str) -> Value {
    json!({
        "family": name, "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "512", "memory": "1024",
        "executionRoleArn": format!("arn:aws:iam::{ACCOUNT}:role/execution"),
        "containerDefinitions": [
            {
                "name": "api", "image": format!("{REGISTRY}/{name}:{version}"), "essential": true, "memory": 512,
                "portMappings": [{ "containerPort": 3000 }],
                "environment": [{ "name": "NODE_ENV", "value": "production" }],
                "secrets": [{ "name": "DATABASE_URL", "valueFrom": format!("arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:db-AbCdEf") }],
                "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "/ecs/production", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "api" } },
            },
            { "name": "proxy", "image": "envoy:1", "essential": false, "memory": 256 },
        ],
    })
}

/// `networkConfiguration` of a network that moto starts tasks in.
pub(crate) fn network(moto: &Moto) -> Value {
    let vpc = moto.ec2("Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
    // Without host names moto cannot start tasks in the network.
    let names = format!("Action=ModifyVpcAttribute&VpcId={vpc}&EnableDnsHostnames.Value=true");
    moto.ec2(&names, "requestId");
    let subnet = format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.0.1.0/24");
    let subnet = moto.ec2(&subnet, "subnetId");
    let group = format!("Action=CreateSecurityGroup&VpcId={vpc}&GroupName=b&GroupDescription=b");
    let group = moto.ec2(&group, "groupId");
    json!({ "awsvpcConfiguration": { "subnets": [subnet], "securityGroups": [group], "assignPublicIp": "DISABLED" } })
}

/// Scripts how one-off tasks end: `DescribeTasks` shows them as `task` says.
pub(crate) fn tasks_end(rules: ProxyRules, task: Value) -> ProxyRules {
    rules.rewrite("DescribeTasks", move |_, reply| {
        let end = task.clone();
        reply.edit_json(|json| {
            let shown = json["tasks"].as_array_mut().into_iter().flatten();
            for shown in shown {
                for (name, value) in end.as_object().unwrap() {
                    shown[name] = value.clone();
                }
            }
        });
    })
}

/// A deployment, as `DescribeServices` shows it.
pub(crate) fn deployment(
    id: &str,
    status: &str,
    state: &str,
    revision: u64,
    running: u64,
) -> Value {
    json!({ "id": id, "status": status, "rolloutState": state, "desiredCount": 2, "runningCount": running,
        "pendingCount": 2_u64.saturating_sub(running), "failedTasks": 0,
        "taskDefinition": format!("arn:aws:ecs:us-east-1:{ACCOUNT}:task-definition/api:{revision}") })
}

/// Scripts a rollout as AWS shows one: `UpdateService` answers with the first of these states, and
/// each look at the service after it with the next; the last one stays. A state is what differs in
/// the service, `deployments` above all.
pub(crate) fn rollout(rules: ProxyRules, states: Vec<Value>) -> ProxyRules {
    let states = Arc::new(states);
    let at: Arc<AtomicUsize> = Arc::default();
    let show = |service: &mut Value, state: &Value| {
        for (name, value) in state.as_object().unwrap() {
            service[name] = value.clone();
        }
    };
    let (began, first) = (Arc::clone(&at), Arc::clone(&states));
    let rules = rules.rewrite("UpdateService", move |_, reply| {
        began.store(1, Ordering::SeqCst);
        reply.edit_json(|json| show(&mut json["service"], &first[0]));
    });
    rules.rewrite("DescribeServices", move |_, reply| {
        let next = at.load(Ordering::SeqCst);
        if next == 0 {
            return;
        }
        let state = states.get(next).or(states.last()).unwrap();
        at.store(next + 1, Ordering::SeqCst);
        reply.edit_json(|json| show(&mut json["services"][0], state));
    })
}
