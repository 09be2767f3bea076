//! `relctl schema`.

use clap::Args;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::project;

/// Prints a JSON Schema of the release file, with the kinds of its plugins, for editors.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  relctl schema > release.schema.json    # then, first line of release.toml:
                                         # #:schema ./release.schema.json")]
pub(crate) struct SchemaArgs {}

pub(crate) async fn run(session: &Session, _args: &SchemaArgs) -> Result<Exit, CommandError> {
    let draft = project::load(session)?;
    // An editor wants a schema also before `relctl init`: nothing is granted here.
    let descriptions = session.described(&draft).await?;
    session.ui.document(&relctl_config::schema(&descriptions))?;
    Ok(Exit::Done)
}
