//! ECS in memory: task definitions as ECS keeps them, and answers that a test sets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use relctl_sdk::testing::FakeHost;
use relctl_sdk::{HttpError, HttpRequest, HttpResponse, Value};
use serde_json::json;

pub(crate) const PREFIX: &str = "arn:aws:ecs:us-east-1:123456789012:";

/// What a scripted answer is.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(u16, Value),
    Text(u16, String),
    /// The request is carried out and its answer is lost.
    Lost,
}

#[derive(Default)]
struct State {
    /// Revisions by ARN, as `DescribeTaskDefinition` answers them.
    definitions: BTreeMap<String, Value>,
    scripted: BTreeMap<String, Vec<Answer>>,
    calls: Vec<(String, Value)>,
}

/// A scripted ECS. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Cloud(Arc<Mutex<State>>);

impl Cloud {
    /// A host whose cloud this is.
    pub(crate) fn host(&self) -> FakeHost {
        let cloud = self.clone();
        let config = json!({ "region": "us-east-1", "account": "123456789012" });
        FakeHost::default().with_config(&config).with_http(move |request, _| cloud.answer(request))
    }

    /// Sets the next answers to an operation; the last one stays.
    pub(crate) fn script(&self, operation: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.0.lock().unwrap().scripted.insert(operation.to_owned(), answers);
    }

    /// Puts a revision there.
    pub(crate) fn put(&self, family: &str, revision: u64, status: &str, body: Value) {
        let arn = format!("{PREFIX}task-definition/{family}:{revision}");
        let mut definition = body;
        let map = definition.as_object_mut().unwrap();
        map.insert("taskDefinitionArn".into(), arn.clone().into());
        map.insert("family".into(), family.into());
        map.insert("revision".into(), revision.into());
        map.insert("status".into(), status.into());
        self.0.lock().unwrap().definitions.insert(arn, definition);
    }

    pub(crate) fn remove(&self, family_revision: &str) {
        let arn = format!("{PREFIX}task-definition/{family_revision}");
        self.0.lock().unwrap().definitions.remove(&arn);
    }

    /// What was asked for, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.iter().map(|(operation, _)| operation.clone()).collect()
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.calls().iter().filter(|call| *call == operation).count()
    }

    /// The body of the newest call of an operation.
    pub(crate) fn sent(&self, operation: &str) -> Value {
        let state = self.0.lock().unwrap();
        let found = state.calls.iter().rev().find(|(name, _)| name == operation);
        found.unwrap_or_else(|| panic!("`{operation}` was not called")).1.clone()
    }

    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/"));
        let header =
            |name: &str| request.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(header("content-type"), Some("application/x-amz-json-1.1"));
        let target = header("x-amz-target").unwrap();
        let (service, operation) = target.split_once('.').unwrap();
        assert_eq!(
            service,
            match request.service.as_str() {
                "ecs" => "AmazonEC2ContainerServiceV20141113",
                "logs" => "Logs_20140328",
                other => panic!("`{other}` is not a service of this plugin"),
            }
        );
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let mut state = self.0.lock().unwrap();
        state.calls.push((operation.to_owned(), body.clone()));
        let scripted = state.scripted.get_mut(operation).and_then(|answers| match answers.len() {
            0 => None,
            1 => answers.first().cloned(),
            _ => Some(answers.remove(0)),
        });
        let kept = state.keep(operation, &body);
        match scripted {
            Some(Answer::Json(status, value)) => Ok(reply(status, value.to_string())),
            Some(Answer::Text(status, text)) => Ok(reply(status, text)),
            Some(Answer::Lost) => Err(HttpError::Unknown("connection reset".to_owned())),
            None => match kept {
                Some((status, value)) => Ok(reply(status, value.to_string())),
                None => Ok(reply(500, "<!doctype html><title>500</title>".to_owned())),
            },
        }
    }
}

fn reply(status: u16, body: String) -> HttpResponse {
    let headers = vec![("content-type".to_owned(), "application/x-amz-json-1.1".to_owned())];
    HttpResponse { status, headers, body: body.into_bytes() }
}

impl State {
    /// What ECS itself does with task definitions.
    fn keep(&mut self, operation: &str, body: &Value) -> Option<(u16, Value)> {
        match operation {
            "RegisterTaskDefinition" => {
                let family = body["family"].as_str().unwrap();
                let next = 1 + self
                    .definitions
                    .values()
                    .filter(|d| d["family"] == family)
                    .filter_map(|d| d["revision"].as_u64())
                    .max()
                    .unwrap_or(0);
                let arn = format!("{PREFIX}task-definition/{family}:{next}");
                let mut definition = body.clone();
                definition["taskDefinitionArn"] = arn.clone().into();
                definition["revision"] = next.into();
                definition["status"] = "ACTIVE".into();
                // As ECS does, so that the canonical form has something to do.
                for container in definition["containerDefinitions"].as_array_mut().unwrap() {
                    container["cpu"] = container.get("cpu").cloned().unwrap_or(json!(0));
                    for list in ["mountPoints", "volumesFrom", "systemControls"] {
                        container[list] = container.get(list).cloned().unwrap_or(json!([]));
                    }
                }
                self.definitions.insert(arn, definition.clone());
                Some((200, json!({ "taskDefinition": definition })))
            }
            "DescribeTaskDefinition" => {
                let which = body["taskDefinition"].as_str().unwrap();
                let newest = self
                    .definitions
                    .values()
                    .filter(|d| d["family"] == which && d["status"] == "ACTIVE")
                    .max_by_key(|d| d["revision"].as_u64());
                match self.definitions.get(which).or(newest) {
                    Some(definition) => {
                        Some((200, json!({ "taskDefinition": definition, "tags": [] })))
                    }
                    None => Some((
                        400,
                        json!({ "__type": "ClientException", "message": "Unable to describe task definition." }),
                    )),
                }
            }
            "ListTaskDefinitions" => {
                let family = body["familyPrefix"].as_str().unwrap();
                // Ascending although descending was asked for, as some endpoints do.
                let arns: Vec<&String> = self
                    .definitions
                    .iter()
                    .filter(|(_, d)| d["family"] == family && d["status"] == "ACTIVE")
                    .map(|(arn, _)| arn)
                    .collect();
                Some((200, json!({ "taskDefinitionArns": arns })))
            }
            _ => None,
        }
    }
}

/// A service that runs this revision, as `DescribeServices` answers it.
pub(crate) fn service(definition: &str, deployments: Value, change: Value) -> Answer {
    let mut service = json!({
        "serviceArn": format!("{PREFIX}service/prod/web"), "serviceName": "web", "clusterArn": format!("{PREFIX}cluster/prod"),
        "status": "ACTIVE", "taskDefinition": format!("{PREFIX}task-definition/{definition}"), "desiredCount": 2, "runningCount": 2,
        "launchType": "FARGATE", "deployments": deployments, "events": [{ "message": "(service web) has reached a steady state." }],
    });
    for (name, value) in change.as_object().unwrap() {
        service[name] = value.clone();
    }
    Answer::Json(200, json!({ "services": [service], "failures": [] }))
}

/// A deployment of a service.
pub(crate) fn deployment(
    id: &str,
    status: &str,
    state: &str,
    definition: &str,
    running: u64,
) -> Value {
    json!({ "id": id, "status": status, "rolloutState": state, "taskDefinition": format!("{PREFIX}task-definition/{definition}"),
        "desiredCount": 2, "runningCount": running, "failedTasks": 0 })
}
