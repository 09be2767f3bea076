//! A release file that was read, before its kinds are known.

use std::collections::{BTreeMap, BTreeSet};

use relctl_plan::{Address, Path, Removed, Role};

use crate::header::Header;
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
    pub(crate) header: Header,
    pub(crate) objects: Objects,
    pub(crate) removed: BTreeMap<Address, Removed>,
}

impl Draft {
    pub fn header(&self) -> &Header {
        &self.header
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
