//! `relctl validate`.

use clap::Args;
use relctl_engine::validate;
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
    let mut draft = project::load(session)?;
    let (release, not_asked) = match session.load_configured(&draft).await {
        Ok(plugins) => {
            let release = draft.finish(&plugins.descriptions())?;
            let checked = validate(&plugins.providers, &release).await;
            checked.map_err(|error| project::place(&draft, error))?;
            (release, None)
        }
        // A plugin that nobody granted anything can still be asked which kinds it serves.
        Err(error) => (draft.finish(&session.described(&draft).await?)?, Some(error)),
    };
    if let Some(error) = &not_asked {
        session.ui.warn(&format!(
            "only the kinds were checked, the plugins themselves were not asked: {}",
            error.message
        ));
    }
    if session.ui.json {
        session.ui.document(&json!({
            "valid": true,
            "release": release.name,
            "version": release.version,
            "environment": release.environment,
            "objects": release.objects.len(),
            "plugins_asked": not_asked.is_none(),
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
