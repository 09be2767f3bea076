//! Goals: what a plan is to reach, whether a release file or the ledger says so.

use std::collections::{BTreeMap, BTreeSet};

use relctl_plan::{
    Address, Before, CheckWhen, Fields, Instance, Lifecycle, Object, OnRevert, Path, Recorded,
    Release, Role, Template, Undo, Value,
};

use super::base::Key;

/// One object as it is to be.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    pub(crate) address: Address,
    pub(crate) plugin: Instance,
    pub(crate) inputs: Template,
    pub(crate) depends_on: Vec<Address>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) on_revert: Option<OnRevert>,
    pub(crate) undo_inputs: Option<Template>,
    pub(crate) triggers: Option<Template>,
    pub(crate) when: CheckWhen,
    pub(crate) blocking: bool,
    /// `None`: the goal is a release file's.
    pub(crate) back: Option<Box<WayBack>>,
}

/// What a revert says about an object beyond its desired state.
#[derive(Debug, Clone)]
pub(crate) struct WayBack {
    /// Fields that go back and are not owned afterwards.
    pub(crate) releases: BTreeSet<Path>,
    /// Those of them that were absent.
    pub(crate) absent: BTreeSet<Path>,
    /// Those of them that were let go since: they go back only if they hold this still.
    pub(crate) only_if: BTreeMap<Path, Option<Value>>,
    /// Ownership as the target had it.
    pub(crate) before: Fields<Before>,
    /// Whether the target managed the object.
    pub(crate) managed: bool,
    /// Whether it was there before relctl.
    pub(crate) existed: bool,
    /// What the first step that is undone recorded for its plugin.
    pub(crate) undo: Option<Undo>,
}

impl Goal {
    /// What this goal needs: references and `depends_on`.
    pub(crate) fn edges(&self) -> BTreeSet<Address> {
        let templates = [Some(&self.inputs), self.triggers.as_ref(), self.undo_inputs.as_ref()];
        let referred = templates.into_iter().flatten().flat_map(Template::references);
        let mut edges: BTreeSet<Address> = referred.map(|r| r.address).collect();
        edges.extend(self.depends_on.iter().cloned());
        edges.remove(&self.address);
        edges
    }
}

impl From<&Object> for Goal {
    fn from(object: &Object) -> Self {
        Self {
            address: object.address.clone(),
            plugin: object.plugin.clone(),
            inputs: object.inputs.clone(),
            depends_on: object.depends_on.clone(),
            lifecycle: object.lifecycle.clone(),
            on_revert: object.on_revert,
            undo_inputs: object.undo.clone(),
            triggers: object.triggers.clone(),
            when: object.when,
            blocking: object.blocking,
            back: None,
        }
    }
}

/// What happens to a recorded object that no goal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No longer managed, left as it is.
    Retain,
    Delete,
    /// Reverts: deleted only while it is still what relctl left.
    DeleteIfUntouched,
}

/// Which recorded objects, managed or retained, are not simply to be retained.
#[derive(Debug)]
pub(crate) enum Fates {
    /// As a release file says: by address.
    Named(BTreeMap<Address, Fate>),
    /// As the ledger says: by object.
    Known(BTreeMap<Key, Fate>),
}

impl Default for Fates {
    fn default() -> Self {
        Self::Known(BTreeMap::new())
    }
}

impl Fates {
    pub(crate) fn of(&self, address: &Address, recorded: &Recorded) -> Fate {
        let fate = match self {
            Self::Named(fates) => fates.get(address),
            Self::Known(fates) => fates.get(&Key::of(address, recorded)),
        };
        fate.copied().unwrap_or(Fate::Retain)
    }
}

/// Everything that a plan is to reach.
#[derive(Debug, Default)]
pub(crate) struct Goals {
    pub(crate) goals: Vec<Goal>,
    pub(crate) fates: Fates,
    /// Reverts: keys of the runs to undo.
    pub(crate) undo_runs: Vec<String>,
}

impl Goals {
    pub(crate) fn of_release(release: &Release) -> Self {
        let fates = release.removed.iter().map(|(address, removed)| {
            (address.clone(), if removed.delete { Fate::Delete } else { Fate::Retain })
        });
        Self {
            goals: release.objects.values().map(Goal::from).collect(),
            fates: Fates::Named(fates.collect()),
            undo_runs: Vec::new(),
        }
    }

    /// Splits off the lookups.
    pub(crate) fn take_lookups(&mut self) -> Vec<Goal> {
        self.goals.extract_if(.., |goal| goal.address.role() == Role::Lookup).collect()
    }
}
