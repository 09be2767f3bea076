//! One JSON Schema for release files and their overlays, so that editors complete and check them.
//!
//! Nothing is required in it: defaults and overlays may supply what a file does not say.

use std::collections::BTreeMap;

use relctl_plan::{Description, Field, Instance, Kind, Role, Value, description_schema_key};
use serde_json::{Map, json};

/// What a string with an expression looks like.
const EXPRESSION: &str = r"\$\{[\s\S]*\}";

/// The schema of the release files that these plugins serve.
pub fn schema(descriptions: &BTreeMap<Instance, Description>) -> Value {
    let mut roles: BTreeMap<Role, Map<String, Value>> = BTreeMap::new();
    let mut defaults = Map::new();
    for kind in descriptions.values().flat_map(|description| &description.kinds) {
        let object = object(kind);
        if kind.role == Role::Resource {
            defaults.insert(kind.name.clone(), object.clone());
        }
        roles
            .entry(kind.role)
            .or_default()
            .insert(kind.name.clone(), json!({ "type": "object", "additionalProperties": object }));
    }
    let mut properties = sections();
    for role in Role::ALL {
        let kinds = roles.remove(&role).unwrap_or_default();
        properties.insert(role.as_str().to_owned(), closed(&kinds));
    }
    properties.insert("defaults".to_owned(), closed(&defaults));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "relctl release file",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

fn closed(properties: &Map<String, Value>) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// relctl's own sections.
fn sections() -> Map<String, Value> {
    let text = |description: &str| json!({ "type": "string", "description": description });
    let removed = json!({
        "type": "object",
        "properties": { "delete": { "type": "boolean" } },
    });
    let sections = json!({
        "release": {
            "type": "object",
            "properties": {
                "name": text("The release's name, which also names its ledger."),
                "version": text("What is being released, `v1.2.0`."),
                "not_secret": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "Paths of values that only look like credentials.",
                },
            },
            "additionalProperties": false,
        },
        "vars": { "type": "object", "description": "Variables and their defaults: `${vars.NAME}`." },
        "plugins": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "source": text("A plugin's name, or a path that ends in `.wasm`."),
                    "config": { "type": "object" },
                    "auth": { "type": "object" },
                },
                "additionalProperties": false,
            },
        },
        "ledger": {
            "type": "object",
            "properties": {
                "url": text("Where the ledger is: a folder, `s3://bucket/prefix`, `gs://…`, `az://…`."),
                "recipients": {
                    "type": "array",
                    "items": { "type": "string" },
                    "description": "For whom it is encrypted: age recipients, `age1…`.",
                },
            },
            "additionalProperties": false,
        },
        "removed": { "type": "object", "additionalProperties": removed },
    });
    match sections {
        Value::Object(sections) => sections,
        _ => Map::new(),
    }
}

/// An object of this kind: its fields, and relctl's own keys.
fn object(kind: &Kind) -> Value {
    let mut schema = written(&kind.schema, Some(&kind.fields));
    let Some(properties) = schema
        .as_object_mut()
        .map(|schema| schema.entry("properties").or_insert_with(|| json!({})))
        .and_then(Value::as_object_mut)
    else {
        return schema;
    };
    let undo = closed(properties);
    let addresses = json!({ "type": "array", "items": { "type": "string" } });
    let paths = addresses.clone();
    let lifecycle = json!({
        "type": "object",
        "properties": {
            "protect": { "type": "boolean", "description": "Never deleted or replaced." },
            "replace": { "type": "boolean", "description": "May be deleted and created anew." },
            "create": { "type": "boolean", "description": "May be created if it is not there." },
            "absent": paths.clone(),
            "external": paths,
        },
        "additionalProperties": false,
    });
    let mut own = vec![("plugin", json!({ "type": "string" })), ("depends_on", addresses)];
    let on_revert = ("on_revert", json!({ "enum": ["undo", "keep"] }));
    let timeout = json!({ "type": "string", "description": "How long a step may take, `30m`." });
    match kind.role {
        Role::Lookup => {}
        Role::Resource => own.extend([on_revert, ("lifecycle", lifecycle), ("timeout", timeout)]),
        Role::Action => {
            let triggers = ("triggers", json!({ "type": "object" }));
            own.extend([on_revert, ("timeout", timeout), triggers, ("undo", undo)]);
        }
        Role::Check => own.extend([
            ("when", json!({ "enum": ["before", "after"] })),
            ("blocking", json!({ "type": "boolean" })),
        ]),
    }
    properties.extend(own.into_iter().map(|(key, schema)| (key.to_owned(), schema)));
    schema
}

/// A schema as files are written: without what is computed and required, with `${…}` everywhere,
/// and with keyed lists in both their forms.
fn written(schema: &Value, field: Option<&Field>) -> Value {
    let Value::Object(schema) = schema else { return schema.clone() };
    let mut result = Map::new();
    for (keyword, value) in schema {
        let value = match (keyword.as_str(), value) {
            (keyword, _) if keyword == description_schema_key() || keyword == "required" => {
                continue;
            }
            ("properties", Value::Object(properties)) => Value::Object(
                properties
                    .iter()
                    .filter_map(|(name, schema)| {
                        let field = field.and_then(|field| field.fields.get(name));
                        let given = field.is_some_and(|field| field.computed || field.read_only);
                        (!given).then(|| (name.clone(), or_expression(schema, field)))
                    })
                    .collect(),
            ),
            ("additionalProperties" | "items", Value::Object(_)) => {
                or_expression(value, field.and_then(|field| field.entries.as_deref()))
            }
            // A branch that only requires something says nothing here; and where expressions fit,
            // more than one branch may.
            ("anyOf" | "oneOf", Value::Array(branches)) => {
                let branches: Vec<Value> =
                    branches.iter().map(|branch| written(branch, field)).collect();
                if branches.iter().all(|branch| *branch != json!({})) {
                    result.insert("anyOf".to_owned(), Value::Array(branches));
                }
                continue;
            }
            _ => value.clone(),
        };
        result.insert(keyword.clone(), value);
    }
    if result.contains_key("properties") {
        result.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    Value::Object(result)
}

fn or_expression(schema: &Value, field: Option<&Field>) -> Value {
    let list = written(schema, field);
    let expression = json!({ "type": "string", "pattern": EXPRESSION });
    let plain_string = schema.get("type").and_then(Value::as_str) == Some("string")
        && ["pattern", "enum", "const", "minLength", "maxLength"]
            .iter()
            .all(|keyword| schema.get(*keyword).is_none());
    let keyed = field.is_some_and(|field| field.key.is_some());
    let mut forms = vec![list];
    if keyed {
        let entry = forms.first().and_then(|list| list.get("items")).cloned();
        forms.push(json!({
            "type": "object",
            "additionalProperties": entry.unwrap_or(Value::Bool(true)),
        }));
    }
    if plain_string {
        return forms.swap_remove(0);
    }
    forms.push(expression);
    // Editors show the description of the outermost schema.
    let description = schema.get("description").cloned();
    let mut either = Map::new();
    either.extend(description.map(|text| ("description".to_owned(), text)));
    either.insert("anyOf".to_owned(), Value::Array(forms));
    Value::Object(either)
}
