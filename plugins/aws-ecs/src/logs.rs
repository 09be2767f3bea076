//! AWS's log service, as far as this plugin reads it: the events of one stream, from either end.

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

/// An end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Head,
    Tail,
}

/// One log stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stream {
    pub(crate) group: String,
    pub(crate) name: String,
}

impl Stream {
    /// Hands out the messages page by page, each page in its own order, from this end on until
    /// `is_enough` or the stream ends.
    pub(crate) fn read(
        &self,
        host: &impl Host,
        from: End,
        page: usize,
        mut is_enough: impl FnMut(Vec<String>) -> bool,
    ) -> Result<(), Problem> {
        let carrier = Carrier::new(host, "logs", "Logs_20140328", WRITES);
        let further = match from {
            End::Head => "nextForwardToken",
            End::Tail => "nextBackwardToken",
        };
        let mut token: Option<String> = None;
        for _ in 0..PAGES {
            let body = json!({ "logGroupName": self.group, "logStreamName": self.name,
                "limit": page, "startFromHead": from == End::Head, "nextToken": token });
            let answer = carrier.call("GetLogEvents", &body)?;
            let events = objects(&answer, "events");
            let messages = events.iter().filter_map(|event| text(event, "message"));
            let next = answer.get(further).and_then(|next| next.as_str());
            // The same token again is the end of the stream.
            if is_enough(messages.map(str::to_owned).collect())
                || next.is_none()
                || next == token.as_deref()
            {
                break;
            }
            token = next.map(str::to_owned);
        }
        Ok(())
    }
}
