//! What a ledger holds: a place that somebody else may write to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use relctl_engine::{Ledger, LedgerError, LedgerErrorKind};
use relctl_ledger::{
    Append, Backend, Guard, Keys, LedgerStore, Location, Object, OpenOptions, Place, Put, Timing,
    Version, init_on,
};
use relctl_plan::{Digest, JournalLine, Map, Value, canonical_json, chain, digest_of};

use crate::block_on;

/// Reads one object of a ledger. The first byte says of which kind; what proves the object to be
/// whole is put right, so that the fuzzer comes further than that.
pub fn ledger_object(data: &[u8]) -> bool {
    let Some((kind, data)) = data.split_first() else { return false };
    block_on(async {
        let raw = data.to_vec();
        let sealed = sealed(data);
        let digest = Digest::of(data);
        let packed = packed(data);
        match kind % 7 {
            0 => open("HEAD", sealed.unwrap_or(raw)).await.is_ok(),
            1 => {
                let ledger = with(&format!("entries/{digest}.json"), raw).await;
                agree(ledger.entry(&digest).await).is_some()
            }
            2 => {
                let ledger = with(&format!("snapshots/{digest}.json.zst"), packed).await;
                agree(ledger.snapshot(&digest).await).is_some()
            }
            3 => {
                let ledger = with(&format!("plans/{digest}.json"), raw).await;
                agree(ledger.plan(&digest).await).is_some()
            }
            4 => {
                let ledger = with("lock", sealed.unwrap_or(raw)).await;
                agree(ledger.holder().await).is_some()
            }
            5 => {
                let ledger = with("history/00000000.json.zst", packed).await;
                agree(ledger.history(10).await).is_some()
            }
            _ => {
                let ledger = with("unlocks/00000001.json", sealed.unwrap_or(raw)).await;
                let verified = agree(ledger.verify().await);
                verified.is_some_and(|verified| verified.problems.is_empty())
            }
        }
    })
}

/// Reads a journal whose lines are these; those that are events, in their chain.
pub fn journal(data: &[u8]) -> bool {
    block_on(async {
        let header = serde_json::json!({
            "format": 1, "operation": "op", "segment": 0, "epoch": 1, "nonce": "n",
        });
        let header = header.as_object().cloned().unwrap_or_default();
        let mut bytes = seal(header).expect("a header is JSON");
        let mut last: Option<JournalLine> = None;
        for row in data.split_inclusive(|byte| *byte == b'\n') {
            let line = serde_json::from_slice(row).ok().and_then(|event| {
                chain(last.as_ref(), "2026-01-01T00:00:00Z".to_owned(), event).ok()
            });
            match line.as_ref().and_then(|line| canonical_json(line).ok()) {
                Some(written) => {
                    bytes.extend_from_slice(&written);
                    bytes.push(b'\n');
                    last = line;
                }
                None => bytes.extend_from_slice(row),
            }
        }
        let ledger = with("journal/op/00000000.jsonl", bytes).await;
        let closed = agree(ledger.journal("op", false).await);
        let open = agree(ledger.journal("op", true).await);
        assert!(closed.is_none() || closed == open, "an open journal is another than a closed one");
        open.is_some()
    })
}

/// Whatever is wrong with an object is its fault: never "absent", never an operating system's
/// error, and always with its name.
fn agree<T>(result: Result<T, LedgerError>) -> Option<T> {
    match result {
        Ok(read) => Some(read),
        Err(error) => {
            assert_eq!(error.kind, LedgerErrorKind::Untrusted, "{error}");
            assert!(error.message.contains("fuzzed/"), "the object is not named: {error}");
            None
        }
    }
}

/// The object with its own digest in it, if it is one that has such.
fn sealed(data: &[u8]) -> Option<Vec<u8>> {
    let map: Map = serde_json::from_slice(data).ok()?;
    seal(map)
}

fn seal(mut map: Map) -> Option<Vec<u8>> {
    map.remove("digest");
    let digest = digest_of(&map).ok()?;
    map.insert("digest".to_owned(), Value::from(digest.as_str()));
    let mut bytes = canonical_json(&map).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

/// The bytes as one raw zstd frame with the seal that packed objects end in.
fn packed(data: &[u8]) -> Vec<u8> {
    // Magic number; single segment, eight bytes of size; one raw block, the last.
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0xE0];
    let length = data.len().min(100_000);
    frame.extend_from_slice(&(length as u64).to_le_bytes());
    let block = u32::try_from(length).unwrap_or_default() << 3 | 1;
    frame.extend_from_slice(block.to_le_bytes().get(..3).unwrap_or_default());
    frame.extend_from_slice(data.get(..length).unwrap_or_default());
    let digest = Digest::of(&frame);
    let digits = digest.as_str().as_bytes().chunks(2);
    let seal: Vec<u8> = digits
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    frame.extend_from_slice(&[0x50, 0x2A, 0x4D, 0x18, 32, 0, 0, 0]);
    frame.extend_from_slice(&seal);
    frame
}

/// A new ledger in which `path` holds these bytes.
async fn with(path: &str, bytes: Vec<u8>) -> LedgerStore {
    open(path, bytes).await.expect("HEAD is as it was made")
}

async fn open(path: &str, bytes: Vec<u8>) -> Result<LedgerStore, LedgerError> {
    let made = Recording::default();
    init_on(&made, "shop", None, "seed").await.expect("a new ledger");
    let mut files = made.files();
    files.insert(path.to_owned(), bytes);
    let options = OpenOptions {
        place: Place {
            location: Location::Folder(PathBuf::from("fuzzed")),
            release: "shop".to_owned(),
            environment: None,
            settings: BTreeMap::new(),
        },
        expected_lineage: None,
        seen_heads: None,
        timing: Timing::default(),
    };
    LedgerStore::open_on(Arc::new(Recording::of(files)), options, Keys::default()).await
}

type Files = BTreeMap<String, Vec<u8>>;

/// Files in memory that are only read; the first write of each is kept.
#[derive(Debug, Default)]
struct Recording(std::sync::Mutex<Files>);

impl Recording {
    fn of(files: Files) -> Self {
        Self(std::sync::Mutex::new(files))
    }

    fn files(&self) -> Files {
        self.0.lock().expect("no target holds it").clone()
    }
}

fn version() -> Version {
    Version { e_tag: Some("1".to_owned()), version: None }
}

#[async_trait]
impl Backend for Recording {
    fn locate(&self, path: &str) -> String {
        format!("fuzzed/{path}")
    }

    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError> {
        Ok(self.files().get(path).map(|bytes| Object { bytes: bytes.clone(), version: version() }))
    }

    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError> {
        self.0.lock().expect("no target holds it").insert(path.to_owned(), bytes.to_vec());
        Ok(Put::Done(version()))
    }

    async fn put_if_match(&self, _: &str, _: &[u8], _: &Version) -> Result<Put, LedgerError> {
        Ok(Put::Refused)
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let below = format!("{folder}/");
        let all = self.files().into_keys();
        Ok(all.filter(|path| folder.is_empty() || path.starts_with(&below)).collect())
    }

    fn can_append(&self) -> bool {
        true
    }

    async fn appender(&self, path: &str, _: u64) -> Result<Box<dyn Append>, LedgerError> {
        panic!("{path} is written")
    }

    async fn guard(&self, _: &str) -> Result<Guard, LedgerError> {
        Ok(Guard::Busy)
    }
}
