//! IAM policies that allow what the grants allow: the cloud's own fence around the broker's.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::service::service;
use crate::{Grants, Phase};

/// The version of IAM's policy language.
const LANGUAGE: &str = "2012-10-17";

/// A policy, its parts in the order in which people write them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IamPolicy {
    version: &'static str,
    statement: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: String,
    effect: &'static str,
    action: Vec<String>,
    resource: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Value>,
}

/// A policy for whoever plans, or for whoever applies, with these grants together.
///
/// Applying includes planning: it looks again at everything before it starts.
pub fn iam_policy(grants: &[Grants], phase: Phase) -> IamPolicy {
    let mut read: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut write: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut besides: BTreeSet<(&str, &str)> = BTreeSet::new();
    let needed = |name: &str| phase.may_write() || !service(name).is_some_and(|s| s.aside);
    let granted = grants.iter().flat_map(|grants| &grants.http);
    for (service, operations) in granted.filter(|(name, _)| needed(name)) {
        read.entry(service).or_default().extend(operations.read.iter().map(String::as_str));
        if phase.may_write() {
            write.entry(service).or_default().extend(operations.write.iter().map(String::as_str));
            besides.extend(
                operations.also_needs.iter().map(|action| (service.as_str(), action.as_str())),
            );
        }
    }
    let mut statements = Vec::new();
    if !read.is_empty() {
        // Needs no permission, and says whose account it is; here for who denies by default.
        statements.push(allow(
            "Caller".to_owned(),
            vec!["sts:GetCallerIdentity".to_owned()],
            "*",
            None,
        ));
    }
    for (word, services) in [("Read", read), ("Write", write)] {
        for (service, operations) in services.into_iter().filter(|(_, o)| !o.is_empty()) {
            let actions: Vec<String> =
                operations.iter().map(|operation| format!("{service}:{operation}")).collect();
            statements.push(allow(sid(service, word), actions, "*", None));
        }
    }
    statements.extend(statements_besides(&besides));
    IamPolicy { version: LANGUAGE, statement: statements }
}

/// What operations need besides themselves: one statement for each set of terms.
fn statements_besides(besides: &BTreeSet<(&str, &str)>) -> Vec<Statement> {
    let mut by_terms: BTreeMap<String, (Terms, Vec<String>)> = BTreeMap::new();
    for (service, action) in besides {
        let terms = terms(service, action);
        let name = sid(service, terms.name);
        by_terms.entry(name).or_insert_with(|| (terms, Vec::new())).1.push((*action).to_owned());
    }
    by_terms
        .into_iter()
        .map(|(name, (terms, actions))| allow(name, actions, terms.resource, terms.condition))
        .collect()
}

/// On what, and under which condition, an action is needed.
struct Terms {
    name: &'static str,
    resource: &'static str,
    condition: Option<Value>,
}

/// As narrow as can be said without knowing the account.
fn terms(service: &str, action: &str) -> Terms {
    let via = json!({ "kms:ViaService": format!("{service}.*.amazonaws.com") });
    match action {
        "iam:PassRole" => Terms { name: "PassRole", resource: "*", condition: passed_to(service) },
        // A grant to another service is how an encrypted volume is used; to no one else.
        "kms:CreateGrant" => Terms {
            name: "KeyGrants",
            resource: "*",
            condition: Some(json!({
                "StringLike": via, "Bool": { "kms:GrantIsForAWSResource": "true" },
            })),
        },
        _ if action.starts_with("kms:") => {
            Terms { name: "Keys", resource: "*", condition: Some(json!({ "StringLike": via })) }
        }
        // RDS keeps master passwords in secrets of its own, under this name.
        _ if action.starts_with("secretsmanager:") && service == "rds" => Terms {
            name: "ManagedPasswords",
            resource: "arn:*:secretsmanager:*:*:secret:rds!*",
            condition: None,
        },
        _ => Terms { name: "AlsoNeeded", resource: "*", condition: None },
    }
}

/// The services that a role may be handed to.
fn passed_to(service: &str) -> Option<Value> {
    let services: &[&str] = match service {
        // Roles of tasks, and of what ECS itself does for a service.
        "ecs" => &["ecs-tasks.amazonaws.com", "ecs.amazonaws.com"],
        "rds" => &["monitoring.rds.amazonaws.com"],
        _ => return None,
    };
    Some(json!({ "StringEquals": { "iam:PassedToService": services } }))
}

/// A statement's name: letters and digits alone.
fn sid(service: &str, word: &str) -> String {
    let mut name: String = service.chars().filter(char::is_ascii_alphanumeric).collect();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name + word
}

fn allow(
    sid: String,
    action: Vec<String>,
    resource: &'static str,
    condition: Option<Value>,
) -> Statement {
    Statement { sid, effect: "Allow", action, resource, condition }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> [Grants; 2] {
        let grants = |json: &str| serde_json::from_str(json).unwrap();
        [
            grants(
                r#"{"http": {"ecs": {"read": ["DescribeServices"], "write": ["UpdateService"],
                    "also_needs": ["iam:PassRole"]}, "logs": {"read": ["GetLogEvents"]}}}"#,
            ),
            grants(
                r#"{"http": {"rds": {"read": ["DescribeDBInstances"], "write": ["CreateDBSnapshot"],
                    "also_needs": ["iam:PassRole", "kms:CreateGrant", "kms:DescribeKey",
                        "secretsmanager:CreateSecret", "x:Y"]}}}"#,
            ),
        ]
    }

    fn actions(policy: &IamPolicy) -> Vec<&str> {
        policy.statement.iter().flat_map(|s| &s.action).map(String::as_str).collect()
    }

    #[test]
    fn planning_is_allowed_to_read() {
        let policy = iam_policy(&grants(), Phase::Plan);
        assert_eq!(
            actions(&policy),
            ["sts:GetCallerIdentity", "ecs:DescribeServices", "rds:DescribeDBInstances"]
        );
    }

    #[test]
    fn applying_is_allowed_to_write_and_what_that_needs() {
        let policy = iam_policy(&grants(), Phase::Apply);
        assert_eq!(
            actions(&policy),
            [
                "sts:GetCallerIdentity",
                "ecs:DescribeServices",
                "logs:GetLogEvents",
                "rds:DescribeDBInstances",
                "ecs:UpdateService",
                "rds:CreateDBSnapshot",
                "iam:PassRole",
                "x:Y",
                "kms:CreateGrant",
                "kms:DescribeKey",
                "secretsmanager:CreateSecret",
                "iam:PassRole",
            ]
        );
        let named = |sid: &str| policy.statement.iter().find(|s| s.sid == sid).unwrap();
        let condition = |sid: &str| named(sid).condition.clone().unwrap_or_default();
        assert_eq!(
            condition("EcsPassRole")["StringEquals"]["iam:PassedToService"],
            json!(["ecs-tasks.amazonaws.com", "ecs.amazonaws.com"])
        );
        assert_eq!(condition("RdsKeyGrants")["Bool"]["kms:GrantIsForAWSResource"], "true");
        assert_eq!(named("RdsManagedPasswords").resource, "arn:*:secretsmanager:*:*:secret:rds!*");
        assert_eq!(named("RdsWrite").condition, None);
    }

    #[test]
    fn a_plugin_without_a_cloud_needs_nothing() {
        let policy = iam_policy(&[Grants::default()], Phase::Apply);
        assert_eq!(
            serde_json::to_string(&policy).unwrap(),
            r#"{"Version":"2012-10-17","Statement":[]}"#
        );
    }
}
