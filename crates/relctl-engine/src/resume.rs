//! Going on after an interruption, or settling it.

use std::collections::BTreeSet;

use relctl_plan::{Address, Event, JournalEvent, JournalLine, StepId};

use crate::apply::execute::{Executor, Scope};
use crate::apply::precheck::precheck;
use crate::apply::settle::Settling;
use crate::apply::{carry_out, checks, opened, released, take_lock};
use crate::planning::base::Base;
use crate::{Answers, ApplyOptions, Context, EngineError, Interrupt, Lock, Observer, Report};

/// What to do with what was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeMode {
    /// Settle what began, then go on.
    Go,
    /// Settle what began, start nothing, close the entry as failed.
    Stop,
}

/// Resumes the open operation.
pub async fn resume(
    context: Context<'_>,
    mode: ResumeMode,
    options: &ApplyOptions,
    observer: &dyn Observer,
    interrupt: Interrupt,
) -> Result<Report, EngineError> {
    resume_with(context, mode, &Answers::new(), options, observer, interrupt).await
}

/// As [`resume`], with what a person says about steps of which nobody else can tell whether they
/// happened. What the world says goes before.
pub async fn resume_with(
    context: Context<'_>,
    mode: ResumeMode,
    answers: &Answers,
    options: &ApplyOptions,
    observer: &dyn Observer,
    interrupt: Interrupt,
) -> Result<Report, EngineError> {
    let lock = take_lock(context, options, observer, &interrupt).await?;
    let result = go_on(context, &*lock, mode, answers, options, observer, interrupt).await;
    released(lock.release().await, result)
}

/// Goes on under a lock that is held.
///
/// What began and has no end is asked for again, with exactly what the journal recorded; what has
/// not begun is checked as before an apply.
pub(crate) async fn go_on(
    context: Context<'_>,
    lock: &dyn Lock,
    mode: ResumeMode,
    answers: &Answers,
    options: &ApplyOptions,
    observer: &dyn Observer,
    interrupt: Interrupt,
) -> Result<Report, EngineError> {
    let head = lock.head();
    let Some(operation) = head.operation.clone() else {
        return Err(EngineError::Nothing {
            message: "no operation was interrupted".to_owned(),
            hint: "`relctl status` says what is in force".to_owned(),
        });
    };
    let plan = context.ledger.plan(&operation.plan).await?;
    crate::apply::guard::check_pins(context, &plan)?;
    let base = Base::to_apply(context, head, &plan).await?;
    let journal = lock.open_journal(&operation.id).await?;
    let lines: Vec<JournalLine> = journal.replayed().to_vec();
    let mut executor = Executor::new(
        context, &base, &plan, &operation, lock, journal, options, observer, interrupt,
    );
    executor.replay(&lines);
    executor.reopen_unknown();
    check_answers(answers, &executor.begun())?;
    executor.settle(Settling { goes_on: mode == ResumeMode::Go, answers: answers.clone() });
    let scope = match mode {
        ResumeMode::Go if !executor.has_failed() => Scope::Everything,
        ResumeMode::Go | ResumeMode::Stop => Scope::WhatBegan,
    };
    if scope == Scope::Everything {
        let is_waiting = |id: &StepId| executor.is_waiting(id);
        let looked = precheck(context, &base, &plan, &is_waiting);
        let prepared = executor.interrupt().unless_parked(looked).await?;
        executor.prepare(prepared);
    }
    executor.journal().append(context.clock.now(), opened(options, lock)).await?;
    observer.plan(&plan);
    observer.event(&Event::Started {
        operation: operation.id.clone(),
        plan_id: plan.plan_id.clone(),
        steps: plan.body.steps.len(),
    });
    executor.restore_checks(gates(&plan, &lines));
    carry_out(executor, scope).await
}

/// A person answers what was asked.
fn check_answers(answers: &Answers, begun: &BTreeSet<&Address>) -> Result<(), EngineError> {
    let Some(address) = answers.keys().find(|address| !begun.contains(address)) else {
        return Ok(());
    };
    let hint = match begun.iter().map(|address| address.as_str()).collect::<Vec<_>>() {
        begun if begun.is_empty() => {
            "leave out `--resolve`: every step's outcome is known".to_owned()
        }
        begun => format!("in question are only: {}", begun.join(", ")),
    };
    Err(EngineError::Nothing {
        message: format!("whether {address} happened is not in question"),
        hint,
    })
}

/// The gates that passed before the interruption: they are not run again.
fn gates(plan: &relctl_plan::Plan, lines: &[JournalLine]) -> Vec<checks::Checked> {
    let passed = lines.iter().filter_map(|line| match &line.event {
        JournalEvent::Checked { address, verdict } => {
            let step = plan.body.steps.iter().find(|step| step.address == *address)?;
            (step.when == Some(relctl_plan::CheckWhen::Before)).then(|| checks::Checked {
                address: address.clone(),
                verdict: verdict.clone(),
                blocking: step.blocking.unwrap_or(true),
            })
        }
        _ => None,
    });
    passed.collect()
}
