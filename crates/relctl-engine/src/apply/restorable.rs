//! Before a step that cannot be undone: what it would be restored from is still there.
//!
//! A snapshot that was available a moment ago may be gone, and between its step and the next one
//! may lie an interruption and a night.

use std::collections::HashMap;
use std::sync::Arc;

use relctl_plan::{Address, Failure, Instance, Map, Plan, Reversal, Step, StepId, Verb};

use super::step::Crew;
use crate::planning::base::kind_of;
use crate::planning::restore::needed;
use crate::{Context, Subject};

/// The runs of a plan that leave something to restore from, and which steps need which.
pub(crate) struct RestorePoints<'p> {
    runs: HashMap<&'p StepId, &'p Step>,
    needs: HashMap<StepId, Vec<StepId>>,
}

/// What a run left to restore from, as its plugin is asked about it.
pub(crate) type Left = (Instance, Subject);

impl<'p> RestorePoints<'p> {
    pub(crate) fn of(context: Context<'_>, plan: &'p Plan) -> Self {
        let is_one = |step: &&Step| {
            step.verb == Verb::Run
                && step.undoes.is_none()
                && kind_of(context, &step.plugin, &step.address)
                    .is_ok_and(|kind| kind.observed && kind.restore_point.is_some())
        };
        let steps = plan.body.steps.iter();
        let runs: HashMap<_, _> = steps.filter(is_one).map(|step| (&step.id, step)).collect();
        let with_needs = plan.body.steps.iter().filter(|_| !runs.is_empty());
        let needs = with_needs.map(|step| (step.id.clone(), step.needs.clone())).collect();
        Self { runs, needs }
    }

    /// What this step would be restored from, if it cannot be undone.
    pub(crate) fn behind(&self, step: &Step, documents: &HashMap<Address, Arc<Map>>) -> Vec<Left> {
        if step.reversal != Reversal::Impossible || self.runs.is_empty() {
            return Vec::new();
        }
        let runs = needed(&self.needs, &step.id).into_iter();
        let left = runs.filter_map(|id| self.runs.get(&id)).filter_map(|run| {
            let subject = Subject {
                address: run.address.clone(),
                desired: Some(run.desired.clone()),
                prior: Some(Arc::clone(documents.get(&run.address)?)),
            };
            Some((run.plugin.clone(), subject))
        });
        left.collect()
    }
}

impl Crew<'_> {
    /// Fails where something of it is not there any more, or where nobody can tell.
    pub(crate) async fn still_there(&self, left: &[Left]) -> Result<(), Failure> {
        for (plugin, subject) in left {
            let unseen = |why: String| {
                Failure::Precondition(format!(
                    "nothing was started: whether what {} left to go back to is still there cannot be seen: {why}",
                    subject.address
                ))
            };
            let Some(provider) = self.context.providers.get(plugin) else {
                return Err(unseen("its plugin is not loaded".to_owned()));
            };
            let answers = provider.observe(vec![subject.clone()]).await;
            let answers = answers.map_err(|error| unseen(error.to_string()))?;
            match answers.into_iter().next() {
                Some(Ok(Some(_))) => {}
                Some(Ok(None)) => {
                    return Err(Failure::Precondition(format!(
                        "nothing was started: what {} left to go back to is not there any more; plan again, which has another taken",
                        subject.address
                    )));
                }
                Some(Err(failure)) => return Err(unseen(failure.to_string())),
                None => return Err(unseen("the plugin did not answer".to_owned())),
            }
        }
        Ok(())
    }
}
