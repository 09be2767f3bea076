//! The one spelling of a service: Terraform's attribute names, AWS's values.

use aws_connector::json::{
    Object, Side, drop_empty, fill, is_empty, make_absent, sort, tags_to_map, text,
};
use serde_json::{Value, json};

use crate::arn;
use crate::names::{map_to_snake, value_to_snake};

/// The tag that says whose a service is: the ledger's lineage.
pub(crate) const LINEAGE_TAG: &str = "relctl:lineage";

/// Tags that hold restart triggers begin so.
pub(crate) const TRIGGER_TAG: &str = "relctl:trigger:";

/// The tag that a forced restart leaves: the step's token, and the deployment that was there before.
pub(crate) const RESTART_TAG: &str = "relctl:restart";

/// What is the same for AWS and for Terraform but for the spelling of the name: AWS's in
/// `DescribeServices`, and here.
const PLAIN: &[(&str, &str)] = &[
    ("desiredCount", "desired_count"),
    ("launchType", "launch_type"),
    ("capacityProviderStrategy", "capacity_provider_strategy"),
    ("platformVersion", "platform_version"),
    ("schedulingStrategy", "scheduling_strategy"),
    ("loadBalancers", "load_balancer"),
    ("serviceRegistries", "service_registries"),
    ("placementConstraints", "placement_constraints"),
    ("placementStrategy", "ordered_placement_strategy"),
    ("deploymentController", "deployment_controller"),
    ("healthCheckGracePeriodSeconds", "health_check_grace_period_seconds"),
    ("enableExecuteCommand", "enable_execute_command"),
    ("enableECSManagedTags", "enable_ecs_managed_tags"),
    ("propagateTags", "propagate_tags"),
    ("availabilityZoneRebalancing", "availability_zone_rebalancing"),
    ("roleArn", "iam_role"),
];

/// Parts of a service that AWS shows in its deployments only.
const OF_DEPLOYMENT: &[(&str, &str)] = &[
    ("serviceConnectConfiguration", "service_connect_configuration"),
    ("volumeConfigurations", "volume_configuration"),
    ("vpcLatticeConfigurations", "vpc_lattice_configurations"),
];

/// The deployment configuration's parts that Terraform holds at the top.
pub(crate) const DEPLOYMENT_PARTS: &[(&str, &str)] = &[
    ("maximum_percent", "deployment_maximum_percent"),
    ("minimum_healthy_percent", "deployment_minimum_healthy_percent"),
    ("deployment_circuit_breaker", "deployment_circuit_breaker"),
    ("alarms", "alarms"),
];

/// Returns what the release file declares, in the canonical spelling. A short task definition,
/// `family:revision`, becomes an ARN below `home`, where that is known.
pub(crate) fn of_declared(declared: &Object, home: Option<&str>) -> Object {
    let mut document = declared.clone();
    if let Some(Value::String(cluster)) = document.get_mut("cluster") {
        *cluster = arn::name_of(cluster).to_owned();
    }
    if let Some(Value::String(definition)) = document.get_mut("task_definition")
        && let Some(home) = home.filter(|_| !definition.starts_with("arn:"))
    {
        *definition = format!("{home}task-definition/{definition}");
    }
    canonicalise(&mut document, Side::Desired);
    document
}

/// Returns what AWS answered in `DescribeServices`, in the canonical spelling.
pub(crate) fn of_answer(service: &Object) -> Object {
    let mut document = Object::new();
    let arn = text(service, "serviceArn").unwrap_or_default();
    document.insert("arn".to_owned(), arn.into());
    document.insert("name".to_owned(), service.get("serviceName").cloned().unwrap_or_default());
    let cluster = text(service, "clusterArn").unwrap_or_default();
    document.insert("cluster".to_owned(), arn::name_of(cluster).into());
    if let Some(definition) = text(service, "taskDefinition") {
        document.insert("task_definition".to_owned(), full_arn(definition, arn).into());
    }
    for (wire, name) in PLAIN {
        if let Some(value) = service.get(*wire) {
            document.insert((*name).to_owned(), value_to_snake(value));
        }
    }
    let deployments = deployments(service);
    if let Some(primary) = deployments.iter().find(|d| text(d, "status") == Some("PRIMARY")) {
        for (wire, name) in OF_DEPLOYMENT {
            if let Some(value) = primary.get(*wire) {
                document.insert((*name).to_owned(), value_to_snake(value));
            }
        }
        document.insert("deployment_id".to_owned(), primary.get("id").cloned().unwrap_or_default());
    }
    if deployments.iter().any(is_in_flight) {
        document.insert("deployment_in_flight".to_owned(), true.into());
    }
    if service.get("desiredCount") == Some(&Value::from(0)) {
        document.insert("scaled_to_zero".to_owned(), true.into());
    }
    if let Some(Value::Object(configuration)) = service.get("deploymentConfiguration") {
        let mut configuration = map_to_snake(configuration);
        for (inner, name) in DEPLOYMENT_PARTS {
            if let Some(value) = configuration.remove(*inner) {
                document.insert((*name).to_owned(), value);
            }
        }
        if !configuration.is_empty() {
            document.insert("deployment_configuration".to_owned(), configuration.into());
        }
    }
    let vpc = service.get("networkConfiguration").and_then(|n| n.get("awsvpcConfiguration"));
    if let Some(vpc) = vpc {
        document.insert("network_configuration".to_owned(), value_to_snake(vpc));
    }
    if let Value::Object(tags) = tags_to_map(service.get("tags").cloned().unwrap_or_default()) {
        split_tags(tags, &mut document);
    }
    canonicalise(&mut document, Side::Observed);
    if let Some(network) = document.get("network_configuration").cloned() {
        document.insert("network".to_owned(), network);
    }
    document
}

/// The value of a tag in AWS's answer.
pub(crate) fn tag(service: &Object, key: &str) -> Option<String> {
    let tags = tags_to_map(service.get("tags")?.clone());
    tags.get(key)?.as_str().map(str::to_owned)
}

/// The deployments in AWS's answer.
pub(crate) fn deployments(service: &Object) -> Vec<Object> {
    crate::api::objects(&Value::Object(service.clone()), "deployments")
}

/// Whether a deployment is still replacing tasks.
pub(crate) fn is_in_flight(deployment: &Object) -> bool {
    match text(deployment, "rolloutState") {
        Some(state) => state == "IN_PROGRESS",
        // Older services do not say: the one that is replaced is still there.
        None => text(deployment, "status") == Some("ACTIVE"),
    }
}

/// An endpoint may answer with the name as it was sent.
fn full_arn(definition: &str, service_arn: &str) -> String {
    match arn::prefix_of(service_arn) {
        Some(prefix) if !definition.starts_with("arn:") => {
            format!("{prefix}task-definition/{definition}")
        }
        _ => definition.to_owned(),
    }
}

/// Tags of the service's owners, restart triggers, and the lineage. AWS's own are left out.
fn split_tags(tags: Object, document: &mut Object) {
    let mut own = Object::new();
    let mut triggers = Object::new();
    for (key, value) in tags {
        if let Some(trigger) = key.strip_prefix(TRIGGER_TAG) {
            triggers.insert(trigger.to_owned(), value);
        } else if key == LINEAGE_TAG {
            document.insert("lineage".to_owned(), value);
        } else if !key.starts_with("aws:") && key != RESTART_TAG {
            own.insert(key, value);
        }
    }
    document.insert("tags".to_owned(), own.into());
    document.insert("restart_triggers".to_owned(), triggers.into());
}

fn canonicalise(document: &mut Object, side: Side) {
    for list in [
        "capacity_provider_strategy",
        "load_balancer",
        "service_registries",
        "placement_constraints",
    ] {
        if let Some(Value::Array(items)) = document.get_mut(list) {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                if let Some(name) = item.remove("load_balancer_name") {
                    item.insert("elb_name".to_owned(), name);
                }
                item.retain(|name, value| {
                    !(is_empty(value)
                        || (matches!(name.as_str(), "base" | "weight") && *value == 0))
                });
            }
        }
        sort(document, list);
    }
    if let Some(Value::Array(items)) = document.get_mut("ordered_placement_strategy") {
        for item in items.iter_mut().filter_map(Value::as_object_mut) {
            placement_field(item);
        }
    }
    if let Some(Value::Object(network)) = document.get_mut("network_configuration") {
        sort(network, "subnets");
        sort(network, "security_groups");
        fill(network, "assign_public_ip", json!(false), side);
        if let Some(assign) = network.get_mut("assign_public_ip") {
            match assign.as_str() {
                Some("ENABLED") => *assign = json!(true),
                Some("DISABLED") => *assign = json!(false),
                _ => {}
            }
        }
        drop_empty(network, side);
    }
    if let Some(Value::Object(alarms)) = document.get_mut("alarms") {
        sort(alarms, "alarm_names");
    }
    if document.get("alarms").is_some_and(is_alarms_off) {
        make_absent(document, "alarms", side);
    }
    if document.get("health_check_grace_period_seconds") == Some(&Value::from(0)) {
        make_absent(document, "health_check_grace_period_seconds", side);
    }
    if side == Side::Observed {
        fill_defaults(document);
    }
    drop_empty(document, side);
}

/// What AWS means where it says nothing.
fn fill_defaults(document: &mut Object) {
    let daemon = text(document, "scheduling_strategy") == Some("DAEMON");
    let (maximum, minimum) = if daemon { (100, 0) } else { (200, 100) };
    let fargate = text(document, "launch_type") == Some("FARGATE");
    let mut defaults = vec![
        ("scheduling_strategy", json!("REPLICA")),
        ("deployment_maximum_percent", json!(maximum)),
        ("deployment_minimum_healthy_percent", json!(minimum)),
        ("deployment_circuit_breaker", json!({ "enable": false, "rollback": false })),
        ("deployment_controller", json!({ "type": "ECS" })),
        ("enable_execute_command", json!(false)),
        ("enable_ecs_managed_tags", json!(false)),
        ("propagate_tags", json!("NONE")),
    ];
    if fargate {
        defaults.push(("platform_version", json!("LATEST")));
    }
    for (name, default) in defaults {
        fill(document, name, default, Side::Observed);
    }
}

fn is_alarms_off(alarms: &Value) -> bool {
    alarms.get("enable") == Some(&Value::Bool(false))
        && alarms.get("alarm_names").is_none_or(is_empty)
}

/// AWS answers some placement fields in capitals, and has two names for the host.
fn placement_field(item: &mut Object) {
    let Some(Value::String(field)) = item.get_mut("field") else { return };
    if field == "MEMORY" || field == "CPU" {
        *field = field.to_ascii_lowercase();
    } else if field == "host" {
        "instanceId".clone_into(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use relctl_sdk::testing::map as object;

    /// What `DescribeServices` answers for a usual service, changed by `change`.
    pub(crate) fn answer(change: Value) -> Object {
        let mut service = object(json!({
            "serviceArn": "arn:aws:ecs:us-east-1:123456789012:service/prod/web",
            "serviceName": "web", "clusterArn": "arn:aws:ecs:us-east-1:123456789012:cluster/prod",
            "status": "ACTIVE", "desiredCount": 2, "runningCount": 2, "pendingCount": 0, "launchType": "FARGATE",
            "taskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:41",
            "loadBalancers": [], "serviceRegistries": [], "placementStrategy": [], "placementConstraints": [],
            "networkConfiguration": { "awsvpcConfiguration": { "subnets": ["subnet-b", "subnet-a"], "securityGroups": ["sg-1"], "assignPublicIp": "DISABLED" } },
            "deployments": [{ "id": "ecs-svc/1", "status": "PRIMARY", "rolloutState": "COMPLETED", "desiredCount": 2, "runningCount": 2,
                "taskDefinition": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:41" }],
            "tags": [{ "key": "team", "value": "x" }, { "key": "aws:cloudformation:stack-name", "value": "y" },
                { "key": "relctl:lineage", "value": "l-1" }, { "key": "relctl:trigger:config", "value": "7" }],
            "events": [], "createdAt": 1.0, "schedulingStrategy": "REPLICA",
        }));
        aws_connector::json::lay_over(&mut service, &object(change));
        service
    }

    #[test]
    fn terraforms_names_and_nothing_volatile() {
        assert_eq!(
            Value::Object(of_answer(&answer(json!({})))),
            json!({
                "arn": "arn:aws:ecs:us-east-1:123456789012:service/prod/web", "name": "web", "cluster": "prod",
                "task_definition": "arn:aws:ecs:us-east-1:123456789012:task-definition/web:41",
                "desired_count": 2, "launch_type": "FARGATE", "platform_version": "LATEST", "scheduling_strategy": "REPLICA",
                "network_configuration": { "subnets": ["subnet-a", "subnet-b"], "security_groups": ["sg-1"], "assign_public_ip": false },
                "network": { "subnets": ["subnet-a", "subnet-b"], "security_groups": ["sg-1"], "assign_public_ip": false },
                "deployment_maximum_percent": 200, "deployment_minimum_healthy_percent": 100,
                "deployment_circuit_breaker": { "enable": false, "rollback": false }, "deployment_controller": { "type": "ECS" },
                "enable_execute_command": false, "enable_ecs_managed_tags": false, "propagate_tags": "NONE",
                "deployment_id": "ecs-svc/1",
                "tags": { "team": "x" }, "restart_triggers": { "config": "7" }, "lineage": "l-1",
            })
        );
    }

    /// E2, R8. A declared field and AWS's answer: whether they are the same.
    #[test]
    fn same_and_different() {
        for (same, declared, change) in [
            (
                true,
                json!({ "cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/prod" }),
                json!({}),
            ),
            (true, json!({ "task_definition": "web:41" }), json!({})),
            (true, json!({ "task_definition": "web:41" }), json!({ "taskDefinition": "web:41" })),
            (false, json!({ "task_definition": "web:42" }), json!({})),
            (
                true,
                json!({ "network_configuration": { "subnets": ["subnet-a", "subnet-b"], "assign_public_ip": "DISABLED" } }),
                json!({}),
            ),
            (
                true,
                json!({ "network_configuration": { "security_groups": [] } }),
                json!({ "networkConfiguration": { "awsvpcConfiguration": { "securityGroups": [] } } }),
            ),
            (
                true,
                json!({ "network_configuration": { "assign_public_ip": false } }),
                json!({ "networkConfiguration": { "awsvpcConfiguration": { "assignPublicIp": null } } }),
            ),
            (true, json!({ "load_balancer": [] }), json!({})),
            (
                true,
                json!({ "load_balancer": [{ "target_group_arn": "b", "container_name": "x", "container_port": 1 }, { "target_group_arn": "a", "container_name": "x", "container_port": 1 }] }),
                json!({ "loadBalancers": [{ "targetGroupArn": "a", "containerName": "x", "containerPort": 1 }, { "targetGroupArn": "b", "containerName": "x", "containerPort": 1 }] }),
            ),
            (
                true,
                json!({ "deployment_circuit_breaker": { "enable": true, "rollback": true } }),
                json!({ "deploymentConfiguration": { "deploymentCircuitBreaker": { "enable": true, "rollback": true }, "maximumPercent": 200 } }),
            ),
            (
                false,
                json!({ "deployment_circuit_breaker": { "enable": true, "rollback": true } }),
                json!({}),
            ),
            (
                true,
                json!({ "deployment_maximum_percent": 200, "propagate_tags": "NONE", "scheduling_strategy": "REPLICA", "platform_version": "LATEST" }),
                json!({}),
            ),
            (
                true,
                json!({ "deployment_maximum_percent": 100, "deployment_minimum_healthy_percent": 0 }),
                json!({ "schedulingStrategy": "DAEMON" }),
            ),
            (true, json!({ "health_check_grace_period_seconds": 0 }), json!({})),
            (
                true,
                json!({ "capacity_provider_strategy": [{ "capacity_provider": "F", "weight": 1 }] }),
                json!({ "capacityProviderStrategy": [{ "capacityProvider": "F", "weight": 1, "base": 0 }] }),
            ),
            (
                true,
                json!({ "ordered_placement_strategy": [{ "type": "binpack", "field": "memory" }, { "type": "spread", "field": "host" }] }),
                json!({ "placementStrategy": [{ "type": "binpack", "field": "MEMORY" }, { "type": "spread", "field": "instanceId" }] }),
            ),
            (
                false,
                json!({ "ordered_placement_strategy": [{ "type": "spread", "field": "instanceId" }, { "type": "binpack", "field": "memory" }] }),
                json!({ "placementStrategy": [{ "type": "binpack", "field": "MEMORY" }, { "type": "spread", "field": "instanceId" }] }),
            ),
            (
                true,
                json!({ "alarms": { "enable": false, "rollback": false, "alarm_names": [] } }),
                json!({}),
            ),
            (
                true,
                json!({ "tags": { "team": "x" }, "restart_triggers": { "config": "7" } }),
                json!({}),
            ),
        ] {
            let desired =
                of_declared(&object(declared.clone()), Some("arn:aws:ecs:us-east-1:123456789012:"));
            let observed = of_answer(&answer(change.clone()));
            assert_eq!(
                is_within(&Value::Object(desired), &Value::Object(observed)),
                same,
                "{declared} against {change}"
            );
        }
    }

    /// Whether every declared leaf is observed, as relctl's diff sees it.
    fn is_within(desired: &Value, observed: &Value) -> bool {
        match desired {
            Value::Object(map) => map
                .iter()
                .all(|(name, value)| is_within(value, observed.get(name).unwrap_or(&Value::Null))),
            other => other == observed,
        }
    }

    #[test]
    fn what_stands_in_the_way_is_seen() {
        let moving = of_answer(&answer(json!({ "desiredCount": 0, "deployments": [
            { "id": "ecs-svc/2", "status": "PRIMARY", "rolloutState": "IN_PROGRESS" }] })));
        assert_eq!(moving.get("deployment_in_flight"), Some(&json!(true)));
        assert_eq!(moving.get("scaled_to_zero"), Some(&json!(true)));
    }
}
