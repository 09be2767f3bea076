//! `relctl resume`.

use clap::Args;
use relctl_engine::{Ledger as _, ResumeMode};

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::operation::{OperationArgs, Way, carry_out};
use crate::place::Place;

/// Goes on with an operation that was interrupted.
///
/// Each step that began and has no known end is settled first: the plugin looks whether it
/// happened before it does anything. Then the rest of the plan is done.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl resume
  relctl resume --stop    # settle what began, start nothing, close the entry as failed")]
pub(crate) struct ResumeArgs {
    /// Settles what began, starts nothing, and closes the entry as failed.
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    operation: OperationArgs,
}

pub(crate) async fn run(session: &Session, args: &ResumeArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session)?.open().await?;
    let Some(operation) = ledger.head().await?.operation else {
        return Err(CommandError::new(ErrorKind::Ledger, "no operation is open")
            .hint("see where the release stands: relctl status"));
    };
    let plan = ledger.plan(&operation.plan).await?;
    let loaded = session.load_pinned(&ledger, &plan.body.plugins).await?;
    let mode = if args.stop { ResumeMode::Stop } else { ResumeMode::Go };
    carry_out(session, &ledger, loaded, &plan, Way::Resume(mode), &args.operation).await
}
