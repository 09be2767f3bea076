//! The one spelling of a task definition (facts: AWS fills in, reorders and renames).

use serde_json::Value;

use crate::names::map_to_snake;
use aws_connector::json::{
    Object, Side, by_key, drop_empty, fill, is_empty, lay_over, make_absent, sort, tags_to_map,
    text,
};

/// What AWS answers and nobody may ask for.
const READ_ONLY: &[&str] = &[
    "task_definition_arn",
    "revision",
    "status",
    "requires_attributes",
    "compatibilities",
    "registered_at",
    "registered_by",
    "deregistered_at",
];

/// Lists in a container whose order means nothing.
const UNORDERED: &[&str] = &[
    "credential_specs",
    "depends_on",
    "environment_files",
    "extra_hosts",
    "mount_points",
    "port_mappings",
    "resource_requirements",
    "system_controls",
    "ulimits",
    "volumes_from",
];

/// Switches in a container for which AWS says `false` and nothing alike.
const OFF_BY_DEFAULT: &[&str] = &[
    "disable_networking",
    "interactive",
    "privileged",
    "pseudo_terminal",
    "readonly_root_filesystem",
];

/// Returns what the release file declares, in the canonical spelling.
pub(crate) fn of_declared(declared: &Object) -> Object {
    let mut declared = declared.clone();
    let mut document = match declared.remove("definition") {
        Some(definition) => of_file(&definition),
        None => Object::new(),
    };
    rename_and_key(&mut declared);
    if document.is_empty() {
        document = declared;
    } else {
        lay_over(&mut document, &declared);
    }
    canonicalise(&mut document, Side::Desired);
    document
}

/// Returns what AWS answered (`taskDefinition` and `tags`), in the canonical spelling. All of it:
/// see [`withhold`] before it leaves the plugin.
pub(crate) fn of_answer(definition: &Object, tags: &Value) -> Object {
    let mut document = map_to_snake(definition);
    for name in READ_ONLY {
        document.remove(*name);
    }
    if !is_empty(tags) {
        document.insert("tags".to_owned(), tags.clone());
    }
    rename_and_key(&mut document);
    if let Some(Value::Object(tags)) = document.get_mut("tags") {
        tags.retain(|key, _| !key.starts_with("aws:"));
    }
    canonicalise(&mut document, Side::Observed);
    document
}

/// Reads a team's existing file: what `register-task-definition` takes, what
/// `describe-task-definition` prints, or a list of containers alone.
fn of_file(definition: &Value) -> Object {
    let mut document = match definition {
        Value::Object(map) => match map.get("taskDefinition") {
            Some(Value::Object(inner)) => map_to_snake(inner),
            _ => map_to_snake(map),
        },
        Value::Array(_) => Object::from_iter([(
            "container_definitions".to_owned(),
            crate::names::value_to_snake(definition),
        )]),
        _ => Object::new(),
    };
    for name in READ_ONLY {
        document.remove(*name);
    }
    rename_and_key(&mut document);
    document
}

/// Terraform's names where AWS has others, and lists of named things by their names.
fn rename_and_key(document: &mut Object) {
    if let Some(volumes) = document.remove("volumes") {
        document.insert("volume".to_owned(), volumes);
    }
    if let Some(tags) = document.remove("tags") {
        document.insert("tags".to_owned(), tags_to_map(tags));
    }
    for list in ["container_definitions", "volume"] {
        if let Some(value) = document.remove(list) {
            document.insert(list.to_owned(), by_key(value, "name"));
        }
    }
    for container in entries(document, "container_definitions") {
        for list in ["environment", "secrets"] {
            if let Some(value) = container.remove(list) {
                container.insert(list.to_owned(), by_key(value, "name"));
            }
        }
    }
    for volume in entries(document, "volume") {
        let path = volume.remove("host").as_ref().and_then(|host| host.get("source_path").cloned());
        if let Some(path) = path {
            volume.insert("host_path".to_owned(), path);
        }
    }
}

/// The objects in an object.
pub(crate) fn entries<'a>(
    document: &'a mut Object,
    name: &str,
) -> impl Iterator<Item = &'a mut Object> + use<'a> {
    document
        .get_mut(name)
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(|map| map.values_mut())
        .filter_map(Value::as_object_mut)
}

fn canonicalise(document: &mut Object, side: Side) {
    for (name, unit) in [("cpu", "vcpu"), ("memory", "gb")] {
        if let Some(value) = document.get_mut(name) {
            *value = in_units(value, unit);
        }
    }
    sort(document, "requires_compatibilities");
    sort(document, "placement_constraints");
    sort(document, "inference_accelerators");
    if let Some(Value::Object(proxy)) = document.get_mut("proxy_configuration") {
        sort(proxy, "properties");
    }
    let network_mode = text(document, "network_mode").map(str::to_owned);
    for container in entries(document, "container_definitions") {
        canonicalise_container(container, network_mode.as_deref(), side);
    }
    if document.get("enable_fault_injection") == Some(&Value::Bool(false)) {
        make_absent(document, "enable_fault_injection", side);
    }
    drop_empty(document, side);
}

fn canonicalise_container(container: &mut Object, network_mode: Option<&str>, side: Side) {
    for list in UNORDERED {
        if let Some(Value::Array(items)) = container.get_mut(*list) {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                canonicalise_item(list, item, network_mode);
            }
            items.retain(|item| !is_empty(item));
        }
        sort(container, list);
    }
    for list in ["environment", "secrets"] {
        for entry in entries(container, list) {
            if side == Side::Observed {
                entry.retain(|_, value| !value.is_null());
            }
        }
    }
    if let Some(Value::Object(check)) = container.get_mut("health_check") {
        for (name, default) in [("interval", 30), ("timeout", 5), ("retries", 3)] {
            fill(check, name, Value::from(default), side);
        }
        if side == Side::Observed {
            check.retain(|name, value| !(is_empty(value) || name == "start_period" && *value == 0));
        }
    }
    fill(container, "essential", Value::Bool(true), side);
    if container.get("cpu") == Some(&Value::from(0)) {
        make_absent(container, "cpu", side);
    }
    for switch in OFF_BY_DEFAULT {
        if container.get(*switch) == Some(&Value::Bool(false)) {
            make_absent(container, switch, side);
        }
    }
    if text(container, "version_consistency") == Some("enabled") {
        make_absent(container, "version_consistency", side);
    }
    if let Some(Value::Object(log)) = container.get_mut("log_configuration") {
        drop_empty(log, side);
    }
    drop_empty(container, side);
}

/// Items of a container's unordered lists: what AWS fills in is left out.
fn canonicalise_item(list: &str, item: &mut Object, network_mode: Option<&str>) {
    item.retain(|_, value| !is_empty(value));
    match list {
        "port_mappings" => {
            let shared = matches!(network_mode, Some("awsvpc" | "host"));
            let same = shared && item.get("host_port") == item.get("container_port");
            if same || item.get("host_port") == Some(&Value::from(0)) {
                item.remove("host_port");
            }
            if text(item, "protocol") == Some("tcp") {
                item.remove("protocol");
            }
        }
        "mount_points" | "volumes_from" if item.get("read_only") == Some(&Value::Bool(false)) => {
            item.remove("read_only");
        }
        _ => {}
    }
}

/// CPU units and MiB as AWS answers them: "1 vCPU" is "1024", "0.5 GB" is "512".
fn in_units(value: &Value, unit: &str) -> Value {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        other => return other.clone(),
    };
    let Some(amount) = text.strip_suffix(unit) else { return Value::String(text) };
    match thousandths(amount.trim()) {
        Some(amount) if amount * 1024 % 1000 == 0 => {
            Value::String((amount * 1024 / 1000).to_string())
        }
        _ => value.clone(),
    }
}

/// A decimal number with up to three places, in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: u64 = format!("{part:0<3}").parse().ok()?;
    whole.checked_mul(1000)?.checked_add(part)
}

/// Makes `observed` spell what the release file spells another way and AWS takes for the same: a
/// file without `network_mode` cannot know that its `host_port` says nothing.
pub(crate) fn spell_alike(observed: &mut Object, desired: &Object) {
    let network_mode = text(observed, "network_mode").map(str::to_owned);
    let wanted = desired.get("container_definitions").and_then(Value::as_object);
    for container in entries(observed, "container_definitions") {
        let name = text(container, "name").unwrap_or_default();
        let Some(ports) = wanted.and_then(|w| w.get(name)?.get("port_mappings")) else { continue };
        let mut probe = Object::from_iter([("port_mappings".to_owned(), ports.clone())]);
        canonicalise_container(&mut probe, network_mode.as_deref(), Side::Observed);
        if probe.get("port_mappings") == container.get("port_mappings") && !ports.is_null() {
            container.insert("port_mappings".to_owned(), ports.clone());
        }
    }
}

/// Leaves out the plain-text values of environment variables that the release file does not
/// declare: they may be secrets, and must not travel into a plan or a ledger.
///
/// Returns whether there were any.
pub(crate) fn withhold(observed: &mut Object, desired: Option<&Object>) -> bool {
    let declared = desired
        .and_then(|d| d.get("container_definitions"))
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut withheld = false;
    for container in entries(observed, "container_definitions") {
        let name = text(container, "name").unwrap_or_default().to_owned();
        let known = declared.get(&name).and_then(|c| c.get("environment")).cloned();
        for variable in entries(container, "environment") {
            let name = text(variable, "name").unwrap_or_default();
            let is_declared = known.as_ref().is_some_and(|known| known.get(name).is_some());
            if !is_declared {
                withheld |= variable.remove("value").is_some();
            }
        }
    }
    withheld
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    use relctl_sdk::testing::map as object;

    fn answer(value: Value) -> Value {
        Value::Object(of_answer(&object(value), &Value::Null))
    }

    fn container(value: Value) -> Value {
        let mut container = object(value);
        container.insert("name".into(), "api".into());
        let all = answer(json!({ "networkMode": "awsvpc", "containerDefinitions": [container] }));
        all.pointer("/container_definitions/api").unwrap().clone()
    }

    #[test]
    fn what_aws_fills_in_is_the_same_as_nothing() {
        let bare = container(json!({ "image": "a" }));
        for filled in [
            json!({ "image": "a", "essential": true }),
            json!({ "image": "a", "cpu": 0, "environment": [], "mountPoints": [], "volumesFrom": [], "portMappings": [] }),
            json!({ "image": "a", "command": [], "entryPoint": [], "links": [], "dnsServers": [], "secrets": [], "ulimits": [] }),
            json!({ "image": "a", "systemControls": [], "dockerSecurityOptions": [], "extraHosts": [], "dependsOn": [] }),
            json!({ "image": "a", "versionConsistency": "enabled", "privileged": false }),
            json!({ "image": "a", "mountPoints": [{}] }),
        ] {
            assert_eq!(container(filled.clone()), bare, "{filled}");
        }
    }

    /// E2: the order of what has none is no difference, that of words is.
    #[test]
    fn same_and_different() {
        let cases = [
            (
                true,
                "portMappings",
                json!([{ "containerPort": 80, "hostPort": 80, "protocol": "tcp" }]),
                json!([{ "containerPort": 80 }]),
            ),
            (
                true,
                "portMappings",
                json!([{ "containerPort": 80, "hostPort": 0 }]),
                json!([{ "containerPort": 80 }]),
            ),
            (
                false,
                "portMappings",
                json!([{ "containerPort": 53, "protocol": "udp" }]),
                json!([{ "containerPort": 53 }]),
            ),
            (
                true,
                "portMappings",
                json!([{ "containerPort": 1 }, { "containerPort": 2 }]),
                json!([{ "containerPort": 2 }, { "containerPort": 1 }]),
            ),
            (
                true,
                "environment",
                json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]),
                json!([{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }]),
            ),
            (
                true,
                "secrets",
                json!([{ "name": "A", "valueFrom": "x" }, { "name": "B", "valueFrom": "y" }]),
                json!([{ "name": "B", "valueFrom": "y" }, { "name": "A", "valueFrom": "x" }]),
            ),
            (
                true,
                "mountPoints",
                json!([{ "sourceVolume": "v", "containerPath": "/v", "readOnly": false }]),
                json!([{ "containerPath": "/v", "sourceVolume": "v" }]),
            ),
            (
                true,
                "healthCheck",
                json!({ "command": ["CMD", "x"], "interval": 30, "retries": 3, "timeout": 5 }),
                json!({ "command": ["CMD", "x"] }),
            ),
            (
                false,
                "healthCheck",
                json!({ "command": ["CMD", "x"], "retries": 5 }),
                json!({ "command": ["CMD", "x"] }),
            ),
            (false, "command", json!(["a", "b"]), json!(["b", "a"])),
            (false, "entryPoint", json!(["a", "b"]), json!(["b", "a"])),
            (false, "essential", json!(false), json!(true)),
        ];
        for (same, field, a, b) in cases {
            let (left, right) = (container(json!({ field: a })), container(json!({ field: b })));
            assert_eq!(left == right, same, "{field}: {a} and {b}");
        }
    }

    /// E9, R8.
    #[test]
    fn units_are_aws_units() {
        for (written, cpu) in [
            ("256", "256"),
            (".25 vCPU", "256"),
            ("1 vCPU", "1024"),
            ("1vcpu", "1024"),
            ("2.5 vCPU", "2560"),
        ] {
            assert_eq!(answer(json!({ "cpu": written })), json!({ "cpu": cpu }));
        }
        for (written, memory) in
            [(json!("1 GB"), "1024"), (json!("0.5GB"), "512"), (json!(2048), "2048")]
        {
            let declared = of_declared(&object(json!({ "memory": written })));
            assert_eq!(Value::Object(declared), json!({ "memory": memory }));
        }
    }

    #[test]
    fn sets_at_the_top_have_no_order() {
        let one = json!({ "requiresCompatibilities": ["FARGATE", "EC2"], "volumes": [{ "name": "b" }, { "name": "a", "host": { "sourcePath": "/a" } }] });
        let two = json!({ "requiresCompatibilities": ["EC2", "FARGATE"], "volumes": [{ "name": "a", "host": { "sourcePath": "/a" } }, { "name": "b", "host": {} }] });
        assert_eq!(answer(one.clone()), answer(two));
        assert_eq!(answer(one).pointer("/volume/a/host_path"), Some(&json!("/a")));
    }

    #[test]
    fn declared_empties_and_defaults_are_owned() {
        let declared = of_declared(&object(json!({
            "container_definitions": { "api": { "command": [], "essential": true, "environment": { "A": { "value": "1" } } } },
        })));
        assert_eq!(
            Value::Object(declared),
            json!({ "container_definitions": { "api": { "name": "api", "command": null, "essential": true, "environment": { "A": { "name": "A", "value": "1" } } } } })
        );
    }

    #[test]
    fn a_teams_own_file_is_read_and_the_release_file_lies_over_it() {
        let file = json!({ "taskDefinition": {
            "family": "web", "revision": 7, "status": "ACTIVE", "networkMode": "awsvpc", "cpu": "256",
            "containerDefinitions": [{ "name": "api", "image": "api:1", "portMappings": [{ "containerPort": 80, "hostPort": 80 }],
                "environment": [{ "name": "A", "value": "1" }] }],
        } });
        let declared = json!({ "definition": file, "container_definitions": { "api": { "image": "api:2" } }, "tags": { "team": "x" } });
        assert_eq!(
            Value::Object(of_declared(&object(declared))),
            json!({ "family": "web", "network_mode": "awsvpc", "cpu": "256", "tags": { "team": "x" },
                "container_definitions": { "api": { "name": "api", "image": "api:2", "port_mappings": [{ "container_port": 80 }],
                    "environment": { "A": { "name": "A", "value": "1" } } } } })
        );
    }

    #[test]
    fn a_file_that_does_not_know_the_network_mode_is_not_a_difference() {
        let mut observed = of_answer(
            &object(
                json!({ "networkMode": "awsvpc", "containerDefinitions": [{ "name": "api", "portMappings": [{ "containerPort": 80, "hostPort": 80, "protocol": "tcp" }] }] }),
            ),
            &Value::Null,
        );
        let desired = of_declared(&object(
            json!({ "container_definitions": { "api": { "port_mappings": [{ "container_port": 80, "host_port": 80 }] } } }),
        ));
        spell_alike(&mut observed, &desired);
        let at = "/container_definitions/api/port_mappings";
        assert_eq!(Value::Object(observed).pointer(at), Value::Object(desired).pointer(at));
    }

    #[test]
    fn undeclared_plain_text_is_withheld() {
        let mut observed = of_answer(
            &object(
                json!({ "containerDefinitions": [{ "name": "api", "environment": [{ "name": "MINE", "value": "1" }, { "name": "PASSWORD", "value": "hunter2" }] }] }),
            ),
            &Value::Null,
        );
        let desired = of_declared(&object(
            json!({ "container_definitions": { "api": { "environment": { "MINE": { "value": "2" } } } } }),
        ));
        assert!(withhold(&mut observed, Some(&desired)));
        assert_eq!(
            Value::Object(observed).pointer("/container_definitions/api/environment"),
            Some(
                &json!({ "MINE": { "name": "MINE", "value": "1" }, "PASSWORD": { "name": "PASSWORD" } })
            )
        );
    }
}
