//! `relctl schema`.

use std::collections::BTreeMap;

use clap::Args;
use relctl_engine::Provider as _;
use relctl_host::{Core, core};

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
    let path = session.plugin_path();
    let mut descriptions = BTreeMap::new();
    for (instance, config) in draft.plugins() {
        // An editor wants a schema also before `relctl init`: nothing is granted here.
        let file = path.find(&config.source)?;
        descriptions.insert(instance.clone(), session.inspect(&file).await?.description);
    }
    descriptions.insert(Core::INSTANCE.to_owned(), core().description().clone());
    session.ui.document(&relctl_config::schema(&descriptions))?;
    Ok(Exit::Done)
}
