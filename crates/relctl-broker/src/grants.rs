//! What a plugin may use. It asks; whoever runs relctl grants; nothing else is let through.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// What a plugin may use, as `relctl.lock` holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Files under the one root that the release file's `config.root` names.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub files: bool,
    /// Exact operations of cloud services, by service name, `ecs`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub http: BTreeMap<String, Operations>,
}

/// The operations of one cloud service, by their exact names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operations {
    pub read: BTreeSet<String>,
    pub write: BTreeSet<String>,
    /// IAM actions that the operations need besides themselves; for people, not enforced here.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub also_needs: BTreeSet<String>,
}

impl Grants {
    /// What these grants allow and `other` does not, one line each, for people.
    pub fn beyond(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.files && !other.files {
            lines.push("files".to_owned());
        }
        let nothing = Operations::default();
        for (service, operations) in &self.http {
            let granted = other.http.get(service).unwrap_or(&nothing);
            for (word, wanted, held) in [
                ("read", &operations.read, &granted.read),
                ("write", &operations.write, &granted.write),
                ("also needs", &operations.also_needs, &granted.also_needs),
            ] {
                lines
                    .extend(wanted.difference(held).map(|name| format!("{service} {word} {name}")));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(json: &str) -> Grants {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn names_what_goes_beyond() {
        let held = grants(r#"{"http": {"ecs": {"read": ["DescribeServices"]}}}"#);
        let wanted = grants(
            r#"{"files": true, "http": {
                "ecs": {"read": ["DescribeServices"], "write": ["UpdateService"]},
                "rds": {"read": ["DescribeDBSnapshots"], "also_needs": ["iam:PassRole"]}}}"#,
        );
        assert_eq!(
            wanted.beyond(&held),
            [
                "files",
                "ecs write UpdateService",
                "rds read DescribeDBSnapshots",
                "rds also needs iam:PassRole",
            ]
        );
        assert!(held.beyond(&wanted).is_empty());
    }
}
