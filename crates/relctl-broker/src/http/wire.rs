//! What a request does, derived from its bytes alone.
//!
//! [`verdict`] is pure and total: any request, any phase, any grant, one answer. It refuses every
//! shape that it does not know, so two readers of the same bytes (this one and the cloud's) cannot
//! come to different operations. The body that goes on the wire is written anew from what was
//! parsed.

use serde_json::{Map, Value};

use super::service::{Protocol, SERVICES, Service, host, service};
use crate::{Access, Grants, HttpRequest, Phase};

pub(crate) const CONTENT_TYPE_JSON: &str = "application/x-amz-json-1.1";
pub(crate) const CONTENT_TYPE_FORM: &str = "application/x-www-form-urlencoded";

/// A larger body than any operation that relctl sends: a task definition is at most 64 KiB.
const MAX_BODY: usize = 1024 * 1024;

/// A request that may be sent: what of the plugin's bytes goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) service: &'static Service,
    /// The exact name, `DescribeServices`.
    pub(crate) operation: String,
    pub(crate) content_type: &'static str,
    /// The value of `X-Amz-Target`, where the protocol has one.
    pub(crate) target: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Why a request is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("`{service}` is no cloud service that relctl knows")]
    UnknownService { service: String },
    #[error(
        "a request to `{service}` is not of a shape that relctl lets through: {reason}; this is \
         the plugin's mistake"
    )]
    Shape { service: String, reason: String },
    #[error(
        "`{service}:{operation}` answers with credentials, and none may enter a plugin; no grant \
         changes that"
    )]
    Never { service: String, operation: String },
    #[error("no request may be sent {phase}; this is the plugin's mistake")]
    Phase { phase: Phase },
    #[error(
        "`{service}:{operation}` was sent as a write, which is not allowed {phase}; nothing was \
         changed"
    )]
    WriteInPhase { service: String, operation: String, phase: Phase },
    #[error(
        "`{service}:{operation}` is let through only while applying; this is the plugin's mistake"
    )]
    Aside { service: String, operation: String },
    #[error(
        "`{service}:{operation}` is not granted as a {access}; if the plugin should have it, run \
         `relctl init --upgrade` and review what it asks for"
    )]
    NotGranted { service: String, operation: String, access: &'static str },
}

/// Whether a plugin's request may be sent to a region in this phase, under these grants, and what
/// it then is.
pub(crate) fn verdict(
    phase: Phase,
    access: Access,
    grants: &Grants,
    region: &str,
    request: &HttpRequest,
) -> Result<Wire, Refusal> {
    if !phase.may_read() {
        return Err(Refusal::Phase { phase });
    }
    let wire = classify(region, request)?;
    let service = || wire.service.name.to_owned();
    let operation = || wire.operation.clone();
    if wire.service.never.contains(&wire.operation.as_str()) {
        return Err(Refusal::Never { service: service(), operation: operation() });
    }
    if matches!(access, Access::Write { .. }) && !phase.may_write() {
        return Err(Refusal::WriteInPhase { service: service(), operation: operation(), phase });
    }
    if wire.service.aside && !phase.may_write() {
        return Err(Refusal::Aside { service: service(), operation: operation() });
    }
    let granted = grants.http.get(wire.service.name);
    let (granted, word) = match access {
        Access::Read => (granted.map(|operations| &operations.read), "read"),
        Access::Write { .. } => (granted.map(|operations| &operations.write), "write"),
    };
    if !granted.is_some_and(|names| names.contains(&wire.operation)) {
        return Err(Refusal::NotGranted {
            service: service(),
            operation: operation(),
            access: word,
        });
    }
    Ok(wire)
}

/// What of a plugin's request goes on the wire, and as which operation it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    pub service: &'static str,
    pub operation: String,
    /// Those that say what the body is; host, date and signature come with sending.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Classifies a request, whoever may send it: for tests and for tools that show what a plugin does.
pub fn classified(region: &str, request: &HttpRequest) -> Result<Classified, String> {
    let wire = classify(region, request).map_err(|refusal| refusal.to_string())?;
    let content_type = ("content-type".to_owned(), wire.content_type.to_owned());
    let target = wire.target.map(|target| ("x-amz-target".to_owned(), target));
    Ok(Classified {
        service: wire.service.name,
        operation: wire.operation,
        headers: [content_type].into_iter().chain(target).collect(),
        body: wire.body,
    })
}

/// The services that can be granted.
pub fn known_services() -> Vec<&'static str> {
    SERVICES.iter().map(|service| service.name).collect()
}

/// The operation that a request is, and its body written anew.
pub(crate) fn classify(region: &str, request: &HttpRequest) -> Result<Wire, Refusal> {
    let Some(service) = service(&request.service) else {
        return Err(Refusal::UnknownService { service: request.service.clone() });
    };
    parse(service, region, request)
        .map_err(|reason| Refusal::Shape { service: service.name.to_owned(), reason })
}

fn parse(service: &'static Service, region: &str, request: &HttpRequest) -> Result<Wire, String> {
    if request.method != "POST" {
        return Err("the method is not POST".to_owned());
    }
    if request.path != "/" {
        return Err("the path is not exactly `/`".to_owned());
    }
    if request.body.len() > MAX_BODY {
        return Err(format!("the body has {} bytes, over {MAX_BODY}", request.body.len()));
    }
    let headers = Headers::read(&request.headers)?;
    if headers.host.is_some_and(|named| named != host(service, region)) {
        return Err(format!("its `Host` is not that of the service in {region}"));
    }
    match service.protocol {
        Protocol::Json { target } => json(service, target, &headers, &request.body),
        Protocol::Query { version } => query(service, version, &headers, &request.body),
    }
}

/// The headers that matter. All others are dropped, but for those that would change what the bytes
/// mean.
struct Headers<'a> {
    content_type: Option<&'a str>,
    target: Option<&'a str>,
    host: Option<&'a str>,
}

impl<'a> Headers<'a> {
    fn read(headers: &'a [(String, String)]) -> Result<Self, String> {
        let mut read = Self { content_type: None, target: None, host: None };
        for (name, value) in headers {
            let slot = match name.to_ascii_lowercase().as_str() {
                "content-type" => &mut read.content_type,
                "x-amz-target" => &mut read.target,
                "host" => &mut read.host,
                "authorization"
                | "x-amz-security-token"
                | "content-encoding"
                | "transfer-encoding"
                | "smithy-protocol"
                | "x-http-method-override" => {
                    return Err(format!("it has the header `{name}`"));
                }
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(format!("it has the header `{name}` twice"));
            }
        }
        Ok(read)
    }
}

fn json(
    service: &'static Service,
    prefix: &str,
    headers: &Headers<'_>,
    body: &[u8],
) -> Result<Wire, String> {
    if headers.content_type != Some(CONTENT_TYPE_JSON) {
        return Err(format!("its content type is not exactly {CONTENT_TYPE_JSON}"));
    }
    let target = headers.target.ok_or("it has no `X-Amz-Target`")?;
    let operation = target
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('.'))
        .filter(|operation| is_name(operation))
        .ok_or("its `X-Amz-Target` is not an operation of this service")?;
    let body: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| "its body is not a JSON object")?;
    Ok(Wire {
        service,
        operation: operation.to_owned(),
        content_type: CONTENT_TYPE_JSON,
        target: Some(target.to_owned()),
        body: Value::Object(body).to_string().into_bytes(),
    })
}

fn query(
    service: &'static Service,
    version: &str,
    headers: &Headers<'_>,
    body: &[u8],
) -> Result<Wire, String> {
    if headers.content_type != Some(CONTENT_TYPE_FORM) {
        return Err(format!("its content type is not exactly {CONTENT_TYPE_FORM}"));
    }
    if headers.target.is_some() {
        return Err("it has an `X-Amz-Target`, which this service does not use".to_owned());
    }
    let form = std::str::from_utf8(body).map_err(|_| "its body is not text")?;
    let mut pairs: Vec<(&str, String)> = Vec::new();
    for pair in form.split('&') {
        let (key, value) = pair.split_once('=').ok_or("its form has an entry without `=`")?;
        if pairs.iter().any(|(other, _)| *other == key) {
            return Err(format!("its form has `{}` twice", shown(key)));
        }
        pairs.push((known_key(key)?, decoded(value)?));
    }
    let value = |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
    if value("Version") != Some(version) {
        return Err(format!("its `Version` is not {version}"));
    }
    let operation = value("Action")
        .filter(|operation| is_name(operation))
        .ok_or("it has no `Action` that names an operation")?
        .to_owned();
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
    Ok(Wire {
        service,
        operation,
        content_type: CONTENT_TYPE_FORM,
        target: None,
        body: body.into_bytes(),
    })
}

/// A form's key, if it is written plainly and is none that signs or redirects the request.
fn known_key(key: &str) -> Result<&str, String> {
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Err(format!("its form has the key `{}`, not plainly written", shown(key)));
    }
    let lower = key.to_ascii_lowercase();
    let reserved = matches!(
        lower.as_str(),
        "awsaccesskeyid" | "securitytoken" | "signature" | "signaturemethod" | "signatureversion"
    );
    let presigned = lower.split('.').any(|part| part == "presignedurl");
    let misspelt =
        (lower == "action" && key != "Action") || (lower == "version" && key != "Version");
    if reserved || presigned || misspelt || lower.starts_with("x-amz-") {
        return Err(format!("its form has the key `{key}`"));
    }
    Ok(key)
}

/// A form's value without its percent-encoding.
fn decoded(value: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                high.zip(low)
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
                    .ok_or("its form has a broken percent-encoding")?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "its form has a value that is not text".to_owned())
}

/// Whether this can be an operation's name: a plain CamelCase word.
fn is_name(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// A key as messages may show it.
fn shown(key: &str) -> String {
    key.chars().take(40).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
