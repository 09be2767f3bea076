//! How a task ended: the named container's exit code decides, and no exit code is no success.

use aws_connector::json::{Object, text};
use relctl_sdk::Value;

use crate::api::objects;

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Not ended; its state.
    Running(String),
    Succeeded,
    /// The exit code, where there is one, and what ECS says.
    Failed(Option<i64>, String),
}

/// Judges a task by its container of this name.
pub(crate) fn judge(task: &Object, container: &str) -> Ending {
    let status = text(task, "lastStatus").unwrap_or_default();
    if status != "STOPPED" {
        return Ending::Running(status.to_owned());
    }
    let containers = objects(&Value::Object(task.clone()), "containers");
    let named = containers.iter().find(|c| text(c, "name") == Some(container));
    let code = named.and_then(|c| c.get("exitCode")).and_then(Value::as_i64);
    match (named, code) {
        (_, Some(0)) => Ending::Succeeded,
        (Some(named), _) => {
            Ending::Failed(code, format!("{}; {}", container_end(named), stop_reason(task)))
        }
        (None, _) => Ending::Failed(
            None,
            format!("the task has no container `{container}`; {}", stop_reason(task)),
        ),
    }
}

/// How a container ended: "container api ended with exit code 3 (`OutOfMemoryError`…)".
pub(crate) fn container_end(container: &Object) -> String {
    let name = text(container, "name").unwrap_or("?");
    let reason =
        text(container, "reason").map_or_else(String::new, |reason| format!(" ({reason})"));
    match container.get("exitCode").and_then(Value::as_i64) {
        Some(code) => format!("container {name} ended with exit code {code}{reason}"),
        None => format!("container {name} ended without an exit code, so it never ran{reason}"),
    }
}

/// Why ECS says that a task stopped.
pub(crate) fn stop_reason(task: &Object) -> String {
    let code = text(task, "stopCode").unwrap_or("no stop code");
    match text(task, "stoppedReason") {
        Some(reason) => format!("{code}: {reason}"),
        None => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    use relctl_sdk::testing::map as object;

    #[test]
    fn the_named_container_decides() {
        for (task, want) in [
            (json!({ "lastStatus": "RUNNING" }), "running"),
            (
                json!({ "lastStatus": "DEPROVISIONING", "containers": [{ "name": "migrate", "exitCode": 0 }] }),
                "running",
            ),
            (
                json!({ "lastStatus": "STOPPED", "containers": [{ "name": "migrate", "exitCode": 0 }, { "name": "proxy", "exitCode": 137 }] }),
                "succeeded",
            ),
            (
                json!({ "lastStatus": "STOPPED", "containers": [{ "name": "migrate", "exitCode": 3 }, { "name": "proxy", "exitCode": 0 }] }),
                "failed 3",
            ),
            (
                json!({ "lastStatus": "STOPPED", "containers": [{ "name": "migrate" }], "stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError" }),
                "failed none",
            ),
            (
                json!({ "lastStatus": "STOPPED", "containers": [{ "name": "other", "exitCode": 0 }] }),
                "failed none",
            ),
            (json!({ "lastStatus": "STOPPED" }), "failed none"),
        ] {
            let got = match judge(&object(task.clone()), "migrate") {
                Ending::Running(_) => "running".to_owned(),
                Ending::Succeeded => "succeeded".to_owned(),
                Ending::Failed(Some(code), _) => format!("failed {code}"),
                Ending::Failed(None, _) => "failed none".to_owned(),
            };
            assert_eq!(got, want, "{task}");
        }
    }

    #[test]
    fn a_failure_says_what_ecs_says() {
        let task = object(
            json!({ "lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
            "containers": [{ "name": "migrate", "exitCode": 137, "reason": "OutOfMemoryError: memory" }] }),
        );
        let Ending::Failed(_, message) = judge(&task, "migrate") else { panic!("it failed") };
        assert_eq!(
            message,
            "container migrate ended with exit code 137 (OutOfMemoryError: memory); EssentialContainerExited: Essential container in task exited"
        );
    }
}
