//! From a canonical task definition to the body that AWS registers, and the hash of its content.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::canonical::entries;
use crate::names::map_to_camel;
use aws_connector::json::{Object, lay_over, to_list};

/// What relctl says about a revision: not a part of its content.
const COMPUTED: &[&str] = &["arn", "revision", "family_revision", "content_sha256", "from"];

/// Returns the content that results when `desired` is laid over `base`.
pub(crate) fn merged(base: Option<&Object>, desired: &Object) -> Object {
    let mut content = base.cloned().unwrap_or_default();
    lay_over(&mut content, desired);
    for name in COMPUTED {
        content.remove(*name);
    }
    for container in entries(&mut content, "container_definitions") {
        drop_emptied(container, "environment");
        drop_emptied(container, "secrets");
    }
    drop_emptied(&mut content, "container_definitions");
    drop_emptied(&mut content, "volume");
    content
}

/// Drops the entries of a keyed list of which every field was removed.
fn drop_emptied(map: &mut Object, list: &str) {
    if let Some(Value::Object(entries)) = map.get_mut(list) {
        entries.retain(|_, entry| !aws_connector::json::is_empty(entry));
    }
}

/// Returns the hash by which two revisions are recognised as the same. Tags are not content: they
/// change in place, and other tools set them.
pub(crate) fn content_sha256(content: &Object) -> String {
    let mut content = content.clone();
    content.remove("tags");
    for name in COMPUTED {
        content.remove(*name);
    }
    let digest = Sha256::digest(Value::Object(content).to_string());
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or_default());
        }
        hex
    })
}

/// Returns the body of `RegisterTaskDefinition`.
pub(crate) fn to_wire(content: &Object) -> Object {
    let mut document = content.clone();
    for name in COMPUTED {
        document.remove(*name);
    }
    for container in entries(&mut document, "container_definitions") {
        for list in ["environment", "secrets"] {
            if let Some(value) = container.remove(list) {
                container.insert(list.to_owned(), to_list(value));
            }
        }
    }
    for volume in entries(&mut document, "volume") {
        if let Some(path) = volume.remove("host_path") {
            volume.insert("host".to_owned(), serde_json::json!({ "source_path": path }));
        }
    }
    if let Some(value) = document.remove("container_definitions") {
        document.insert("container_definitions".to_owned(), to_list(value));
    }
    if let Some(value) = document.remove("volume") {
        document.insert("volumes".to_owned(), to_list(value));
    }
    let tags = document.remove("tags");
    let mut wire = map_to_camel(&document);
    if let Some(Value::Object(tags)) = tags.filter(|tags| !aws_connector::json::is_empty(tags)) {
        wire.insert("tags".to_owned(), aws_connector::json::tags_to_list(&tags).into());
    }
    wire
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::canonical::{of_answer, of_declared};
    use super::*;

    use relctl_sdk::testing::map as object;

    #[test]
    fn what_is_registered_again_reads_the_same() {
        let wire = object(json!({
            "family": "web", "cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "ephemeralStorage": { "sizeInGiB": 30 },
            "somethingNew": { "fromTomorrow": [1, 2] },
            "volumes": [{ "name": "data", "host": { "sourcePath": "/data" } }],
            "containerDefinitions": [{ "name": "api", "image": "api:1", "essential": true,
                "environment": [{ "name": "A", "value": "1" }], "secrets": [{ "name": "S", "valueFrom": "arn" }],
                "logConfiguration": { "logDriver": "awslogs", "options": { "awslogs-group": "/x" } },
                "dockerLabels": { "Some.Label": "y" } }],
        }));
        let content = of_answer(&wire, &json!([{ "key": "Team_Name", "value": "x" }]));
        let mut back = to_wire(&content);
        assert_eq!(back.remove("tags"), Some(json!([{ "key": "Team_Name", "value": "x" }])));
        assert_eq!(back, wire);
    }

    #[test]
    fn a_base_is_changed_where_the_file_speaks() {
        let base = of_answer(
            &object(json!({ "family": "web", "cpu": "256", "containerDefinitions": [
                { "name": "api", "image": "api:1", "command": ["a"], "environment": [{ "name": "PASSWORD", "value": "hunter2" }] },
                { "name": "proxy", "image": "envoy:1" } ] })),
            &Value::Null,
        );
        let desired = of_declared(&object(
            json!({ "family": "web", "from": { "cluster": "c", "service": "s" },
            "container_definitions": { "api": { "image": "api:2", "command": [] } } }),
        ));
        let wire = to_wire(&merged(Some(&base), &desired));
        assert_eq!(
            Value::Object(wire),
            json!({ "family": "web", "cpu": "256", "containerDefinitions": [
                { "name": "api", "image": "api:2", "essential": true, "environment": [{ "name": "PASSWORD", "value": "hunter2" }] },
                { "name": "proxy", "image": "envoy:1", "essential": true } ] })
        );
    }

    #[test]
    fn an_entry_of_which_everything_is_removed_goes() {
        let base = object(json!({ "container_definitions": {
            "api": { "name": "api", "environment": { "A": { "name": "A", "value": "1" }, "B": { "name": "B", "value": "2" } } },
            "sidecar": { "name": "sidecar", "image": "x" } } }));
        let desired = object(json!({ "container_definitions": {
            "api": { "environment": { "A": { "name": null, "value": null } } }, "sidecar": { "name": null, "image": null } } }));
        assert_eq!(
            Value::Object(merged(Some(&base), &desired)),
            json!({ "container_definitions": { "api": { "name": "api", "environment": { "B": { "name": "B", "value": "2" } } } } })
        );
    }

    #[test]
    fn the_hash_is_of_content_not_of_spelling_or_tags() {
        let one = of_answer(
            &object(
                json!({ "family": "web", "revision": 1, "containerDefinitions": [{ "name": "a", "cpu": 0 }] }),
            ),
            &json!([]),
        );
        let two = of_answer(
            &object(
                json!({ "family": "web", "revision": 9, "containerDefinitions": [{ "name": "a", "essential": true }] }),
            ),
            &json!([{ "key": "k", "value": "v" }]),
        );
        let other = of_answer(
            &object(json!({ "family": "web", "containerDefinitions": [{ "name": "b" }] })),
            &json!([]),
        );
        assert_eq!(content_sha256(&one), content_sha256(&two));
        assert_ne!(content_sha256(&one), content_sha256(&other));
        assert_eq!(content_sha256(&one).len(), 64);
    }
}
