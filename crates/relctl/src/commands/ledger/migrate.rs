//! `relctl ledger migrate`.

use clap::Args;
use relctl_engine::Ledger as _;
use relctl_ledger::Location;
use serde_json::json;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::place::Place;

/// Moves the ledger to another place, and closes it here.
///
/// Everything is checked first; then every object is copied, and the copy is opened before this one
/// is closed. A migration that was cut off is finished by starting it again. Whoever still comes
/// here is told where it went.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl ledger migrate s3://bucket/prefix
  relctl ledger migrate ./state --ledger s3://bucket/prefix    # and back")]
pub(crate) struct MigrateArgs {
    /// The ledgers' root to move to: a folder, or `s3://bucket/prefix`, `gs://…`, `az://…`.
    #[arg(value_name = "URL")]
    to: String,
    /// Does not ask before.
    #[arg(long)]
    auto_approve: bool,
}

pub(crate) async fn run(session: &Session, args: &MigrateArgs) -> Result<Exit, CommandError> {
    let place = Place::of_release(session).await?;
    let ledger = place.open().await?;
    let from = ledger.location();
    let to = relctl_ledger::Place {
        location: match Location::parse(&args.to)? {
            // What stays here says where it went: to everyone, wherever they stand.
            Location::Folder(folder) => Location::Folder(
                std::path::absolute(&folder)
                    .map_err(|error| CommandError::file("find the folder", &folder, &error))?,
            ),
            remote @ Location::Url { .. } => remote,
        },
        ..place.place.clone()
    };
    if !args.auto_approve {
        session.ui.note(&format!("`{from}` moves to `{}`, and is closed here.", to.location));
        session.ui.confirm("Move it?")?;
    }
    let moved = ledger.migrate(&to, session.holder(None)).await?;
    if session.ui.json {
        session.ui.document(&json!({
            "from": from,
            "to": to.location.to_string(),
            "lineage": ledger.lineage(),
            "entries": moved.entries,
            "objects": moved.objects,
        }))?;
    } else {
        session.ui.data(&format!(
            "moved {} entries, {} objects: {from} → {}\n\
             Next: write it into the release file, `[ledger] url = \"{}\"`\n",
            moved.entries, moved.objects, to.location, args.to
        ))?;
    }
    Ok(Exit::Done)
}
