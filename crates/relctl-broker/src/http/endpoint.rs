//! Where requests go. The host chooses, from service and region or from settings; a plugin cannot.

use url::Url;

use super::address::{Forbidden, judge_literal};
use super::service::{Service, host};

/// A setting that cannot be an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    #[error("endpoint `{shown}` is not a URL like `http://127.0.0.1:5000`; correct the setting")]
    Malformed { shown: String },
    #[error("endpoint `{shown}` has {part}; write only scheme, host and port")]
    Superfluous { shown: String, part: &'static str },
    #[error("endpoint `{shown}` is refused: {reason}")]
    Refused { shown: String, reason: String },
}

/// An endpoint that someone configured, judged as far as that is possible before it is dialled.
pub(crate) fn configured(text: &str) -> Result<Url, EndpointError> {
    let shown = super::redact::excerpt(text, &[], 200);
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .ok_or_else(|| EndpointError::Malformed { shown: shown.clone() })?;
    let part = if !url.username().is_empty() || url.password().is_some() {
        Some("a user name or a password")
    } else if url.query().is_some() || url.fragment().is_some() {
        Some("a query or a fragment")
    } else if url.path() != "/" {
        Some("a path")
    } else {
        None
    };
    if let Some(part) = part {
        return Err(EndpointError::Superfluous { shown, part });
    }
    judge_literal(&url, true)
        .map_err(|error: Forbidden| EndpointError::Refused { shown, reason: error.to_string() })?;
    Ok(url)
}

/// The service's own endpoint in a region.
pub(crate) fn regional(service: &Service, region: &str) -> Result<Url, EndpointError> {
    configured(&format!("https://{}/", host(service, region)))
}

/// Whether this can be a region's name. It becomes part of a host name, so it must be one label.
pub(crate) fn is_region(text: &str) -> bool {
    text.len() <= 32
        && text.split('-').count() >= 3
        && text.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_plain_endpoints() {
        for (text, good) in [
            ("http://127.0.0.1:5000", true),
            ("https://vpce-1.ecs.us-east-1.vpce.amazonaws.com/", true),
            ("http://localhost:5000", true),
            ("ftp://host", false),
            ("localhost:5000", false),
            ("http://user:secret@host/", false),
            ("http://host/path", false),
            ("http://host/?q=1", false),
            ("http://169.254.169.254/", false),
            ("http://[::ffff:169.254.169.254]/", false),
        ] {
            let result = configured(text);
            assert_eq!(result.is_ok(), good, "{text}: {result:?}");
            assert!(!format!("{result:?}").contains("secret"));
        }
    }

    #[test]
    fn a_region_cannot_lead_elsewhere() {
        for (text, good) in [
            ("us-east-1", true),
            ("us-gov-west-1", true),
            ("us-east-1.evil.example/#", false),
            ("evil.example/a-b-c", false),
            ("US-EAST-1", false),
            ("us--1", false),
            ("", false),
        ] {
            assert_eq!(is_region(text), good, "{text}");
        }
    }
}
