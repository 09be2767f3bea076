//! The desired release: what a team wrote, checked and typed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Address, Path, Template, Value};

/// The name under which a plugin is configured, `local` or `ecs_eu`.
pub type Instance = String;

/// A release file with its overlays, variables and files resolved. References stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    pub name: String,
    pub version: String,
    /// The environment, `None` where the release has no `environments/`.
    pub environment: Option<String>,
    pub plugins: BTreeMap<Instance, PluginConfig>,
    pub objects: BTreeMap<Address, Object>,
    pub removed: BTreeMap<Address, Removed>,
}

/// `[plugins.<instance>]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginConfig {
    /// A plugin's name, or a path that ends in `.wasm`.
    pub source: String,
    /// As written: handed to the plugin and shown in the plan.
    pub config: Value,
    /// As written: how the host authenticates for this plugin; the guest never sees it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub auth: Value,
}

/// One lookup, resource, action or check.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    pub address: Address,
    pub plugin: Instance,
    /// The fields that the file declares, keyed lists as objects, without relctl's own keys.
    pub inputs: Template,
    /// `depends_on` alone; references are edges of their own.
    pub depends_on: Vec<Address>,
    pub lifecycle: Lifecycle,
    pub on_revert: Option<OnRevert>,
    /// `[action.K.N.undo]`: what differs from the action's inputs when it is undone.
    pub undo: Option<Template>,
    /// `triggers`: an action runs again when these change.
    pub triggers: Option<Template>,
    /// Checks only.
    pub when: CheckWhen,
    /// Checks only: whether a failure fails the release.
    pub blocking: bool,
}

/// The guards of an object. Kept in the ledger, so that removing a line removes no protection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lifecycle {
    /// Forbids delete and replace. `None`: what the ledger has, else not protected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protect: Option<bool>,
    /// Allows delete-then-create under the same identity.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replace: bool,
    /// Allows creation of kinds that should already exist.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub create: bool,
    /// Fields that are to be removed, whoever set them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Path>,
    /// Fields that someone else moves: used at creation only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<Path>,
    /// How long a step of this object may take, in milliseconds. `None`: as long as any step may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl Lifecycle {
    /// Whether someone else moves the field at `path`.
    pub fn is_external(&self, path: &Path) -> bool {
        self.external.iter().any(|external| external.contains(path))
    }
}

/// What a revert does with an object that was created since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRevert {
    Undo,
    Keep,
}

/// When a check runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckWhen {
    /// A gate: before the first change.
    Before,
    #[default]
    After,
}

/// `[removed.<address>]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Whether what is there is deleted; otherwise it is retained.
    pub delete: bool,
}
