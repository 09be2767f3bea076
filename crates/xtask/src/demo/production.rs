//! The production of `examples/healthflow` as its team has it: what Terraform made, on v1.0.0.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::moto::{Cloud, Moto};
use crate::workspace::Workspace;

pub(crate) const CLUSTER: &str = "healthflow-production-cluster";
pub(crate) const SERVICE: &str = "healthflow-backend-service";
pub(crate) const DATABASE: &str = "healthflow-production-db";

/// Production on a moto, and the API that answers for it.
pub(crate) struct Production {
    moto: Moto,
    /// Where the API answers.
    pub(crate) api: String,
}

impl Production {
    /// Starts it: network, database, cluster, task definition, and the service that runs it.
    pub(crate) fn start(workspace: &Workspace, moto: &Path) -> Result<Self> {
        let moto = Moto::start(moto)?;
        let production = Self { api: api(moto.cloud)?, moto };
        production.seed(workspace)?;
        Ok(production)
    }

    pub(crate) fn cloud(&self) -> Cloud {
        self.moto.cloud
    }

    /// Makes it as it was at the start.
    pub(crate) fn seed(&self, workspace: &Workspace) -> Result<()> {
        let cloud = self.cloud();
        cloud.reset()?;
        let network = cloud.network()?;
        cloud.create_database(DATABASE)?;
        cloud.ecs("CreateCluster", &json!({ "clusterName": CLUSTER }))?;
        let file = workspace.root.join("examples/healthflow/task-definition.json");
        let definition = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        cloud.ecs("RegisterTaskDefinition", &serde_json::from_str(&definition)?)?;
        cloud.ecs(
            "CreateService",
            &json!({
                "cluster": CLUSTER, "serviceName": SERVICE, "taskDefinition": "healthflow-backend:1",
                "desiredCount": 2, "launchType": "FARGATE", "networkConfiguration": network,
            }),
        )?;
        Ok(())
    }

    /// Fails unless the service runs this revision, and that this version.
    pub(crate) fn runs(&self, revision: u64, version: &str) -> Result<()> {
        let (definition, image) = running(self.cloud())?;
        ensure!(
            definition.ends_with(&format!(":{revision}"))
                && image.ends_with(&format!(":{version}")),
            "the service should run revision {revision} with {version}; it runs {definition} with \
             {image}"
        );
        Ok(())
    }
}

/// The task definition that the service runs, and the image in it.
fn running(cloud: Cloud) -> Result<(String, String)> {
    let service = json!({ "cluster": CLUSTER, "services": [SERVICE] });
    let service = cloud.ecs("DescribeServices", &service)?;
    let definition = text(&service, "/services/0/taskDefinition");
    let asked = json!({ "taskDefinition": definition });
    let answer = cloud.ecs("DescribeTaskDefinition", &asked)?;
    let image = text(&answer, "/taskDefinition/containerDefinitions/0/image");
    Ok((definition, image))
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The API of whatever version the service runs, until this process ends.
fn api(cloud: Cloud) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
    let url = format!("http://{}", listener.local_addr().context("cannot listen")?);
    std::thread::spawn(move || {
        // A client that has gone asks no more.
        listener.incoming().flatten().for_each(|stream| drop(answer(cloud, stream)));
    });
    Ok(url)
}

/// Answers `/health` and `/version`.
fn answer(cloud: Cloud, mut stream: TcpStream) -> Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let (_, image) = running(cloud)?;
    let body = match String::from_utf8_lossy(&request).split(' ').nth(1) {
        Some("/version") => json!({ "version": image.rsplit(':').next() }),
        _ => json!({ "status": "ok" }),
    };
    let body = body.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}
