//! What a container wrote to its log. It explains an ending, and decides nothing: whatever reading
//! it comes to, the ending stays what it is.

use aws_connector::json::{Object, text};
use relctl_sdk::{Host, Value};

use super::run::definition_of;
use crate::api::{Ecs, objects};
use crate::arn;
use crate::config::Home;
use crate::logs::{End, Stream};

/// How much of a log is shown.
const LINES: usize = 20;
const BYTES: usize = 8 * 1024;
/// How much of one line.
const LINE_BYTES: usize = 1024;

const NOTHING: &str = "(there is nothing in it)";

/// Where a container writes its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) stream: Stream,
    region: Option<String>,
}

impl Log {
    /// Where the container of this name logs, from its task definition.
    pub(crate) fn of(definition: &Object, container: &str, task_arn: &str) -> Option<Self> {
        let containers = objects(&Value::Object(definition.clone()), "containerDefinitions");
        let named = containers.into_iter().find(|c| text(c, "name") == Some(container))?;
        let log = named.get("logConfiguration")?;
        if log.get("logDriver")?.as_str()? != "awslogs" {
            return None;
        }
        let option = |name: &str| log.get("options")?.get(name)?.as_str().map(str::to_owned);
        let prefix = option("awslogs-stream-prefix")?;
        let name = format!("{prefix}/{container}/{}", arn::name_of(task_arn));
        let stream = Stream { group: option("awslogs-group")?, name };
        Some(Self { stream, region: option("awslogs-region") })
    }

    /// Where it is and what it said last, or why that is not shown: further lines of a message.
    pub(crate) fn said(&self, host: &impl Host) -> String {
        let lines = match self.newest(host) {
            Ok(messages) => shown(&messages),
            Err(why) => vec![format!("(what it says cannot be shown: {why})")],
        };
        let Stream { group, name } = &self.stream;
        let at = format!("\n  log: group {group}, stream {name}");
        lines.iter().fold(at, |said, line| said + "\n    " + line)
    }

    fn newest(&self, host: &impl Host) -> Result<Vec<String>, String> {
        let mut newest = Vec::new();
        self.read(host, End::Tail, LINES, |older| {
            newest.splice(0..0, older);
            newest.len() >= LINES
        })?;
        Ok(newest)
    }

    /// Reads it as [`Stream::read`] does; or why it cannot be read.
    pub(crate) fn read(
        &self,
        host: &impl Host,
        from: End,
        page: usize,
        is_enough: impl FnMut(Vec<String>) -> bool,
    ) -> Result<(), String> {
        let home = Home::of(host).unwrap_or_default();
        match (self.region.as_deref(), home.region()) {
            (Some(there), Some(here)) if there != here => {
                Err(format!("it is in {there}, and this plugin reads {here} only"))
            }
            _ => self
                .stream
                .read(host, from, page, is_enough)
                .map_err(aws_connector::Problem::sentence),
        }
    }
}

/// Where the container logs. `None`: not to AWS's log service, or its definition is gone.
pub(crate) fn log_of(
    ecs: &Ecs,
    definition_arn: &str,
    container: &str,
    task_arn: &str,
) -> Option<Log> {
    let definition = definition_of(ecs, definition_arn).ok()?;
    Log::of(&definition, container, task_arn)
}

/// The last lines of these messages, within bounds.
fn shown(messages: &[String]) -> Vec<String> {
    let lines = messages.iter().flat_map(|message| message.lines());
    let mut left = BYTES;
    let mut shown: Vec<String> = lines
        .rev()
        .map(cut)
        .take(LINES)
        .take_while(|line| {
            let fits = line.len() <= left;
            left = left.saturating_sub(line.len());
            fits
        })
        .collect();
    if shown.is_empty() {
        shown.push(NOTHING.to_owned());
    }
    shown.reverse();
    shown
}

/// The line, cut between words: half of a credential would not be known as one.
fn cut(line: &str) -> String {
    match line.get(..line.floor_char_boundary(LINE_BYTES)) {
        Some(head) if head.len() < line.len() => {
            let end = head.rfind(char::is_whitespace).unwrap_or(0);
            format!("{}…", head.get(..end).unwrap_or_default())
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use relctl_sdk::testing::map as object;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_log_is_named() {
        let definition = object(
            json!({ "containerDefinitions": [{ "name": "migrate", "logConfiguration": { "logDriver": "awslogs",
            "options": { "awslogs-group": "/ecs/prod", "awslogs-stream-prefix": "api" } } }] }),
        );
        let log = Log::of(&definition, "migrate", "arn:aws:ecs:us-east-1:1:task/prod/abc").unwrap();
        let Stream { group, name } = log.stream;
        assert_eq!((group.as_str(), name.as_str()), ("/ecs/prod", "api/migrate/abc"));
        assert_eq!(Log::of(&definition, "other", "abc"), None);
    }

    #[test]
    fn what_is_shown_is_bounded_and_the_newest() {
        let messages: Vec<String> = (0..30).map(|n| format!("line {n}\nand more")).collect();
        let lines = shown(&messages);
        assert_eq!(lines.len(), LINES);
        assert_eq!((lines[0].as_str(), lines[19].as_str()), ("line 20", "and more"));

        let long = vec![format!("word {}", "x".repeat(2 * LINE_BYTES)); LINES];
        assert_eq!(shown(&long), vec!["word…"; LINES], "never half a word");
        let wide = vec!["y ".repeat(LINE_BYTES / 2); LINES];
        assert_eq!(shown(&wide).len(), BYTES / LINE_BYTES);
        assert_eq!(shown(&[]), [NOTHING]);
    }
}
