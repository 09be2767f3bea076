//! The plan document: closed, canonical, named by its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Address, Before, CheckWhen, Digest, Document, FieldChange, Fields, Instance, Lifecycle, Map,
    OnRevert, Path, Recorded, Reversal, Risk, Template, Undo, Value, digest_of,
};

/// The plan format that this version writes, and the newest that it reads.
pub const PLAN_FORMAT: u32 = 1;

/// Everything that will be done, and what it depends on. Apply needs nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    /// SHA-256 of the RFC 8785 form of `body`.
    pub plan_id: Digest,
    pub body: Body,
    /// What may differ between two runs of the same plan.
    pub meta: Meta,
}

/// Why a plan document is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("the plan cannot be written as canonical JSON: {0}")]
    Encode(String),
    #[error("the plan has format {0}, this relctl reads up to {PLAN_FORMAT}; use a newer relctl")]
    Format(u32),
    #[error(
        "the plan's body does not match its id {claimed}: it was changed after planning; plan again"
    )]
    Edited { claimed: Digest },
}

impl Plan {
    /// Closes a body into a plan.
    pub fn new(body: Body, meta: Meta) -> Result<Self, PlanError> {
        let plan_id = digest_of(&body).map_err(|e| PlanError::Encode(e.to_string()))?;
        Ok(Self { format: PLAN_FORMAT, plan_id, body, meta })
    }

    /// Checks format and id.
    pub fn verify(&self) -> Result<(), PlanError> {
        if self.format > PLAN_FORMAT || self.format == 0 {
            return Err(PlanError::Format(self.format));
        }
        let actual = digest_of(&self.body).map_err(|e| PlanError::Encode(e.to_string()))?;
        if actual == self.plan_id {
            Ok(())
        } else {
            Err(PlanError::Edited { claimed: self.plan_id.clone() })
        }
    }

    /// A step by its id.
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.body.steps.iter().find(|step| step.id == *id)
    }
}

/// The part of a plan that its id covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    pub release: String,
    pub version: String,
    pub environment: Option<String>,
    pub kind: PlanKind,
    /// Whether an entry is due even if nothing else changes: another version, or a revert.
    pub new_version: bool,
    pub base: Base,
    pub plugins: BTreeMap<Instance, PluginPin>,
    /// In the order of execution: needs come first, then address.
    pub steps: Vec<Step>,
    /// Objects without a step that steps refer to: observed again before anything starts.
    pub relied_on: BTreeMap<Address, Reliance>,
    /// Objects without a step whose record changes: new ownership, a new name, new guards.
    pub records: BTreeMap<Address, RecordChange>,
    /// Recorded objects that are no longer managed and stay as they are.
    pub retain: Vec<Address>,
    /// Recorded objects that should go and are gone already.
    pub forget: Vec<Address>,
    pub summary: Summary,
    pub drift: Vec<Drift>,
    /// Risks of the plan as a whole.
    pub risks: Vec<Risk>,
    pub notes: Vec<String>,
}

impl Body {
    /// Whether anything but checks would happen.
    pub fn has_changes(&self) -> bool {
        self.new_version
            || self.steps.iter().any(|step| step.verb != Verb::Check)
            || !self.records.is_empty()
            || !self.retain.is_empty()
            || !self.forget.is_empty()
    }

    /// Whether a plugin would be asked to change something.
    pub fn has_mutations(&self) -> bool {
        self.steps.iter().any(|step| step.verb.is_mutation())
    }

    /// The plan's own risks and those of its steps, worst first; of the same severity the plan's own.
    pub fn all_risks(&self) -> Vec<(Option<&Step>, &Risk)> {
        let own = self.risks.iter().map(|risk| (None, risk));
        let steps = self.steps.iter().flat_map(|s| s.risks.iter().map(move |r| (Some(s), r)));
        let mut risks: Vec<_> = own.chain(steps).collect();
        risks.sort_by_key(|(step, risk)| (risk.severity, step.is_some()));
        risks
    }
}

/// Which way a plan goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanKind {
    Apply,
    /// Back to what an entry left behind.
    Revert {
        target: Origin,
    },
}

/// An entry, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// 0 is before the first entry.
    pub serial: u64,
    pub entry: Option<Digest>,
    pub version: Option<String>,
}

/// The ledger that a plan was made against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    pub lineage: String,
    pub serial: u64,
    pub entry: Option<Digest>,
}

/// The plugin that a plan was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginPin {
    pub name: String,
    pub version: String,
    /// Of the wasm.
    pub sha256: Digest,
    /// The contract's version, `0.1`.
    pub contract: String,
    pub grants: Value,
    /// As written.
    pub config: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub auth: Value,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Create,
    Update,
    /// Delete, then create under the same identity.
    Replace,
    Delete,
    /// It exists and is as declared: from now on it is recorded.
    Adopt,
    /// Runs an action, or the action that undoes one.
    Run,
    Check,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Adopt => "adopt",
            Self::Run => "run",
            Self::Check => "check",
        }
    }

    /// Whether the plugin is asked to change something.
    pub fn is_mutation(self) -> bool {
        !matches!(self, Self::Adopt | Self::Check)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `<address>#<verb>`; `<address>#undo-<run key>` for the undoing of a run;
/// `<address>#delete-<identity>` for the deletion of an object that is no longer managed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(String);

impl StepId {
    pub fn new(address: &Address, verb: Verb) -> Self {
        Self(format!("{address}#{verb}"))
    }

    /// The id of the step that undoes the run with this key.
    pub fn undo(address: &Address, run_key: &str) -> Self {
        Self(format!("{address}#undo-{}", run_key.get(..8).unwrap_or(run_key)))
    }

    /// The id of the step that deletes an object which left the release file before: its address
    /// may stand for another object by now.
    pub fn delete_retained(address: &Address, identity: &Map) -> Self {
        let digest = digest_of(identity).map(|digest| digest.short().to_owned());
        Self(format!("{address}#delete-{}", digest.unwrap_or_default()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One thing that will be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub id: StepId,
    pub address: Address,
    pub plugin: Instance,
    pub verb: Verb,
    /// Identity fields as far as they are known.
    pub identity: Map,
    /// What is declared, references kept.
    pub inputs: Template,
    /// What is declared, canonical; unknown where a reference is. Fields to remove are `null`.
    pub desired: Arc<Document>,
    /// Paths in `desired` that are set or removed by this step and not owned after it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub releases: BTreeSet<Path>,
    /// Computed fields whose values after the step are already certain, as the plugin says.
    pub planned: Document,
    pub changes: Vec<FieldChange>,
    /// What must still be so when the step starts.
    pub expects: Expectation,
    pub needs: Vec<StepId>,
    pub reversal: Reversal,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risks: Vec<Risk>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Reverts: what the step that is undone recorded for its plugin. What is sealed of it stays in
    /// the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    pub depends_on: Vec<Address>,
    /// Resources: what becomes part of the record.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_revert: Option<OnRevert>,
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub before: Fields<Before>,
    /// Resources: the address that the object had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<Address>,
    /// Resources: it was there before relctl first wrote it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub existed: bool,
    /// Reverts: whether the object is managed after the step.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub managed: bool,
    /// Actions: the run's key, where all inputs are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub triggers: Option<Template>,
    /// Actions: the inputs of the run that would undo this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_inputs: Option<Template>,
    /// Reverts: the key of the run that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// Checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<CheckWhen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocking: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_yes(value: &bool) -> bool {
    *value
}

fn yes() -> bool {
    true
}

/// A record that changes without a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordChange {
    /// The record as it will be; its `changed` serial stays what it is. Without its undo, which
    /// stays too, and of which parts may be sealed.
    pub record: Recorded,
    /// The address that the object had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renamed_from: Option<Address>,
    /// Why, for people.
    pub reason: String,
}

/// What a step, or a plan, depends on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// Whether the object exists.
    pub exists: bool,
    /// Fields and their observed values; `null` for an absent one.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub fields: Fields<Value>,
}

/// An object that steps refer to, with what is needed to observe it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliance {
    pub plugin: Instance,
    pub desired: Arc<Map>,
    pub expects: Expectation,
}

/// How many of each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub create: u32,
    pub update: u32,
    pub replace: u32,
    pub delete: u32,
    pub adopt: u32,
    pub run: u32,
    pub check: u32,
    pub noop: u32,
}

/// An owned field whose observed value is not the recorded one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    pub address: Address,
    /// The root: the whole object is gone.
    pub path: Path,
    pub recorded: Value,
    pub observed: Value,
}

/// What may differ between two runs of the same plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    pub relctl: String,
    pub created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_url: Option<String>,
    /// Fields that someone else moves, as they were.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub external: BTreeMap<Address, BTreeMap<Path, Value>>,
    /// What is in force, for the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force: Option<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_force_verified: Option<bool>,
}
