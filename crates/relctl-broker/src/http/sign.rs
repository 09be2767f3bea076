//! Signatures (SigV4). Region, service and time are the host's; nothing of it comes from a guest.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tracing::subscriber::{NoSubscriber, with_default};
use url::Url;

/// A request that could not be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    #[error("the request could not be signed; this is a defect of relctl")]
    Signing(#[from] SigningError),
    #[error("the signature's parameters are incomplete; this is a defect of relctl")]
    Parameters(#[from] v4::signing_params::BuildError),
    #[error("the credentials have characters that no header can carry; check where they come from")]
    Header,
}

/// What a signature covers besides the credentials.
pub(crate) struct Scope<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    pub(crate) time: SystemTime,
}

/// Adds the headers of a signature over a POST of `body` to `url` with these headers.
pub(crate) fn add_signature(
    headers: &mut HeaderMap,
    url: &Url,
    body: &[u8],
    credentials: &Credentials,
    scope: &Scope<'_>,
) -> Result<(), SignError> {
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(scope.time)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let plain =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let request = SignableRequest::new("POST", url.as_str(), plain, SignableBody::Bytes(body))?;
    // The signer traces what it signs, the session token among it.
    let signed = with_default(NoSubscriber::new(), || sign(request, &params))?;
    let (instructions, _) = signed.into_parts();
    for (name, value) in instructions.headers() {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SignError::Header)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| SignError::Header)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// `post-x-www-form-urlencoded` of the test suite that AWS publishes for SigV4.
    #[test]
    fn signs_as_the_published_example() {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            None,
            None,
            "test",
        );
        let mut headers = HeaderMap::new();
        headers
            .insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
        // 2015-08-30T12:36:00Z
        let time = UNIX_EPOCH + Duration::from_mins(24_015_636);
        let url = Url::parse("https://example.amazonaws.com/").unwrap();
        let scope = Scope { service: "service", region: "us-east-1", time };
        add_signature(&mut headers, &url, b"Param1=value1", &credentials, &scope).unwrap();
        assert_eq!(
            headers["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert!(headers["authorization"].is_sensitive());
    }
}
