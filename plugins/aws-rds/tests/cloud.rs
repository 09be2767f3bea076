//! RDS as scripted answers, in the XML that it speaks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use relctl_sdk::testing::FakeHost;
use relctl_sdk::{HttpError, HttpRequest, HttpResponse};

/// What a scripted answer is.
#[derive(Clone)]
pub(crate) enum Answer {
    /// The inside of the operation's result element.
    Result(String),
    /// A status, a code and a message.
    Error(u16, &'static str, &'static str),
    /// The request is carried out and its answer is lost.
    Lost,
}

#[derive(Default)]
struct State {
    scripted: BTreeMap<String, Vec<Answer>>,
    calls: Vec<BTreeMap<String, String>>,
}

/// A scripted RDS. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Cloud(Arc<Mutex<State>>);

impl Cloud {
    pub(crate) fn host(&self) -> FakeHost {
        let cloud = self.clone();
        FakeHost::default().with_http(move |request, _| cloud.answer(request))
    }

    /// Sets the next answers to an operation; the last one stays.
    pub(crate) fn script(&self, operation: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.0.lock().unwrap().scripted.insert(operation.to_owned(), answers);
    }

    /// The fields of the newest call of an operation.
    pub(crate) fn sent(&self, operation: &str) -> BTreeMap<String, String> {
        let state = self.0.lock().unwrap();
        let found = state
            .calls
            .iter()
            .rev()
            .find(|call| call.get("Action").is_some_and(|a| a == operation));
        found.unwrap_or_else(|| panic!("`{operation}` was not called")).clone()
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        let state = self.0.lock().unwrap();
        state.calls.iter().filter(|call| call.get("Action").is_some_and(|a| a == operation)).count()
    }

    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        assert_eq!(
            (request.service.as_str(), request.method.as_str(), request.path.as_str()),
            ("rds", "POST", "/")
        );
        let content_type = request.headers.iter().find(|(name, _)| name == "content-type");
        assert_eq!(
            content_type.map(|(_, value)| value.as_str()),
            Some("application/x-www-form-urlencoded")
        );
        let form = String::from_utf8(request.body.clone()).unwrap();
        let fields: BTreeMap<String, String> = form
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        let operation = fields.get("Action").unwrap().clone();
        let mut state = self.0.lock().unwrap();
        state.calls.push(fields);
        let answers = state
            .scripted
            .get_mut(&operation)
            .unwrap_or_else(|| panic!("`{operation}` is not scripted"));
        let answer =
            if answers.len() > 1 { answers.remove(0) } else { answers.first().unwrap().clone() };
        let reply = |status, body: String| {
            Ok(HttpResponse {
                status,
                headers: vec![("content-type".to_owned(), "text/xml".to_owned())],
                body: body.into_bytes(),
            })
        };
        match answer {
            Answer::Result(inner) => reply(
                200,
                format!(
                    "<{operation}Response xmlns=\"http://rds.amazonaws.com/doc/2014-10-31/\"><{operation}Result>{inner}</{operation}Result></{operation}Response>"
                ),
            ),
            Answer::Error(status, code, message) => reply(
                status,
                format!(
                    "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
                ),
            ),
            Answer::Lost => Err(HttpError::Unknown("connection reset".to_owned())),
        }
    }
}

/// Undoes the form's percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex: String = rest.by_ref().take(2).map(char::from).collect();
            bytes.push(u8::from_str_radix(&hex, 16).unwrap());
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// An answer with database instances.
pub(crate) fn instances(all: &[String]) -> Answer {
    Answer::Result(format!("<DBInstances>{}</DBInstances>", all.concat()))
}

/// A database instance; `more` is XML within it.
pub(crate) fn instance(identifier: &str, status: &str, more: &str) -> String {
    format!(
        "<DBInstance><DBInstanceIdentifier>{identifier}</DBInstanceIdentifier><DBInstanceStatus>{status}</DBInstanceStatus><Engine>postgres</Engine><EngineVersion>15.4</EngineVersion><DBInstanceArn>arn:aws:rds:us-east-1:123456789012:db:{identifier}</DBInstanceArn>{more}</DBInstance>"
    )
}

/// An answer with snapshots: name, source, status, and the tags `relctl:run` and the like.
pub(crate) fn snapshots(all: &[(&str, &str, &str, &[(&str, &str)])]) -> Answer {
    let mut inner = String::new();
    for (name, source, status, tags) in all {
        write!(inner, "<DBSnapshot><DBSnapshotIdentifier>{name}</DBSnapshotIdentifier><DBInstanceIdentifier>{source}</DBInstanceIdentifier><Status>{status}</Status><SnapshotType>manual</SnapshotType><SnapshotCreateTime>2026-11-22T00:00:00Z</SnapshotCreateTime><PercentProgress>40</PercentProgress><TagList>").unwrap();
        for (key, value) in *tags {
            write!(inner, "<Tag><Key>{key}</Key><Value>{value}</Value></Tag>").unwrap();
        }
        inner.push_str("</TagList></DBSnapshot>");
    }
    Answer::Result(format!("<DBSnapshots>{inner}</DBSnapshots>"))
}
