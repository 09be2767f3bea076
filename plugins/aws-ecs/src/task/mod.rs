//! `aws_ecs_task`: a one-off task, a migration, run at most once for each run.

mod ending;
mod log;
mod run;
mod versions;
mod wait;

use aws_connector::{documents, wrong};
use relctl_sdk::{Assessment, Change, Diagnostic, Document, Host, Reversal, Value};
use serde_json::json;

use crate::arn;
use crate::config::Home;

pub(crate) use ending::{container_end, stop_reason};
pub(crate) use log::log_of;
pub(crate) use run::apply;
pub(crate) use wait::poll;

/// The longest overrides that ECS takes, in characters.
const MAX_OVERRIDES: usize = 8192;

/// The canonical form of what is declared.
pub(crate) fn validate(host: &impl Host, declared: &Document) -> Result<Document, Vec<Diagnostic>> {
    let home = Home::of(host).map_err(|error| vec![error])?;
    let prefix = home.arn_prefix();
    let document = documents::canonical(declared, |declared| {
        let mut document = declared.clone();
        if let Some(Value::String(cluster)) = document.get_mut("cluster") {
            *cluster = arn::name_of(cluster).to_owned();
        }
        if let (Some(Value::String(definition)), Some(prefix)) =
            (document.get_mut("task_definition"), &prefix)
            && !definition.starts_with("arn:")
        {
            *definition = format!("{prefix}task-definition/{definition}");
        }
        document
    });
    let mut problems = Vec::new();
    if document.field("task_definition").text().is_some_and(|d| arn::revision_of(d).is_none()) {
        problems.push(wrong(
            "/task_definition",
            "names no revision, so that nobody could say what will run",
            "write `family:revision`, or refer to the task definition's `arn`",
        ));
    }
    if run::overrides(&document.value, "container").to_string().chars().count() > MAX_OVERRIDES {
        problems.push(wrong(
            "",
            &format!("overrides more than the {MAX_OVERRIDES} characters that ECS takes"),
            "move the long values into the image or a file",
        ));
    }
    problems.extend(versions::problems(&document));
    if problems.is_empty() { Ok(document) } else { Err(problems) }
}

/// What a run would mean: nobody but its author knows what a task does.
pub(crate) fn assess(change: &Change) -> Assessment {
    let mut assessment = Assessment::new(Reversal::Impossible);
    let command = change.desired_field("command").known().and_then(Value::as_array);
    if let Some(command) = command {
        let words: Vec<&str> = command.iter().filter_map(Value::as_str).collect();
        assessment.notes.push(words.join(" "));
    }
    assessment
}

/// What a run leaves behind, for those who refer to it.
fn output(task: &str, container: &str, exit_code: Option<i64>, log: Option<&log::Log>) -> Document {
    let mut document = Document::default();
    document.set("task_arn", task);
    document.set("container", container);
    if let Some(code) = exit_code {
        document.set("exit_code", json!(code));
    }
    if let Some(log) = log {
        document.set("log_group", log.stream.group.clone());
        document.set("log_stream", log.stream.name.clone());
    }
    document
}
