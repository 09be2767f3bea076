//! The wire table: raw request × phase × access × grant → verdict.

use proptest::prelude::*;

use super::*;

const ECS: &str = "AmazonEC2ContainerServiceV20141113";

fn grants() -> Grants {
    serde_json::from_str(
        r#"{"http": {
            "ecs": {"read": ["DescribeServices"], "write": ["UpdateService"]},
            "logs": {"read": ["GetLogEvents"]},
            "rds": {"read": ["DescribeDBInstances"], "write": ["CreateDBSnapshot"]},
            "sts": {"read": ["GetCallerIdentity", "AssumeRole"]}}}"#,
    )
    .unwrap()
}

/// A request, header lines as `name: value`.
fn request(service: &str, line: &str, headers: &[&str], body: &str) -> HttpRequest {
    let (method, path) = line.split_once(' ').unwrap();
    let header = |line: &&str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.to_owned())
    };
    HttpRequest {
        service: service.to_owned(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.iter().map(header).collect(),
        body: body.as_bytes().to_vec(),
    }
}

fn ecs(operation: &str) -> HttpRequest {
    let target = format!("X-Amz-Target: {ECS}.{operation}");
    request("ecs", "POST /", &["Content-Type: application/x-amz-json-1.1", &target], "{}")
}

fn logs(operation: &str) -> HttpRequest {
    let target = format!("X-Amz-Target: Logs_20140328.{operation}");
    request("logs", "POST /", &["Content-Type: application/x-amz-json-1.1", &target], "{}")
}

fn rds(body: &str) -> HttpRequest {
    request("rds", "POST /", &["content-type: application/x-www-form-urlencoded"], body)
}

/// The verdict in a word: the operation, or what was refused.
fn word(phase: Phase, access: Access, request: &HttpRequest) -> String {
    match verdict(phase, access, &grants(), "us-east-1", request) {
        Ok(wire) => wire.operation,
        Err(Refusal::UnknownService { .. }) => "unknown service".to_owned(),
        Err(Refusal::Shape { .. }) => "shape".to_owned(),
        Err(Refusal::Never { .. }) => "never".to_owned(),
        Err(Refusal::Phase { .. }) => "phase".to_owned(),
        Err(Refusal::WriteInPhase { .. }) => "write while planning".to_owned(),
        Err(Refusal::Aside { .. }) => "only while applying".to_owned(),
        Err(Refusal::NotGranted { .. }) => "not granted".to_owned(),
    }
}

const WRITE: Access = Access::Write { replay_safe: true };

#[test]
fn phase_and_grant_decide() {
    let snapshot = rds("Action=CreateDBSnapshot&Version=2014-10-31&DBSnapshotIdentifier=s");
    let identity = request(
        "sts",
        "POST /",
        &["content-type: application/x-www-form-urlencoded"],
        "Action=GetCallerIdentity&Version=2011-06-15",
    );
    let assume = request(
        "sts",
        "POST /",
        &["content-type: application/x-www-form-urlencoded"],
        "Action=AssumeRole&Version=2011-06-15",
    );
    let table = [
        (Phase::Pure, Access::Read, ecs("DescribeServices"), "phase"),
        (Phase::Pure, WRITE, ecs("UpdateService"), "phase"),
        (Phase::Plan, Access::Read, ecs("DescribeServices"), "DescribeServices"),
        (Phase::Apply, Access::Read, ecs("DescribeServices"), "DescribeServices"),
        (Phase::Plan, WRITE, ecs("UpdateService"), "write while planning"),
        (Phase::Apply, WRITE, ecs("UpdateService"), "UpdateService"),
        // A write does not become a read by being sent as one, nor the other way round.
        (Phase::Plan, Access::Read, ecs("UpdateService"), "not granted"),
        (Phase::Apply, Access::Read, ecs("UpdateService"), "not granted"),
        (Phase::Apply, WRITE, ecs("DescribeServices"), "not granted"),
        // Exact names, never verbs.
        (Phase::Plan, Access::Read, ecs("DescribeClusters"), "not granted"),
        (Phase::Plan, Access::Read, ecs("ExecuteCommand"), "not granted"),
        (Phase::Apply, WRITE, ecs("UpdateServicePrimaryTaskSet"), "not granted"),
        (Phase::Plan, Access::Read, ecs("describeservices"), "shape"),
        (Phase::Plan, WRITE, snapshot.clone(), "write while planning"),
        (Phase::Apply, WRITE, snapshot, "CreateDBSnapshot"),
        (Phase::Plan, Access::Read, identity, "GetCallerIdentity"),
        // A log may say what no plan needs to know.
        (Phase::Apply, Access::Read, logs("GetLogEvents"), "GetLogEvents"),
        (Phase::Plan, Access::Read, logs("GetLogEvents"), "only while applying"),
        (Phase::Apply, Access::Read, logs("FilterLogEvents"), "not granted"),
        (Phase::Apply, WRITE, logs("GetLogEvents"), "not granted"),
        // Granted, and refused all the same.
        (Phase::Plan, Access::Read, assume, "never"),
    ];
    for (phase, access, request, expected) in table {
        assert_eq!(word(phase, access, &request), expected, "{phase:?} {access:?} {request:?}");
    }
}

#[test]
fn only_known_shapes_of_json_pass() {
    let json = "Content-Type: application/x-amz-json-1.1";
    let target = format!("X-Amz-Target: {ECS}.DescribeServices");
    let target = target.as_str();
    let other = format!("X-Amz-Target: {ECS}.UpdateService");
    let host = "Host: ecs.us-east-1.amazonaws.com";
    let deep = "[".repeat(10_000);
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BODY));
    let table: &[(&str, &[&str], &str, &str)] = &[
        ("POST /", &[json, target], "{}", "DescribeServices"),
        ("POST /", &[json, target, host], "{}", "DescribeServices"),
        ("POST /", &[json, target, "X-Amz-User-Agent: x", "Accept: */*"], "{}", "DescribeServices"),
        // Two targets, in any spelling of the header's name.
        ("POST /", &[json, target, &other], "{}", "shape"),
        ("POST /", &[json, target, &other.to_lowercase()], "{}", "shape"),
        ("POST /", &[json, target, target], "{}", "shape"),
        ("POST /", &[json], "{}", "shape"),
        // Other methods, paths and queries.
        ("GET /", &[json, target], "{}", "shape"),
        ("GET /?Action=DescribeServices", &[], "", "shape"),
        ("GET /?Action=DescribeServices", &[json, target], "{}", "shape"),
        ("PUT /", &[json, target], "{}", "shape"),
        ("post /", &[json, target], "{}", "shape"),
        ("POST /?Action=UpdateService", &[json, target], "{}", "shape"),
        ("POST ", &[json, target], "{}", "shape"),
        ("POST //", &[json, target], "{}", "shape"),
        ("POST /service/ecs/operation/UpdateService", &[json, target], "{}", "shape"),
        ("POST http://ecs.eu-west-1.amazonaws.com/", &[json, target], "{}", "shape"),
        // Another region's host, another service's, anyone's.
        ("POST /", &[json, target, "Host: ecs.eu-west-1.amazonaws.com"], "{}", "shape"),
        ("POST /", &[json, target, "host: rds.us-east-1.amazonaws.com"], "{}", "shape"),
        ("POST /", &[json, target, host, "host: evil.example"], "{}", "shape"),
        // Other protocols.
        ("POST /", &["Content-Type: application/cbor", target], "{}", "shape"),
        ("POST /", &["Content-Type: application/x-amz-cbor-1.1", target], "{}", "shape"),
        ("POST /", &[json, target, "smithy-protocol: rpc-v2-cbor"], "{}", "shape"),
        ("POST /", &["Content-Type: application/x-amz-json-1.0", target], "{}", "shape"),
        (
            "POST /",
            &["Content-Type: application/x-amz-json-1.1; charset=utf-8", target],
            "{}",
            "shape",
        ),
        ("POST /", &["Content-Type: application/json", target], "{}", "shape"),
        ("POST /", &[json, json, target], "{}", "shape"),
        ("POST /", &[target], "{}", "shape"),
        ("POST /", &[json, target, "Content-Encoding: gzip"], "{}", "shape"),
        ("POST /", &[json, target, "Transfer-Encoding: chunked"], "{}", "shape"),
        // Another service's target, and what only looks like one.
        ("POST /", &[json, "X-Amz-Target: secretsmanager.GetSecretValue"], "{}", "shape"),
        ("POST /", &[json, "X-Amz-Target: DescribeServices"], "{}", "shape"),
        ("POST /", &[json, &format!("X-Amz-Target: {ECS}.")], "{}", "shape"),
        ("POST /", &[json, &format!("X-Amz-Target: {ECS}.a.DescribeServices")], "{}", "shape"),
        ("POST /", &[json, &format!("X-Amz-Target: {ECS}.Describe Services")], "{}", "shape"),
        (
            "POST /",
            &[json, &format!("X-Amz-Target: {ECS}.DescribeServices,{ECS}.X")],
            "{}",
            "shape",
        ),
        // Signed by the guest.
        ("POST /", &[json, target, "Authorization: AWS4-HMAC-SHA256 x"], "{}", "shape"),
        ("POST /", &[json, target, "X-Amz-Security-Token: x"], "{}", "shape"),
        // Not a JSON object.
        ("POST /", &[json, target], "", "shape"),
        ("POST /", &[json, target], "[]", "shape"),
        ("POST /", &[json, target], "{} {}", "shape"),
        ("POST /", &[json, target], "Action=UpdateService", "shape"),
        ("POST /", &[json, target], &deep, "shape"),
        ("POST /", &[json, target], &large, "shape"),
    ];
    for (line, headers, body, expected) in table {
        let request = request("ecs", line, headers, body);
        let got = word(Phase::Plan, Access::Read, &request);
        assert_eq!(got, *expected, "{line} {headers:?} {body:.60}");
    }
}

#[test]
fn only_known_shapes_of_forms_pass() {
    let good = "Action=DescribeDBInstances&Version=2014-10-31";
    let table = [
        (good.to_owned(), "DescribeDBInstances"),
        (format!("{good}&MaxRecords=100&Filters.Filter.1.Name=engine"), "DescribeDBInstances"),
        (format!("{good}&DBInstanceIdentifier=a%2Bb+c"), "DescribeDBInstances"),
        // Two actions, in any spelling.
        (format!("{good}&Action=DeleteDBInstance"), "shape"),
        (format!("{good}&%41ction=DeleteDBInstance"), "shape"),
        (format!("{good}&action=DeleteDBInstance"), "shape"),
        (format!("{good}&Act+ion=DeleteDBInstance"), "shape"),
        (format!("{good}&%41%63tion=DeleteDBInstance"), "shape"),
        (format!("Action=DeleteDBInstance&{good}"), "shape"),
        ("%41ction=DescribeDBInstances&Version=2014-10-31".to_owned(), "shape"),
        ("Version=2014-10-31".to_owned(), "shape"),
        ("Action=&Version=2014-10-31".to_owned(), "shape"),
        ("Action=Describe%20DBInstances&Version=2014-10-31".to_owned(), "shape"),
        // Exactly the one version.
        ("Action=DescribeDBInstances".to_owned(), "shape"),
        ("Action=DescribeDBInstances&Version=2012-01-15".to_owned(), "shape"),
        (format!("{good}&Version=2012-01-15"), "shape"),
        (format!("{good}&version=2012-01-15"), "shape"),
        // Any key twice, and forms that readers split differently.
        (format!("{good}&MaxRecords=1&MaxRecords=2"), "shape"),
        (format!("{good}&"), "shape"),
        (format!("{good}&&Marker=x"), "shape"),
        (format!("{good};Action=DeleteDBInstance"), "shape"),
        (format!("{good}&Marker"), "shape"),
        (format!("{good}&=x"), "shape"),
        (format!("{good}&Marker=%"), "shape"),
        (format!("{good}&Marker=%f"), "shape"),
        (format!("{good}&Marker=%+1"), "shape"),
        (format!("{good}&Marker=%ff"), "shape"),
        // Signatures of another kind, and requests inside the request.
        (format!("{good}&PreSignedUrl=https%3A%2F%2Frds.eu-west-1.amazonaws.com"), "shape"),
        (format!("{good}&presignedurl=x"), "shape"),
        (format!("{good}&Foo.PreSignedUrl=x"), "shape"),
        (format!("{good}&X-Amz-Signature=x"), "shape"),
        (format!("{good}&AWSAccessKeyId=x"), "shape"),
        (String::new(), "shape"),
    ];
    for (body, expected) in table {
        assert_eq!(word(Phase::Plan, Access::Read, &rds(&body)), expected, "{body}");
    }
    for headers in [
        &["content-type: application/x-www-form-urlencoded", "x-amz-target: X.Y"][..],
        &["content-type: application/x-amz-json-1.1"],
        &["content-type: multipart/form-data"],
        &[],
    ] {
        let request = request("rds", "POST /", headers, good);
        assert_eq!(word(Phase::Plan, Access::Read, &request), "shape", "{headers:?}");
    }
    // The operation in the query, and other hosts: of another region, of another service.
    let form = "content-type: application/x-www-form-urlencoded";
    let query = "/?Action=DescribeDBInstances&Version=2014-10-31";
    for (line, headers, body) in [
        (format!("GET {query}"), &[][..], ""),
        (format!("GET {query}"), &[form], ""),
        (format!("GET {query}"), &[form], good),
        (format!("POST {query}"), &[form], good),
        (format!("POST {query}"), &[form], ""),
        ("POST /?Action=DeleteDBInstance".to_owned(), &[form], good),
        ("POST /?%41ction=DeleteDBInstance".to_owned(), &[form], good),
        ("POST /".to_owned(), &[form, "host: rds.eu-west-1.amazonaws.com"], good),
        ("POST /".to_owned(), &[form, "host: ecs.us-east-1.amazonaws.com"], good),
        ("POST /".to_owned(), &[form, "host: rds.us-east-1.amazonaws.com.evil.example"], good),
        ("POST /".to_owned(), &["content-type: application/cbor"], good),
        ("POST /".to_owned(), &[form, "smithy-protocol: rpc-v2-cbor"], good),
    ] {
        let request = request("rds", &line, headers, body);
        assert_eq!(word(Phase::Plan, Access::Read, &request), "shape", "{line} {headers:?} {body}");
    }
    // What is an operation there is not one here.
    let mut elsewhere = rds(good);
    for (service, expected) in
        [("ecs", "shape"), ("s3", "unknown service"), ("RDS", "unknown service")]
    {
        service.clone_into(&mut elsewhere.service);
        assert_eq!(word(Phase::Plan, Access::Read, &elsewhere), expected);
    }
}

#[test]
fn the_body_is_written_anew() {
    let form = rds("Action=DescribeDBInstances&Version=2014-10-31&Marker=%41%2b+%26");
    let wire = classify("us-east-1", &form).unwrap();
    assert_eq!(wire.body, b"Action=DescribeDBInstances&Version=2014-10-31&Marker=A%2B+%26");

    let mut json = ecs("DescribeServices");
    json.body = br#" {"cluster":"a", "cluster":"b"} "#.to_vec();
    // Of two readings of a repeated key, only one goes on.
    assert_eq!(classify("us-east-1", &json).unwrap().body, br#"{"cluster":"b"}"#);
}

#[test]
fn refusals_say_what_was_refused() {
    let refused = |access, request: &HttpRequest| {
        verdict(Phase::Plan, access, &grants(), "us-east-1", request).unwrap_err().to_string()
    };
    assert_eq!(
        refused(WRITE, &ecs("UpdateService")),
        "`ecs:UpdateService` was sent as a write, which is not allowed while planning; nothing was \
         changed"
    );
    assert_eq!(
        refused(Access::Read, &ecs("ExecuteCommand")),
        "`ecs:ExecuteCommand` is not granted as a read; if the plugin should have it, run `relctl \
         init --upgrade` and review what it asks for"
    );
}

proptest! {
    /// Whatever passes is a granted read, and says the same when it is read again as it is sent.
    #[test]
    fn what_passes_is_granted_and_unambiguous(
        service in "ecs|rds|sts",
        method in "POST|GET",
        path in "/|/x|",
        keys in prop::collection::vec("Action|Version|action|%41ction|Marker|[A-Za-z0-9.%+_-]{0,6}", 0..5),
        values in prop::collection::vec(
            "DescribeDBInstances|DeleteDBInstance|GetCallerIdentity|2014-10-31|2011-06-15|[ -~]{0,8}",
            5,
        ),
        targets in prop::collection::vec("DescribeServices|UpdateService|[ -~]{0,6}", 0..3),
        json in any::<bool>(),
    ) {
        let kind = if json { CONTENT_TYPE_JSON } else { CONTENT_TYPE_FORM };
        let mut headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        headers.extend(targets.iter().map(|t| ("X-Amz-Target".to_owned(), format!("{ECS}.{t}"))));
        let pairs: Vec<String> = keys.iter().zip(&values).map(|(k, v)| format!("{k}={v}")).collect();
        let body = if json { b"{}".to_vec() } else { pairs.join("&").into_bytes() };
        let request = HttpRequest { service, method, path, headers, body };
        if let Ok(wire) = verdict(Phase::Plan, Access::Read, &grants(), "us-east-1", &request) {
            let granted = &grants().http[wire.service.name];
            prop_assert!(granted.read.contains(&wire.operation));
            let mut headers = vec![("Content-Type".to_owned(), wire.content_type.to_owned())];
            headers.extend(wire.target.iter().map(|t| ("X-Amz-Target".to_owned(), t.clone())));
            let again = HttpRequest { headers, body: wire.body.clone(), ..request };
            prop_assert_eq!(classify("us-east-1", &again).unwrap(), wire);
        }
    }

    /// No bytes make it panic.
    #[test]
    fn any_bytes_have_a_verdict(
        service in "ecs|rds|sts|.{0,4}",
        headers in prop::collection::vec((".{0,12}", ".{0,40}"), 0..4),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        for kind in [CONTENT_TYPE_JSON, CONTENT_TYPE_FORM] {
            let mut headers = headers.clone();
            headers.push(("content-type".to_owned(), kind.to_owned()));
            headers.push(("x-amz-target".to_owned(), format!("{ECS}.DescribeServices")));
            let request = HttpRequest {
                service: service.clone(),
                method: "POST".to_owned(),
                path: "/".to_owned(),
                headers,
                body: body.clone(),
            };
            if let Ok(wire) = verdict(Phase::Apply, WRITE, &grants(), "us-east-1", &request) {
                prop_assert!(grants().http[wire.service.name].write.contains(&wire.operation));
            }
        }
    }
}
