//! The production release of `examples/healthflow`, on moto: plan, apply, plan, a new version, a
//! deregistered revision, revert.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::environment::{Output, TestEnvironment};

const CLUSTER: &str = "healthflow-production-cluster";
const SERVICE: &str = "healthflow-backend-service";

/// A moto of this test's own, with production as a team has it.
struct Production {
    server: Child,
    port: u16,
    environment: TestEnvironment,
}

impl Drop for Production {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

impl Production {
    fn start() -> Self {
        let program = std::env::var("RELCTL_TEST_MOTO").unwrap_or("moto_server".to_owned());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_ECS_SERVICE_RUNNING", "2")
            .env("MOTO_ACCOUNT_ID", "123456789012")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} does not start: {error}; install moto[server], or set RELCTL_TEST_MOTO")
            });
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_mins(1), "{program} does not listen");
            std::thread::yield_now();
        }
        let production = Self { server, port, environment: TestEnvironment::new() };
        production.seed();
        production
    }

    fn seed(&self) {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/healthflow");
        for file in ["release.toml", "environments/production.toml", "task-definition.json"] {
            let text = std::fs::read_to_string(format!("{example}/{file}")).unwrap();
            self.environment.write(file, &text);
        }
        let vpc =
            self.query("ec2", "2016-11-15", "Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId");
        // Without host names moto cannot start tasks in the network.
        let names = format!("Action=ModifyVpcAttribute&VpcId={vpc}&EnableDnsHostnames.Value=true");
        self.query("ec2", "2016-11-15", &names, "requestId");
        let subnet = format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.0.1.0/24");
        let subnet = self.query("ec2", "2016-11-15", &subnet, "subnetId");
        let group =
            format!("Action=CreateSecurityGroup&VpcId={vpc}&GroupName=b&GroupDescription=b");
        let group = self.query("ec2", "2016-11-15", &group, "groupId");
        self.query(
            "rds",
            "2014-10-31",
            "Action=CreateDBInstance&DBInstanceIdentifier=healthflow-production-db&DBInstanceClass=db.t3.medium&Engine=postgres&EngineVersion=15.4&AllocatedStorage=20&MasterUsername=app&MasterUserPassword=canary-of-the-test&DeletionProtection=true",
            "DBInstanceStatus",
        );
        self.ecs("CreateCluster", &json!({ "clusterName": CLUSTER }));
        let definition: Value =
            serde_json::from_str(&self.environment.read("task-definition.json")).unwrap();
        self.ecs("RegisterTaskDefinition", &definition);
        self.ecs(
            "CreateService",
            &json!({ "cluster": CLUSTER, "serviceName": SERVICE, "taskDefinition": "healthflow-backend:1", "desiredCount": 2, "launchType": "FARGATE",
                "networkConfiguration": { "awsvpcConfiguration": { "subnets": [subnet], "securityGroups": [group], "assignPublicIp": "DISABLED" } } }),
        );
    }

    fn relctl(&self, arguments: &str) -> Output {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let mut command = self.environment.command(&arguments);
        command
            .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        self.environment.run(&mut command)
    }

    /// Calls ECS as another tool would.
    fn ecs(&self, operation: &str, body: &Value) -> Value {
        let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
        let headers =
            format!("Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: {target}\r\n");
        serde_json::from_str(&self.post("ecs", &headers, &body.to_string())).unwrap()
    }

    /// Calls a service that speaks forms; returns the first element of this name.
    fn query(&self, service: &str, version: &str, form: &str, element: &str) -> String {
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let answer = self.post(service, headers, &format!("{form}&Version={version}"));
        let (_, rest) =
            answer.split_once(&format!("<{element}>")).unwrap_or_else(|| panic!("{answer}"));
        rest.split('<').next().unwrap().to_owned()
    }

    fn post(&self, service: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "POST / HTTP/1.0\r\nHost: {service}.us-east-1.amazonaws.com\r\nAuthorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=x\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }

    /// The image that production runs, and the number of the revision.
    fn runs(&self) -> (String, u64) {
        let services = json!({ "cluster": CLUSTER, "services": [SERVICE] });
        let services = self.ecs("DescribeServices", &services);
        let running = json!({ "taskDefinition": services["services"][0]["taskDefinition"] });
        let definition = &self.ecs("DescribeTaskDefinition", &running)["taskDefinition"];
        let image = definition["containerDefinitions"][0]["image"].as_str().unwrap();
        (image.rsplit(':').next().unwrap().to_owned(), definition["revision"].as_u64().unwrap())
    }
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
    assert_eq!(production.runs(), ("v1.1.0".to_owned(), 2));
    let again = production.relctl("plan -e production --detailed-exitcode").success();
    assert!(again.stdout.contains("no changes"), "{again}");

    production.environment.edit("release.toml", "version = \"v1.1.0\"", "version = \"v1.2.0\"");
    production.relctl("apply -e production --auto-approve").success();
    assert_eq!(production.runs(), ("v1.2.0".to_owned(), 3));

    // Another tool cleans up; going back registers the content again.
    production
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
