//! What a plugin may use: the host's imports behind a trait, so that tests can stand in for them.

use serde::de::DeserializeOwned;

use crate::bindings::relctl::provider::{files, host, http};
use crate::{Failure, Replay};

pub use crate::bindings::relctl::provider::files::{FileError, Node};
pub use crate::bindings::relctl::provider::host::Level;
pub use crate::bindings::relctl::provider::http::{
    HttpError, Request as HttpRequest, Response as HttpResponse,
};

/// The world as a plugin sees it. What the call's phase or the grants do not allow is answered with
/// `Denied`. Functions take it as `&impl Host`: only the imports that are used end up in the wasm.
pub trait Host: Clone + Send + Sync + std::fmt::Debug + 'static {
    /// The plugin's `config` from the release file, as JSON.
    fn config_json(&self) -> String;

    /// Writes a line to relctl's log. Never log what may be secret.
    fn log(&self, level: Level, message: &str);

    /// Milliseconds since 1970; 0 outside `apply` and `poll`.
    fn now_ms(&self) -> u64;

    /// Sends a request that changes nothing.
    fn http_read(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError>;

    /// Sends a request that changes something; only in `apply` and `poll`.
    fn http_write(&self, request: &HttpRequest, replay: Replay) -> Result<HttpResponse, HttpError>;

    /// What lies at a path below the plugin's root.
    fn stat(&self, path: &str) -> Result<Option<Node>, FileError>;

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError>;

    /// The sorted names in a folder; the empty path is the root.
    fn list(&self, path: &str) -> Result<Vec<String>, FileError>;

    /// Writes a file, all or nothing. `mode` gives the permission bits.
    fn write_atomic(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), FileError>;

    /// Removes a file or a link.
    fn remove(&self, path: &str) -> Result<(), FileError>;

    /// Makes or replaces a symbolic link.
    fn link(&self, path: &str, target: &str) -> Result<(), FileError>;

    /// Appends exactly once per token; true: it did so now, false: it had before.
    fn append(&self, path: &str, bytes: &[u8], token: &str) -> Result<bool, FileError>;

    /// Whether an append with this token happened.
    fn appended(&self, path: &str, token: &str) -> Result<bool, FileError>;

    /// The plugin's `config`, typed.
    fn config<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_str(&self.config_json()).map_err(|error| {
            Failure::Denied(format!("the plugin's `config` is not what it expects: {error}"))
        })
    }
}

/// The real host, as imported by the component.
#[derive(Debug, Clone, Copy)]
pub struct Imports;

impl Host for Imports {
    fn config_json(&self) -> String {
        host::config()
    }

    fn log(&self, level: Level, message: &str) {
        host::log(level, message);
    }

    fn now_ms(&self) -> u64 {
        host::now_ms()
    }

    fn http_read(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        http::read(request)
    }

    fn http_write(&self, request: &HttpRequest, replay: Replay) -> Result<HttpResponse, HttpError> {
        http::write(request, replay)
    }

    fn stat(&self, path: &str) -> Result<Option<Node>, FileError> {
        files::stat(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        files::read(path)
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        files::list(path)
    }

    fn write_atomic(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        files::write_atomic(path, bytes, mode)
    }

    fn remove(&self, path: &str) -> Result<(), FileError> {
        files::remove(path)
    }

    fn link(&self, path: &str, target: &str) -> Result<(), FileError> {
        files::link(path, target)
    }

    fn append(&self, path: &str, bytes: &[u8], token: &str) -> Result<bool, FileError> {
        files::append(path, bytes, token)
    }

    fn appended(&self, path: &str, token: &str) -> Result<bool, FileError> {
        files::appended(path, token)
    }
}

impl Failure {
    /// What a failed file operation means for a step or an observation of `path`.
    pub fn from_file(path: &str, error: FileError) -> Self {
        match error {
            FileError::NotFound => Self::NotFound(format!("there is no file `{path}`")),
            FileError::Denied(message) => Self::Denied(message),
            FileError::OtherKind(message) => Self::Precondition(message),
            FileError::Unavailable(message) => Self::Unavailable(message),
            FileError::Unknown(message) => Self::Unknown(message),
        }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(message) => Self::Denied(message),
            HttpError::Throttled(wait) => Self::Throttled(wait),
            HttpError::Unavailable(message) => Self::Unavailable(message),
            HttpError::Unknown(message) => Self::Unknown(message),
        }
    }
}
