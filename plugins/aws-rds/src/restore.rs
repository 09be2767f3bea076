//! The way back to a snapshot, which only a person may go, with the settings that were recorded: a
//! restore comes up with RDS's defaults (facts: one zone, default groups, no protection).

use aws_connector::json::Object;
use relctl_sdk::Value;

/// What a restore has to set again to come back as it was.
pub(crate) const SETTINGS: &[&str] = &[
    "identifier",
    "instance_class",
    "engine",
    "engine_version",
    "allocated_storage",
    "storage_type",
    "db_subnet_group_name",
    "vpc_security_group_ids",
    "parameter_group_name",
    "option_group_name",
    "multi_az",
    "publicly_accessible",
    "deletion_protection",
    "port",
];

/// What is restored, and from what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Restore<'a> {
    /// The database.
    pub(crate) name: &'a str,
    /// `None`: whichever is from before.
    pub(crate) snapshot: Option<&'a str>,
    /// Its settings then, by Terraform's names.
    pub(crate) was: &'a Object,
    pub(crate) is_cluster: bool,
}

impl Restore<'_> {
    /// The numbered steps.
    pub(crate) fn procedure(&self) -> Vec<String> {
        let name = self.name;
        let snapshot = self.snapshot.unwrap_or("SNAPSHOT");
        let which = self.snapshot.map_or("the snapshot from before", |snapshot| snapshot);
        let settings = self.settings();
        let mut steps = vec![
            format!("stop what writes to {name}"),
            format!("take a snapshot of {name} as it is, so that nothing is lost for good"),
            format!(
                "restore {which} as {name}-restored, with {settings}: `{}`",
                self.command(snapshot)
            ),
        ];
        if self.is_cluster {
            steps.push(format!(
                "add instances to {name}-restored, as many and as large as {name} has"
            ));
        }
        let kind = if self.is_cluster { "cluster" } else { "instance" };
        let rename = |old: &str, new: &str| {
            format!(
                "`aws rds modify-db-{kind} --db-{kind}-identifier {old} --new-db-{kind}-identifier {new} --apply-immediately`"
            )
        };
        steps.extend([
            format!("verify the data of {name}-restored"),
            format!("rename {name} to {name}-old: {}", rename(name, &format!("{name}-old"))),
            format!(
                "rename {name}-restored to {name}: {}",
                rename(&format!("{name}-restored"), name)
            ),
            format!("start what writes again; keep {name}-old until nobody asks for it"),
        ]);
        steps.into_iter().zip(1..).map(|(step, number)| format!("{number}. {step}")).collect()
    }

    /// The recorded settings in words.
    fn settings(&self) -> String {
        let words: &[(&str, &str)] = if self.is_cluster {
            &[
                ("subnet group", "db_subnet_group_name"),
                ("security groups", "vpc_security_group_ids"),
                ("parameter group", "parameter_group_name"),
                ("deletion protection", "deletion_protection"),
                ("port", "port"),
            ]
        } else {
            &[
                ("class", "instance_class"),
                ("subnet group", "db_subnet_group_name"),
                ("security groups", "vpc_security_group_ids"),
                ("parameter group", "parameter_group_name"),
                ("option group", "option_group_name"),
                ("Multi-AZ", "multi_az"),
                ("public", "publicly_accessible"),
                ("deletion protection", "deletion_protection"),
                ("port", "port"),
            ]
        };
        let said = words.iter().map(|(word, field)| {
            let value = self.text(field).unwrap_or_else(|| "not recorded".to_owned());
            format!("{word} {value}")
        });
        said.collect::<Vec<_>>().join(", ")
    }

    /// The command that restores with the recorded settings.
    fn command(&self, snapshot: &str) -> String {
        let name = self.name;
        let mut command = if self.is_cluster {
            let engine = self.text("engine").unwrap_or_default();
            format!(
                "aws rds restore-db-cluster-from-snapshot --db-cluster-identifier {name}-restored --snapshot-identifier {snapshot} --engine {engine}"
            )
        } else {
            format!(
                "aws rds restore-db-instance-from-db-snapshot --db-instance-identifier {name}-restored --db-snapshot-identifier {snapshot}"
            )
        };
        let parameter_group = if self.is_cluster {
            "--db-cluster-parameter-group-name"
        } else {
            "--db-parameter-group-name"
        };
        for (option, field) in [
            ("--db-instance-class", "instance_class"),
            ("--db-subnet-group-name", "db_subnet_group_name"),
            ("--vpc-security-group-ids", "vpc_security_group_ids"),
            (parameter_group, "parameter_group_name"),
            ("--option-group-name", "option_group_name"),
            ("--port", "port"),
        ] {
            if let Some(value) = self.text(field) {
                command.extend([" ", option, " ", value.as_str()]);
            }
        }
        for (on, off, field) in [
            ("--multi-az", "--no-multi-az", "multi_az"),
            ("--publicly-accessible", "--no-publicly-accessible", "publicly_accessible"),
            ("--deletion-protection", "--no-deletion-protection", "deletion_protection"),
        ] {
            if let Some(Value::Bool(value)) = self.was.get(field) {
                command.extend([" ", if *value { on } else { off }]);
            }
        }
        command
    }

    fn text(&self, field: &str) -> Option<String> {
        Some(match self.was.get(field)? {
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => return None,
            Value::Array(items) => {
                items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::map;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_procedure_has_the_recorded_settings_and_the_command() {
        let was = map(
            json!({ "instance_class": "db.r6g.large", "db_subnet_group_name": "private", "vpc_security_group_ids": ["sg-7", "sg-8"],
            "parameter_group_name": "pg15", "multi_az": true, "publicly_accessible": false, "deletion_protection": true, "port": 5432 }),
        );
        let restore =
            Restore { name: "db", snapshot: Some("before-1"), was: &was, is_cluster: false };
        assert_eq!(
            restore.procedure(),
            [
                "1. stop what writes to db",
                "2. take a snapshot of db as it is, so that nothing is lost for good",
                "3. restore before-1 as db-restored, with class db.r6g.large, subnet group private, security groups sg-7 sg-8, parameter group pg15, option group not recorded, Multi-AZ true, public false, deletion protection true, port 5432: `aws rds restore-db-instance-from-db-snapshot --db-instance-identifier db-restored --db-snapshot-identifier before-1 --db-instance-class db.r6g.large --db-subnet-group-name private --vpc-security-group-ids sg-7 sg-8 --db-parameter-group-name pg15 --port 5432 --multi-az --no-publicly-accessible --deletion-protection`",
                "4. verify the data of db-restored",
                "5. rename db to db-old: `aws rds modify-db-instance --db-instance-identifier db --new-db-instance-identifier db-old --apply-immediately`",
                "6. rename db-restored to db: `aws rds modify-db-instance --db-instance-identifier db-restored --new-db-instance-identifier db --apply-immediately`",
                "7. start what writes again; keep db-old until nobody asks for it",
            ]
        );
    }

    #[test]
    fn a_clusters_procedure_adds_its_instances() {
        let was = map(
            json!({ "engine": "aurora-postgresql", "db_subnet_group_name": "private", "vpc_security_group_ids": [], "deletion_protection": false }),
        );
        let steps = Restore { name: "c", snapshot: None, was: &was, is_cluster: true }.procedure();
        assert!(steps[2].contains("restore-db-cluster-from-snapshot --db-cluster-identifier c-restored --snapshot-identifier SNAPSHOT --engine aurora-postgresql --db-subnet-group-name private --no-deletion-protection"), "{steps:?}");
        assert!(steps[3].contains("add instances"), "{steps:?}");
        assert_eq!(steps.len(), 8);
    }
}
