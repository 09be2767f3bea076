//! `examples/healthflow`: a production release on AWS, here against moto.

use anyhow::{Context as _, Result};

use super::production::{CLUSTER, DATABASE, Production, SERVICE};
use super::session::Session;
use crate::services;
use crate::workspace::Workspace;

/// init → plan → apply → status → a new version → plan → apply → revert → log.
pub(crate) fn run(workspace: &Workspace, keep: bool) -> Result<()> {
    let moto = services::moto(workspace)?;
    let production = Production::start(workspace, &moto)?;
    let mut site = Session::start(workspace, "healthflow")?;
    site.set("AWS_ENDPOINT_URL", &production.cloud().url());
    site.set("AWS_ACCESS_KEY_ID", "test");
    site.set("AWS_SECRET_ACCESS_KEY", "test");
    site.set("RELCTL_ENV", "production");
    site.set("RELCTL_VAR_api_url", &production.api);

    site.say(&format!(
        "Production, as Terraform made it: cluster {CLUSTER}, service {SERVICE} on \
         healthflow-backend:1 (api:v1.0.0), database {DATABASE}."
    ));
    site.say("The release: what shall run, and what goes before and after.");
    site.types("cat release.toml")?;
    site.types("cat environments/production.toml")?;

    site.say("Once: which plugins, what they may do, where the history is kept.");
    site.types("relctl init")?;

    site.say("Version v1.1.0: plan it, look at it, apply exactly that.");
    site.expects("relctl plan --detailed-exitcode -o plan.json", 2)?;
    production.runs(1, "v1.0.0").context("planning should change nothing")?;
    site.types("relctl apply plan.json")?;
    production.runs(2, "v1.1.0")?;
    site.types("relctl status")?;

    site.say("Applied means: nothing left to do.");
    site.expects("relctl plan --detailed-exitcode", 0)?;

    site.say("The next version.");
    site.types("sed -i s/v1.1.0/v1.2.0/ release.toml")?;
    site.expects("relctl plan --detailed-exitcode -o plan.json", 2)?;
    site.types("relctl apply plan.json")?;
    production.runs(3, "v1.2.0")?;

    site.say("It was a mistake. The way back is one more plan, from what was recorded.");
    site.types("relctl revert -o revert.json")?;
    site.types("relctl apply revert.json")?;
    production.runs(2, "v1.1.0")?;
    site.types("relctl log")?;

    site.say("What exists can be declared, too.");
    site.types(&format!("relctl import aws_ecs_service {CLUSTER} {SERVICE}"))?;

    site.say("Reverted: the service runs the revision of v1.1.0 again, and the history says why.");
    site.end(keep);
    Ok(())
}
