//! What a release makes that was not there: only where it says so, without a password that anybody
//! could read, and with what a revert does to it.

use serde_json::json;

use crate::moto::elements;
use crate::production::{HEAD, Production};

const CREATE: &str = "lifecycle = { create = true }\n";

fn refused_until_said(object: &str) -> Production {
    let production = Production::start(&(HEAD.to_owned() + object));
    let plan = production.relctl("plan").exits(1);
    for part in ["is not there", "lifecycle = { create = true }"] {
        assert!(plan.to_string().contains(part), "{part}: {plan}");
    }
    production.environment.write("release.toml", &(HEAD.to_owned() + object + CREATE));
    production
}

#[test]
fn a_cluster_is_made_changed_and_taken_back() {
    let production = refused_until_said(
        "\n[resource.aws_ecs_cluster.new]\nname = \"new\"\nsetting.containerInsights.value = \"enabled\"\ntags = { team = \"a\" }\n",
    );
    production.relctl("apply --auto-approve").success();
    let shown = || {
        let body = json!({ "clusters": ["new"], "include": ["TAGS", "SETTINGS"] });
        production.moto.ecs("DescribeClusters", &body)["clusters"][0].clone()
    };
    assert_eq!(shown()["status"], "ACTIVE");
    assert_eq!(shown()["settings"], json!([{ "name": "containerInsights", "value": "enabled" }]));
    production.relctl("plan --detailed-exitcode").success();

    production.environment.edit("release.toml", "team = \"a\"", "team = \"b\"");
    production.relctl("apply --auto-approve").success();
    assert!(shown()["tags"].to_string().contains("\"b\""), "{}", shown());
    production.relctl("revert --auto-approve").success();
    assert!(shown()["tags"].to_string().contains("\"a\""), "{}", shown());
    production.relctl("revert --to start --auto-approve").success();
    assert_ne!(shown()["status"], "ACTIVE");
}

#[test]
fn a_database_is_made_with_a_password_that_rds_keeps() {
    let production = refused_until_said(
        "\n[resource.aws_db_instance.new]\nidentifier = \"new-db\"\nengine = \"postgres\"\nengine_version = \"15.4\"\n\
         instance_class = \"db.t3.medium\"\nallocated_storage = 20\nusername = \"app\"\nbackup_retention_period = 7\n\
         deletion_protection = true\ntags = { team = \"a\" }\n",
    );
    production.relctl("apply --auto-approve").success();
    let calls = production.proxy.calls();
    let made = calls.iter().find(|call| call.operation == "CreateDBInstance").unwrap();
    assert_eq!(made.field("ManageMasterUserPassword"), Some("true"));
    assert_eq!(made.field("MasterUserPassword"), None);
    production.relctl("plan --detailed-exitcode").success();

    // It holds data: going back keeps it, and says so.
    let reverted = production.relctl("revert --to start -o revert.json").success();
    assert!(reverted.stdout.contains("resource.aws_db_instance.new"), "{reverted}");
    production.relctl("apply revert.json").success();
    assert_eq!(production.proxy.count("DeleteDBInstance"), 0);
    let there =
        elements(&production.moto.rds("Action=DescribeDBInstances"), "DBInstanceIdentifier");
    assert!(there.contains(&"new-db".to_owned()), "{there:?}");
}

/// The reply to `CreateDBInstance` is lost: the database that was begun is found.
#[test]
fn a_lost_reply_of_create_db_instance() {
    let release = HEAD.to_owned()
        + "\n[resource.aws_db_instance.new]\nidentifier = \"new-db\"\nengine = \"postgres\"\ninstance_class = \"db.t3.medium\"\n\
           allocated_storage = 20\nusername = \"app\"\n"
        + CREATE;
    let rules = relctl_test::proxy::ProxyRules::default().lose_reply("CreateDBInstance", 1);
    let production = Production::behind(&release, rules);
    production.relctl("apply --auto-approve").success();
    assert_eq!(production.proxy.count("CreateDBInstance"), 1);
    production.relctl("plan --detailed-exitcode").success();
}
