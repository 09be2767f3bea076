//! A backend in memory that dies when it is told to, and loses what was not durable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use relctl_engine::{LedgerError, LedgerErrorKind};
use relctl_ledger::{Append, Backend, Guard, Object, Put, Version};

/// What outlives a crash.
#[derive(Debug, Default)]
struct Disk {
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    writes: u64,
    guards: BTreeSet<String>,
}

/// How the write at which a process dies ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    Before,
    /// Half of what is appended is there; whole objects are there or not.
    During,
    After,
}

/// What a store does to replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replies {
    Faithful,
    /// Every second write is done and answered with an error.
    Lost,
    /// Every second write is done and answered as refused.
    Denied,
    /// Every second write is not done and answered as refused.
    Bounced,
}

/// One process's view of the disk.
#[derive(Debug, Clone)]
pub(crate) struct Simulated {
    disk: Arc<Mutex<Disk>>,
    appends: bool,
    replies: Replies,
    life: Arc<Mutex<Life>>,
}

#[derive(Debug)]
struct Life {
    /// Writes left; `None`: it lives for ever.
    left: Option<u64>,
    death: Death,
    dead: bool,
}

impl Simulated {
    /// A directory: files grow, and a crash frees its lock.
    pub(crate) fn directory() -> Self {
        Self::new(true)
    }

    /// An object store.
    pub(crate) fn objects() -> Self {
        Self::new(false)
    }

    fn new(appends: bool) -> Self {
        let life = Life { left: None, death: Death::Before, dead: false };
        Self {
            disk: Arc::default(),
            appends,
            replies: Replies::Faithful,
            life: Arc::new(Mutex::new(life)),
        }
    }

    pub(crate) fn with_replies(&self, replies: Replies) -> Self {
        Self { replies, ..self.clone() }
    }

    /// A new process on the same disk, which dies at its write number `left`, counted from 0.
    pub(crate) fn process(&self, left: Option<u64>, death: Death) -> Self {
        self.disk.lock().unwrap().guards.clear();
        Self { life: Arc::new(Mutex::new(Life { left, death, dead: false })), ..self.clone() }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.life.lock().unwrap().dead
    }

    /// How many writes there were.
    pub(crate) fn writes(&self) -> u64 {
        self.disk.lock().unwrap().writes
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.disk.lock().unwrap();
        disk.objects.iter().map(|(path, (bytes, _))| (path.clone(), bytes.clone())).collect()
    }

    /// Writes past the ledger; `None` removes.
    pub(crate) fn tamper(&self, path: &str, bytes: Option<&[u8]>) {
        let mut disk = self.disk.lock().unwrap();
        disk.writes += 1;
        let version = disk.writes;
        match bytes {
            Some(bytes) => disk.objects.insert(path.to_owned(), (bytes.to_vec(), version)),
            None => disk.objects.remove(path),
        };
    }

    fn alive(&self) -> Result<(), LedgerError> {
        if self.is_dead() { Err(crashed()) } else { Ok(()) }
    }

    /// Whether this write happens, and whether the process sees it.
    fn write<T>(&self, apply: impl FnOnce(&mut Disk, bool) -> T) -> Result<T, LedgerError> {
        self.alive()?;
        let mut disk = self.disk.lock().unwrap();
        let mut life = self.life.lock().unwrap();
        if life.left == Some(0) {
            life.dead = true;
            match life.death {
                Death::Before => {}
                Death::During => drop(apply(&mut disk, true)),
                Death::After => drop(apply(&mut disk, false)),
            }
            return Err(crashed());
        }
        life.left = life.left.map(|left| left - 1);
        disk.writes += 1;
        Ok(apply(&mut disk, false))
    }

    fn put(
        &self,
        path: &str,
        bytes: &[u8],
        expected: Option<&Version>,
    ) -> Result<Put, LedgerError> {
        let put = |disk: &mut Disk| {
            let there = disk.objects.get(path).map(|(_, version)| version_of(*version));
            if there.as_ref() != expected {
                return Put::Refused;
            }
            let version = disk.writes;
            disk.objects.insert(path.to_owned(), (bytes.to_vec(), version));
            Put::Done(version_of(version))
        };
        let odd = self.writes() % 2 == 1;
        match self.replies {
            Replies::Bounced if odd => self.write(|_, _| Put::Refused),
            Replies::Lost if odd => {
                self.write(|disk, _| put(disk))?;
                Ok(Put::Unsure(crashed()))
            }
            Replies::Denied if odd => {
                self.write(|disk, _| put(disk))?;
                Ok(Put::Refused)
            }
            _ => self.write(|disk, _| put(disk)),
        }
    }
}

fn version_of(version: u64) -> Version {
    Version { e_tag: Some(version.to_string()), version: None }
}

fn crashed() -> LedgerError {
    LedgerError { kind: LedgerErrorKind::Io, message: "the process died".to_owned(), hint: None }
}

#[async_trait]
impl Backend for Simulated {
    fn locate(&self, path: &str) -> String {
        format!("simulated/{path}")
    }

    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError> {
        self.alive()?;
        let disk = self.disk.lock().unwrap();
        Ok(disk
            .objects
            .get(path)
            .map(|(bytes, version)| Object { bytes: bytes.clone(), version: version_of(*version) }))
    }

    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError> {
        self.put(path, bytes, None)
    }

    async fn put_if_match(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Version,
    ) -> Result<Put, LedgerError> {
        self.put(path, bytes, Some(expected))
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        self.alive()?;
        let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let disk = self.disk.lock().unwrap();
        let from = disk.objects.range(below.clone()..).map(|(path, _)| path);
        Ok(from.take_while(|path| path.starts_with(&below)).cloned().collect())
    }

    fn can_append(&self) -> bool {
        self.appends
    }

    async fn appender(&self, path: &str, keep: u64) -> Result<Box<dyn Append>, LedgerError> {
        assert!(self.appends, "objects do not grow");
        let keep = usize::try_from(keep).unwrap();
        self.write(|disk, _| disk.objects.get_mut(path).unwrap().0.truncate(keep))?;
        Ok(Box::new(Appender { backend: self.clone(), path: path.to_owned() }))
    }

    async fn guard(&self, path: &str) -> Result<Guard, LedgerError> {
        self.alive()?;
        if !self.appends {
            return Ok(Guard::Unsupported);
        }
        if !self.disk.lock().unwrap().guards.insert(path.to_owned()) {
            return Ok(Guard::Busy);
        }
        let held = HeldGuard { disk: self.disk.clone(), path: path.to_owned() };
        Ok(Guard::Held(Box::new(held)))
    }
}

struct HeldGuard {
    disk: Arc<Mutex<Disk>>,
    path: String,
}

impl Drop for HeldGuard {
    fn drop(&mut self) {
        self.disk.lock().unwrap().guards.remove(&self.path);
    }
}

struct Appender {
    backend: Simulated,
    path: String,
}

#[async_trait]
impl Append for Appender {
    async fn append(&mut self, bytes: Vec<u8>) -> Result<(), LedgerError> {
        self.backend.write(|disk, half| {
            let end = if half { bytes.len() / 2 } else { bytes.len() };
            disk.objects.get_mut(&self.path).unwrap().0.extend_from_slice(&bytes[..end]);
        })
    }
}
