//! Plans, applies and reverts releases.
//!
//! The binary is thin: it reads the command line ([`cli`]) and the environment ([`mod@env`]), finds
//! the release, its plugins and its ledger ([`context`]), calls the crates that do the work, and
//! says what came of it ([`ui`], [`exit`]).

mod approval;
mod cli;
mod clock;
mod commands;
mod context;
mod die_at;
mod env;
mod error;
mod exit;
mod history;
mod loading;
mod log;
mod memory;
mod operation;
mod place;
mod plan_file;
mod plugins;
mod progress;
mod project;
mod ui;
mod unsaved;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::Cli;
use crate::context::Session;
use crate::env::Environment;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::ui::Ui;

fn main() -> ExitCode {
    memory::start_small();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. Where nobody reads them, nobody is to be told.
            drop(error.print());
            if !error.use_stderr() {
                return Exit::Done.into();
            }
            if std::env::args_os().any(|argument| argument == "--json") {
                ui::usage_document(&error);
            }
            return Exit::Error.into();
        }
    };
    let environment = Environment::read();
    let ui = Arc::new(Ui::new(&cli.global, &environment));
    match environment.test_die_at {
        Some(death) => die_at::listen(death),
        None => log_to_stderr(cli.global.verbose, &environment, &ui),
    }
    let session = Session::new(cli.global, environment, Arc::clone(&ui), cli.command.name());
    // A crash after something began must not look like one that changed nothing.
    let result = catch_unwind(AssertUnwindSafe(|| run(&session, &cli.command)));
    let result = result.unwrap_or_else(|_| Err(crashed(session.has_begun())));
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            let error = session.complete(error).redacted(&session.env.secrets());
            if error.kind != ErrorKind::BrokenPipe {
                ui.error(&error);
                session.report_error(&error);
            }
            error.kind.exit().into()
        }
    }
}

fn run(session: &Session, command: &cli::Command) -> Result<Exit, CommandError> {
    if let Some(folder) = &session.global.chdir {
        std::env::set_current_dir(folder)
            .map_err(|error| CommandError::file("change to the folder", folder, &error))?;
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| {
            CommandError::new(ErrorKind::Internal, "cannot start the runtime").cause(e.to_string())
        })?;
    let result = runtime.block_on(commands::run(session, command));
    // A thread that waits for a plugin or for stdin must not keep the process.
    runtime.shutdown_background();
    result
}

fn crashed(has_begun: bool) -> CommandError {
    let error = CommandError::new(
        if has_begun { ErrorKind::Unrecorded } else { ErrorKind::Internal },
        "relctl crashed; this is a mistake in relctl",
    )
    .hint("report it with the lines above");
    if has_begun { error.hint("see how far it came: relctl status") } else { error }
}

fn log_to_stderr(verbose: u8, environment: &Environment, ui: &Ui) {
    let default = match verbose {
        // What plugins warn of.
        0 => "relctl::warning=warn",
        1 => "relctl=info",
        2 => "relctl=debug",
        _ => "trace",
    };
    // All our crates are named `relctl…`, and a filter's target is a prefix.
    let filter = match environment.log.as_deref().map(EnvFilter::try_new) {
        Some(Ok(filter)) => filter,
        Some(Err(error)) => {
            ui.warn(&format!("RELCTL_LOG is not a log filter: {error}"));
            EnvFilter::new(default)
        }
        None => EnvFilter::new(default),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log::writer(environment))
        .with_ansi(ui.message_style().color);
    if verbose == 0 && environment.log.is_none() {
        log.without_time().with_target(false).init();
    } else {
        log.init();
    }
}
