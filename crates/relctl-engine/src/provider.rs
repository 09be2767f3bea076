//! What the engine asks of a plugin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use relctl_plan::{
    Address, Assessment, Attempt, Description, Diagnostic, Document, Failure, Instance, Map, Path,
    PluginPin, Progress, StepId, Undo, Verb, Verdict,
};

/// An object that a plugin is asked about. What it holds is shared with the plan and the ledger: one
/// call may ask about thousands.
#[derive(Debug, Clone, PartialEq)]
pub struct Subject {
    /// Tells the role and the kind too.
    pub address: Address,
    pub desired: Option<Arc<Document>>,
    /// What the ledger recorded last.
    pub prior: Option<Arc<Map>>,
}

/// A difference between what is desired and what is observed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub subject: Subject,
    pub verb: Verb,
    pub observed: Option<Arc<Map>>,
    /// The owned fields as they shall be; `null` for those to remove. `None`: delete.
    pub desired: Option<Arc<Document>>,
    /// The fields that differ.
    pub paths: Vec<Path>,
    /// Reverts: what the step that is undone recorded.
    pub undo: Option<Undo>,
}

/// One step, as it is handed to a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct StepCall {
    pub id: StepId,
    /// The idempotency token: the same on every retry of this step of this plan.
    pub token: String,
    /// Actions: what makes a run the same run.
    pub run_key: Option<String>,
    pub attempt: Attempt,
    pub change: Change,
    /// What the plan says that the object will be.
    pub planned: Document,
    /// The ledger's lineage: whose work this is.
    pub lineage: String,
    /// How long the step may take in all.
    pub timeout: Duration,
}

/// A plugin that did not answer as the contract says: not the cloud's failure but the plugin's, or
/// the host's.
#[derive(Debug, Clone, thiserror::Error)]
#[error("plugin `{plugin}` {fault}")]
pub struct ProviderError {
    pub plugin: Instance,
    pub fault: ProviderFault,
}

/// How a plugin call went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// A sentence that goes on after the plugin's name: "used its whole CPU budget in `observe`".
    #[error("{0}")]
    Trapped(String),
    #[error("answered {got} results to {asked} subjects in `{call}`; this is the plugin's mistake")]
    Count { call: &'static str, asked: usize, got: usize },
    #[error("answered in `{call}` with what is not in the contract: {detail}")]
    Malformed { call: &'static str, detail: String },
}

/// A plugin, loaded and configured. Answers come in the order of what was asked, one each.
#[async_trait]
pub trait Provider: Send + Sync {
    fn description(&self) -> &Description;

    /// How it is named in plans.
    fn pin(&self) -> &PluginPin;

    /// Pure: the canonical form of what is desired.
    async fn validate(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Document, Vec<Diagnostic>>>, ProviderError>;

    /// Reads only: what is there, canonical, `None` where nothing is.
    async fn observe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Option<Arc<Map>>, Failure>>, ProviderError>;

    /// Pure: what a change would mean.
    async fn assess(
        &self,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Assessment, Failure>>, ProviderError>;

    /// Reads only: runs checks.
    async fn probe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Verdict, Failure>>, ProviderError>;

    /// Does a step. A fault of the plugin during it is [`Failure::Unknown`].
    async fn apply(&self, step: &StepCall) -> Result<Progress, Failure>;

    /// Asks how a pending step is.
    async fn poll(&self, step: &StepCall, token: &str) -> Result<Progress, Failure>;
}

/// The plugins of a release, by instance.
pub type Providers = BTreeMap<Instance, Arc<dyn Provider>>;
