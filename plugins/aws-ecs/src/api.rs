//! The calls to ECS that this plugin makes, each by name, with the limits of the API.

use aws_connector::json::Object;
use aws_connector::{Problem, Writes};
use relctl_sdk::{Host, Replay};
use serde_json::{Value, json};

use crate::carrier::{Answer, Carrier};

/// Operations that only look.
pub(crate) const READS: &[&str] = &[
    "DescribeClusters",
    "DescribeServiceDeployments",
    "DescribeServices",
    "DescribeTaskDefinition",
    "DescribeTasks",
    "ListServiceDeployments",
    "ListTaskDefinitions",
    "ListTasks",
];

/// Operations that change something, and whether a lost reply allows sending them again: only
/// where ECS itself sees a repetition, or where twice is as good as once.
pub(crate) const WRITES: Writes = &[
    ("CreateCluster", Replay::Safe),
    ("CreateService", Replay::Safe),
    ("DeleteCluster", Replay::Safe),
    ("DeleteService", Replay::Safe),
    ("RegisterTaskDefinition", Replay::Unsafe),
    ("RunTask", Replay::Unsafe),
    ("StopServiceDeployment", Replay::Safe),
    ("TagResource", Replay::Safe),
    ("UntagResource", Replay::Safe),
    ("UpdateCluster", Replay::Safe),
    ("UpdateService", Replay::Unsafe),
];

/// IAM actions that these operations need besides their own.
pub(crate) const ALSO_NEEDS: &[&str] = &["iam:PassRole"];

/// The most services that one `DescribeServices` takes.
pub(crate) const SERVICES_PER_CALL: usize = 10;

/// ECS, as this plugin uses it. Bodies and answers are AWS's JSON.
#[derive(Debug, Clone)]
pub(crate) struct Ecs {
    carrier: Carrier,
}

impl Ecs {
    pub(crate) fn new(host: &impl Host) -> Self {
        Self { carrier: Carrier::new(host, "ecs", "AmazonEC2ContainerServiceV20141113", WRITES) }
    }

    fn call(&self, operation: &'static str, body: &Value) -> Answer {
        self.carrier.call(operation, body)
    }

    /// The clusters of these names, without those that are not there.
    pub(crate) fn clusters(&self, names: &[String]) -> Result<Vec<Object>, Problem> {
        let body = json!({ "clusters": names, "include": ["TAGS", "SETTINGS", "CONFIGURATIONS"] });
        let answer = self.call("DescribeClusters", &body)?;
        Ok(objects(&answer, "clusters"))
    }

    /// The services of these names in one cluster, without those that are not there. At most
    /// [`SERVICES_PER_CALL`] names are asked for at once.
    pub(crate) fn services(&self, cluster: &str, names: &[String]) -> Result<Vec<Object>, Problem> {
        let mut found = Vec::new();
        for names in names.chunks(SERVICES_PER_CALL) {
            let body = json!({ "cluster": cluster, "services": names, "include": ["TAGS"] });
            let answer = self.call("DescribeServices", &body)?;
            found.extend(objects(&answer, "services"));
        }
        Ok(found)
    }

    /// One revision, by ARN or `family:revision`, or the newest active one of a family. `None`:
    /// there is none.
    pub(crate) fn task_definition(&self, which: &str) -> Result<Option<Value>, Problem> {
        let body = json!({ "taskDefinition": which, "include": ["TAGS"] });
        match self.call("DescribeTaskDefinition", &body) {
            Ok(answer) => Ok(Some(answer)),
            // ECS has no code of its own for it: "Unable to describe task definition".
            Err(problem) if problem.is("ClientException") => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// The ARNs of the newest active revisions of a family, newest first, at most `most`.
    pub(crate) fn newest_revisions(
        &self,
        family: &str,
        most: usize,
    ) -> Result<Vec<String>, Problem> {
        let body = json!({ "familyPrefix": family, "status": "ACTIVE", "sort": "DESC", "maxResults": 100 });
        let answer = self.call("ListTaskDefinitions", &body)?;
        let mut arns: Vec<String> = strings(&answer, "taskDefinitionArns")
            .into_iter()
            .filter(|arn| crate::arn::family_of(arn) == Some(family))
            .collect();
        // An endpoint may ignore `sort`.
        arns.sort_by_key(|arn| std::cmp::Reverse(crate::arn::revision_of(arn)));
        arns.truncate(most);
        Ok(arns)
    }

    pub(crate) fn register_task_definition(&self, body: Object) -> Answer {
        let body = Value::Object(body);
        self.call("RegisterTaskDefinition", &body)
    }

    pub(crate) fn create_service(&self, body: &Value) -> Answer {
        self.call("CreateService", body)
    }

    pub(crate) fn update_service(&self, body: &Value) -> Answer {
        self.call("UpdateService", body)
    }

    pub(crate) fn delete_service(&self, cluster: &str, name: &str) -> Answer {
        let body = json!({ "cluster": cluster, "service": name });
        self.call("DeleteService", &body)
    }

    pub(crate) fn create_cluster(&self, body: &Value) -> Answer {
        self.call("CreateCluster", body)
    }

    pub(crate) fn update_cluster(&self, body: &Value) -> Answer {
        self.call("UpdateCluster", body)
    }

    pub(crate) fn delete_cluster(&self, name: &str) -> Answer {
        self.call("DeleteCluster", &json!({ "cluster": name }))
    }

    pub(crate) fn tag(&self, arn: &str, tags: &[Value]) -> Answer {
        let body = json!({ "resourceArn": arn, "tags": tags });
        self.call("TagResource", &body)
    }

    pub(crate) fn untag(&self, arn: &str, keys: &[String]) -> Answer {
        let body = json!({ "resourceArn": arn, "tagKeys": keys });
        self.call("UntagResource", &body)
    }

    pub(crate) fn run_task(&self, body: &Value) -> Answer {
        self.call("RunTask", body)
    }

    /// The ARNs of tasks, running or stopped as `status` says.
    pub(crate) fn tasks_of(
        &self,
        cluster: &str,
        filter: &(&str, &str),
        status: &str,
    ) -> Result<Vec<String>, Problem> {
        let (name, value) = filter;
        let body =
            json!({ "cluster": cluster, *name: value, "desiredStatus": status, "maxResults": 100 });
        let answer = self.call("ListTasks", &body)?;
        Ok(strings(&answer, "taskArns"))
    }

    /// Up to 100 tasks, as they are.
    pub(crate) fn tasks(&self, cluster: &str, arns: &[String]) -> Result<Vec<Object>, Problem> {
        if arns.is_empty() {
            return Ok(Vec::new());
        }
        let arns: Vec<&String> = arns.iter().take(100).collect();
        let body = json!({ "cluster": cluster, "tasks": arns });
        let answer = self.call("DescribeTasks", &body)?;
        Ok(objects(&answer, "tasks"))
    }

    /// The newest deployments of a service, as ECS's own history has them. `None`: the endpoint has
    /// no such history.
    pub(crate) fn service_deployments(
        &self,
        cluster: &str,
        service: &str,
    ) -> Result<Option<Vec<Object>>, Problem> {
        let body = json!({ "cluster": cluster, "service": service, "maxResults": 20 });
        match self.call("ListServiceDeployments", &body) {
            Ok(answer) => Ok(Some(objects(&answer, "serviceDeployments"))),
            Err(problem) if problem.is_not_implemented() => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// One of them, by its ARN.
    pub(crate) fn service_deployment(&self, arn: &str) -> Result<Option<Object>, Problem> {
        let body = json!({ "serviceDeploymentArns": [arn] });
        let answer = self.call("DescribeServiceDeployments", &body)?;
        Ok(objects(&answer, "serviceDeployments").into_iter().next())
    }

    /// Takes a deployment in flight back to what ran before it.
    pub(crate) fn roll_back_deployment(&self, arn: &str) -> Answer {
        let body = json!({ "serviceDeploymentArn": arn, "stopType": "ROLLBACK" });
        self.call("StopServiceDeployment", &body)
    }
}

/// The objects of a list in an answer.
pub(crate) fn objects(answer: &Value, list: &str) -> Vec<Object> {
    let items = answer.get(list).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|item| item.as_object().cloned()).collect()
}

/// The texts of a list in an answer.
pub(crate) fn strings(answer: &Value, list: &str) -> Vec<String> {
    let items = answer.get(list).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
