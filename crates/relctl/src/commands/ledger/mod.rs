//! `relctl ledger`: the ledger itself, checked, moved, shown, encrypted.

mod export;
mod migrate;
mod rekey;
mod verify;

use clap::{Args, Subcommand};

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;

/// Checks, moves, shows and encrypts the ledger.
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    Verify(verify::VerifyArgs),
    Migrate(migrate::MigrateArgs),
    Export(export::ExportArgs),
    Rekey(rekey::RekeyArgs),
}

pub(crate) async fn run(session: &Session, args: &LedgerArgs) -> Result<Exit, CommandError> {
    match &args.command {
        LedgerCommand::Verify(_) => verify::run(session).await,
        LedgerCommand::Migrate(args) => migrate::run(session, args).await,
        LedgerCommand::Export(args) => export::run(session, args).await,
        LedgerCommand::Rekey(args) => rekey::run(session, args).await,
    }
}
