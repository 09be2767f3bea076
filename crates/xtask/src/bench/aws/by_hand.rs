//! The same work with the `aws` CLI.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::bench::measure::{Sample, measured};
use crate::demo::{CLUSTER, DATABASE, SERVICE};
use crate::moto::{Cloud, REGION};
use crate::shell;

/// The runbook's steps as a person types them. Waiting is one look: what it would take besides is
/// the cloud's time, not the tool's.
pub(super) struct ByHand {
    pub(super) aws: PathBuf,
    pub(super) cloud: Cloud,
}

impl ByHand {
    pub(super) fn steps(&self, folder: &Path) -> Result<Vec<Sample>> {
        let definition = folder.join("task-definition.json");
        let definition = format!("file://{}", definition.display());
        let network = self
            .cloud
            .ecs("DescribeServices", &json!({ "cluster": CLUSTER, "services": [SERVICE] }))?;
        let network = network.pointer("/services/0/networkConfiguration").cloned();
        let network = network.context("the service has no network")?.to_string();
        let snapshot = format!("{DATABASE}-v1-1-0");
        let overrides = json!({ "containerOverrides": [
            { "name": "api", "command": ["npm", "run", "migrate:up"] },
        ] });
        let overrides = overrides.to_string();
        let steps: [&[&str]; 9] = [
            &["rds", "describe-db-instances", "--db-instance-identifier", DATABASE],
            &["ecs", "describe-clusters", "--clusters", CLUSTER],
            &[
                "rds",
                "create-db-snapshot",
                "--db-instance-identifier",
                DATABASE,
                "--db-snapshot-identifier",
                &snapshot,
            ],
            &["rds", "describe-db-snapshots", "--db-snapshot-identifier", &snapshot],
            &["ecs", "register-task-definition", "--cli-input-json", &definition],
            &[
                "ecs",
                "run-task",
                "--cluster",
                CLUSTER,
                "--task-definition",
                "healthflow-backend:2",
                "--launch-type",
                "FARGATE",
                "--network-configuration",
                &network,
                "--overrides",
                &overrides,
            ],
            &["ecs", "list-tasks", "--cluster", CLUSTER],
            &[
                "ecs",
                "update-service",
                "--cluster",
                CLUSTER,
                "--service",
                SERVICE,
                "--task-definition",
                "healthflow-backend:2",
            ],
            &["ecs", "describe-services", "--cluster", CLUSTER, "--services", SERVICE],
        ];
        steps
            .iter()
            .map(|words| {
                eprintln!("aws  {}", words.get(..2).unwrap_or_default().join(" "));
                let mut command = Command::new(&self.aws);
                command
                    .args(*words)
                    .args(["--region", REGION, "--endpoint-url", &self.cloud.url()])
                    .env("AWS_ACCESS_KEY_ID", "test")
                    .env("AWS_SECRET_ACCESS_KEY", "test")
                    .env("AWS_PAGER", "");
                measured(&mut command, 0)
            })
            .collect()
    }

    /// For example `aws-cli/2.15.0`.
    pub(super) fn version(&self) -> Result<String> {
        let text = shell::read(Command::new(&self.aws).arg("--version"))?;
        Ok(text.split(' ').next().unwrap_or_default().trim().to_owned())
    }
}
