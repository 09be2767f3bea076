//! The production release of `examples/healthflow`, on moto: plan, apply, plan, a new version, a
//! deregistered revision, revert.

use std::process::Command;

use relctl_test::proxy::{Proxy, ProxyRules, Reply};
use serde_json::{Value, json};

use crate::environment::{Output, TestEnvironment};
use crate::moto::{Moto, ecs, elements};

const CLUSTER: &str = "healthflow-production-cluster";
const SERVICE: &str = "healthflow-backend-service";

/// Production as a team has it, on a moto of this test's own.
pub(crate) struct Production {
    pub(crate) moto: Moto,
    /// The API of whatever version runs.
    api: Proxy,
    pub(crate) environment: TestEnvironment,
}

impl Production {
    pub(crate) fn start() -> Self {
        let moto = Moto::start();
        let port = moto.port();
        let api = ProxyRules::default()
            .answer("GET /health", |_| Reply::json(200, &json!({ "status": "ok" })))
            .answer("GET /version", move |_| Reply::json(200, &json!({ "version": runs(port).0 })))
            .before(&moto.url())
            .unwrap();
        let production = Self { moto, api, environment: TestEnvironment::new() };
        production.seed();
        production
    }

    fn seed(&self) {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/healthflow");
        for file in ["release.toml", "environments/production.toml", "task-definition.json"] {
            let text = std::fs::read_to_string(format!("{example}/{file}")).unwrap();
            self.environment.write(file, &text);
        }
        let network = crate::production::network(&self.moto);
        self.moto.rds("Action=CreateDBInstance&DBInstanceIdentifier=healthflow-production-db&DBInstanceClass=db.t3.medium&Engine=postgres&EngineVersion=15.4&AllocatedStorage=20&MasterUsername=app&MasterUserPassword=canary-of-the-test&DeletionProtection=true");
        self.moto.ecs("CreateCluster", &json!({ "clusterName": CLUSTER }));
        let definition: Value =
            serde_json::from_str(&self.environment.read("task-definition.json")).unwrap();
        self.moto.ecs("RegisterTaskDefinition", &definition);
        self.moto.ecs(
            "CreateService",
            &json!({ "cluster": CLUSTER, "serviceName": SERVICE, "taskDefinition": "healthflow-backend:1", "desiredCount": 2, "launchType": "FARGATE",
                "networkConfiguration": network }),
        );
    }

    fn relctl(&self, arguments: &str) -> Output {
        self.environment.run(&mut self.command(arguments, &self.moto.url()))
    }

    /// `relctl` with these arguments, for which AWS is at `endpoint`; not yet started.
    pub(crate) fn command(&self, arguments: &str, endpoint: &str) -> Command {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let mut command = self.environment.command(&arguments);
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("RELCTL_VAR_api_url", self.api.url())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// How many snapshots relctl took.
    pub(crate) fn snapshots(&self) -> usize {
        let snapshots = self.moto.rds("Action=DescribeDBSnapshots&SnapshotType=manual");
        elements(&snapshots, "DBSnapshotIdentifier").len()
    }

    /// How many tasks were started on their own, running or not.
    pub(crate) fn tasks(&self) -> usize {
        let count = |status: &str| {
            let tasks = json!({ "cluster": CLUSTER, "desiredStatus": status });
            self.moto.ecs("ListTasks", &tasks)["taskArns"].as_array().unwrap().len()
        };
        count("RUNNING") + count("STOPPED")
    }

    /// The image that production runs, and the number of the revision.
    pub(crate) fn runs(&self) -> (String, u64) {
        runs(self.moto.port())
    }
}

/// The image that production on this port runs, and the number of the revision.
fn runs(port: u16) -> (String, u64) {
    let services = json!({ "cluster": CLUSTER, "services": [SERVICE] });
    let services = ecs(port, "DescribeServices", &services);
    let running = json!({ "taskDefinition": services["services"][0]["taskDefinition"] });
    let definition = &ecs(port, "DescribeTaskDefinition", &running)["taskDefinition"];
    let image = definition["containerDefinitions"][0]["image"].as_str().unwrap();
    (image.rsplit(':').next().unwrap().to_owned(), definition["revision"].as_u64().unwrap())
}

#[test]
fn the_production_release_goes_out_and_comes_back() {
    let production = Production::start();
    production.relctl("init -e production").success();
    let plan = production.relctl("plan -e production").success();
    for part in
        ["made from healthflow-backend:1", "api:v1.0.0 → …/api:v1.1.0", "point of no return"]
    {
        assert!(plan.stdout.contains(part), "{part}: {plan}");
    }
    assert_eq!(production.runs(), ("v1.0.0".to_owned(), 1), "planning changes nothing");

    let applied = production.relctl("apply -e production --auto-approve").success();
    assert!(applied.to_string().contains("verification is degraded"), "{applied}");
    assert!(applied.stderr.contains("check.http.version pass"), "{applied}");
    assert_eq!(production.runs(), ("v1.1.0".to_owned(), 2));
    let again = production.relctl("plan -e production --detailed-exitcode").success();
    assert!(again.stdout.contains("no changes"), "{again}");

    production.environment.edit("release.toml", "version = \"v1.1.0\"", "version = \"v1.2.0\"");
    production.relctl("apply -e production --auto-approve").success();
    assert_eq!(production.runs(), ("v1.2.0".to_owned(), 3));

    // Another tool cleans up; going back registers the content again.
    production
        .moto
        .ecs("DeregisterTaskDefinition", &json!({ "taskDefinition": "healthflow-backend:2" }));
    production.relctl("revert -e production --auto-approve").success();
    assert_eq!(production.runs(), ("v1.1.0".to_owned(), 4));
    production.relctl("revert -e production --to start --auto-approve").success();
    assert_eq!(production.runs(), ("v1.0.0".to_owned(), 1), "the revision that Terraform made");
}

#[test]
fn a_cluster_that_is_not_there_stops_the_plan() {
    let production = Production::start();
    production.environment.edit("environments/production.toml", CLUSTER, "another-cluster");
    production.relctl("init -e production").success();
    let plan = production.relctl("plan -e production");
    assert_eq!(plan.code, Some(1), "{plan}");
    assert!(plan.stderr.contains("another-cluster"), "{plan}");
}
