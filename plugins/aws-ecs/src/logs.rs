//! CloudWatch Logs, as far as this plugin reads it: the newest events of one stream.

use aws_connector::json::text;
use aws_connector::{Problem, Writes};
use relctl_sdk::Host;
use serde_json::json;

use crate::api::objects;
use crate::carrier::Carrier;

/// Operations that only look.
pub(crate) const READS: &[&str] = &["GetLogEvents"];

const WRITES: Writes = &[];

/// How many pages are asked for at most: one without events is not the end.
const PAGES: usize = 10;

/// The messages of the newest events of a stream, at least `most` if there are as many, the oldest
/// of them first.
pub(crate) fn newest(
    host: &impl Host,
    group: &str,
    stream: &str,
    most: usize,
) -> Result<Vec<String>, Problem> {
    let carrier = Carrier::new(host, "logs", "Logs_20140328", WRITES);
    let mut messages = Vec::new();
    let mut token: Option<String> = None;
    for _ in 0..PAGES {
        let body = json!({ "logGroupName": group, "logStreamName": stream, "limit": most,
            "startFromHead": false, "nextToken": token });
        let answer = carrier.call("GetLogEvents", &body)?;
        let events = objects(&answer, "events");
        let older = events.iter().filter_map(|event| text(event, "message").map(str::to_owned));
        messages.splice(0..0, older);
        let next = answer.get("nextBackwardToken").and_then(|next| next.as_str());
        // The same token again is the end of the stream.
        if messages.len() >= most || next.is_none() || next == token.as_deref() {
            break;
        }
        token = next.map(str::to_owned);
    }
    Ok(messages)
}
