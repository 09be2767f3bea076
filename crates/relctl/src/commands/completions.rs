//! `relctl completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

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
    session.ui.data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
