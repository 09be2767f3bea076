//! What a plan is made against: the ledger's head, its entry and its snapshot.

use std::collections::HashMap;

use relctl_plan::{
    Address, Description, Digest, Document, Entry, Head, Instance, Kind, Map, Plan, Recorded,
    Snapshot, Step, StepId, digest_of,
};

use crate::revert::sealed_undos;
use crate::{Context, EngineError, LedgerError};

/// The ledger as it was when planning began.
pub(crate) struct Base {
    pub(crate) head: Head,
    pub(crate) entry: Option<Entry>,
    pub(crate) snapshot: Snapshot,
    /// Reverts, while they are applied: what is sealed of the undo of each step.
    pub(crate) sealed: HashMap<StepId, Document>,
    by_identity: HashMap<String, Known>,
}

/// Where an object with a given identity is recorded.
#[derive(Debug, Clone)]
enum Known {
    Managed(Address),
    Retained(usize),
}

/// A record found for a goal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) address: &'a Address,
    pub(crate) recorded: &'a Recorded,
    pub(crate) retained: bool,
}

impl Base {
    pub(crate) async fn read(context: Context<'_>) -> Result<Self, EngineError> {
        let head = context.ledger.head().await?;
        Self::at(context, head).await
    }

    /// The base that `head` names.
    pub(crate) async fn at(context: Context<'_>, head: Head) -> Result<Self, EngineError> {
        let (entry, snapshot) = read_entry(context, head.entry.as_ref()).await?;
        let mut by_identity = HashMap::new();
        for (index, retained) in snapshot.retained.iter().enumerate() {
            if let Some(key) = recorded_key(&retained.address, &retained.recorded) {
                by_identity.insert(key, Known::Retained(index));
            }
        }
        for (address, recorded) in &snapshot.objects {
            if let Some(key) = recorded_key(address, recorded) {
                by_identity.insert(key, Known::Managed(address.clone()));
            }
        }
        Ok(Self { head, entry, snapshot, sealed: HashMap::new(), by_identity })
    }

    /// The base that `head` names, to apply `plan` on.
    pub(crate) async fn to_apply(
        context: Context<'_>,
        head: Head,
        plan: &Plan,
    ) -> Result<Self, EngineError> {
        let base = Self::at(context, head).await?;
        let sealed = sealed_undos(context, &base.head, plan).await?;
        Ok(Self { sealed, ..base })
    }

    /// Whether the object is managed or retained.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        let managed = self.snapshot.objects.iter();
        let retained = self.snapshot.retained.iter().map(|r| (&r.address, &r.recorded));
        managed.chain(retained).any(|(address, recorded)| Key::of(address, recorded) == *key)
    }

    /// The record of the object with this identity, under whatever address; where the address is
    /// the identity, the record of the address.
    pub(crate) fn find(
        &self,
        plugin: &str,
        address: &Address,
        identity: &Map,
    ) -> Option<Found<'_>> {
        let known = match identity_key(plugin, address, identity) {
            Some(key) => self.by_identity.get(&key)?.clone(),
            None if self.snapshot.objects.contains_key(address) => Known::Managed(address.clone()),
            None => {
                let is_it = |r: &relctl_plan::Retained| {
                    r.address == *address && r.recorded.plugin == plugin
                };
                Known::Retained(self.snapshot.retained.iter().rposition(is_it)?)
            }
        };
        match known {
            Known::Managed(address) => {
                let (address, recorded) = self.snapshot.objects.get_key_value(&address)?;
                Some(Found { address, recorded, retained: false })
            }
            Known::Retained(index) => {
                let relctl_plan::Retained { address, recorded, .. } =
                    self.snapshot.retained.get(index)?;
                Some(Found { address, recorded, retained: true })
            }
        }
    }
}

/// An entry with its snapshot; before the first entry, the empty snapshot.
pub(crate) async fn read_entry(
    context: Context<'_>,
    digest: Option<&Digest>,
) -> Result<(Option<Entry>, Snapshot), LedgerError> {
    let Some(digest) = digest else { return Ok((None, Snapshot::empty())) };
    let entry = context.ledger.entry(digest).await?;
    let snapshot = context.ledger.snapshot(&entry.snapshot).await?;
    Ok((Some(entry), snapshot))
}

/// The identity fields of a document. `None`: not known yet. Empty: the address is the identity.
pub(crate) fn identity_of(kind: &Kind, document: &Document) -> Option<Map> {
    let mut identity = Map::new();
    for field in &kind.identity {
        let path = relctl_plan::Path::field(field);
        if document.is_unknown(&path) {
            return None;
        }
        if let Some(value) = document.get(&path).filter(|value| !value.is_null()) {
            identity.insert(field.clone(), value.clone());
        }
    }
    Some(identity)
}

/// (plugin instance, kind, identity) as one text; `None` where the address is the identity.
pub(crate) fn identity_key(plugin: &str, address: &Address, identity: &Map) -> Option<String> {
    if identity.is_empty() {
        return None;
    }
    let digest = digest_of(identity).ok()?;
    Some(format!("{plugin}\n{}\n{digest}", address.kind()))
}

/// Tells objects apart over entries: by identity, or by address where that is the identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(String);

impl Key {
    pub(crate) fn of(address: &Address, recorded: &Recorded) -> Self {
        Self::new(&recorded.plugin, address, &recorded.identity)
    }

    pub(crate) fn of_step(step: &Step) -> Self {
        Self::new(&step.plugin, &step.address, &step.identity)
    }

    fn new(plugin: &str, address: &Address, identity: &Map) -> Self {
        let by_identity = identity_key(plugin, address, identity);
        Self(by_identity.unwrap_or_else(|| format!("{plugin}\n{address}")))
    }
}

/// The key of a recorded object, by identity or by address.
pub(crate) fn recorded_key(address: &Address, recorded: &Recorded) -> Option<String> {
    identity_key(&recorded.plugin, address, &recorded.identity)
}

/// The kind that serves `address` in `plugin`.
pub(crate) fn kind_of<'a>(
    context: Context<'a>,
    plugin: &Instance,
    address: &Address,
) -> Result<&'a Kind, EngineError> {
    let description: &Description = context
        .providers
        .get(plugin)
        .ok_or_else(|| EngineError::NoPlugin(plugin.clone()))?
        .description();
    description
        .kind(address.role(), address.kind())
        .ok_or_else(|| EngineError::NoKind { plugin: plugin.clone(), address: address.clone() })
}
