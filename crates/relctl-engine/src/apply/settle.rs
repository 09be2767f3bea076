//! Steps that began, and of which nobody can tell whether they happened.
//!
//! The world is asked first: the plugin looked and could not tell. Then a person may have said it.
//! Without that, the operation stays open, or, where it is to be closed, the outcome is unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use relctl_plan::{
    Address, Attempt, Document, Event, Failure, JournalEvent, Map, Role, Step, Verb,
};

use super::precheck::subject;
use super::step::{Crew, Ended, Job, Outcome, Worked};
use crate::{LedgerError, Subject};

/// What a person says about a step whose outcome nobody else knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether it happened.
    pub done: bool,
    pub by: String,
    /// How that is known.
    pub reason: String,
}

/// What a person says, by address.
pub type Answers = BTreeMap<Address, Answer>;

/// How undecided steps are dealt with.
#[derive(Debug, Clone)]
pub(crate) struct Settling {
    /// Whether the operation stays open for them, and goes on with what had not happened.
    pub(crate) goes_on: bool,
    pub(crate) answers: Answers,
}

impl Crew<'_> {
    /// Decides about a step of which the plugin cannot tell whether it happened.
    pub(crate) async fn settle(
        &self,
        job: &Job<'_>,
        desired: Arc<Document>,
        run_key: Option<String>,
        why: String,
        started: u64,
    ) -> Result<Worked, LedgerError> {
        let step = job.step;
        // One that was begun anew on a person's word is not begun a third time on the same one.
        let answer = self.settling.answers.get(&step.address).filter(|_| !job.anew);
        let Some(answer) = answer else {
            return self.leave_undecided(job, desired, run_key, why, started).await;
        };
        let found = if answer.done {
            self.find_done(step, &desired).await.map(Some)
        } else {
            self.find(step, &desired).await
        };
        let found = match found {
            Ok(found) => found,
            Err(why) => return self.leave_undecided(job, desired, run_key, why, started).await,
        };
        let done = found.clone().filter(|_| answer.done);
        let resolved = JournalEvent::Resolved {
            step: step.id.clone(),
            done: answer.done,
            by: answer.by.clone(),
            reason: answer.reason.clone(),
            document: done.clone().map(Document::known),
        };
        self.journal.append(self.context.clock.now(), resolved).await?;
        self.observer.answered(&step.id, answer.done);
        match done {
            Some(document) => {
                let elapsed_ms = self.context.clock.monotonic_ms().saturating_sub(started);
                self.observer.event(&Event::StepDone { step: step.id.clone(), elapsed_ms });
                let (undo, outcome) = (job.undo.clone(), Outcome::Done(document));
                Ok(Worked::Ended(Ended { desired, run_key, undo, outcome }))
            }
            None if self.settling.goes_on && !self.is_stopping() => {
                // As if it had never begun, on what is there now.
                let anew = Job {
                    step,
                    attempt: Attempt::First,
                    desired: Ok(desired),
                    triggers: Ok(Document::default()),
                    observed: found,
                    run_key,
                    undo: job.undo.clone(),
                    restorable: job.restorable.clone(),
                    poll: None,
                    anew: true,
                };
                Box::pin(self.try_work(anew)).await
            }
            None => Ok(Worked::Returned),
        }
    }

    async fn leave_undecided(
        &self,
        job: &Job<'_>,
        desired: Arc<Document>,
        run_key: Option<String>,
        why: String,
        started: u64,
    ) -> Result<Worked, LedgerError> {
        if !self.settling.goes_on {
            return self.fail(job, desired, run_key, Failure::Unknown(why), started).await;
        }
        let elapsed_ms = self.context.clock.monotonic_ms().saturating_sub(started);
        self.observer.event(&Event::StepFailed {
            step: job.step.id.clone(),
            failure: Failure::Unknown(why.clone()),
            elapsed_ms,
        });
        Ok(Worked::Undecided(why))
    }

    /// What a step that happened left behind; why it cannot have happened otherwise.
    async fn find_done(&self, step: &Step, desired: &Arc<Document>) -> Result<Arc<Map>, String> {
        if step.address.role() != Role::Resource {
            return Ok(step.planned.value.clone());
        }
        let found = self.find(step, desired).await?;
        let said = format!("{} was said to be done, but", step.address);
        match (found, step.verb) {
            (None, Verb::Delete) => Ok(Arc::default()),
            (Some(_), Verb::Delete) => Err(format!("{said} it is still there")),
            (None, _) => Err(format!("{said} it is not there")),
            (Some(document), _) => {
                self.agree(step, desired, document).map_err(|failure| match failure {
                    Failure::Partial { message, .. } => message,
                    other => other.to_string(),
                })
            }
        }
    }

    /// The object as it is now; nothing for an action.
    async fn find(&self, step: &Step, desired: &Arc<Document>) -> Result<Option<Arc<Map>>, String> {
        if step.address.role() != Role::Resource {
            return Ok(None);
        }
        let Some(provider) = self.context.providers.get(&step.plugin) else {
            return Err("its plugin is not loaded".to_owned());
        };
        let subject = Subject { desired: Some(Arc::clone(desired)), ..subject(self.base, step) };
        let answers = provider.observe(vec![subject]).await.map_err(|error| error.to_string())?;
        match answers.into_iter().next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(failure)) => Err(failure.to_string()),
            None => Err("the plugin did not answer".to_owned()),
        }
    }
}
