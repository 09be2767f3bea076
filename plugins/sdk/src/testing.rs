//! A world in memory, for native tests of a plugin's logic.
//!
//! ```
//! use relctl_sdk::testing::FakeHost;
//! use relctl_sdk::Host as _;
//!
//! let host = FakeHost::default();
//! host.put("notes/a", "hello", 0o644);
//! assert_eq!(host.read("notes/a").unwrap(), b"hello");
//! assert_eq!(host.writes(), 0);
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    Change, Document, FileError, Host, HttpError, HttpRequest, HttpResponse, Level, Map, Node,
    Replay, Step, Subject, Value, Verb,
};

/// Answers the requests that a plugin sends; the flag is true for writes.
type HttpHandler = dyn Fn(&HttpRequest, bool) -> Result<HttpResponse, HttpError> + Send + Sync;

/// A host whose files and cloud are in memory. Clones share them.
#[derive(Clone, Default)]
pub struct FakeHost {
    world: Arc<Mutex<World>>,
    http: Option<Arc<HttpHandler>>,
    config: Option<String>,
}

#[derive(Default)]
struct World {
    nodes: BTreeMap<String, Entry>,
    appended: BTreeSet<(String, String)>,
    requests: Vec<(HttpRequest, bool)>,
    log: Vec<String>,
    writes: usize,
    now_ms: u64,
}

#[derive(Clone)]
enum Entry {
    File { bytes: Vec<u8>, mode: u32 },
    Link { target: String },
}

impl FakeHost {
    /// With this `config`.
    #[must_use]
    pub fn with_config(mut self, config: &Value) -> Self {
        self.config = Some(config.to_string());
        self
    }

    /// With a cloud that answers like this; the flag is true for writes.
    #[must_use]
    pub fn with_http(
        mut self,
        answer: impl Fn(&HttpRequest, bool) -> Result<HttpResponse, HttpError> + Send + Sync + 'static,
    ) -> Self {
        self.http = Some(Arc::new(answer));
        self
    }

    /// Puts a file there; not counted as a write.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) {
        let bytes = content.as_ref().to_vec();
        self.world().nodes.insert(path.to_owned(), Entry::File { bytes, mode });
    }

    /// Sets the time, in milliseconds since 1970.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.world().now_ms = now_ms;
    }

    /// How often something was written, by file operations and `http_write`.
    pub fn writes(&self) -> usize {
        self.world().writes
    }

    /// The requests that were sent, with true for writes.
    pub fn requests(&self) -> Vec<(HttpRequest, bool)> {
        self.world().requests.clone()
    }

    /// The lines that were logged.
    pub fn logged(&self) -> Vec<String> {
        self.world().log.clone()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, request: &HttpRequest, write: bool) -> Result<HttpResponse, HttpError> {
        self.world().requests.push((request.clone(), write));
        match &self.http {
            Some(answer) => answer(request, write),
            None => Err(HttpError::Denied("this test has no cloud".to_owned())),
        }
    }
}

impl fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeHost").field("writes", &self.writes()).finish_non_exhaustive()
    }
}

impl Host for FakeHost {
    fn config_json(&self) -> String {
        self.config.clone().unwrap_or_else(|| "{}".to_owned())
    }

    fn log(&self, _level: Level, message: &str) {
        self.world().log.push(message.to_owned());
    }

    fn now_ms(&self) -> u64 {
        self.world().now_ms
    }

    fn http_read(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        self.send(request, false)
    }

    fn http_write(
        &self,
        request: &HttpRequest,
        _replay: Replay,
    ) -> Result<HttpResponse, HttpError> {
        self.world().writes += 1;
        self.send(request, true)
    }

    fn stat(&self, path: &str) -> Result<Option<Node>, FileError> {
        let world = self.world();
        Ok(match world.nodes.get(path) {
            Some(Entry::File { mode, .. }) => Some(Node::File(*mode)),
            Some(Entry::Link { target }) => Some(Node::Link(target.clone())),
            None if is_folder(&world, path) => Some(Node::Directory),
            None => None,
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        let world = self.world();
        match world.nodes.get(path) {
            Some(Entry::File { bytes, .. }) => Ok(bytes.clone()),
            Some(Entry::Link { target }) => {
                let target = beside(path, target);
                drop(world);
                self.read(&target)
            }
            None if is_folder(&world, path) => {
                Err(FileError::OtherKind(format!("`{path}` is not a file")))
            }
            None => Err(FileError::NotFound),
        }
    }

    fn list(&self, path: &str) -> Result<Vec<String>, FileError> {
        let world = self.world();
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let names: BTreeSet<String> = world
            .nodes
            .keys()
            .filter_map(|key| key.strip_prefix(&prefix)?.split('/').next())
            .map(str::to_owned)
            .collect();
        if names.is_empty() && !path.is_empty() {
            return Err(FileError::NotFound);
        }
        Ok(names.into_iter().collect())
    }

    fn write_atomic(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), FileError> {
        let mut world = self.world();
        if is_folder(&world, path) {
            return Err(FileError::OtherKind(format!("`{path}` is a folder")));
        }
        world.writes += 1;
        world.nodes.insert(path.to_owned(), Entry::File { bytes: bytes.to_vec(), mode });
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), FileError> {
        let mut world = self.world();
        world.writes += 1;
        world.nodes.remove(path).map(drop).ok_or(FileError::NotFound)
    }

    fn link(&self, path: &str, target: &str) -> Result<(), FileError> {
        let mut world = self.world();
        world.writes += 1;
        world.nodes.insert(path.to_owned(), Entry::Link { target: target.to_owned() });
        Ok(())
    }

    fn append(&self, path: &str, bytes: &[u8], token: &str) -> Result<bool, FileError> {
        let mut world = self.world();
        if !world.appended.insert((path.to_owned(), token.to_owned())) {
            return Ok(false);
        }
        world.writes += 1;
        let empty = || Entry::File { bytes: Vec::new(), mode: 0o644 };
        match world.nodes.entry(path.to_owned()).or_insert_with(empty) {
            Entry::File { bytes: there, .. } => there.extend_from_slice(bytes),
            Entry::Link { .. } => return Err(FileError::OtherKind(format!("`{path}` is a link"))),
        }
        Ok(true)
    }

    fn appended(&self, path: &str, token: &str) -> Result<bool, FileError> {
        Ok(self.world().appended.contains(&(path.to_owned(), token.to_owned())))
    }
}

fn is_folder(world: &World, path: &str) -> bool {
    let prefix = format!("{path}/");
    world.nodes.keys().any(|key| key.starts_with(&prefix))
}

fn beside(path: &str, target: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{target}"),
        None => target.to_owned(),
    }
}

/// A subject that is desired like this; `value` is a JSON object.
pub fn subject(address: &str, value: Value) -> Subject {
    Subject { address: address.to_owned(), desired: Some(document(value)), prior: None }
}

/// A wholly known document; anything but a JSON object reads as empty.
pub fn document(value: Value) -> Document {
    Document::known(map(value))
}

/// A JSON object; anything else reads as empty.
pub fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A change from what is observed to what the subject desires.
pub fn change(verb: Verb, subject: Subject, observed: Option<Map>) -> Change {
    let desired = if verb == Verb::Delete { None } else { subject.desired.clone() };
    Change { subject, verb, observed, desired, paths: Vec::new(), undo: None }
}

/// The first attempt of a step with this change.
pub fn step(change: Change) -> Step {
    Step {
        id: format!("{}#test", change.subject.address),
        token: "0123456789abcdef0123456789abcdef".to_owned(),
        run_key: None,
        attempt: crate::Attempt::First,
        change,
        planned: Document::default(),
        lineage: "test".to_owned(),
        timeout_ms: 60_000,
    }
}
