//! What the ledger remembers: HEAD, entries and snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Address, Digest, Fields, Instance, Lifecycle, Map, OnRevert, PluginPin, Template, Undo, Value,
    Verdict,
};

/// The one mutable thing of a ledger. It moves by compare-and-swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub format: u32,
    pub release: String,
    pub environment: Option<String>,
    /// Made once, by `relctl init`: two ledgers never share one.
    pub lineage: String,
    /// The newest entry's serial; 0 before the first.
    pub serial: u64,
    /// The newest entry; `None` before the first.
    pub entry: Option<Digest>,
    /// Rises by one at each taking of the lock.
    pub epoch: u64,
    /// The operation that has begun and has not been closed.
    pub operation: Option<OpenOperation>,
    /// Fields of a newer minor format, kept as they are.
    #[serde(flatten)]
    pub extra: Map,
}

impl Head {
    /// The on-disk format that this version writes, and the newest that it reads.
    pub const FORMAT: u32 = 1;
}

/// An apply, revert or resume that has not been closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOperation {
    /// Names the journal's folder.
    pub id: String,
    pub kind: EntryKind,
    pub plan_id: Digest,
    /// The plan's digest as an object of the ledger.
    pub plan: Digest,
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub started: String,
}

/// What made an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    Apply,
    Revert,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryOutcome {
    /// Every step is done.
    Succeeded,
    /// A step failed, is partial, or its outcome is unknown; what came after it was not started.
    Failed,
}

/// One line of history. Immutable, named by its digest, chained by `parent`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub format: u32,
    pub serial: u64,
    pub kind: EntryKind,
    pub release: String,
    pub version: String,
    pub environment: Option<String>,
    pub lineage: String,
    pub parent: Option<Digest>,
    pub operation: String,
    pub plan_id: Digest,
    /// The plan as an object of the ledger.
    pub plan: Digest,
    /// The digest of the last journal line: the journal is chained to it.
    pub journal: Digest,
    pub snapshot: Digest,
    pub outcome: EntryOutcome,
    /// Whether the blocking checks passed. `None`: the release has none.
    pub verified: Option<bool>,
    pub checks: BTreeMap<Address, Verdict>,
    /// The serial whose state a revert brought back; 0 is before the first entry.
    pub restores: Option<u64>,
    pub actor: String,
    pub reason: Option<String>,
    pub started: String,
    pub finished: String,
}

impl Entry {
    pub const FORMAT: u32 = 1;

    /// Whether this entry is one that a revert may go back to by default.
    pub fn is_good(&self) -> bool {
        self.outcome == EntryOutcome::Succeeded && self.verified != Some(false)
    }
}

/// What an entry left behind.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    pub format: u32,
    /// The plugins that the release was carried out with.
    pub plugins: BTreeMap<Instance, PluginPin>,
    /// Managed objects.
    pub objects: BTreeMap<Address, Recorded>,
    /// Objects that left the release file and were not deleted: no longer managed, still known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retained: Vec<Retained>,
    /// Runs of actions, by run key.
    pub runs: BTreeMap<String, Run>,
    /// Fields of a newer minor format, kept as they are.
    #[serde(flatten)]
    pub extra: Map,
}

/// As serde would derive it, but without the copy of everything that `flatten` makes on the way: a
/// snapshot may hold tens of thousands of objects, and every plan reads one.
impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SnapshotVisitor)
    }
}

struct SnapshotVisitor;

impl<'de> Visitor<'de> for SnapshotVisitor {
    type Value = Snapshot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a snapshot")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Snapshot, A::Error> {
        let mut snapshot = Snapshot::default();
        let mut seen = BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "format" => snapshot.format = fields.next_value()?,
                "plugins" => snapshot.plugins = fields.next_value()?,
                "objects" => snapshot.objects = fields.next_value::<Objects>()?.0,
                "retained" => snapshot.retained = fields.next_value()?,
                "runs" => snapshot.runs = fields.next_value()?,
                _ => drop(snapshot.extra.insert(name.clone(), fields.next_value()?)),
            }
            if let Some(name) = seen.replace(name) {
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
        }
        match ["format", "plugins", "objects", "runs"]
            .into_iter()
            .find(|name| !seen.contains(*name))
        {
            Some(missing) => Err(A::Error::missing_field(missing)),
            None => Ok(snapshot),
        }
    }
}

/// The objects of a snapshot, each with one value where two fields have the same.
struct Objects(BTreeMap<Address, Recorded>);

impl<'de> Deserialize<'de> for Objects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectsVisitor)
    }
}

struct ObjectsVisitor;

impl<'de> Visitor<'de> for ObjectsVisitor {
    type Value = Objects;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("objects by address")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut objects: A) -> Result<Objects, A::Error> {
        let mut read: Vec<(Address, Recorded)> = Vec::new();
        while let Some((address, mut recorded)) = objects.next_entry::<_, Recorded>()? {
            // Where nothing refers to anything, what is declared is what is desired.
            if recorded.desired.as_ref() == recorded.inputs.as_map() {
                recorded.desired = recorded.inputs.shared();
            }
            read.push((address, recorded));
        }
        Ok(Objects(read.into_iter().collect()))
    }
}

impl Snapshot {
    pub const FORMAT: u32 = 1;

    /// The snapshot before the first entry.
    pub fn empty() -> Self {
        Self { format: Self::FORMAT, ..Self::default() }
    }

    /// The part that may stand in output.
    #[must_use]
    pub fn without_sealed(mut self) -> Self {
        let retained = self.retained.iter_mut().map(|retained| &mut retained.recorded);
        for recorded in self.objects.values_mut().chain(retained) {
            recorded.undo = recorded.undo.take().map(Undo::without_sealed);
        }
        self
    }

    /// The newest run of the action at `address` that is done and was not undone.
    pub fn latest_run(&self, address: &Address) -> Option<(&String, &Run)> {
        self.runs
            .iter()
            .filter(|(_, run)| {
                run.address == *address && run.undone.is_none() && run.outcome == RunOutcome::Done
            })
            .max_by_key(|(_, run)| run.serial)
    }
}

/// A resource as the ledger knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    pub plugin: Instance,
    /// The identity fields and their values; empty where the address is the identity.
    pub identity: Map,
    /// As declared: references kept.
    pub inputs: Template,
    /// As declared, canonical and resolved: the owned fields. `null`: owned as absent.
    pub desired: Arc<Map>,
    /// Everything that was there after the entry, canonical.
    pub observed: Arc<Map>,
    pub depends_on: Vec<Address>,
    pub lifecycle: Lifecycle,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_revert: Option<OnRevert>,
    /// What each owned field was before the first entry that owned it.
    pub before: Fields<Before>,
    /// Whether it was there before relctl first wrote it.
    pub existed: bool,
    /// The serial of the entry that first recorded it.
    pub created: u64,
    /// The serial of the newest entry with a step for it.
    pub changed: u64,
    /// What its plugin needs to undo that step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// `false`: its last step failed, is partial, or its outcome is unknown.
    pub settled: bool,
}

impl Recorded {
    /// Whether `protect` was written and not taken back.
    pub fn is_protected(&self) -> bool {
        self.lifecycle.protect == Some(true)
    }
}

/// An object that left the release file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retained {
    /// The address that it had.
    pub address: Address,
    /// The serial of the entry that retained it.
    pub since: u64,
    pub recorded: Recorded,
}

/// What an owned field was before relctl owned it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Before {
    /// It was not there.
    Absent,
    Value(Value),
    /// It held the value that the referenced attribute had then, `${…}`. It goes back to what the
    /// attribute is when it goes back.
    Reference {
        reference: String,
        value: Value,
    },
}

/// One run of an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub address: Address,
    pub plugin: Instance,
    /// Resolved.
    pub inputs: Arc<Map>,
    pub output: Arc<Map>,
    pub depends_on: Vec<Address>,
    /// The serial of its entry.
    pub serial: u64,
    /// The resolved inputs of the run that undoes this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Map>,
    /// The serial of the entry that undid it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<u64>,
    pub outcome: RunOutcome,
}

/// How a run of an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    Done,
    /// It certainly failed; the next run is another one.
    Failed,
    /// Nobody knows; the next run must look first.
    Unknown,
}
