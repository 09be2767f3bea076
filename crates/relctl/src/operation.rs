//! What apply, revert and resume have in common: options, signals, and how they end.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use relctl_engine::{
    Answers, ApplyOptions, Context, EngineError, Holder, Interrupt, Interrupter, Ledger as _,
    Report, ResumeMode, RevertTarget, apply, find_target, resume_with,
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
use crate::unsaved;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// From its beginning.
    Apply,
    /// From where it was interrupted, with what a person says about steps in question.
    Resume(ResumeMode, Answers),
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
    say_who_holds(session, ledger, args.lock_timeout).await;
    unsaved::give_back(session, ledger, args.lock_timeout, &interrupt).await?;
    let result = match &way {
        Way::Apply => apply(context, plan, &options, &progress, interrupt).await,
        Way::Resume(mode, answers) => {
            resume_with(context, *mode, answers, &options, &progress, interrupt).await
        }
    };
    let report = match result {
        Ok(report) => report,
        Err(error) => return Err(unsaved::keep(session, ledger, error).await),
    };
    if let Way::Resume(_, answers) = &way {
        say_unused(session, plan, &report, answers, &progress);
    }
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
        resolve_command: report.undecided.first().and_then(|(id, _)| {
            let step = plan.body.steps.iter().find(|step| step.id == *id)?;
            let resume = session.command_line("resume", environment);
            Some(format!("{resume} --resolve {}=done --reason '…'", step.address))
        }),
        undecided: report.undecided,
        parked: report.parked,
        asked_by: report.asked_by.as_ref().map(who),
        checks: report.checks,
        revert_command: way_back.map(|command| session.command_line(&command, environment)),
        resume_command: report.parked.then(|| session.command_line("resume", environment)),
    };
    let report = if session.ui.json {
        format!("{}\n", with_event("report", &end)?)
    } else {
        report_text(&end, plan, &session.ui.style())
    };
    session.ui.tell(&report)?;
    Ok(exit)
}

/// What goes back from here, where there is somewhere to go back to.
async fn way_back(context: Context<'_>, plan: &Plan, report: &Report) -> Option<String> {
    if report.parked || !report.undecided.is_empty() {
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

/// Says who is waited for, and how long: silence would look like a relctl that hangs.
async fn say_who_holds(session: &Session, ledger: &LedgerStore, timeout: Duration) {
    if timeout.is_zero() && !ledger.is_remote() {
        return;
    }
    // What cannot be read now is an error of what comes next.
    if let Ok(Some(holder)) = ledger.holder().await {
        let mut text = vec![format!("The lock is held by {}.", who(&holder))];
        if !timeout.is_zero() {
            text.push(format!("Waiting for it, at most {}.", humantime::format_duration(timeout)));
        }
        if ledger.is_remote() {
            text.push(format!(
                "Watching whether it lives: if it shows no sign of life for {} s, it is taken over.",
                ledger.takeover_after().as_secs()
            ));
        }
        session.ui.note(&text.join(" "));
    }
}

/// An operation that is open was interrupted only if nobody holds the lock: otherwise it runs.
pub(crate) async fn running(
    session: &Session,
    ledger: &LedgerStore,
    error: &EngineError,
) -> Option<CommandError> {
    let EngineError::Interrupted { operation } = error else { return None };
    let holder = ledger.holder().await.ok()??;
    let environment = ledger.head().await.ok()?.environment;
    let command = |command: &str| session.command_line(command, environment.as_deref());
    let error = CommandError::new(
        ErrorKind::Locked,
        format!("operation {operation} is running: the lock is held by {}", who(&holder)),
    )
    .hint(format!("see where it stands: {}", command("status")))
    .hint(format!("go back over it: {}", command("revert --preempt")));
    Some(if ledger.is_remote() {
        let after = ledger.takeover_after().as_secs();
        error.hint(format!("if it died, this takes over after {after} s: {}", command("resume")))
    } else {
        error
    })
}

/// Says that the lock was taken from someone, if it was.
pub(crate) fn say_took_over(ui: &Ui, from: Option<&Holder>) {
    if let Some(from) = from {
        ui.note(&format!(
            "Took over the lock of {}, which never gave it back: it died or was cut off.",
            who(from)
        ));
    }
}

/// A holder of the lock, for people.
pub(crate) fn who(holder: &Holder) -> String {
    let plan = holder.plan_id.as_ref().map(|id| format!(", plan {}", id.short()));
    let run = holder.run_url.as_ref().map(|url| format!(", {url}"));
    format!(
        "{} on {} (pid {}), `{}`{} since {}{}",
        holder.actor,
        holder.host,
        holder.pid,
        holder.command,
        plan.unwrap_or_default(),
        holder.since,
        run.unwrap_or_default()
    )
}

/// A person hears of an answer that was not needed: the plugin could tell after all.
fn say_unused(
    session: &Session,
    plan: &Plan,
    report: &Report,
    answers: &Answers,
    progress: &Progress<'_>,
) {
    let used = progress.answered();
    let is_open = |id| report.undecided.iter().any(|(undecided, _)| undecided == id);
    for step in &plan.body.steps {
        if answers.contains_key(&step.address) && !used.contains(&step.id) && !is_open(&step.id) {
            session.ui.warn(&format!(
                "what was said of {} was not needed: its plugin could tell what happened",
                step.address
            ));
        }
    }
}

/// How an operation that could start ends the process.
fn exit_of(report: &Report) -> Exit {
    let blocking = |outcome: Outcome| {
        report.checks.iter().any(|(_, verdict, blocks)| *blocks && verdict.outcome == outcome)
    };
    if report.parked {
        Exit::Interrupted
    } else if !report.undecided.is_empty() {
        Exit::Inconclusive
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
