//! What AWS would refuse, said while planning (facts: an endpoint may accept it all the same).

use std::collections::BTreeSet;

use serde_json::Value;

use aws_connector::json::{Object, text};
use aws_connector::wrong;
use relctl_sdk::Diagnostic;

/// The largest body that AWS takes, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// CPU units that Fargate offers, with the least and the most MiB and the step between.
const FARGATE: &[(u64, u64, u64, u64)] = &[
    (256, 512, 2048, 512),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16384, 1024),
    (4096, 8192, 30720, 1024),
    (8192, 16384, 61440, 4096),
    (16384, 32768, 122_880, 8192),
];

/// What is wrong with the parts that the release file declares, whatever it lies over.
pub(crate) fn of_declared(declared: &Object) -> Vec<Diagnostic> {
    let mut refusals = Vec::new();
    match text(declared, "family") {
        Some(family) if !is_name(family) => refusals.push(wrong(
            "/family",
            "is not a family name",
            "use up to 255 letters, digits, `_` and `-`",
        )),
        _ => {}
    }
    duplicates(declared.get("definition"), &mut refusals);
    refusals
}

/// What is wrong with the declared fields in their canonical form.
pub(crate) fn of_canonical(canonical: &Object) -> Vec<Diagnostic> {
    let mut refusals = Vec::new();
    for (name, container) in objects(canonical, "container_definitions") {
        let at = format!("/container_definitions/{}", pointer(name));
        if !is_name(name) {
            refusals.push(wrong(
                &at,
                "is not a container name",
                "use up to 255 letters, digits, `_` and `-`",
            ));
        }
        let secrets: BTreeSet<&str> = objects(container, "secrets").map(|(name, _)| name).collect();
        for (variable, entry) in objects(container, "environment") {
            let at = format!("{at}/environment/{}", pointer(variable));
            if entry.get("value") == Some(&Value::from("")) {
                refusals.push(wrong(
                    &format!("{at}/value"),
                    "is empty: AWS drops such a variable, so that it would differ for ever",
                    "leave the variable out, or give it a value",
                ));
            }
            if secrets.contains(variable) {
                refusals.push(wrong(
                    &at,
                    "is a secret of this container too, which AWS refuses",
                    "keep one of the two",
                ));
            }
        }
    }
    let tags = canonical.get("tags").and_then(Value::as_object);
    refusals.extend(tags.map(crate::tags::rules).unwrap_or_default());
    refusals
}

/// What is wrong with a whole body: what AWS knows only when it sees all of it.
pub(crate) fn of_whole(content: &Object) -> Vec<Diagnostic> {
    let mut refusals = of_canonical(content);
    let containers: Vec<(&str, &Object)> = objects(content, "container_definitions").collect();
    if containers.is_empty() {
        refusals.push(wrong(
            "/container_definitions",
            "has no container",
            "declare at least one, or give `from = { cluster, service }` to start from what a service runs",
        ));
    } else if containers.iter().all(|(_, c)| c.get("essential") == Some(&Value::Bool(false))) {
        refusals.push(wrong(
            "/container_definitions",
            "has no essential container",
            "leave `essential` out of the main one",
        ));
    }
    for (name, container) in &containers {
        let at = format!("/container_definitions/{}", pointer(name));
        if text(container, "image").is_none_or(str::is_empty) {
            refusals.push(wrong(&at, "has no `image`", "give the image, with its tag or digest"));
        }
        let sized =
            container.contains_key("memory") || container.contains_key("memory_reservation");
        if !sized && !content.contains_key("memory") {
            refusals.push(wrong(
                &at,
                "has no `memory` and the task has none either",
                "give `memory` (MiB) to the task or to the container",
            ));
        }
    }
    for (name, container) in &containers {
        within_the_task(content, name, container, &mut refusals);
    }
    sizes(content, &containers, &mut refusals);
    fargate(content, &mut refusals);
    let size = Value::Object(super::body::to_wire(content)).to_string().len();
    if size > MAX_BODY {
        refusals.push(wrong(
            "",
            &format!("is {size} bytes long; AWS takes {MAX_BODY}"),
            "move long values to a secret or a file",
        ));
    }
    refusals
}

/// What a container refers to must be in its task, and its ports must fit the network mode.
fn within_the_task(
    content: &Object,
    name: &str,
    container: &Object,
    refusals: &mut Vec<Diagnostic>,
) {
    let at = format!("/container_definitions/{}", pointer(name));
    let refers = |list: &str, field: &str, among: &str| {
        let known: BTreeSet<&str> = objects(content, among).map(|(name, _)| name).collect();
        let named = items(container, list).filter_map(|item| text(item, field).map(str::to_owned));
        named
            .filter(|name| !known.contains(name.as_str()) && !is_placeholder(name))
            .collect::<Vec<_>>()
    };
    for volume in refers("mount_points", "source_volume", "volume") {
        refusals.push(wrong(
            &format!("{at}/mount_points"),
            &format!("mounts `{volume}`, which is no volume of the task"),
            "declare it under `volume`",
        ));
    }
    for other in refers("depends_on", "container_name", "container_definitions") {
        refusals.push(wrong(
            &format!("{at}/depends_on"),
            &format!("waits for `{other}`, which is no container of the task"),
            "name a container of the same task",
        ));
    }
    let shared = text(content, "network_mode") == Some("awsvpc");
    let differs = |port: &Object| {
        let host = port.get("host_port").filter(|host| **host != 0);
        host.is_some_and(|host| host.is_number() && Some(host) != port.get("container_port"))
    };
    if shared && items(container, "port_mappings").any(differs) {
        refusals.push(wrong(
            &format!("{at}/port_mappings"),
            "has a `host_port` other than its `container_port`, which awsvpc does not know",
            "leave `host_port` out",
        ));
    }
}

/// Sizes are whole numbers, and the containers fit into the task.
fn sizes(content: &Object, containers: &[(&str, &Object)], refusals: &mut Vec<Diagnostic>) {
    for (name, hint) in [
        ("cpu", "write CPU units, as in `256`, or `0.25 vCPU`"),
        ("memory", "write MiB, as in `512`, or `0.5 GB`"),
    ] {
        let size = text(content, name).filter(|size| !is_placeholder(size));
        if size.is_some_and(|size| size.parse::<u64>().is_err()) {
            refusals.push(wrong(&format!("/{name}"), "is not a size that AWS takes", hint));
        }
    }
    let of = |container: &Object| {
        let reserved = container.get("memory_reservation").or_else(|| container.get("memory"));
        reserved.and_then(Value::as_u64).unwrap_or_default()
    };
    let reserved: u64 = containers.iter().map(|(_, container)| of(container)).sum();
    let memory = text(content, "memory").and_then(|memory| memory.parse::<u64>().ok());
    if let Some(memory) = memory.filter(|memory| reserved > *memory) {
        refusals.push(wrong(
            "/memory",
            &format!("is {memory} MiB, and the containers together reserve {reserved}"),
            "give the task more, or the containers less",
        ));
    }
}

/// Stands where a value is not known yet.
fn is_placeholder(text: &str) -> bool {
    text.starts_with("(known after")
}

fn items<'a>(container: &'a Object, list: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
    let items = container.get(list).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(Value::as_object)
}

fn fargate(content: &Object, refusals: &mut Vec<Diagnostic>) {
    let wanted = content.get("requires_compatibilities").and_then(Value::as_array);
    if !wanted.is_some_and(|list| list.iter().any(|item| item == "FARGATE")) {
        return;
    }
    if text(content, "network_mode") != Some("awsvpc") {
        refusals.push(wrong(
            "/network_mode",
            "must be `awsvpc` on Fargate",
            "write `network_mode = \"awsvpc\"`",
        ));
    }
    let number = |name| text(content, name).and_then(|text| text.parse::<u64>().ok());
    let (Some(cpu), Some(memory)) = (number("cpu"), number("memory")) else {
        refusals.push(wrong(
            "/cpu",
            "Fargate wants `cpu` and `memory` of the task",
            "give both, as in `cpu = \"256\"`, `memory = \"512\"`",
        ));
        return;
    };
    let fits = FARGATE.iter().any(|(units, least, most, step)| {
        let odd = cpu == 256 && memory == 1536;
        *units == cpu && (*least..=*most).contains(&memory) && memory % step == 0 && !odd
    });
    if fits {
        return;
    }
    let offer = FARGATE.iter().find(|(units, ..)| *units == cpu).map_or_else(
        || "Fargate has 256, 512, 1024, 2048, 4096, 8192 and 16384 CPU units".to_owned(),
        |(units, least, most, step)| {
            format!("with {units} CPU units it is {least} to {most} MiB in steps of {step}")
        },
    );
    refusals.push(wrong(
        "/memory",
        &format!("Fargate has no {cpu} CPU units with {memory} MiB"),
        &offer,
    ));
}

/// Names that occur twice in a file's lists: as a map one of them would be lost in silence.
fn duplicates(definition: Option<&Value>, refusals: &mut Vec<Diagnostic>) {
    let Some(definition) = definition else { return };
    let definition = definition.get("taskDefinition").unwrap_or(definition);
    let containers = definition.get("containerDefinitions").unwrap_or(definition);
    repeated(containers, "/definition/containerDefinitions", refusals);
    for (index, container) in containers.as_array().into_iter().flatten().enumerate() {
        for list in ["environment", "secrets"] {
            let at = format!("/definition/containerDefinitions/{index}/{list}");
            if let Some(list) = container.get(list) {
                repeated(list, &at, refusals);
            }
        }
    }
}

fn repeated(list: &Value, at: &str, refusals: &mut Vec<Diagnostic>) {
    let mut seen = BTreeSet::new();
    for name in list.as_array().into_iter().flatten().filter_map(|item| item.get("name")?.as_str())
    {
        if !seen.insert(name) {
            refusals.push(wrong(at, &format!("has `{name}` twice"), "keep one of the two"));
        }
    }
}

fn objects<'a>(
    map: &'a Object,
    name: &str,
) -> impl Iterator<Item = (&'a str, &'a Object)> + use<'a> {
    map.get(name)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_object()?)))
}

fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn pointer(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    use relctl_sdk::testing::map as object;

    fn whole(change: Value) -> Vec<String> {
        let mut content = object(
            json!({ "family": "web", "requires_compatibilities": ["FARGATE"], "network_mode": "awsvpc",
            "cpu": "256", "memory": "512", "container_definitions": { "api": { "name": "api", "image": "a", "essential": true } } }),
        );
        aws_connector::json::lay_over(&mut content, &object(change));
        of_whole(&content).into_iter().map(|wrong| wrong.path).collect()
    }

    #[test]
    fn a_good_body_is_good() {
        assert_eq!(whole(json!({})), Vec::<String>::new());
        assert_eq!(whole(json!({ "cpu": "16384", "memory": "122880" })), Vec::<String>::new());
    }

    /// E9.
    #[test]
    fn what_aws_refuses_is_refused_here() {
        let long = "x".repeat(MAX_BODY);
        for (change, at) in [
            (json!({ "network_mode": "bridge" }), "/network_mode"),
            (json!({ "cpu": "300" }), "/memory"),
            (json!({ "memory": "4096" }), "/memory"),
            (json!({ "memory": "1000" }), "/memory"),
            (json!({ "memory": "1536" }), "/memory"),
            (json!({ "cpu": null }), "/cpu"),
            (json!({ "container_definitions": null }), "/container_definitions"),
            (
                json!({ "container_definitions": { "api": { "essential": false } } }),
                "/container_definitions",
            ),
            (
                json!({ "container_definitions": { "api": { "image": null } } }),
                "/container_definitions/api",
            ),
            (
                json!({ "container_definitions": { "api": { "environment": { "A": { "value": "" } } } } }),
                "/container_definitions/api/environment/A/value",
            ),
            (
                json!({ "container_definitions": { "api": { "environment": { "A": { "value": "1" } }, "secrets": { "A": { "value_from": "x" } } } } }),
                "/container_definitions/api/environment/A",
            ),
            (
                json!({ "container_definitions": { "api": { "environment": { "A": { "value": long } } } } }),
                "",
            ),
            (
                json!({ "container_definitions": { "a b": { "image": "a" } } }),
                "/container_definitions/a b",
            ),
            (json!({ "tags": { "aws:x": "1" } }), "/tags/aws:x"),
            (
                json!({ "container_definitions": { "api": { "mount_points": [{ "source_volume": "v", "container_path": "/v" }] } } }),
                "/container_definitions/api/mount_points",
            ),
            (
                json!({ "container_definitions": { "api": { "depends_on": [{ "container_name": "x", "condition": "START" }] } } }),
                "/container_definitions/api/depends_on",
            ),
            (
                json!({ "container_definitions": { "api": { "port_mappings": [{ "container_port": 80, "host_port": 8080 }] } } }),
                "/container_definitions/api/port_mappings",
            ),
            (json!({ "container_definitions": { "api": { "memory": 513 } } }), "/memory"),
        ] {
            assert_eq!(whole(change.clone()), [at], "{change}");
        }
    }

    /// E9.
    #[test]
    fn families_and_doubled_names() {
        for family in ["bad/../x y", "", "a.b"] {
            assert_eq!(of_declared(&object(json!({ "family": family }))).len(), 1, "{family}");
        }
        let doubled = json!({ "family": "web", "definition": { "containerDefinitions": [
            { "name": "a", "environment": [{ "name": "X", "value": "1" }, { "name": "X", "value": "2" }] }, { "name": "a" } ] } });
        assert_eq!(of_declared(&object(doubled)).len(), 2);
    }
}
