//! `relctl completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::cli::Cli;
use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;

/// Prints a script that completes relctl's commands in a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  relctl completions bash > ~/.local/share/bash-completion/completions/relctl")]
pub(crate) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(session: &Session, args: &CompletionsArgs) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "relctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    if session.ui.json {
        session.ui.document(&json!({ "shell": args.shell.to_string(), "script": script }))?;
    } else {
        session.ui.data(&script)?;
    }
    Ok(Exit::Done)
}
