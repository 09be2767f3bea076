//! Waits for the end of a one-off task.

use aws_connector::json::{Object, text};
use aws_connector::look_again_ms;
use relctl_sdk::{Failure, Host, Level, Progress, Step, Value};
use serde_json::json;

use super::ending::{self, Ending};
use super::log::log_of;
use super::output;
use super::run::{find, started_by};
use super::versions::Versions;
use crate::api::Ecs;
use crate::arn;

/// The longest wait between two looks, in milliseconds.
const LOOK_AGAIN_MS: u32 = 3_000;

/// How long a task that was started may stay invisible, in milliseconds: ECS is eventually
/// consistent, "up to five minutes".
const VISIBLE_WITHIN_MS: u64 = 300_000;

/// How long a log may take to show what a task wrote last, in milliseconds.
const LOGGED_WITHIN_MS: u64 = 10_000;

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wait {
    /// `None`: the answer to `RunTask` was lost, the task is to be found by its run key.
    pub(super) task: Option<String>,
    pub(super) container: String,
    pub(super) since_ms: u64,
    /// When it was first seen that the task has ended.
    pub(super) ended_ms: Option<u64>,
}

impl Wait {
    pub(super) fn pending(&self, now_ms: u64, message: &str) -> Progress {
        let token = json!({ "task": self.task, "container": self.container, "since": self.since_ms, "ended": self.ended_ms });
        Progress::Pending {
            token: token.to_string(),
            message: message.to_owned(),
            retry_after_ms: look_again_ms(now_ms.saturating_sub(self.since_ms), LOOK_AGAIN_MS),
        }
    }

    fn from_token(token: &str) -> Option<Self> {
        let token: Object = serde_json::from_str(token).ok()?;
        Some(Self {
            task: text(&token, "task").map(str::to_owned),
            container: text(&token, "container")?.to_owned(),
            since_ms: token.get("since")?.as_u64()?,
            ended_ms: token.get("ended").and_then(Value::as_u64),
        })
    }
}

/// Looks how the task is.
pub(crate) fn poll(host: &impl Host, step: &Step, token: &str) -> Result<Progress, Failure> {
    let mut wait = Wait::from_token(token).ok_or_else(|| {
        Failure::Unknown("the token of this wait is not one of this plugin's".to_owned())
    })?;
    let ecs = Ecs::new(host);
    let desired = step.change.desired.clone().unwrap_or_default().value;
    let cluster = text(&desired, "cluster").unwrap_or_default();
    let waited = host.now_ms().saturating_sub(wait.since_ms);
    let task = if let Some(arn) = &wait.task {
        ecs.tasks(cluster, std::slice::from_ref(arn))?.into_iter().next()
    } else {
        wait.task = find(&ecs, cluster, step)?;
        None
    };
    // Before relctl's own clock runs out, so that the person is told what this is.
    let overdue = waited + 2 * u64::from(LOOK_AGAIN_MS) > step.timeout_ms;
    let (Some(arn), Some(task)) = (&wait.task, task) else {
        return match &wait.task {
            _ if waited <= VISIBLE_WITHIN_MS && !overdue => {
                Ok(wait.pending(host.now_ms(), "ECS does not show the task yet"))
            }
            Some(arn) => Err(Failure::Unknown(format!(
                "ECS no longer shows {arn}: stopped tasks stay visible for an hour. Its log says how it ended"
            ))),
            None => Err(Failure::Unknown(format!(
                "ECS did not answer when it was to start the task, and shows none (`aws ecs list-tasks --started-by {}`)",
                started_by(step)
            ))),
        };
    };
    let definition_arn = text(&desired, "task_definition").unwrap_or_default();
    let log = || log_of(&ecs, definition_arn, &wait.container, arn);
    let failed = match ending::judge(&task, &wait.container) {
        Ending::Running(state) if overdue => {
            let said = log().map(|log| log.said(host)).unwrap_or_default();
            return Err(Failure::Unknown(format!(
                "{arn} is {state} after {} s. It was not stopped, since half a migration may be worse; see its log, stop it if you must (`aws ecs stop-task`), and resume{said}",
                waited / 1000
            )));
        }
        Ending::Running(state) => {
            return Ok(wait.pending(host.now_ms(), &format!("{} is {state}", arn::name_of(arn))));
        }
        Ending::Succeeded => None,
        Ending::Failed(code, why) => Some((code, why)),
    };
    let log = log();
    let versions = Versions::read(host, &desired, log.as_ref());
    let ended_ms = wait.ended_ms.unwrap_or_else(|| host.now_ms());
    let is_logged = host.now_ms().saturating_sub(ended_ms) >= LOGGED_WITHIN_MS;
    if versions.may_come && !is_logged && !overdue {
        let wait = Wait { ended_ms: Some(ended_ms), ..wait };
        return Ok(wait.pending(host.now_ms(), "it has ended; its log may not be complete yet"));
    }
    let left_behind = |code| {
        let mut document = output(arn, &wait.container, code, log.as_ref());
        versions.record(&mut document);
        document
    };
    match failed {
        None => {
            for missing in &versions.missing {
                host.log(Level::Warn, &format!("{}: {missing}", step.change.subject.address));
            }
            Ok(Progress::Done(left_behind(Some(0))))
        }
        Some((code, why)) => {
            let said = log.as_ref().map(|log| log.said(host)).unwrap_or_default();
            let message = format!("task {}: {why}{}{said}", arn::name_of(arn), versions.said());
            Err(Failure::Partial(left_behind(code), message))
        }
    }
}
