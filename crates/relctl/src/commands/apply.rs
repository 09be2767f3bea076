//! `relctl apply`.

use std::path::{Path, PathBuf};

use clap::Args;
use relctl_engine::plan_apply;
use relctl_plan::Plan;
use relctl_render::plan_text;

use crate::approval::Approval;
use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::operation::{OperationArgs, Way, carry_out};
use crate::place::Place;
use crate::plan_file;
use crate::project::Project;

/// Does exactly what a plan says, and nothing else.
///
/// With a plan file nothing is asked: who may apply it is decided where it was reviewed. Without
/// one relctl plans, shows the plan and waits for `yes`. If anything that the plan depends on has
/// changed since, nothing is done.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl apply plan.json
  relctl apply -e staging --auto-approve
  relctl apply --expect 9c1e04d7…    # plans afresh; goes on only if the plan has this id")]
pub(crate) struct ApplyArgs {
    /// A plan that `relctl plan -o` wrote.
    plan: Option<PathBuf>,
    /// Applies without asking.
    #[arg(long)]
    auto_approve: bool,
    /// Goes on only if the plan has this id: its 64 digits, or at least the first 12.
    #[arg(long, value_name = "PLAN_ID")]
    expect: Option<String>,
    #[command(flatten)]
    operation: OperationArgs,
}

pub(crate) async fn run(session: &Session, args: &ApplyArgs) -> Result<Exit, CommandError> {
    let approval = Approval { auto: args.auto_approve, expected: args.expect.as_deref() };
    match &args.plan {
        Some(path) => apply_file(session, args, approval, path).await,
        None => apply_release(session, args, approval).await,
    }
}

/// Applies a plan that was reviewed elsewhere.
async fn apply_file(
    session: &Session,
    args: &ApplyArgs,
    approval: Approval<'_>,
    path: &Path,
) -> Result<Exit, CommandError> {
    let plan = plan_file::read(path)?;
    session.planned_for(plan.body.environment.as_deref());
    refuse_other_environment(session, &plan)?;
    approval.check(&plan)?;
    let ledger = Place::of_plan(session, &plan)?.open().await?;
    let loaded = session.load_pinned(&ledger, &plan.body.plugins).await?;
    session.check_granted(&ledger, &plan).await?;
    carry_out(session, &ledger, loaded, &plan, Way::Apply, &args.operation).await
}

/// Plans the release file afresh, has the plan approved, and applies it.
async fn apply_release(
    session: &Session,
    args: &ApplyArgs,
    approval: Approval<'_>,
) -> Result<Exit, CommandError> {
    let project = Project::open(session).await?;
    let context = session.engine(&project.ledger, &project.plugins.providers);
    let plan = match plan_apply(context, &project.release, session.meta()).await {
        Ok(plan) => plan,
        Err(error) => return Err(project.refused(session, error).await),
    };
    approval.check(&plan)?;
    if plan.body.has_changes() {
        if !session.ui.json {
            session.ui.tell(&plan_text(&plan, None, &session.ui.style()))?;
        }
        approval.obtain(&plan, &session.ui, "Apply exactly this?")?;
    }
    let Project { ledger, plugins, .. } = project;
    carry_out(session, &ledger, plugins, &plan, Way::Apply, &args.operation).await
}

/// `-e` beside a plan says for which environment it is meant: another one is a mix-up.
fn refuse_other_environment(session: &Session, plan: &Plan) -> Result<(), CommandError> {
    let planned = plan.body.environment.as_deref();
    match session.environment() {
        Some(wanted) if planned != Some(wanted) => {
            let planned = match planned {
                Some(planned) => format!("environment `{planned}`"),
                None => "no environment".to_owned(),
            };
            Err(CommandError::new(
                ErrorKind::Stale,
                format!("the plan was made for {planned}, not for `{wanted}`"),
            )
            .hint("nothing was changed; plan for it: relctl plan -o FILE"))
        }
        _ => Ok(()),
    }
}
