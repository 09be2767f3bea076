//! Why an object store did not do something, in a line that a person can act on.
//!
//! What a store answers may hold keys and signatures: only its code and its message are passed on.

use std::error::Error as StdError;

use object_store::Error;
use object_store::client::{HttpError, HttpErrorKind};
use relctl_engine::LedgerError;

use crate::aws::NO_CREDENTIALS;
use crate::error::io;

/// The longest text of an error that is not known here.
const LONGEST: usize = 300;

/// The error of something that was attempted at `place`: `attempted` is a phrase like `write`.
pub(crate) fn failed(attempted: &str, place: &str, error: &Error) -> LedgerError {
    let Reason { text, hint } = Reason::of(error);
    LedgerError { hint: hint.map(ToOwned::to_owned), ..io(attempted, place, text) }
}

/// Whether there is no bucket: not the same as no object in it.
pub(crate) fn is_no_bucket(error: &Error) -> bool {
    let answer = whole(error);
    ["NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist"]
        .iter()
        .any(|code| answer.contains(code))
}

struct Reason {
    text: String,
    hint: Option<&'static str>,
}

impl Reason {
    fn of(error: &Error) -> Self {
        let answer = whole(error);
        if is_no_bucket(error) {
            return Self::new("there is no such bucket", "make the bucket, or correct its name");
        }
        if let Some(kind) = http_kind(error) {
            let text = match kind {
                HttpErrorKind::Timeout => "the store did not answer in time".to_owned(),
                _ => format!("the store cannot be reached: {}", innermost(error)),
            };
            let hint = "check the network, and the endpoint where one is set (AWS_ENDPOINT_URL)";
            return Self { text, hint: Some(hint) };
        }
        let status = between(&answer, "status code: ", ":").unwrap_or_default();
        let code = between(&answer, "<Code>", "</Code>").unwrap_or_default();
        let hint = hint(error, status, code);
        let text = if code.is_empty() {
            unknown(&answer)
        } else {
            match between(&answer, "<Message>", "</Message>") {
                Some(message) => format!("the store answered {code}, {message:?}"),
                None => format!("the store answered {code}"),
            }
        };
        Self { text, hint }
    }

    fn new(text: &str, hint: &'static str) -> Self {
        Self { text: text.to_owned(), hint: Some(hint) }
    }
}

fn hint(error: &Error, status: &str, code: &str) -> Option<&'static str> {
    match code {
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            Some("set AWS_REGION to the region of the bucket")
        }
        "ExpiredToken" | "InvalidToken" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            Some("the credentials at hand are not good any more: sign in again")
        }
        "SlowDown" | "InternalError" | "ServiceUnavailable" => {
            Some("the store is overloaded or down; try again, nothing of the ledger is lost")
        }
        _ if matches!(error, Error::Unauthenticated { .. }) => {
            Some("set AWS_PROFILE or the AWS_* variables, or sign in")
        }
        _ if matches!(error, Error::PermissionDenied { .. }) || status.starts_with("403") => Some(
            "whoever you are there may not do it: a ledger takes reading, writing and listing \
             below its prefix",
        ),
        _ if whole(error).contains("redirect without LOCATION") => {
            Some("set AWS_REGION to the region of the bucket")
        }
        _ if status.starts_with('5') => {
            Some("the store is overloaded or down; try again, nothing of the ledger is lost")
        }
        _ => None,
    }
}

/// What kind of failure it was, where the store did not answer.
fn http_kind(error: &Error) -> Option<HttpErrorKind> {
    let mut cause = Some(error as &dyn StdError);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        cause = error.source();
    }
    None
}

fn innermost(error: &Error) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

/// The text of the error and of what caused it, each once.
fn whole(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// The text of an error without the request, whose address holds nothing new.
fn unknown(answer: &str) -> String {
    if let Some((_, why)) = answer.split_once(NO_CREDENTIALS) {
        let line = why.lines().next().unwrap_or_default();
        return format!("{NO_CREDENTIALS}{line}");
    }
    let text = match answer.split_once("Error performing ").and_then(|(_, t)| t.split_once(" - ")) {
        Some((_, text)) => text,
        None => answer,
    };
    text.chars().take(LONGEST).collect()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inside, _)| inside.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: &str, body: &str) -> Error {
        Error::Generic {
            store: "S3",
            source: format!(
                "Error performing PUT http://h/b/p in 1ms, after 4 retries - Server returned \
                 non-2xx status code: {status}: {body}"
            )
            .into(),
        }
    }

    #[test]
    fn what_a_store_answers_is_cut_to_code_and_message() {
        let body = "<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message>\
                    <StringToSign>s3cr3t</StringToSign></Error>";
        let error = failed("write", "s3://b/p", &answered("403 Forbidden", body));
        assert_eq!(
            error.message,
            "could not write `s3://b/p`: the store answered SignatureDoesNotMatch, \
             \"It does not match.\""
        );
        assert!(error.hint.unwrap().contains("sign in again"));
    }

    #[test]
    fn each_cause_has_its_hint() {
        let hint = |status: &str, body: &str| {
            Reason::of(&answered(status, body)).hint.unwrap_or_default().to_owned()
        };
        let coded = |code: &str| format!("<Code>{code}</Code>");
        assert!(hint("404 Not Found", &coded("NoSuchBucket")).contains("make the bucket"));
        assert!(hint("301 Moved", &coded("PermanentRedirect")).contains("AWS_REGION"));
        assert!(hint("403 Forbidden", "").contains("may not"));
        assert!(hint("503 Slow", &coded("SlowDown")).contains("overloaded"));
        assert!(hint("500 Internal", "<html>").contains("overloaded"));
        assert_eq!(hint("418 Teapot", "short"), "");
    }

    #[test]
    fn an_unknown_answer_is_short() {
        let long = "x".repeat(10_000);
        assert_eq!(Reason::of(&answered("418 Teapot", &long)).text.len(), LONGEST);
    }
}
