//! The bodies of `CreateService` and `UpdateService`.

use aws_connector::json::{Object, lay_over, tags_to_list, text};
use relctl_sdk::{Change, Value};
use serde_json::json;

use super::canonical::{DEPLOYMENT_PARTS, LINEAGE_TAG, TRIGGER_TAG};
use super::top;
use crate::names::value_to_camel;

/// Makes the value that says "none".
type Nothing = fn() -> Value;

/// How a field is called in `UpdateService`, and what says "none" there.
const FIELDS: &[(&str, &str, Nothing)] = &[
    ("desired_count", "desiredCount", || Value::Null),
    ("launch_type", "launchType", || Value::Null),
    ("capacity_provider_strategy", "capacityProviderStrategy", || json!([])),
    ("platform_version", "platformVersion", || json!("LATEST")),
    ("scheduling_strategy", "schedulingStrategy", || Value::Null),
    ("load_balancer", "loadBalancers", || json!([])),
    ("service_registries", "serviceRegistries", || json!([])),
    ("placement_constraints", "placementConstraints", || json!([])),
    ("ordered_placement_strategy", "placementStrategy", || json!([])),
    ("deployment_controller", "deploymentController", || Value::Null),
    ("health_check_grace_period_seconds", "healthCheckGracePeriodSeconds", || json!(0)),
    ("enable_execute_command", "enableExecuteCommand", || json!(false)),
    ("enable_ecs_managed_tags", "enableECSManagedTags", || json!(false)),
    ("propagate_tags", "propagateTags", || json!("NONE")),
    ("availability_zone_rebalancing", "availabilityZoneRebalancing", || json!("DISABLED")),
    ("iam_role", "role", || Value::Null),
    (
        "service_connect_configuration",
        "serviceConnectConfiguration",
        || json!({ "enabled": false }),
    ),
    ("volume_configuration", "volumeConfigurations", || json!([])),
    ("vpc_lattice_configurations", "vpcLatticeConfigurations", || json!([])),
    ("task_definition", "taskDefinition", || Value::Null),
];

/// Fields that only `CreateService` takes.
const AT_CREATION: &[&str] =
    &["launch_type", "scheduling_strategy", "deployment_controller", "iam_role"];

/// The body that makes the service.
pub(crate) fn create(desired: &Object, lineage: &str, token: &str) -> Value {
    let mut wanted = Object::new();
    lay_over(&mut wanted, desired);
    let mut body = Object::new();
    let name = |name: &str| wanted.get(name).cloned().unwrap_or_default();
    body.insert("cluster".to_owned(), name("cluster"));
    body.insert("serviceName".to_owned(), name("name"));
    for (field, wire, _) in FIELDS {
        if let Some(value) = wanted.get(*field) {
            body.insert((*wire).to_owned(), field_to_wire(field, value));
        }
    }
    if let Some(network) = wanted.get("network_configuration") {
        body.insert("networkConfiguration".to_owned(), network_to_wire(network));
    }
    let deployment = deployment_to_wire(&wanted);
    if !deployment.is_empty() {
        body.insert("deploymentConfiguration".to_owned(), deployment.into());
    }
    let mut tags = wanted.get("tags").and_then(Value::as_object).cloned().unwrap_or_default();
    tags.extend(trigger_tags(&wanted));
    tags.insert(LINEAGE_TAG.to_owned(), lineage.into());
    body.insert("tags".to_owned(), tags_to_list(&tags).into());
    // The API takes at most 36 characters.
    body.insert("clientToken".to_owned(), token.chars().take(36).collect::<String>().into());
    Value::Object(body)
}

/// The body that changes what differs, and nothing else: an omitted field stays as it is, so that
/// `desiredCount` is never sent unless it is declared and differs. `None`: only tags differ.
pub(crate) fn update(change: &Change) -> Option<Value> {
    let desired = change.desired.as_ref()?;
    let mut wanted = change.observed.clone().unwrap_or_default();
    lay_over(&mut wanted, &desired.value);
    let differs: Vec<&str> = change.paths.iter().map(|path| top(path)).collect();
    let mut body = Object::new();
    for (field, wire, none) in FIELDS {
        if !differs.contains(field) || AT_CREATION.contains(field) {
            continue;
        }
        let value = wanted.get(*field).map_or_else(none, |value| field_to_wire(field, value));
        if !value.is_null() {
            body.insert((*wire).to_owned(), value);
        }
    }
    if differs.contains(&"network_configuration") {
        let network = wanted.get("network_configuration").cloned().unwrap_or_default();
        body.insert("networkConfiguration".to_owned(), network_to_wire(&network));
    }
    let in_deployment = |name: &&str| {
        *name == "deployment_configuration" || DEPLOYMENT_PARTS.iter().any(|(_, part)| part == name)
    };
    if differs.iter().any(in_deployment) {
        // The whole of it: a part that is left out would go back to its default.
        body.insert("deploymentConfiguration".to_owned(), deployment_to_wire(&wanted).into());
    }
    if differs.iter().any(|name| matches!(*name, "restart_triggers" | "capacity_provider_strategy"))
    {
        body.insert("forceNewDeployment".to_owned(), true.into());
    }
    if body.is_empty() {
        return None;
    }
    let name = |name: &str| Value::from(text(&wanted, name).unwrap_or_default());
    body.insert("cluster".to_owned(), name("cluster"));
    body.insert("service".to_owned(), name("name"));
    Some(Value::Object(body))
}

/// Tags to set and keys of tags to remove, restart triggers apart: they are set when the restart
/// was asked for.
pub(crate) struct TagChanges {
    pub(crate) set: Object,
    pub(crate) removed: Vec<String>,
}

/// What to do about tags before the service changes.
pub(crate) fn tag_changes(change: &Change, lineage: &str) -> TagChanges {
    let none = Object::new();
    let observed = change.observed.as_ref().unwrap_or(&none);
    let there = observed.get("tags").and_then(Value::as_object).unwrap_or(&none);
    let mut changes = changed(desired_map(change, "tags"), there, "");
    if text(observed, "lineage") != Some(lineage) {
        changes.set.insert(LINEAGE_TAG.to_owned(), lineage.into());
    }
    changes
}

/// What to do about restart triggers after the restart was asked for.
pub(crate) fn trigger_changes(change: &Change) -> TagChanges {
    let none = Object::new();
    let observed = change.observed.as_ref().unwrap_or(&none);
    let there = observed.get("restart_triggers").and_then(Value::as_object).unwrap_or(&none);
    changed(desired_map(change, "restart_triggers"), there, TRIGGER_TAG)
}

fn desired_map<'a>(change: &'a Change, name: &str) -> Option<&'a Value> {
    change.desired.as_ref()?.value.get(name)
}

fn changed(wanted: Option<&Value>, there: &Object, prefix: &str) -> TagChanges {
    let mut changes = TagChanges { set: Object::new(), removed: Vec::new() };
    match wanted {
        Some(Value::Object(wanted)) => {
            for (key, value) in wanted {
                if value.is_null() && there.contains_key(key) {
                    changes.removed.push(format!("{prefix}{key}"));
                } else if !value.is_null() && there.get(key) != Some(value) {
                    changes.set.insert(format!("{prefix}{key}"), value.clone());
                }
            }
        }
        Some(Value::Null) => {
            changes.removed.extend(there.keys().map(|key| format!("{prefix}{key}")));
        }
        _ => {}
    }
    changes
}

fn trigger_tags(wanted: &Object) -> Object {
    let triggers = wanted.get("restart_triggers").and_then(Value::as_object);
    triggers
        .into_iter()
        .flatten()
        .map(|(key, value)| (format!("{TRIGGER_TAG}{key}"), value.clone()))
        .collect()
}

fn field_to_wire(field: &str, value: &Value) -> Value {
    let mut value = value.clone();
    if field == "load_balancer" {
        for item in value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            if let Some(name) = item.remove("elb_name") {
                item.insert("load_balancer_name".to_owned(), name);
            }
        }
    }
    value_to_camel(&value)
}

/// `network_configuration`, as tasks and services take it.
pub(crate) fn network_to_wire(network: &Value) -> Value {
    let mut vpc = network.as_object().cloned().unwrap_or_default();
    if let Some(Value::Bool(assign)) = vpc.get("assign_public_ip") {
        let assign = if *assign { "ENABLED" } else { "DISABLED" };
        vpc.insert("assign_public_ip".to_owned(), assign.into());
    }
    vpc.retain(|_, value| !value.is_null());
    json!({ "awsvpcConfiguration": value_to_camel(&Value::Object(vpc)) })
}

fn deployment_to_wire(wanted: &Object) -> Object {
    let rest = wanted.get("deployment_configuration").and_then(Value::as_object);
    let mut configuration = rest.cloned().unwrap_or_default();
    for (inner, name) in DEPLOYMENT_PARTS {
        if let Some(value) = wanted.get(*name) {
            configuration.insert((*inner).to_owned(), value.clone());
        }
    }
    crate::names::map_to_camel(&configuration)
}

#[cfg(test)]
mod tests {
    use relctl_sdk::Verb;
    use relctl_sdk::testing::{change, map, subject};

    use super::*;

    fn updated(observed: Value, desired: Value, paths: &[&str]) -> Option<Value> {
        let mut observed = map(observed);
        observed.insert("cluster".into(), "prod".into());
        observed.insert("name".into(), "web".into());
        let subject = subject("resource.aws_ecs_service.web", desired);
        let mut change = change(Verb::Update, subject, Some(observed));
        change.paths = paths.iter().map(|path| (*path).to_owned()).collect();
        update(&change)
    }

    #[test]
    fn only_what_differs_is_sent() {
        let sent = updated(
            json!({ "task_definition": "arn:1", "desired_count": 6, "deployment_maximum_percent": 200, "deployment_minimum_healthy_percent": 100,
                "deployment_circuit_breaker": { "enable": false, "rollback": false } }),
            json!({ "task_definition": "arn:2", "deployment_circuit_breaker": { "enable": true } }),
            &["/task_definition", "/deployment_circuit_breaker/enable"],
        );
        assert_eq!(
            sent,
            Some(json!({ "cluster": "prod", "service": "web", "taskDefinition": "arn:2",
                "deploymentConfiguration": { "maximumPercent": 200, "minimumHealthyPercent": 100,
                    "deploymentCircuitBreaker": { "enable": true, "rollback": false } } }))
        );
    }

    #[test]
    fn none_is_said_in_awss_words() {
        for (field, desired, wire, none) in [
            ("placement_constraints", json!(null), "placementConstraints", json!([])),
            ("ordered_placement_strategy", json!(null), "placementStrategy", json!([])),
            ("load_balancer", json!(null), "loadBalancers", json!([])),
            ("service_registries", json!(null), "serviceRegistries", json!([])),
            (
                "health_check_grace_period_seconds",
                json!(null),
                "healthCheckGracePeriodSeconds",
                json!(0),
            ),
        ] {
            let sent =
                updated(json!({ field: [1] }), json!({ field: desired }), &[&format!("/{field}")]);
            assert_eq!(sent.unwrap().get(wire), Some(&none), "{field}");
        }
    }

    #[test]
    fn a_restart_is_forced_and_tags_alone_are_none() {
        let restart = updated(
            json!({}),
            json!({ "restart_triggers": { "a": "2" } }),
            &["/restart_triggers/a"],
        );
        assert_eq!(
            restart,
            Some(json!({ "cluster": "prod", "service": "web", "forceNewDeployment": true }))
        );
        assert_eq!(updated(json!({}), json!({ "tags": { "a": "2" } }), &["/tags/a"]), None);
    }

    #[test]
    fn creation_carries_everything_and_whose_it_is() {
        let token = "0123456789abcdef0123456789abcdef0123456789";
        let body = create(
            &map(
                json!({ "cluster": "prod", "name": "web", "task_definition": "arn:1", "launch_type": "FARGATE", "desired_count": 2, "iam_role": null,
                "network_configuration": { "subnets": ["a"], "assign_public_ip": true }, "tags": { "team": "x" }, "restart_triggers": { "c": "1" },
                "load_balancer": [{ "elb_name": "old", "container_name": "c", "container_port": 1 }] }),
            ),
            "l-1",
            token,
        );
        assert_eq!(
            body,
            json!({ "cluster": "prod", "serviceName": "web", "taskDefinition": "arn:1", "launchType": "FARGATE", "desiredCount": 2,
                "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["a"], "assignPublicIp": "ENABLED" } },
                "loadBalancers": [{ "loadBalancerName": "old", "containerName": "c", "containerPort": 1 }],
                "tags": [{ "key": "relctl:lineage", "value": "l-1" }, { "key": "relctl:trigger:c", "value": "1" }, { "key": "team", "value": "x" }],
                "clientToken": "0123456789abcdef0123456789abcdef0123" })
        );
    }
}
