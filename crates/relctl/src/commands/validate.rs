//! `relctl validate`.

use clap::Args;
use serde_json::json;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project;

/// Checks the release file, with every overlay, variable and plugin, and reads nothing else.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  relctl validate -e production")]
pub(crate) struct ValidateArgs {}

pub(crate) async fn run(session: &Session, _args: &ValidateArgs) -> Result<Exit, CommandError> {
    let draft = project::load(session)?;
    let (_, release, _) = project::checked(session, draft).await?;
    if session.ui.json {
        session.ui.document(&json!({
            "valid": true,
            "release": release.name,
            "version": release.version,
            "environment": release.environment,
            "objects": release.objects.len(),
        }))?;
    } else {
        session.ui.data(&format!(
            "{} {} is valid: {} object(s), {} plugin(s).\n",
            release.name,
            release.version,
            release.objects.len(),
            release.plugins.len()
        ))?;
    }
    Ok(Exit::Done)
}
