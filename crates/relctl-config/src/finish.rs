//! From a draft to a release: kinds, plugins, attributes and identities.

use std::collections::BTreeMap;

use relctl_plan::{
    Address, Description, Field, Instance, Kind, Object, Path, Reference, Release, Role, Template,
    Value,
};

use crate::draft::Draft;
use crate::mistake::{Diagnostics, Found, did_you_mean, list};
use crate::objects::{Declared, Objects};
use crate::source::Place;
use crate::tree::{Content, Table, table_to_template};
use crate::validate::{Patterns, Validator};

/// What serves an object.
type Serving<'a> = (&'a Instance, &'a Kind);

/// The kinds that the configured plugins serve.
struct Served<'a> {
    kinds: BTreeMap<(Role, &'a str), Vec<Serving<'a>>>,
    instances: Vec<&'a str>,
}

impl Draft {
    /// Compares the release with its kinds. Reports every mistake, those of [`load`](crate::load)
    /// included.
    pub fn finish(
        &mut self,
        descriptions: &BTreeMap<Instance, Description>,
    ) -> Result<Release, Diagnostics> {
        let mut found = self.mistakes.clone();
        let served = Served::new(descriptions);
        let patterns = Patterns::default();
        // In the order of the objects. What no plugin serves is a mistake already.
        let serving: Vec<Option<Serving<'_>>> = self
            .objects
            .iter()
            .map(|(address, declared)| served.resolve(address, declared, &mut found))
            .collect();
        for (declared, serving) in self.objects.values_mut().zip(&serving) {
            let Some((_, kind)) = serving else { continue };
            check_object(declared, kind, &patterns, &mut found);
        }
        let objects = || {
            let serving = self.objects.iter().zip(&serving);
            serving.filter_map(|((address, declared), by)| Some((address, declared, (*by)?)))
        };
        let kinds: BTreeMap<&Address, &Kind> =
            objects().map(|(address, _, (_, kind))| (address, kind)).collect();
        for declared in self.objects.values() {
            declared.each_reference(&mut |place, reference| {
                if let Some(kind) = kinds.get(&reference.address) {
                    check_attribute(reference, kind, place, &mut found);
                }
            });
        }
        check_identities(objects(), &self.objects, &mut found);
        let objects = objects()
            .filter_map(|(address, declared, (plugin, _))| {
                Some((address.clone(), build(address, declared, plugin, &mut found)?))
            })
            .collect();
        if !found.is_empty() {
            return Err(Diagnostics::locate(found, &self.sources));
        }
        Ok(Release {
            name: self.header.name.clone(),
            version: self.header.version.clone(),
            environment: self.header.environment.clone(),
            plugins: self.header.plugins.clone(),
            objects,
            removed: self.removed.clone(),
        })
    }
}

impl<'a> Served<'a> {
    fn new(descriptions: &'a BTreeMap<Instance, Description>) -> Self {
        let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (instance, description) in descriptions {
            for kind in &description.kinds {
                kinds.entry((kind.role, kind.name.as_str())).or_default().push((instance, kind));
            }
        }
        Self { kinds, instances: descriptions.keys().map(String::as_str).collect() }
    }

    /// The plugin that serves an object: the only one, or the one that the object names.
    fn resolve(
        &self,
        address: &Address,
        declared: &Declared,
        found: &mut Vec<Found>,
    ) -> Option<Serving<'a>> {
        let (role, kind) = (address.role(), address.kind());
        let Some(serving) = self.kinds.get(&(role, kind)) else {
            let message = format!("no plugin serves the {role} `{kind}`");
            let wrong = Found::at(declared.header, message);
            found.push(wrong.maybe_hint(self.nearest_kind(role, kind)));
            return None;
        };
        let instances: Vec<&str> = serving.iter().map(|(instance, _)| instance.as_str()).collect();
        match (&declared.plugin, serving.as_slice()) {
            (Some((wanted, place)), _) => {
                let wanted_one = serving.iter().find(|(instance, _)| *instance == wanted);
                if wanted_one.is_none() {
                    let message = if self.instances.contains(&wanted.as_str()) {
                        format!("plugin `{wanted}` does not serve the {role} `{kind}`")
                    } else {
                        format!("no plugin `{wanted}` is configured")
                    };
                    let hint = format!("it is served by {}", list(&instances));
                    found.push(Found::at(*place, message).hint(hint));
                }
                wanted_one.copied()
            }
            (None, [only]) => Some(*only),
            (None, _) => {
                let message = format!("`{address}` could be served by {}", list(&instances));
                let hint = format!("add `plugin = \"{}\"`", instances.first().unwrap_or(&""));
                found.push(Found::at(declared.header, message).hint(hint));
                None
            }
        }
    }

    fn nearest_kind(&self, role: Role, kind: &str) -> Option<String> {
        let other = Role::ALL.into_iter().find(|other| self.kinds.contains_key(&(*other, kind)));
        if let Some(other) = other {
            return Some(format!("`{kind}` is a kind of {other}: write [{other}.{kind}.<name>]"));
        }
        let same_role = self.kinds.keys().filter(|(served, _)| *served == role);
        did_you_mean(kind, same_role.map(|(_, name)| *name))
            .or_else(|| Some("add the plugin that serves it under [plugins]".to_owned()))
    }
}

fn check_object(declared: &mut Declared, kind: &Kind, patterns: &Patterns, found: &mut Vec<Found>) {
    let validator = Validator { kind, patterns, partial: false };
    validator.object(&mut declared.fields, declared.header, found);
    if let Some((undo, place)) = &mut declared.undo {
        let validator = Validator { kind, patterns, partial: true };
        validator.object(undo, *place, found);
    }
    for (path, place) in &declared.lifecycle_paths {
        if let Some((wrong, level)) = unknown_attribute(kind, path) {
            let message = format!("`{}` has no field `{path}`", kind.name);
            let hint = did_you_mean(wrong, level.fields.keys().map(String::as_str));
            found.push(Found::at(*place, message).maybe_hint(hint));
        }
    }
}

fn check_attribute(reference: &Reference, kind: &Kind, place: Place, found: &mut Vec<Found>) {
    if let Some((wrong, level)) = unknown_attribute(kind, &reference.attribute) {
        let message = format!("`{}` has no attribute `{}`", reference.address, reference.attribute);
        let hint = did_you_mean(wrong, level.fields.keys().map(String::as_str));
        found.push(Found::at(place, message).maybe_hint(hint));
    }
}

/// Where the schema says that there is no such attribute: the name that is wrong, and the level at
/// which it is looked for.
fn unknown_attribute<'a>(kind: &'a Kind, path: &'a Path) -> Option<(&'a str, &'a Field)> {
    let mut field = &kind.fields;
    for segment in path.segments() {
        // Where nothing is said about what is below, everything may be there.
        if field.fields.is_empty() && field.entries.is_none() {
            return None;
        }
        match field.fields.get(segment).or(field.entries.as_deref()) {
            Some(below) => field = below,
            None => return Some((segment, field)),
        }
    }
    None
}

/// (plugin, kind, identity) is unique, as far as identities are known.
fn check_identities<'a>(
    served: impl Iterator<Item = (&'a Address, &'a Declared, Serving<'a>)>,
    objects: &Objects,
    found: &mut Vec<Found>,
) {
    let mut first: BTreeMap<(&str, &str, String), &Address> = BTreeMap::new();
    for (address, declared, (plugin, kind)) in served {
        if address.role() != Role::Resource || kind.identity.is_empty() {
            continue;
        }
        let Some(identity) = identity_of(&declared.fields, &kind.identity) else { continue };
        match first.entry((plugin, address.kind(), identity)) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(address);
            }
            std::collections::btree_map::Entry::Occupied(taken) => {
                let other = taken.get();
                let message = format!("`{address}` and `{other}` are the same object");
                let fields: Vec<&str> = kind.identity.iter().map(String::as_str).collect();
                let wrong = Found::at(place_of(declared, &kind.identity), message).hint(format!(
                    "one `{}` is told from another by {}",
                    kind.name,
                    list(&fields)
                ));
                let elsewhere = objects.get(*other).map(|other| place_of(other, &kind.identity));
                found.push(match elsewhere {
                    Some(place) => wrong.related(place, "the other one"),
                    None => wrong,
                });
            }
        }
    }
}

fn place_of(declared: &Declared, identity: &[String]) -> Place {
    let field = identity.last().and_then(|name| declared.fields.get(name));
    field.map_or(declared.header, |entry| entry.node.place)
}

/// `None`: not known before references are.
fn identity_of(fields: &Table, identity: &[String]) -> Option<String> {
    let values: Option<Vec<Value>> = identity
        .iter()
        .map(|name| match fields.get(name) {
            None => Some(Value::Null),
            Some(entry) => {
                let mut known = !matches!(entry.node.content, Content::Open(..));
                entry.node.each_reference(&mut |_, _| known = false);
                known.then(|| entry.node.to_value())
            }
        })
        .collect();
    Some(Value::Array(values?).to_string())
}

fn build(
    address: &Address,
    declared: &Declared,
    plugin: &str,
    found: &mut Vec<Found>,
) -> Option<Object> {
    let mut template = |table: &Table| match Template::parse(table_to_template(table)) {
        Ok(template) => Some(template),
        Err(errors) => {
            let located = errors
                .into_iter()
                .map(|error| Found::at(declared.header, error.message).maybe_hint(error.hint));
            found.extend(located);
            None
        }
    };
    let undo = match &declared.undo {
        Some((undo, _)) => Some(template(undo)?),
        None => None,
    };
    let triggers = match &declared.triggers {
        Some(triggers) => Some(template(triggers)?),
        None => None,
    };
    Some(Object {
        address: address.clone(),
        plugin: plugin.to_owned(),
        inputs: template(&declared.fields)?,
        depends_on: declared.depends_on.iter().map(|(address, _)| address.clone()).collect(),
        lifecycle: declared.lifecycle.clone(),
        on_revert: declared.on_revert,
        undo,
        triggers,
        when: declared.when,
        blocking: declared.blocking,
    })
}
