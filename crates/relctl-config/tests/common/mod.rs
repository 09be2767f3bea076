//! Kinds and folders for the tests of this crate.

use std::collections::BTreeMap;
use std::path::Path;

use relctl_config::{Diagnostics, Draft, LoadOptions, load};
use relctl_plan::{Description, Instance, Kind, Release, Value};
use serde_json::json;

/// Two plugins: `world` serves every role, `other` one kind that `world` serves too.
pub(crate) fn descriptions() -> BTreeMap<Instance, Description> {
    let service = json!({
        "type": "object",
        "x-relctl": { "identity": ["cluster", "name"] },
        "properties": {
            "cluster": { "type": "string", "description": "the cluster's name" },
            "name": { "type": "string", "pattern": "^[a-z][a-z0-9-]*$", "maxLength": 20 },
            "count": { "type": "integer", "minimum": 0, "maximum": 100 },
            "ratio": { "type": "number", "exclusiveMaximum": 1 },
            "launch": { "enum": ["fargate", "ec2"] },
            "public": { "type": "boolean" },
            "tags": { "type": "object", "additionalProperties": { "type": "string" } },
            "extra": { "type": "object" },
            "command": { "type": "array", "items": { "type": "string" }, "maxItems": 3 },
            "target": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "integer" } }] },
            "containers": {
                "type": "array",
                "x-relctl": { "key": ["name"] },
                "items": {
                    "type": "object",
                    "required": ["name", "image"],
                    "properties": {
                        "name": { "type": "string" },
                        "image": { "type": "string" },
                        "memory": { "type": "integer" },
                    },
                },
            },
            "ports": {
                "type": "array",
                "x-relctl": { "key": ["port", "protocol"] },
                "items": {
                    "type": "object",
                    "properties": { "port": { "type": "integer" }, "protocol": { "type": "string" } },
                },
            },
            "listeners": {
                "type": "array",
                "x-relctl": { "key": ["port"] },
                "items": { "type": "object", "properties": { "port": { "type": "integer" } } },
            },
            "arn": { "type": "string", "x-relctl": { "computed": true } },
        },
        "required": ["cluster", "name"],
    });
    let job = json!({
        "type": "object",
        "properties": {
            "command": { "type": "array", "items": { "type": "string" } },
            "network": { "type": "object" },
            "exit_code": { "type": "integer", "x-relctl": { "computed": true } },
        },
        "required": ["command"],
    });
    let http = json!({
        "type": "object",
        "properties": { "url": { "type": "string" } },
        "required": ["url"],
    });
    let find = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "network": { "type": "object", "x-relctl": { "computed": true } },
        },
    });
    let pick = json!({
        "type": "object",
        "properties": { "newest": { "type": "boolean" }, "number": { "type": "integer" } },
        "oneOf": [{ "required": ["newest"] }, { "required": ["number"] }],
    });
    let world = describe(
        "world",
        vec![
            kind("resource", "service", &service),
            kind("resource", "job", &job),
            kind("action", "job", &job),
            kind("check", "http", &http),
            kind("lookup", "find", &find),
            kind("lookup", "pick", &pick),
        ],
    );
    let other = describe("other", vec![kind("check", "http", &http)]);
    [("world".to_owned(), world), ("other".to_owned(), other)].into_iter().collect()
}

fn describe(name: &str, kinds: Vec<Kind>) -> Description {
    Description { name: name.to_owned(), kinds, ..Description::default() }
}

fn kind(role: &str, name: &str, schema: &Value) -> Kind {
    let raw = json!({ "name": name, "role": role, "schema": schema, "batch": 1 });
    serde_json::from_value(raw).unwrap()
}

/// Writes files into a new folder, by their paths.
pub(crate) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

pub(crate) fn options(folder: &Path) -> LoadOptions {
    LoadOptions { dir: folder.to_owned(), ..LoadOptions::default() }
}

pub(crate) fn finish(options: &LoadOptions) -> Result<(Draft, Release), Diagnostics> {
    let mut draft = load(options)?;
    let release = draft.finish(&descriptions())?;
    Ok((draft, release))
}
