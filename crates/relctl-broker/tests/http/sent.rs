//! What goes over the wire, and what never does.

use relctl_broker::http::{HttpBroker, HttpSetupError};
use relctl_broker::{Access, HttpError, HttpTransport, Phase};

use crate::scripted::{Scripted, ok};
use crate::{SAFE, TOKEN, UNSAFE, call, ecs, grants, options, rds};

#[tokio::test]
async fn requests_are_built_anew() {
    let server = Scripted::start(vec![ok(), ok()]).await;
    let broker = HttpBroker::new(options(&server.url)).unwrap();
    let plan = call(Phase::Plan);
    let body = r#" {"cluster" : "a"} "#;
    broker.send(&plan, &grants(), Access::Read, ecs("DescribeServices", body)).await.unwrap();
    let form = rds("DescribeDBInstances", "&Marker=%61");
    broker.send(&plan, &grants(), Access::Read, form).await.unwrap();

    let arrived = server.arrived();
    assert_eq!(arrived[0].line, "POST / HTTP/1.1");
    assert_eq!(arrived[0].body, r#"{"cluster":"a"}"#);
    assert_eq!(arrived[1].body, "Action=DescribeDBInstances&Version=2014-10-31&Marker=a");
    // The guest's cookie and agent are not among them.
    let mut names: Vec<&str> = arrived[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-amz-date",
            "x-amz-security-token",
            "x-amz-target",
        ]
    );
    assert_eq!(arrived[0].header("x-amz-security-token"), Some(TOKEN));
    for (request, service) in arrived.iter().zip(["ecs", "rds"]) {
        let authorization = request.header("authorization").unwrap();
        assert!(
            authorization.contains(&format!("/us-east-1/{service}/aws4_request")),
            "{authorization}"
        );
        assert!(request.header("user-agent").unwrap().starts_with("relctl/"));
    }
}

#[tokio::test]
async fn what_is_denied_is_not_sent() {
    let server = Scripted::start(vec![ok()]).await;
    let broker = HttpBroker::new(options(&server.url)).unwrap();
    for (phase, access, request) in [
        (Phase::Pure, Access::Read, ecs("DescribeServices", "{}")),
        (Phase::Plan, SAFE, ecs("UpdateService", "{}")),
        (Phase::Plan, Access::Read, ecs("UpdateService", "{}")),
        (Phase::Apply, UNSAFE, ecs("DeleteService", "{}")),
        (Phase::Apply, UNSAFE, rds("DeleteDBInstance", "")),
    ] {
        let result = broker.send(&call(phase), &grants(), access, request).await;
        assert!(matches!(result, Err(HttpError::Denied(_))), "{result:?}");
    }
    assert!(server.arrived().is_empty());
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let wrong = |change: fn(&mut relctl_broker::http::HttpOptions)| {
        let mut options = options("http://127.0.0.1:1");
        change(&mut options);
        HttpBroker::new(options).err().unwrap()
    };
    assert!(matches!(
        wrong(|o| o.region = Some("us-east-1.evil.example/".to_owned())),
        HttpSetupError::Region { .. }
    ));
    assert!(matches!(
        wrong(|o| o.account = Some("1234".to_owned())),
        HttpSetupError::Account { .. }
    ));
    assert!(matches!(wrong(|o| o.plan_role = Some("ci".to_owned())), HttpSetupError::Role { .. }));
    for url in ["http://169.254.169.254", "http://[fd00:ec2::254]", "file:///etc/passwd"] {
        let mut options = options("http://127.0.0.1:1");
        options.endpoint_url = Some(url.to_owned());
        let error = HttpBroker::new(options).err().unwrap();
        assert!(matches!(error, HttpSetupError::Endpoint { .. }), "{url}: {error}");
    }
}
