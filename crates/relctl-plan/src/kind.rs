//! Kinds: what a plugin declares about the things that it serves.
//!
//! A kind is described by a JSON Schema. relctl's own facts about it stand in the schema itself,
//! under the key [`description_schema_key`]: on the root those about the kind, on a property those
//! about the field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Path, Role, Value};

/// The schema keyword that holds relctl's annotations: `x-relctl`.
pub const fn description_schema_key() -> &'static str {
    "x-relctl"
}

/// A plugin's description of itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub kinds: Vec<Kind>,
    pub wants: Wants,
}

impl Description {
    /// The kind of this role and name.
    pub fn kind(&self, role: Role, name: &str) -> Option<&Kind> {
        self.kinds.iter().find(|kind| kind.role == role && kind.name == name)
    }
}

/// What a plugin asks the host for. Nothing else is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wants {
    /// Files under one root, which the plugin's `config.root` names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub files: bool,
    /// Exact operations of cloud services, by service name, `ecs`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http: BTreeMap<String, Operations>,
}

/// The operations of one cloud service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operations {
    pub read: Vec<String>,
    pub write: Vec<String>,
    /// IAM actions that the operations need besides themselves, `iam:PassRole`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_needs: Vec<String>,
}

/// When an action runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunPolicy {
    /// When its resolved inputs or triggers are new.
    #[default]
    OnChange,
    /// When a step that depends on it runs.
    WhenNeeded,
}

/// How Terraform calls a resource that it may manage beside relctl.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terraform {
    /// The resource's type; its attributes are called as the kind's fields are.
    pub resource: String,
    /// By type, what other resources need, so that both live together.
    #[serde(default)]
    pub beside: BTreeMap<String, BTreeMap<String, Value>>,
}

/// Where a run's inputs and output say what can be restored from it: names of fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestorePoint {
    /// What it is taken of.
    pub of: String,
    /// Its name.
    pub name: String,
    /// When it was taken: what is written later is not in it.
    pub taken: String,
    /// How to restore from it: a list of lines.
    pub procedure: String,
}

/// One kind of lookup, resource, action or check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawKind", into = "RawKind")]
pub struct Kind {
    pub name: String,
    pub role: Role,
    /// JSON Schema (2020-12) of the kind's fields, with annotations.
    pub schema: Value,
    /// How many subjects one call to the plugin may carry.
    pub batch: u32,
    /// Fields whose values subjects of one call must share.
    pub group_by: Vec<String>,
    /// Top-level fields that tell one object of this kind from another. Empty: the address does.
    pub identity: Vec<String>,
    /// Never deleted or replaced because a line is missing or changed.
    pub holds_data: bool,
    /// Created only with `lifecycle.create = true`.
    pub create_explicit: bool,
    pub run: RunPolicy,
    /// How Terraform calls it, where Terraform knows it.
    pub terraform: Option<Terraform>,
    /// An action that is looked at while planning, so that its plugin can say what a run would find.
    pub observed: bool,
    /// Runs of the action leave something that an object can be restored from.
    pub restore_point: Option<RestorePoint>,
    /// The fields, annotated.
    pub fields: Field,
}

impl Kind {
    /// A kind as a plugin gives it; everything else stands in the schema.
    pub fn from_parts(
        name: String,
        role: Role,
        schema: Value,
        batch: u32,
        group_by: Vec<String>,
    ) -> Result<Self, KindError> {
        RawKind { name, role, schema, batch, group_by }.try_into()
    }
}

/// A kind as it crosses from the plugin; what can be derived from the schema is not repeated.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RawKind {
    name: String,
    role: Role,
    schema: Value,
    batch: u32,
    #[serde(default)]
    group_by: Vec<String>,
}

/// What a schema says about one field and those below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Field {
    /// Set by the cloud or the plugin, never by the release file.
    pub computed: bool,
    /// Derived by the plugin from the other fields, never written: JSON Schema's `readOnly`.
    pub read_only: bool,
    /// Computed, and may be another value after an update.
    pub volatile: bool,
    /// A change of it needs delete and create.
    pub replace_on_change: bool,
    /// A list of objects told apart by these fields. Held as an object from key to entry.
    pub key: Option<Vec<String>>,
    /// An object that is owned and compared as one value.
    pub atomic: bool,
    /// A text shown as a line diff.
    pub multiline: bool,
    /// Names a secret; its value never passes through relctl.
    pub secret_reference: bool,
    /// Who else usually moves it: best left out of a release file.
    pub external: Option<String>,
    /// Says which ledger manages the object: its lineage.
    pub lineage: bool,
    /// The value a missing field has, shown to readers.
    pub default: Option<Value>,
    pub fields: BTreeMap<String, Field>,
    /// What entries of a map, or of a keyed list, are.
    pub entries: Option<Box<Field>>,
}

impl Field {
    /// What the schema says about the field at `path`, `None` where it says nothing.
    pub fn at(&self, path: &Path) -> Option<&Self> {
        let mut field = self;
        for segment in path.segments() {
            field = field.fields.get(segment).or(field.entries.as_deref())?;
        }
        Some(field)
    }

    /// Every computed field's path, entries of maps and keyed lists left out.
    pub fn computed(&self) -> Vec<(Path, &Self)> {
        let mut found = Vec::new();
        collect_computed(self, &Path::ROOT, &mut found);
        found
    }
}

fn collect_computed<'a>(field: &'a Field, at: &Path, found: &mut Vec<(Path, &'a Field)>) {
    for (name, inner) in &field.fields {
        let path = at.join(name);
        if inner.computed {
            found.push((path, inner));
        } else {
            collect_computed(inner, &path, found);
        }
    }
}

/// What is wrong with a plugin's schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KindError {
    #[error("kind `{kind}`: `{keyword}` of `{field}` is not what the contract says: {detail}")]
    Annotation { kind: String, field: String, keyword: String, detail: String },
    #[error("kind `{kind}`: identity field `{field}` is not a property of its schema")]
    Identity { kind: String, field: String },
    #[error("kind `{kind}`: restore point field `{field}` is not a property of its schema")]
    RestorePoint { kind: String, field: String },
    #[error("kind `{kind}`: batch is 0; give at least 1")]
    Batch { kind: String },
}

/// The annotations that stand on a kind's root.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct RootAnnotations {
    identity: Vec<String>,
    holds_data: bool,
    create_explicit: bool,
    run: RunPolicy,
    terraform: Option<Terraform>,
    observed: bool,
    restore_point: Option<RestorePoint>,
}

/// The annotations that stand on a field.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct FieldAnnotations {
    computed: bool,
    volatile: bool,
    replace_on_change: bool,
    key: Option<Vec<String>>,
    atomic: bool,
    multiline: bool,
    secret_reference: bool,
    external: Option<String>,
    lineage: bool,
}

impl TryFrom<RawKind> for Kind {
    type Error = KindError;

    fn try_from(raw: RawKind) -> Result<Self, KindError> {
        let root: RootAnnotations = annotations(&raw.name, "", &raw.schema)?;
        let fields = read_properties(&raw.name, &Path::ROOT, &raw.schema)?;
        if let Some(field) = root.identity.iter().find(|f| !fields.fields.contains_key(*f)) {
            return Err(KindError::Identity { kind: raw.name, field: field.clone() });
        }
        if let Some(point) = &root.restore_point {
            let named = [&point.of, &point.name, &point.taken, &point.procedure];
            if let Some(field) = named.into_iter().find(|f| !fields.fields.contains_key(*f)) {
                return Err(KindError::RestorePoint { kind: raw.name, field: field.clone() });
            }
        }
        if raw.batch == 0 {
            return Err(KindError::Batch { kind: raw.name });
        }
        Ok(Self {
            name: raw.name,
            role: raw.role,
            schema: raw.schema,
            batch: raw.batch,
            group_by: raw.group_by,
            identity: root.identity,
            holds_data: root.holds_data,
            create_explicit: root.create_explicit,
            run: root.run,
            terraform: root.terraform,
            observed: root.observed,
            restore_point: root.restore_point,
            fields,
        })
    }
}

impl From<Kind> for RawKind {
    fn from(kind: Kind) -> Self {
        Self {
            name: kind.name,
            role: kind.role,
            schema: kind.schema,
            batch: kind.batch,
            group_by: kind.group_by,
        }
    }
}

fn annotations<T: Default + for<'de> Deserialize<'de>>(
    kind: &str,
    field: &str,
    schema: &Value,
) -> Result<T, KindError> {
    let Some(value) = schema.get(description_schema_key()) else { return Ok(T::default()) };
    T::deserialize(value).map_err(|error| KindError::Annotation {
        kind: kind.to_owned(),
        field: field.to_owned(),
        keyword: description_schema_key().to_owned(),
        detail: error.to_string(),
    })
}

fn read_field(kind: &str, path: &Path, schema: &Value) -> Result<Field, KindError> {
    let own: FieldAnnotations = annotations(kind, &path.to_string(), schema)?;
    let mut field = read_properties(kind, path, schema)?;
    if own.key.is_some() {
        field = Field {
            entries: match schema.get("items") {
                Some(items) => Some(Box::new(read_properties(kind, path, items)?)),
                None => None,
            },
            ..Field::default()
        };
    }
    Ok(Field {
        computed: own.computed || own.volatile,
        read_only: schema.get("readOnly").and_then(Value::as_bool).unwrap_or_default(),
        volatile: own.volatile,
        replace_on_change: own.replace_on_change,
        key: own.key,
        atomic: own.atomic,
        multiline: own.multiline,
        secret_reference: own.secret_reference,
        external: own.external,
        lineage: own.lineage,
        default: schema.get("default").cloned(),
        ..field
    })
}

/// Reads `properties` and `additionalProperties` of an object schema.
fn read_properties(kind: &str, path: &Path, schema: &Value) -> Result<Field, KindError> {
    let mut field = Field::default();
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, inner) in properties {
            field.fields.insert(name.clone(), read_field(kind, &path.join(name), inner)?);
        }
    }
    if let Some(entries) = schema.get("additionalProperties").filter(|v| v.is_object()) {
        field.entries = Some(Box::new(read_field(kind, path, entries)?));
    }
    Ok(field)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kind(schema: &Value) -> Result<Kind, String> {
        let raw = json!({ "name": "service", "role": "resource", "schema": schema, "batch": 10 });
        serde_json::from_value(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_annotations_wherever_they_stand() {
        let kind = kind(&json!({
            "x-relctl": {
                "identity": ["name"], "holds-data": true, "run": "when-needed",
                "terraform": { "resource": "cloud_service", "beside": { "cloud_image": { "keep": true } } },
            },
            "properties": {
                "name": { "type": "string", "x-relctl": { "replace-on-change": true } },
                "arn": { "x-relctl": { "computed": true } },
                "hash": { "readOnly": true },
                "count": { "x-relctl": { "external": "autoscaling" } },
                "tags": { "additionalProperties": { "x-relctl": { "multiline": true } } },
                "network": { "properties": { "state": { "x-relctl": { "volatile": true } } } },
                "containers": {
                    "x-relctl": { "key": ["name"] },
                    "items": { "properties": { "secret": { "x-relctl": { "secret-reference": true } } } },
                },
            },
        }))
        .unwrap();
        assert!(kind.holds_data && !kind.create_explicit);
        assert_eq!(
            (kind.identity.as_slice(), kind.run),
            (&["name".to_owned()][..], RunPolicy::WhenNeeded)
        );
        let at = |path: &str| kind.fields.at(&path.parse().unwrap());
        assert!(at("name").unwrap().replace_on_change);
        assert!(at("tags.any").unwrap().multiline);
        assert!(at("containers.api.secret").unwrap().secret_reference);
        assert_eq!(at("count").unwrap().external.as_deref(), Some("autoscaling"));
        let terraform = kind.terraform.as_ref().unwrap();
        assert_eq!(terraform.resource, "cloud_service");
        assert_eq!(terraform.beside["cloud_image"]["keep"], true);
        assert!(at("hash").unwrap().read_only && !at("hash").unwrap().computed);
        assert_eq!(at("containers.api.other"), None);
        assert_eq!(at("containers").unwrap().key, Some(vec!["name".to_owned()]));
        let computed: Vec<(String, bool)> = kind
            .fields
            .computed()
            .into_iter()
            .map(|(path, field)| (path.to_string(), field.volatile))
            .collect();
        assert_eq!(computed, [("arn".to_owned(), false), ("network.state".to_owned(), true)]);
    }

    #[test]
    fn a_kind_crosses_as_its_schema_alone() {
        let kind =
            kind(&json!({ "properties": { "a": { "x-relctl": { "atomic": true } } } })).unwrap();
        let sent = serde_json::to_value(&kind).unwrap();
        assert_eq!(sent.get("fields"), None);
        assert_eq!(serde_json::from_value::<Kind>(sent).unwrap(), kind);
    }

    #[test]
    fn refuses_what_the_contract_does_not_say() {
        for (schema, message) in [
            (
                json!({ "x-relctl": { "identity": ["name"] } }),
                "identity field `name` is not a property",
            ),
            (
                json!({ "x-relctl": { "restore-point": { "of": "a", "name": "a", "taken": "a", "procedure": "b" } },
                    "properties": { "a": {} } }),
                "restore point field `b` is not a property",
            ),
            (json!({ "x-relctl": { "computed": true } }), "unknown field `computed`"),
            (
                json!({ "properties": { "a": { "x-relctl": { "identity": [] } } } }),
                "`x-relctl` of `a` is not what the contract says",
            ),
            (
                json!({ "properties": { "a": { "properties": { "b": { "x-relctl": { "key": 1 } } } } } }),
                "`x-relctl` of `a.b` is not what the contract says",
            ),
        ] {
            let error = kind(&schema).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        let raw = json!({ "name": "k", "role": "check", "schema": {}, "batch": 0 });
        let error = serde_json::from_value::<Kind>(raw).unwrap_err().to_string();
        assert!(error.contains("batch is 0"), "{error}");
    }
}
