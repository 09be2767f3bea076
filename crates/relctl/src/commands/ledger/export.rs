//! `relctl ledger export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use relctl_engine::{LedgerError, LedgerErrorKind};
use serde_json::Value;

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::place::Place;

/// Writes the whole ledger as plain JSON, one record a line.
///
/// First HEAD, then each entry, oldest first, with its plan, its snapshot and its journal; then the
/// operation that is open, and each unlock. Everything is checked while it is read. What is
/// encrypted is written in the clear: take care where it goes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl ledger export -e production -o ledger.jsonl
  relctl ledger export | jq -r 'select(.record == \"entry\") | .entry.version'")]
pub(crate) struct ExportArgs {
    /// The file to write, instead of stdout.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) async fn run(session: &Session, args: &ExportArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session).await?.open().await?;
    let Some(path) = &args.out else {
        let mut failed = None;
        let result = ledger
            .export(&mut |record| {
                session.ui.event(&record).map_err(|error| {
                    let message = error.message.clone();
                    failed = Some(error);
                    LedgerError { kind: LedgerErrorKind::Io, message, hint: None }
                })
            })
            .await;
        return match failed {
            Some(error) => Err(error),
            None => Ok(result.map(|()| Exit::Done)?),
        };
    };
    let written = |error| CommandError::file("write the export", path, &error);
    let mut file = BufWriter::new(File::create(path).map_err(written)?);
    let mut records = 0;
    ledger
        .export(&mut |record| {
            records += 1;
            write_line(&mut file, &record, path)
        })
        .await?;
    let file = file.into_inner().map_err(|error| written(error.into_error()))?;
    file.sync_all().map_err(written)?;
    session.ui.note(&format!("wrote {records} records to `{}`", path.display()));
    Ok(Exit::Done)
}

fn write_line(file: &mut impl Write, record: &Value, path: &Path) -> Result<(), LedgerError> {
    writeln!(file, "{record}").map_err(|error| LedgerError {
        kind: LedgerErrorKind::Io,
        message: format!("could not write `{}`: {error}", path.display()),
        hint: Some("what it holds is not whole: export again".to_owned()),
    })
}
