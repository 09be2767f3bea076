//! What apply, revert and resume have in common: options, signals, and how they end.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use relctl_engine::{
    ApplyOptions, Context, Interrupt, Interrupter, Ledger as _, Report, ResumeMode, RevertTarget,
    apply, find_target, resume,
};
use relctl_ledger::LedgerStore;
use relctl_plan::{EntryKind, EntryOutcome, Outcome, Plan, PlanKind};
use relctl_render::{EndReport, report_text};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::loading::Loaded;
use crate::progress::Progress;
use crate::ui::Ui;

/// How an operation runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct OperationArgs {
    /// How many steps may run at once.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = parse_parallelism)]
    pub parallelism: usize,
    /// How long to wait for whoever holds the lock, for example `5m`.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    pub lock_timeout: Duration,
    /// How long a step may take where its `timeout` does not say it, for example `30m`.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    pub step_timeout: Duration,
    /// Why, for the history.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

fn parse_parallelism(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1000) => Ok(count),
        _ => Err("give a number from 1 to 1000".to_owned()),
    }
}

/// What is done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From its beginning.
    Apply,
    /// From where it was interrupted.
    Resume(ResumeMode),
}

/// Carries out a plan, shows its progress, and says what came of it.
pub(crate) async fn carry_out(
    session: &Session,
    ledger: &LedgerStore,
    loaded: Loaded,
    plan: &Plan,
    way: Way,
    args: &OperationArgs,
) -> Result<Exit, CommandError> {
    let options = ApplyOptions {
        holder: session.holder(Some(plan.plan_id.clone())),
        reason: args.reason.clone(),
        parallelism: args.parallelism,
        lock_timeout: args.lock_timeout,
        step_timeout: args.step_timeout,
        plugins: loaded.wasm,
    };
    let context = session.engine(ledger, &loaded.providers);
    let progress = Progress::new(&session.ui, plan, session.begun());
    let interrupt = interrupt_on_signals(&session.ui)?;
    tell_of_holder(session, ledger, args.lock_timeout).await;
    let report = match way {
        Way::Apply => apply(context, plan, &options, &progress, interrupt).await?,
        Way::Resume(mode) => resume(context, mode, &options, &progress, interrupt).await?,
    };
    let exit = exit_of(&report);
    let environment = plan.body.environment.as_deref();
    let way_back = way_back(context, plan, &report).await;
    let end = EndReport {
        kind: match plan.body.kind {
            PlanKind::Apply => EntryKind::Apply,
            PlanKind::Revert { .. } => EntryKind::Revert,
        },
        outcome: report.outcome,
        entry: report.entry,
        verified: report.verified,
        done: report.done,
        failed: report.failed,
        held: report.held,
        parked: report.parked,
        checks: report.checks,
        revert_command: way_back.map(|command| session.command_line(&command, environment)),
        resume_command: report.parked.then(|| session.command_line("resume", environment)),
    };
    if session.ui.json {
        session.ui.event(&with_event("report", &end)?)?;
    } else {
        session.ui.data(&report_text(&end, plan, &session.ui.style()))?;
    }
    Ok(exit)
}

/// What goes back from here, where there is somewhere to go back to.
async fn way_back(context: Context<'_>, plan: &Plan, report: &Report) -> Option<String> {
    if report.parked {
        return Some("revert".to_owned());
    }
    report.entry.as_ref()?;
    if find_target(context, &RevertTarget::Previous).await.is_ok() {
        return Some("revert".to_owned());
    }
    // After a revert that is only where it came from.
    let before = plan.body.base.serial;
    let is_revert = matches!(plan.body.kind, PlanKind::Revert { .. });
    (is_revert && before > 0).then(|| format!("revert --to {before}"))
}

/// Says who is waited for: silence would look like a relctl that hangs.
async fn tell_of_holder(session: &Session, ledger: &LedgerStore, timeout: Duration) {
    if !timeout.is_zero()
        && let Ok(Some(holder)) = ledger.holder().await
    {
        session.ui.note(&format!(
            "The lock is held by {} on {}, process {}: `{}` since {}. Waiting for it, at most {}.",
            holder.actor,
            holder.host,
            holder.pid,
            holder.command,
            holder.since,
            humantime::format_duration(timeout)
        ));
    }
}

/// How an operation that could start ends the process.
fn exit_of(report: &Report) -> Exit {
    let blocking = |outcome: Outcome| {
        report.checks.iter().any(|(_, verdict, blocks)| *blocks && verdict.outcome == outcome)
    };
    if report.parked {
        Exit::Interrupted
    } else if report.outcome == EntryOutcome::Failed || blocking(Outcome::Fail) {
        Exit::Failed
    } else if blocking(Outcome::Inconclusive) {
        Exit::Inconclusive
    } else {
        Exit::Done
    }
}

/// The value with its name among the events.
fn with_event(name: &str, value: &impl serde::Serialize) -> Result<Value, CommandError> {
    let mut value = serde_json::to_value(value).map_err(|error| {
        CommandError::new(ErrorKind::Internal, "cannot write the report as JSON")
            .cause(error.to_string())
    })?;
    if let Value::Object(map) = &mut value {
        map.insert("event".to_owned(), json!(name));
    }
    Ok(value)
}

/// From here on SIGINT, SIGTERM and SIGHUP do not end the process: the first asks the operation to
/// park, the second to leave.
fn interrupt_on_signals(ui: &Arc<Ui>) -> Result<Interrupt, CommandError> {
    let (interrupter, interrupt) = Interrupter::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let mut signals = signal(kind).map_err(|error| {
            CommandError::new(ErrorKind::Internal, "cannot listen to signals")
                .cause(error.to_string())
        })?;
        let (interrupter, ui, seen) = (interrupter.clone(), Arc::clone(ui), interrupt.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let first = !seen.should_park();
                interrupter.raise();
                ui.note(if first {
                    "Interrupted: nothing new is started, and what runs is recorded. Interrupt \
                     once more to leave at once."
                } else {
                    "Leaving: what is in flight is recorded as unknown."
                });
            }
        });
    }
    Ok(interrupt)
}
