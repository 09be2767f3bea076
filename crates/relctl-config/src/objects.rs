//! Objects as declared: `[lookup.…]`, `[resource.…]`, `[action.…]`, `[check.…]`, with defaults laid
//! under them and relctl's own keys taken out. Everything here is known without the plugins.

use std::collections::BTreeMap;

use relctl_plan::{Address, CheckWhen, Graph, Lifecycle, OnRevert, Path, Reference, Removed, Role};

use crate::mistake::{Found, did_you_mean};
use crate::section::{Section, take_boolean, take_table, take_text, take_texts};
use crate::source::Place;
use crate::tree::{Content, Entry, Node, Table, lay_over};

/// relctl's own keys in an object, with the roles that have them.
pub(crate) const RESERVED: [(&str, &[Role]); 9] = [
    ("plugin", &Role::ALL),
    ("depends_on", &Role::ALL),
    ("lifecycle", &[Role::Resource]),
    ("on_revert", &[Role::Resource, Role::Action]),
    ("timeout", &[Role::Resource, Role::Action]),
    ("triggers", &[Role::Action]),
    ("undo", &[Role::Action]),
    ("when", &[Role::Check]),
    ("blocking", &[Role::Check]),
];

/// One object, its fields not yet compared with its kind.
#[derive(Debug)]
pub(crate) struct Declared {
    /// The header, `[resource.local_file.index]`.
    pub(crate) header: Place,
    pub(crate) fields: Table,
    pub(crate) plugin: Option<(String, Place)>,
    pub(crate) depends_on: Vec<(Address, Place)>,
    pub(crate) lifecycle: Lifecycle,
    /// The paths of `absent` and `external`, with their places.
    pub(crate) lifecycle_paths: Vec<(Path, Place)>,
    pub(crate) on_revert: Option<OnRevert>,
    pub(crate) undo: Option<(Table, Place)>,
    pub(crate) triggers: Option<Table>,
    pub(crate) when: CheckWhen,
    pub(crate) blocking: bool,
}

pub(crate) type Objects = BTreeMap<Address, Declared>;

/// Takes every object, and what is removed, out of the root.
pub(crate) fn read(
    root: &mut Table,
    found: &mut Vec<Found>,
) -> (Objects, BTreeMap<Address, Removed>) {
    let defaults = take_section(root, "defaults", found);
    let mut objects = Objects::new();
    for role in Role::ALL {
        for (kind, entry) in take_section(root, role.as_str(), found) {
            let name = format!("{role}.{kind}");
            let below = defaults.get(&kind).filter(|_| role == Role::Resource);
            let Some(named) = take_named(&name, entry.node, found) else { continue };
            for (name, entry) in named {
                let key = entry.key;
                let address = match Address::new(role, &kind, &name) {
                    Ok(address) => address,
                    Err(wrong) => {
                        found.push(Found::at(key, wrong.to_string()));
                        continue;
                    }
                };
                if let Some(declared) = read_object(&address, below, entry.node, found) {
                    objects.insert(address, declared);
                }
            }
        }
    }
    refuse_unused_defaults(&defaults, &objects, found);
    let removed = read_removed(take_section(root, "removed", found), &objects, found);
    check_references(&objects, found);
    check_cycles(&objects, found);
    (objects, removed)
}

fn take_section(root: &mut Table, name: &str, found: &mut Vec<Found>) -> Table {
    let entry = root.remove(name);
    entry.and_then(|entry| take_table(name, entry.node, found)).unwrap_or_default()
}

/// The objects of one kind. Fields right below the kind mean that the name was forgotten.
fn take_named(kind: &str, node: Node, found: &mut Vec<Found>) -> Option<Table> {
    let place = node.place;
    let table = take_table(kind, node, found)?;
    let is_object = |entry: &Entry| matches!(entry.node.content, Content::Table(_));
    if !table.values().any(is_object) {
        let message = if table.is_empty() {
            format!("`{kind}` holds no object")
        } else {
            format!("`{kind}` has fields, but the object has no name")
        };
        found.push(Found::at(place, message).hint(format!("write [{kind}.<name>]")));
        return None;
    }
    Some(table)
}

fn read_object(
    address: &Address,
    below: Option<&Entry>,
    node: Node,
    found: &mut Vec<Found>,
) -> Option<Declared> {
    let header = node.place;
    let above = take_table(address.as_str(), node, found)?;
    let mut fields = match below {
        Some(Entry { node: Node { content: Content::Table(defaults), .. }, .. }) => {
            let mut fields = defaults.clone();
            lay_over(&mut fields, above);
            fields
        }
        _ => above,
    };
    let mut take = |key: &str| {
        let reserved = RESERVED.iter().find(|(name, _)| *name == key);
        let belongs = reserved.is_some_and(|(_, roles)| roles.contains(&address.role()));
        if belongs { fields.remove(key).map(|entry| entry.node) } else { None }
    };
    let (plugin, depends_on, lifecycle) = (take("plugin"), take("depends_on"), take("lifecycle"));
    let (on_revert, triggers, undo) = (take("on_revert"), take("triggers"), take("undo"));
    let (when, blocking, timeout) = (take("when"), take("blocking"), take("timeout"));
    let (mut lifecycle, lifecycle_paths) =
        lifecycle.and_then(|node| read_lifecycle(node, found)).unwrap_or_default();
    lifecycle.timeout_ms = timeout.and_then(|node| read_timeout(node, found));
    Some(Declared {
        header,
        fields,
        plugin: plugin.and_then(|node| take_text("plugin", node, found)),
        depends_on: depends_on.map_or_else(Vec::new, |node| read_addresses(node, found)),
        lifecycle,
        lifecycle_paths,
        on_revert: on_revert.and_then(|node| {
            let known = [("undo", OnRevert::Undo), ("keep", OnRevert::Keep)];
            read_choice("on_revert", node, &known, found)
        }),
        undo: undo.and_then(|node| {
            let place = node.place;
            take_table("undo", node, found).map(|table| (table, place))
        }),
        triggers: triggers.and_then(|node| take_table("triggers", node, found)),
        when: when
            .and_then(|node| {
                let known = [("before", CheckWhen::Before), ("after", CheckWhen::After)];
                read_choice("when", node, &known, found)
            })
            .unwrap_or_default(),
        blocking: blocking.and_then(|node| take_boolean("blocking", &node, found)).unwrap_or(true),
    })
}

fn read_choice<T: Copy>(
    key: &str,
    node: Node,
    known: &[(&str, T)],
    found: &mut Vec<Found>,
) -> Option<T> {
    let (text, place) = take_text(key, node, found)?;
    let choice = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    if choice.is_none() {
        let hint = did_you_mean(&text, known.iter().map(|(name, _)| *name));
        found.push(Found::at(place, format!("`{key}` cannot be `{text}`")).maybe_hint(hint));
    }
    choice
}

fn read_addresses(node: Node, found: &mut Vec<Found>) -> Vec<(Address, Place)> {
    take_texts("depends_on", node, found)
        .into_iter()
        .filter_map(|(text, place)| match text.parse() {
            Ok(address) => Some((address, place)),
            Err(wrong) => {
                let wrong: relctl_plan::AddressError = wrong;
                found.push(Found::at(place, wrong.to_string()));
                None
            }
        })
        .collect()
}

/// A length of time, in milliseconds.
fn read_timeout(node: Node, found: &mut Vec<Found>) -> Option<u64> {
    let place = node.place;
    let mut wrong = Vec::new();
    let read = take_text("timeout", node, &mut wrong).and_then(|(text, _)| {
        let read = humantime::parse_duration(&text).ok().filter(|time| !time.is_zero());
        if read.is_none() {
            wrong.push(Found::at(place, format!("`timeout` cannot be `{text}`")));
        }
        u64::try_from(read?.as_millis()).ok()
    });
    let hint = "write a length of time, as in `90s`, `30m` or `2h`";
    found.extend(wrong.into_iter().map(|wrong| wrong.hint(hint)));
    read
}

fn read_lifecycle(node: Node, found: &mut Vec<Found>) -> Option<(Lifecycle, Vec<(Path, Place)>)> {
    let mut section = Section::of("lifecycle".to_owned(), node, found)?;
    let mut places = Vec::new();
    let mut paths = |section: &mut Section<'_>, key| {
        let mut paths: Vec<Path> = Vec::new();
        for (text, place) in section.texts(key) {
            match text.parse::<Path>() {
                Ok(path) if !path.is_root() => {
                    places.push((path.clone(), place));
                    paths.push(path);
                }
                Ok(_) => section.found().push(Found::at(place, "an empty path names no field")),
                Err(wrong) => section.found().push(Found::at(place, wrong.to_string())),
            }
        }
        paths
    };
    let lifecycle = Lifecycle {
        absent: paths(&mut section, "absent"),
        external: paths(&mut section, "external"),
        protect: section.boolean("protect"),
        replace: section.boolean("replace").unwrap_or_default(),
        create: section.boolean("create").unwrap_or_default(),
        timeout_ms: None,
    };
    section.finish();
    Some((lifecycle, places))
}

fn refuse_unused_defaults(defaults: &Table, objects: &Objects, found: &mut Vec<Found>) {
    let kinds = || objects.keys().filter(|a| a.role() == Role::Resource).map(Address::kind);
    for (kind, entry) in defaults {
        if !matches!(entry.node.content, Content::Table(_)) {
            found.push(Found::at(entry.key, format!("`defaults.{kind}` must be a table")));
        } else if !kinds().any(|used| used == kind) {
            let message = format!("`defaults.{kind}` lies under no resource");
            let hint = did_you_mean(kind, kinds());
            found.push(Found::at(entry.key, message).maybe_hint(hint));
        }
    }
}

/// `[removed."resource.k.n"]`, or `[removed.resource.k.n]`.
fn read_removed(
    table: Table,
    objects: &Objects,
    found: &mut Vec<Found>,
) -> BTreeMap<Address, Removed> {
    let mut removed = BTreeMap::new();
    let mut flat: Vec<(String, Entry)> = Vec::new();
    for (key, entry) in table {
        match entry.node.content {
            Content::Table(kinds) if key.parse::<Role>().is_ok() => {
                for (kind, names) in kinds {
                    let name = format!("{key}.{kind}");
                    let Some(names) = take_named(&name, names.node, found) else { continue };
                    flat.extend(names.into_iter().map(|(n, e)| (format!("{name}.{n}"), e)));
                }
            }
            _ => flat.push((key, entry)),
        }
    }
    for (text, entry) in flat {
        let address = match text.parse::<Address>() {
            Ok(address) if address.role() == Role::Resource => address,
            Ok(address) => {
                let message = format!("`{address}` cannot be removed: only resources are deleted");
                found.push(Found::at(entry.key, message));
                continue;
            }
            Err(wrong) => {
                found.push(Found::at(entry.key, wrong.to_string()));
                continue;
            }
        };
        if let Some(declared) = objects.get(&address) {
            let message = format!("`{address}` is declared and removed at once");
            let wrong = Found::at(entry.key, message).related(declared.header, "declared here");
            found.push(wrong.hint("remove one of them"));
        }
        let section = Section::of(format!("[removed.\"{address}\"]"), entry.node, found);
        let Some(mut section) = section else { continue };
        let delete = section.boolean("delete").unwrap_or_default();
        section.finish();
        removed.insert(address, Removed { delete });
    }
    removed
}

impl Declared {
    /// Calls `visit` for every reference that makes this object wait for another.
    fn each_need(&self, visit: &mut dyn FnMut(Place, &Reference)) {
        let triggers = self.triggers.iter().flat_map(Table::values);
        for entry in self.fields.values().chain(triggers) {
            entry.node.each_reference(visit);
        }
    }

    /// Calls `visit` for every reference. Those in `undo` take the values of the run that it undoes.
    pub(crate) fn each_reference(&self, visit: &mut dyn FnMut(Place, &Reference)) {
        self.each_need(visit);
        for entry in self.undo.iter().flat_map(|(table, _)| table.values()) {
            entry.node.each_reference(visit);
        }
    }
}

fn check_references(objects: &Objects, found: &mut Vec<Found>) {
    // Looking for the nearest of very many takes its time: once for each wrong address.
    let mut hints: BTreeMap<Address, Option<String>> = BTreeMap::new();
    let mut missing = |address: &Address, place: Place| {
        let nearest = || {
            let same_role = objects.keys().filter(|a| a.role() == address.role());
            did_you_mean(address.as_str(), same_role.map(Address::as_str))
                .or_else(|| did_you_mean(address.as_str(), objects.keys().map(Address::as_str)))
        };
        let hint = hints.entry(address.clone()).or_insert_with(nearest).clone();
        Found::at(place, format!("there is no `{address}`")).maybe_hint(hint)
    };
    for (address, declared) in objects {
        declared.each_reference(&mut |place, reference| {
            if !objects.contains_key(&reference.address) {
                found.push(missing(&reference.address, place));
            } else if reference.address.role() == Role::Check {
                let message =
                    format!("`{}` is a check, which has no attributes", reference.address);
                found.push(Found::at(place, message).hint("use `depends_on` to wait for a check"));
            }
        });
        for (needed, place) in &declared.depends_on {
            if !objects.contains_key(needed) {
                found.push(missing(needed, *place));
            } else if address.role() == Role::Lookup && needed.role() != Role::Lookup {
                let message =
                    format!("a lookup is read while planning and cannot wait for `{needed}`");
                found.push(Found::at(*place, message).hint("remove it from `depends_on`"));
            }
        }
    }
}

fn check_cycles(objects: &Objects, found: &mut Vec<Found>) {
    let mut graph = Graph::default();
    for (address, declared) in objects {
        let mut needs: Vec<&Address> = declared.depends_on.iter().map(|(a, _)| a).collect();
        declared.each_need(&mut |_, reference| {
            if let Some((known, _)) = objects.get_key_value(&reference.address) {
                needs.push(known);
            }
        });
        graph.insert(address, needs);
    }
    let Err(cycle) = graph.waves() else { return };
    let circle: Vec<&str> = cycle.0.iter().map(|address| address.as_str()).collect();
    let mut edges = cycle.0.windows(2).filter_map(|pair| {
        let [from, to] = pair else { return None };
        let place = objects.get(*from)?.place_of_need(to)?;
        Some((place, format!("`{from}` needs `{to}`")))
    });
    let message = format!("these need each other: {}", circle.join(" → "));
    let Some((place, _)) = edges.next() else { return };
    let wrong =
        edges.fold(Found::at(place, message), |wrong, (place, label)| wrong.related(place, label));
    found.push(wrong.hint("remove one of these, so that there is an order"));
}

impl Declared {
    fn place_of_need(&self, needed: &Address) -> Option<Place> {
        let listed = self.depends_on.iter().find(|(address, _)| address == needed);
        let mut place = listed.map(|(_, place)| *place);
        self.each_need(&mut |at, reference| {
            if reference.address == *needed {
                place.get_or_insert(at);
            }
        });
        place
    }
}
