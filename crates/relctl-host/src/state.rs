//! What a guest can reach: the imports, under the call's phase and limits.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use relctl_broker::{
    Access, CallContext, FileError, Files, Grants, HttpError, HttpRequest, HttpTransport, Node,
};
use wasmtime::ResourceLimiter;

use crate::Limits;
use crate::bindings::{files, host, http, types};
use crate::limits::size;
use crate::wire::sentence;

/// The target of what plugins warn of: whoever runs relctl sees it without having asked for a log.
const WARNING: &str = "relctl::warning";

/// What all calls of a plugin share.
pub(crate) struct World {
    /// As JSON.
    pub(crate) config: String,
    pub(crate) grants: Grants,
    pub(crate) files: Option<Arc<Files>>,
    pub(crate) http: Option<Arc<dyn HttpTransport>>,
    pub(crate) limits: Limits,
}

/// The state of one call group.
pub(crate) struct State {
    world: Arc<World>,
    call: CallContext,
    memory: usize,
    table_elements: usize,
    requests: u32,
    log_lines: u32,
    /// The sentence about the limit that was passed.
    pub(crate) passed: Option<String>,
    /// The last error that the guest logged: its panic, if it panicked.
    pub(crate) last_error: Option<String>,
}

impl State {
    pub(crate) fn new(world: Arc<World>, call: CallContext) -> Self {
        Self {
            world,
            call,
            memory: 0,
            table_elements: 0,
            requests: 0,
            log_lines: 0,
            passed: None,
            last_error: None,
        }
    }

    fn files(&self) -> Result<Arc<Files>, FileError> {
        self.world.files.clone().filter(|_| self.world.grants.files).ok_or_else(|| {
            FileError::Denied("files are not granted to this plugin; see relctl.lock".to_owned())
        })
    }

    /// Runs a file operation that may wait for a disk, away from the guests' threads.
    async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Files, &CallContext) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, files::FileError> {
        let files = self.files()?;
        let call = self.call.clone();
        match tokio::task::spawn_blocking(move || operation(&files, &call)).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(files::FileError::Unknown(format!("was cut off: {error}"))),
        }
    }

    async fn send(
        &mut self,
        access: Access,
        request: http::Request,
    ) -> Result<http::Response, http::HttpError> {
        let Some(transport) = self.world.http.clone() else {
            let denied = "this plugin has no access to a cloud; see relctl.lock";
            return Err(http::HttpError::Denied(denied.to_owned()));
        };
        self.requests += 1;
        if self.requests > self.world.limits.requests {
            return Err(http::HttpError::Unavailable(format!(
                "more than {} requests in one call",
                self.world.limits.requests
            )));
        }
        let request = HttpRequest {
            service: request.service,
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body,
        };
        let response = transport.send(&self.call, &self.world.grants, access, request).await?;
        Ok(http::Response {
            status: response.status,
            headers: response.headers,
            body: response.body,
        })
    }
}

impl types::Host for State {}

impl host::Host for State {
    async fn config(&mut self) -> String {
        self.world.config.clone()
    }

    async fn log(&mut self, level: host::Level, message: String) {
        let limits = &self.world.limits;
        self.log_lines = self.log_lines.saturating_add(1);
        let plugin = self.call.plugin.as_str();
        if self.log_lines > limits.log_lines {
            if self.log_lines == limits.log_lines + 1 {
                tracing::warn!(
                    plugin,
                    "logged more than {} lines in `{}`; the rest is dropped",
                    limits.log_lines,
                    self.call.function
                );
            }
            return;
        }
        let end = message.floor_char_boundary(limits.log_line_bytes);
        let message = sentence(message.get(..end).unwrap_or_default());
        match level {
            host::Level::Debug => tracing::debug!(plugin, "{message}"),
            host::Level::Info => tracing::info!(plugin, "{message}"),
            host::Level::Warn => tracing::warn!(target: WARNING, plugin, "{message}"),
            host::Level::Error => {
                tracing::error!(plugin, "{message}");
                self.last_error = Some(message);
            }
        }
    }

    async fn now_ms(&mut self) -> u64 {
        if !self.call.phase.may_write() {
            return 0;
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

impl http::Host for State {
    async fn read(&mut self, request: http::Request) -> Result<http::Response, http::HttpError> {
        self.send(Access::Read, request).await
    }

    async fn write(
        &mut self,
        request: http::Request,
        replay: http::Replay,
    ) -> Result<http::Response, http::HttpError> {
        let replay_safe = replay == http::Replay::Safe;
        self.send(Access::Write { replay_safe }, request).await
    }
}

impl files::Host for State {
    async fn stat(&mut self, path: String) -> Result<Option<files::Node>, files::FileError> {
        Ok(self.files()?.stat(&self.call, &path)?.map(files::Node::from))
    }

    async fn read(&mut self, path: String) -> Result<Vec<u8>, files::FileError> {
        Ok(self.files()?.read(&self.call, &path)?)
    }

    async fn list(&mut self, path: String) -> Result<Vec<String>, files::FileError> {
        Ok(self.files()?.list(&self.call, &path)?)
    }

    async fn write_atomic(
        &mut self,
        path: String,
        bytes: Vec<u8>,
        mode: u32,
    ) -> Result<(), files::FileError> {
        self.write(move |files, call| files.write_atomic(call, &path, &bytes, mode)).await
    }

    async fn remove(&mut self, path: String) -> Result<(), files::FileError> {
        self.write(move |files, call| files.remove(call, &path)).await
    }

    async fn link(&mut self, path: String, target: String) -> Result<(), files::FileError> {
        self.write(move |files, call| files.link(call, &path, &target)).await
    }

    async fn append(
        &mut self,
        path: String,
        bytes: Vec<u8>,
        token: String,
    ) -> Result<bool, files::FileError> {
        self.write(move |files, call| files.append(call, &path, &bytes, &token)).await
    }

    async fn appended(&mut self, path: String, token: String) -> Result<bool, files::FileError> {
        Ok(self.files()?.appended(&self.call, &path, &token)?)
    }
}

impl From<FileError> for files::FileError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::NotFound => Self::NotFound,
            FileError::Denied(message) => Self::Denied(message),
            FileError::OtherKind(message) => Self::OtherKind(message),
            FileError::Unavailable(message) => Self::Unavailable(message),
            FileError::Unknown(message) => Self::Unknown(message),
        }
    }
}

impl From<Node> for files::Node {
    fn from(node: Node) -> Self {
        match node {
            Node::File { mode } => Self::File(mode),
            Node::Directory => Self::Directory,
            Node::Link { target } => Self::Link(target),
            Node::Other => Self::Other,
        }
    }
}

impl From<HttpError> for http::HttpError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Denied(message) => Self::Denied(message),
            HttpError::Throttled(wait) => Self::Throttled(wait),
            HttpError::Unavailable(message) => Self::Unavailable(message),
            HttpError::Unknown(message) => Self::Unknown(message),
        }
    }
}

/// Memory and tables, over all instances within the component. A refusal is a trap.
impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory = self.memory.saturating_add(desired.saturating_sub(current));
        let limit = self.world.limits.memory;
        if self.memory <= limit {
            return Ok(true);
        }
        Err(self.pass(format!("needed more than {} of memory", size(limit))))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.table_elements = self.table_elements.saturating_add(desired.saturating_sub(current));
        let limit = self.world.limits.table_elements;
        if self.table_elements <= limit {
            return Ok(true);
        }
        Err(self.pass(format!("needed larger tables than {limit} elements")))
    }
}

impl State {
    fn pass(&mut self, sentence: String) -> wasmtime::Error {
        let error = wasmtime::Error::msg(sentence.clone());
        self.passed = Some(sentence);
        error
    }
}
