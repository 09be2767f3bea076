//! A release file that was read, before its kinds are known.

use std::collections::{BTreeMap, BTreeSet};

use relctl_plan::{Address, Instance, Path, PluginConfig, Removed, Role};

use crate::mistake::{Found, Mistake};
use crate::objects::Objects;
use crate::source::{Place, Sources};
use crate::tree::{Content, Table};

/// What a release file says, before its kinds are known.
///
/// It also remembers where everything is written, for mistakes that plugins and the engine find.
#[derive(Debug)]
pub struct Draft {
    pub(crate) sources: Sources,
    /// What was found so far; [`Draft::finish`] reports it with everything else.
    pub(crate) mistakes: Vec<Found>,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) environment: Option<String>,
    pub(crate) plugins: BTreeMap<Instance, PluginConfig>,
    pub(crate) ledger: Ledger,
    pub(crate) objects: Objects,
    pub(crate) removed: BTreeMap<Address, Removed>,
}

/// What `[ledger]` says.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) url: Option<String>,
    pub(crate) recipients: Vec<String>,
}

impl Draft {
    /// The release's name, which also names its ledger.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// `None`: the release has no environments.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// The plugins that are configured; `local` in the release's folder where none is.
    pub fn plugins(&self) -> &BTreeMap<Instance, PluginConfig> {
        &self.plugins
    }

    /// `[ledger] url`.
    pub fn ledger_url(&self) -> Option<&str> {
        self.ledger.url.as_deref()
    }

    /// `[ledger] recipients`: for whom the ledger is encrypted.
    pub fn ledger_recipients(&self) -> &[String] {
        &self.ledger.recipients
    }

    /// The kinds that plugins must serve for this release.
    pub fn kinds_needed(&self) -> BTreeSet<(Role, &str)> {
        self.objects.keys().map(|address| (address.role(), address.kind())).collect()
    }

    /// A mistake that a plugin or the engine found in a field, at the place where it is written: in
    /// the layer that set it, or at the object's header where the field is missing.
    pub fn diagnostic(
        &self,
        address: &Address,
        path: &Path,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Mistake {
        let found = match self.objects.get(address) {
            Some(declared) => {
                let place = place_of(&declared.fields, path).unwrap_or(declared.header);
                Found::at(place, message)
            }
            None => Found::nowhere(format!("{address}: {}", message.into())),
        };
        Mistake::locate(found.maybe_hint(hint), &self.sources)
    }
}

/// The place of the field, or of the innermost part above it that is written.
fn place_of(fields: &Table, path: &Path) -> Option<Place> {
    let mut segments = path.segments();
    let mut node = &fields.get(segments.next()?)?.node;
    for segment in segments {
        let below = match &node.content {
            Content::Table(table) => table.get(segment).map(|entry| &entry.node),
            Content::List(items) => segment.parse().ok().and_then(|at: usize| items.get(at)),
            _ => None,
        };
        match below {
            Some(below) => node = below,
            None => break,
        }
    }
    Some(node.place)
}
