//! The command line, as a person types it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;
use crate::env;

/// Plans, applies and reverts releases.
///
/// A release file says what shall run. `relctl plan` shows every step, every risk and how each
/// would be undone. `relctl apply` does exactly that plan. `relctl revert` goes back to what was
/// recorded before.
#[derive(Debug, Parser)]
#[command(name = "relctl", version, after_help = env::HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// Where a person watches.
    #[default]
    Auto,
    Always,
    Never,
}

/// Flags that every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct GlobalArgs {
    /// Run as if started in this folder.
    #[arg(short = 'C', long = "chdir", value_name = "DIR", global = true)]
    pub chdir: Option<PathBuf>,
    /// The release file [default: release.toml].
    #[arg(short, long, value_name = "FILE", global = true)]
    pub file: Option<PathBuf>,
    /// The environment: `environments/<NAME>.toml` lies over the release file.
    #[arg(short = 'e', long = "env", value_name = "NAME", global = true)]
    pub environment: Option<String>,
    /// Sets a value of `[vars]`. May be given more than once.
    #[arg(long = "var", value_name = "NAME=VALUE", global = true, value_parser = parse_var)]
    pub vars: Vec<(String, String)>,
    /// A TOML file with values of `[vars]`. May be given more than once; later ones win.
    #[arg(long = "var-file", value_name = "FILE", global = true)]
    pub var_files: Vec<PathBuf>,
    /// The ledgers' root: a folder, or `s3://bucket/prefix`, `gs://…`, `az://…`.
    ///
    /// [default: `[ledger] url` of the release file, else state/ beside it]
    #[arg(long, value_name = "URL", global = true)]
    pub ledger: Option<String>,
    /// Whose ledger it is, where no release file says it.
    #[arg(long, value_name = "NAME", global = true)]
    pub release: Option<String>,
    /// Print JSON for programs on stdout.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to colour.
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub color: ColorChoice,
    /// Print only data and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log to stderr what relctl does; twice for more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(commands::init::InitArgs),
    Status(commands::status::StatusArgs),
    Validate(commands::validate::ValidateArgs),
    Plan(commands::plan::PlanArgs),
    Apply(commands::apply::ApplyArgs),
    Revert(commands::revert::RevertArgs),
    Resume(commands::resume::ResumeArgs),
    Log(commands::log::LogArgs),
    Show(commands::show::ShowArgs),
    Diff(commands::diff::DiffArgs),
    Drift(commands::drift::DriftArgs),
    Import(commands::import::ImportArgs),
    Plugin(commands::plugin::PluginArgs),
    Schema(commands::schema::SchemaArgs),
    Ledger(commands::ledger::LedgerArgs),
    Unlock(commands::unlock::UnlockArgs),
    Completions(commands::completions::CompletionsArgs),
}

impl Command {
    /// The word that a person typed, for the lock's holder and for logs.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Status(_) => "status",
            Self::Validate(_) => "validate",
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
            Self::Revert(_) => "revert",
            Self::Resume(_) => "resume",
            Self::Log(_) => "log",
            Self::Show(_) => "show",
            Self::Diff(_) => "diff",
            Self::Drift(_) => "drift",
            Self::Import(_) => "import",
            Self::Plugin(_) => "plugin",
            Self::Schema(_) => "schema",
            Self::Ledger(_) => "ledger",
            Self::Unlock(_) => "unlock",
            Self::Completions(_) => "completions",
        }
    }
}

/// Reads `NAME=VALUE`.
fn parse_var(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn visit(command: &clap::Command, missing: &mut Vec<String>) {
            for sub in command.get_subcommands() {
                if sub.has_subcommands() {
                    visit(sub, missing);
                } else if !sub.get_after_help().is_some_and(|h| h.to_string().contains("relctl ")) {
                    missing.push(sub.get_name().to_owned());
                }
            }
        }
        let mut missing = Vec::new();
        visit(&Cli::command(), &mut missing);
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn reads_variables() {
        assert_eq!(parse_var("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_var("a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_var("a").is_err());
        assert!(parse_var("=b").is_err());
    }
}
