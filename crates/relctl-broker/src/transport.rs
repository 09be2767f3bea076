//! Cloud APIs as the host sees them: what a plugin sends, and what it gets.

use async_trait::async_trait;

use crate::{CallContext, Grants};

/// A request as the plugin wrote it. Nothing in it is trusted; the broker builds its own from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The cloud service, `ecs`.
    pub service: String,
    pub method: String,
    /// Path and query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A cloud's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Which of the two imports the plugin called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// `http.read`: only operations granted as reads.
    Read,
    /// `http.write`: only operations granted as writes, only while applying.
    Write {
        /// The plugin says that sending it twice does no harm.
        replay_safe: bool,
    },
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Not granted, not in this phase, or not of a shape that is let through.
    #[error("{0}")]
    Denied(String),
    /// Milliseconds to wait, where the cloud says so.
    #[error("throttled by the cloud")]
    Throttled(Option<u32>),
    /// Certainly not carried out.
    #[error("{0}")]
    Unavailable(String),
    /// It may have been carried out.
    #[error("{0}")]
    Unknown(String),
}

/// Sends requests to cloud APIs: derives the operation from the bytes, checks it against phase and
/// grants, chooses the endpoint, signs, and retries.
#[async_trait]
pub trait HttpTransport: Send + Sync {
    async fn send(
        &self,
        call: &CallContext,
        grants: &Grants,
        access: Access,
        request: HttpRequest,
    ) -> Result<HttpResponse, HttpError>;
}
