//! A moto of one's own, an AWS that lives in memory, called as another tool would call AWS.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

/// The account that it answers for.
pub(crate) const ACCOUNT: &str = "123456789012";
/// The region in which everything is made.
pub(crate) const REGION: &str = "us-east-1";

/// A running moto; ends when it is dropped.
pub(crate) struct Moto {
    server: Child,
    pub(crate) cloud: Cloud,
}

/// How a moto is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cloud {
    port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        // Where it has ended already, there is nothing left to do.
        self.server.kill().and_then(|()| self.server.wait()).ok();
    }
}

impl Moto {
    /// Starts it, with an ECS in which every service runs two tasks at once.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = free.context("cannot find a free port")?.port();
        let server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_ECS_SERVICE_RUNNING", "2")
            .env("MOTO_ACCOUNT_ID", ACCOUNT)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut moto = Self { server, cloud: Cloud { port } };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = moto.server.try_wait().context("cannot look at moto")?;
            ensure!(ended.is_none(), "moto ended at its start: {ended:?}");
            ensure!(started.elapsed() < Duration::from_mins(1), "moto does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(moto)
    }
}

impl Cloud {
    pub(crate) fn url(self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Forgets everything.
    pub(crate) fn reset(self) -> Result<()> {
        self.post("moto", "/moto-api/reset", "", "").map(drop)
    }

    /// Calls ECS.
    pub(crate) fn ecs(self, operation: &str, body: &Value) -> Result<Value> {
        let headers = format!(
            "Content-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: AmazonEC2ContainerServiceV20141113.{operation}\r\n"
        );
        let answer = self.post("ecs", "/", &headers, &body.to_string());
        let answer = answer.with_context(|| format!("cannot call ecs:{operation}"))?;
        serde_json::from_str(&answer).with_context(|| format!("ecs:{operation} answered {answer}"))
    }

    /// Calls RDS; what it answers is not looked at.
    pub(crate) fn rds(self, form: &str) -> Result<()> {
        self.form("rds", &format!("{form}&Version=2014-10-31")).map(drop)
    }

    /// Calls EC2, and returns the first element of this name.
    fn ec2(self, form: &str, element: &str) -> Result<String> {
        let answer = self.form("ec2", &format!("{form}&Version=2016-11-15"))?;
        let found = answer.split_once(&format!("<{element}>")).map(|(_, rest)| rest);
        let found = found.and_then(|rest| rest.split('<').next());
        found.map(str::to_owned).with_context(|| format!("no {element} in {answer}"))
    }

    fn form(self, service: &str, form: &str) -> Result<String> {
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        self.post(service, "/", headers, form)
            .with_context(|| format!("cannot call {service} with {form}"))
    }

    /// moto tells services apart by the signature's scope; the signature itself may be anything.
    fn post(self, service: &str, path: &str, headers: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).context("moto is gone")?;
        write!(
            stream,
            "POST {path} HTTP/1.0\r\nHost: {service}.{REGION}.amazonaws.com\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/\
             aws4_request, SignedHeaders=host, Signature=x\r\nContent-Length: {}\r\n{headers}\r\n\
             {body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            _ => bail!("moto answered {answer}"),
        }
    }

    /// A network that it can start tasks in, as services take it.
    pub(crate) fn network(self) -> Result<Value> {
        let vpc = self.ec2("Action=CreateVpc&CidrBlock=10.0.0.0/16", "vpcId")?;
        // Without host names moto cannot start tasks in the network.
        let names = format!("Action=ModifyVpcAttribute&VpcId={vpc}&EnableDnsHostnames.Value=true");
        self.ec2(&names, "requestId")?;
        let subnet = format!("Action=CreateSubnet&VpcId={vpc}&CidrBlock=10.0.1.0/24");
        let subnet = self.ec2(&subnet, "subnetId")?;
        let group =
            format!("Action=CreateSecurityGroup&VpcId={vpc}&GroupName=b&GroupDescription=b");
        let group = self.ec2(&group, "groupId")?;
        Ok(json!({ "awsvpcConfiguration": {
            "subnets": [subnet], "securityGroups": [group], "assignPublicIp": "DISABLED",
        } }))
    }

    /// A database that nobody may delete.
    pub(crate) fn create_database(self, identifier: &str) -> Result<()> {
        self.rds(&format!(
            "Action=CreateDBInstance&DBInstanceIdentifier={identifier}\
             &DBInstanceClass=db.t3.medium&Engine=postgres&EngineVersion=15.4&AllocatedStorage=20\
             &MasterUsername=app&MasterUserPassword=not-a-secret-of-anyone&DeletionProtection=true"
        ))
    }
}
