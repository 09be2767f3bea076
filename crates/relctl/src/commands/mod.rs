//! One file for each command: its arguments, its help, and a thin way to the crates that do it.

pub(crate) mod apply;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod drift;
pub(crate) mod import;
pub(crate) mod init;
pub(crate) mod ledger;
pub(crate) mod log;
pub(crate) mod plan;
pub(crate) mod plugin;
pub(crate) mod resume;
pub(crate) mod revert;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod unlock;
pub(crate) mod validate;

use crate::cli::Command;
use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;

/// Runs the command.
pub(crate) async fn run(session: &Session, command: &Command) -> Result<Exit, CommandError> {
    match command {
        Command::Init(args) => init::run(session, args).await,
        Command::Status(args) => status::run(session, args).await,
        Command::Validate(args) => validate::run(session, args).await,
        Command::Plan(args) => plan::run(session, args).await,
        Command::Apply(args) => apply::run(session, args).await,
        Command::Revert(args) => revert::run(session, args).await,
        Command::Resume(args) => resume::run(session, args).await,
        Command::Log(args) => log::run(session, args).await,
        Command::Show(args) => show::run(session, args).await,
        Command::Diff(args) => diff::run(session, args).await,
        Command::Drift(args) => drift::run(session, args).await,
        Command::Import(args) => import::run(session, args).await,
        Command::Plugin(args) => plugin::run(session, args).await,
        Command::Schema(args) => schema::run(session, args).await,
        Command::Ledger(args) => ledger::run(session, args).await,
        Command::Unlock(args) => unlock::run(session, args).await,
        Command::Completions(args) => completions::run(session, args),
    }
}
