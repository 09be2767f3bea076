//! `relctl plan`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use relctl_engine::plan_apply;
use relctl_plan::Plan;
use relctl_render::{plan_markdown, plan_text};

use crate::context::Session;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::plan_file;
use crate::project::Project;

/// Shows every step of the release, every risk, and how each would be undone.
///
/// Nothing is changed. With `-o` the plan is written to a file, for reviewers and for
/// `relctl apply`; it is closed: applying it needs neither the release file nor its folder.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl plan -e production -o plan.json
  relctl plan --format markdown > comment.md
  relctl plan --detailed-exitcode    # 0 nothing to do, 2 changes, 3 only drift")]
pub(crate) struct PlanArgs {
    /// Writes the plan to this file.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How to show it.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    format: PlanFormat,
    /// Exits with 2 if the plan has changes, and with 3 if there is drift and no step changes
    /// anything.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// For a terminal.
    #[default]
    Text,
    /// For one comment on a pull request.
    Markdown,
    /// The whole plan document.
    Json,
}

pub(crate) async fn run(session: &Session, args: &PlanArgs) -> Result<Exit, CommandError> {
    let project = Project::open(session).await?;
    let context = session.engine(&project.ledger, &project.plugins.providers);
    let plan = match plan_apply(context, &project.release, session.meta()).await {
        Ok(plan) => plan,
        Err(error) => return Err(project.refused(session, error).await),
    };
    if let Some(path) = &args.out {
        plan_file::write(path, &plan)?;
    }
    let environment = plan.body.environment.as_deref();
    let apply = match &args.out {
        Some(path) => format!("{} {}", session.command_line("apply", None), path.display()),
        None => format!("{} --expect {}", session.command_line("apply", environment), plan.plan_id),
    };
    match args.format {
        _ if session.ui.json => session.ui.document(&plan)?,
        PlanFormat::Json => session.ui.document(&plan)?,
        PlanFormat::Markdown => session.ui.data(&plan_markdown(&plan, &apply))?,
        PlanFormat::Text => {
            session.ui.data(&plan_text(&plan, Some(&apply), &session.ui.style()))?;
        }
    }
    let exit = if args.detailed_exitcode { detailed(&plan) } else { Exit::Done };
    // The process ends here: to free a large release piece by piece takes time and gives nothing.
    std::mem::forget((project, plan));
    Ok(exit)
}

/// What `--detailed-exitcode` says.
fn detailed(plan: &Plan) -> Exit {
    let body = &plan.body;
    if body.has_mutations() {
        Exit::Changes
    } else if !body.drift.is_empty() {
        Exit::Drift
    } else if body.has_changes() {
        Exit::Changes
    } else {
        Exit::Done
    }
}
