//! What went wrong with a call, from what really came back.
//!
//! The SDK's error types are not enough: an error may come as XML over a JSON protocol, or as an
//! HTML page, and its code with or without "Fault", "Exception" or a namespace.

use std::error::Error;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use relctl_sdk::{Failure, HttpError};
use serde_json::Value;

use crate::client::NoReply;

/// A call that did not succeed.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The service as IAM names it, `ecs`.
    pub service: &'static str,
    /// The operation, `UpdateService`.
    pub operation: &'static str,
    /// Whether the operation changes something.
    pub is_write: bool,
    pub cause: Cause,
}

/// Why.
#[derive(Debug, Clone, PartialEq)]
pub enum Cause {
    /// The host or the network.
    NoReply(HttpError),
    /// The service answered with an error. The code stands without namespace, and without "Fault".
    Service { status: u16, code: String, message: String },
    /// An answer that the SDK could not read, or a request that it could not make.
    Unreadable(String),
}

impl Problem {
    /// Reads an SDK error. Whatever the SDK made of the reply, the reply itself is read.
    pub fn of<E>(
        service: &'static str,
        operation: &'static str,
        is_write: bool,
        error: &SdkError<E, HttpResponse>,
    ) -> Self
    where
        E: Error + 'static,
    {
        let cause = match error.raw_response() {
            Some(response) if !response.status().is_success() => {
                let status = response.status().as_u16();
                let header = response.headers().get("x-amzn-errortype");
                let (code, message) =
                    read_error(response.body().bytes().unwrap_or_default(), header);
                Cause::Service { status, code, message }
            }
            _ => no_reply(error).map_or_else(
                || Cause::Unreadable(with_sources(error)),
                |error| Cause::NoReply(error.clone()),
            ),
        };
        Self { service, operation, is_write, cause }
    }

    /// What went wrong, as a sentence.
    pub fn sentence(self) -> String {
        let named = format!("`{}:{}`", self.service, self.operation);
        match Failure::from(self) {
            Failure::Denied(text)
            | Failure::Precondition(text)
            | Failure::NotFound(text)
            | Failure::Unavailable(text)
            | Failure::Partial(_, text)
            | Failure::Unknown(text) => text,
            Failure::Throttled(_) => format!("{named} is throttled"),
            Failure::Invalid(_) => format!("{named} was refused"),
        }
    }

    /// Whether the service answered with this code.
    pub fn is(&self, wanted: &str) -> bool {
        matches!(&self.cause, Cause::Service { code, .. } if code == wanted)
    }

    /// Whether the endpoint does not know the operation: an error page, not an AWS error.
    pub fn is_not_implemented(&self) -> bool {
        match &self.cause {
            Cause::Service { status, code, .. } => {
                matches!(
                    code.as_str(),
                    "UnknownOperationException" | "InvalidAction" | "NotImplemented"
                ) || (code.is_empty() && matches!(status, 404 | 500 | 501))
            }
            _ => false,
        }
    }

    /// Whether the call may have been carried out all the same.
    pub fn is_unknown(&self) -> bool {
        match &self.cause {
            Cause::NoReply(HttpError::Unknown(_)) | Cause::Unreadable(_) => self.is_write,
            Cause::Service { status, .. } => self.is_write && *status >= 500,
            Cause::NoReply(_) => false,
        }
    }
}

const DENIED: &[&str] = &[
    "AccessDenied",
    "AccessDeniedException",
    "UnauthorizedOperation",
    "NotAuthorized",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "ExpiredToken",
    "ExpiredTokenException",
    "SignatureDoesNotMatch",
];

const THROTTLED: &[&str] = &[
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
];

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let is_unknown = problem.is_unknown();
        let Problem { service, operation, cause, .. } = problem;
        match cause {
            Cause::NoReply(error) => error.into(),
            Cause::Unreadable(why) => {
                let message =
                    format!("the answer to `{service}:{operation}` cannot be read: {why}");
                if is_unknown { Self::Unknown(message) } else { Self::Unavailable(message) }
            }
            Cause::Service { status, code, message } => {
                let said = if code.is_empty() { format!("status {status}") } else { code.clone() };
                let text = if message.is_empty() { said } else { format!("{said}: {message}") };
                if DENIED.contains(&code.as_str()) {
                    Self::Denied(format!(
                        "`{service}:{operation}` is not allowed for these credentials ({text}); grant it to their role"
                    ))
                } else if THROTTLED.contains(&code.as_str()) || status == 429 {
                    Self::Throttled(None)
                } else if code.contains("NotFound") {
                    Self::NotFound(format!("`{service}:{operation}` found nothing ({text})"))
                } else if is_unknown {
                    Self::Unknown(format!(
                        "`{service}:{operation}` answered {text}, and may have been carried out"
                    ))
                } else if status >= 500 {
                    Self::Unavailable(format!("`{service}:{operation}` answered {text}"))
                } else {
                    Self::Precondition(format!("`{service}:{operation}` was refused ({text})"))
                }
            }
        }
    }
}

fn no_reply<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a HttpError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(NoReply(found)) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// The code and the message of an error body, JSON or XML, whatever the protocol says.
fn read_error(body: &[u8], header: Option<&str>) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let of_json =
        |names: &[&str]| names.iter().find_map(|name| json.get(*name)?.as_str()).map(str::to_owned);
    let code = of_json(&["__type", "code", "Code"])
        .or_else(|| header.map(str::to_owned))
        .or_else(|| element(&text, "Code"))
        .unwrap_or_default();
    let message = of_json(&["message", "Message", "errorMessage"])
        .or_else(|| element(&text, "Message"))
        .unwrap_or_default();
    (bare_code(&code).to_owned(), message)
}

/// `com.amazonaws.ecs#ClusterNotFoundException:http://…` is `ClusterNotFoundException`.
fn bare_code(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    code.strip_suffix("Fault").unwrap_or(code)
}

/// The text of the first XML element of this name, with its entities resolved.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = text.trim();
    Some(
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_in_every_spelling() {
        let xml = "<ErrorResponse><Errors><Error><Code>AccessDenied</Code><Message>User: arn:x is not authorized to perform: ecs:RunTask &amp; more</Message></Error></Errors></ErrorResponse>";
        for (body, header, code, message) in [
            (
                r#"{"__type":"ClusterNotFoundException","message":"Cluster not found."}"#,
                None,
                "ClusterNotFoundException",
                "Cluster not found.",
            ),
            (
                r#"{"__type":"com.amazonaws.ecs#AccessDeniedException","Message":"no"}"#,
                None,
                "AccessDeniedException",
                "no",
            ),
            (
                r#"{"message":"no"}"#,
                Some("ThrottlingException:http://x"),
                "ThrottlingException",
                "no",
            ),
            (
                xml,
                None,
                "AccessDenied",
                "User: arn:x is not authorized to perform: ecs:RunTask & more",
            ),
            (
                "<ErrorResponse><Error><Code>DBSnapshotNotFoundFault</Code><Message>m</Message></Error></ErrorResponse>",
                None,
                "DBSnapshotNotFound",
                "m",
            ),
            ("<!doctype html><title>500</title>", None, "", ""),
            ("", None, "", ""),
        ] {
            assert_eq!(
                read_error(body.as_bytes(), header),
                (code.to_owned(), message.to_owned()),
                "{body}"
            );
        }
    }

    #[test]
    fn an_error_page_is_an_operation_that_is_not_there() {
        let problem = |status, code: &str| Problem {
            service: "ecs",
            operation: "ListServiceDeployments",
            is_write: false,
            cause: Cause::Service { status, code: code.to_owned(), message: String::new() },
        };
        assert!(problem(500, "").is_not_implemented());
        assert!(problem(400, "UnknownOperationException").is_not_implemented());
        assert!(!problem(500, "ServerException").is_not_implemented());
        assert!(!problem(400, "").is_not_implemented());
    }

    #[test]
    fn a_failure_says_what_may_have_happened() {
        let failure = |is_write, status, code: &str| {
            let cause = Cause::Service { status, code: code.to_owned(), message: "m".to_owned() };
            Failure::from(Problem { service: "ecs", operation: "RunTask", is_write, cause })
        };
        assert!(
            matches!(failure(true, 400, "AccessDeniedException"), Failure::Denied(m) if m.contains("`ecs:RunTask`"))
        );
        assert!(
            matches!(failure(true, 403, "AccessDenied"), Failure::Denied(m) if m.contains("`ecs:RunTask`"))
        );
        assert_eq!(failure(true, 400, "ThrottlingException"), Failure::Throttled(None));
        assert!(matches!(failure(false, 404, "DBInstanceNotFound"), Failure::NotFound(_)));
        assert!(matches!(
            failure(true, 400, "InvalidParameterException"),
            Failure::Precondition(_)
        ));
        assert!(matches!(failure(true, 500, ""), Failure::Unknown(_)));
        assert!(matches!(failure(false, 500, ""), Failure::Unavailable(_)));
        let lost = Problem {
            service: "ecs",
            operation: "RunTask",
            is_write: true,
            cause: Cause::NoReply(HttpError::Unknown("reset".to_owned())),
        };
        assert!(lost.is_unknown());
        assert_eq!(Failure::from(lost), Failure::Unknown("reset".to_owned()));
    }
}
