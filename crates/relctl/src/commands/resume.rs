//! `relctl resume`.

use clap::Args;
use relctl_engine::{Answer, Answers, Ledger as _, ResumeMode};
use relctl_plan::Address;

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::operation::{OperationArgs, Way, carry_out};
use crate::place::Place;

/// Goes on with an operation that was interrupted.
///
/// Each step that began and has no known end is settled first: the plugin looks whether it
/// happened before it does anything. Then the rest of the plan is done. Where nobody but a person
/// can tell whether a step happened, the operation stays open until one says so with `--resolve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl resume
  relctl resume --stop    # settle what began, start nothing, close the entry as failed
  relctl resume --resolve action.aws_ecs_task.migrate=done --reason 'version 42 is in the database'")]
pub(crate) struct ResumeArgs {
    /// Settles what began, starts nothing, and closes the entry as failed.
    #[arg(long)]
    stop: bool,
    /// Says whether a step happened, where it cannot be told otherwise: `ADDRESS=done` or
    /// `ADDRESS=not-done`; the latter is done now. It is recorded with `--reason`. May be given more
    /// than once.
    #[arg(long, value_name = "ADDRESS=ANSWER", requires = "reason", value_parser = parse_answer)]
    resolve: Vec<(Address, bool)>,
    #[command(flatten)]
    operation: OperationArgs,
}

pub(crate) async fn run(session: &Session, args: &ResumeArgs) -> Result<Exit, CommandError> {
    let ledger = Place::of_release(session).await?.open().await?;
    let Some(operation) = ledger.head().await?.operation else {
        return Err(CommandError::new(ErrorKind::Ledger, "no operation is open")
            .hint("see where the release stands: relctl status"));
    };
    let plan = ledger.plan(&operation.plan).await?;
    let loaded = session.load_pinned(&ledger, &plan.body.plugins).await?;
    let mode = if args.stop { ResumeMode::Stop } else { ResumeMode::Go };
    let way = Way::Resume(mode, answers(session, args));
    carry_out(session, &ledger, loaded, &plan, way, &args.operation).await
}

fn answers(session: &Session, args: &ResumeArgs) -> Answers {
    let by = session.env.actor();
    let reason = args.operation.reason.clone().unwrap_or_default();
    let answers = args.resolve.iter().map(|(address, done)| {
        (address.clone(), Answer { done: *done, by: by.clone(), reason: reason.clone() })
    });
    answers.collect()
}

/// Reads `ADDRESS=done` or `ADDRESS=not-done`.
fn parse_answer(text: &str) -> Result<(Address, bool), String> {
    let (address, done) = match text.rsplit_once('=') {
        Some((address, "done")) => (address, true),
        Some((address, "not-done")) => (address, false),
        _ => return Err("write it as ADDRESS=done or ADDRESS=not-done".to_owned()),
    };
    let address = address.parse().map_err(|error| format!("`{address}` is no address: {error}"))?;
    Ok((address, done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_done_or_not_done() {
        let parsed = parse_answer("action.local_append.a=done").unwrap();
        assert_eq!((parsed.0.as_str(), parsed.1), ("action.local_append.a", true));
        assert!(!parse_answer("action.local_append.a=not-done").unwrap().1);
        for wrong in
            ["action.local_append.a", "action.local_append.a=maybe", "nothing=done", "=done"]
        {
            assert!(parse_answer(wrong).is_err(), "{wrong}");
        }
    }
}
