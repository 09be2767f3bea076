//! What the plugins for AWS cost: how many calls planning makes, how many of them wait for each
//! other, and how large the plugins are.

use std::time::Duration;

use relctl_test::fleet::{self, CLUSTERS, SERVICES};
use relctl_test::proxy::{ProxyRules, rounds};

use crate::environment::plugins;
use crate::production::{HEAD, Production};

#[test]
fn planning_makes_no_more_calls_than_batches_need_and_few_of_them_in_a_row() {
    // Long beside what this machine takes, however busy it is.
    let rules = ProxyRules::default().delay(Duration::from_millis(800));
    let production = Production::behind(&(HEAD.to_owned() + &fleet::objects()), rules);
    for (operation, body) in fleet::ecs_calls() {
        production.moto.ecs(operation, &body);
    }
    for name in fleet::databases() {
        production.create_database(&name, "15.4");
    }
    let plan = production.relctl("plan").success();
    assert!(plan.stdout.contains("110 to adopt"), "{plan}");

    let count = |operation| production.proxy.count(operation);
    // One for each plugin; ten services of a cluster; one definition; all databases.
    assert_eq!(count("GetCallerIdentity"), 2);
    assert_eq!(count("DescribeServices"), CLUSTERS);
    assert_eq!(count("DescribeTaskDefinition"), CLUSTERS * SERVICES);
    assert_eq!(count("DescribeDBInstances"), 1);
    let calls = production.proxy.calls();
    assert_eq!(calls.len(), 2 + CLUSTERS + CLUSTERS * SERVICES + 1);
    // Whose account it is, then five definitions of one batch; all else is beside them.
    let in_a_row = rounds(&calls);
    assert!(in_a_row <= 7, "{in_a_row} calls in a row: {calls:#?}");
}

/// They hold parts of the AWS SDK, of which each operation weighs: whoever adds one sees it here.
#[test]
fn a_plugin_stays_below_two_megabytes() {
    for name in ["aws-ecs.wasm", "aws-rds.wasm"] {
        let size = plugins().join(name).metadata().unwrap().len();
        assert!(size < 2_000_000, "{name} has {size} bytes");
    }
}
