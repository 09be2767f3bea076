//! Journals: what an operation did, line by line, in the order in which it became durable.
//!
//! A journal is a folder of segments, `journal/<operation>/00000000.jsonl`. Each begins with a
//! sealed header; lines follow, chained by their digests across segments. Where files can grow
//! there is one segment that grows. Elsewhere each flush is a segment of its own, created and
//! never touched again; its header says how many lines it has.

mod writer;

use futures::{StreamExt, TryStreamExt, stream};
use relctl_engine::LedgerError;
use relctl_plan::{JournalEvent, JournalLine, canonical_json};
use serde::{Deserialize, Serialize};

use crate::backend::Backend;
use crate::codec::{from_map, seal, to_map, unseal};
use crate::error::{damaged, missing};
use crate::location::check_name;
use crate::nonce::nonce;

pub(crate) use writer::OpenJournal;

const FORMAT: u32 = 1;

/// How many segments are read at once.
const READS: usize = 16;

/// A segment's first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    format: u32,
    /// A journal does not pass for another operation's.
    operation: String,
    segment: u64,
    /// How many lines follow; `None`: the segment grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lines: Option<u64>,
    /// The epoch of the writer's lock.
    epoch: u64,
    /// A segment with one's own nonce is one's own.
    nonce: String,
}

impl Header {
    fn to_bytes(&self) -> Result<Vec<u8>, LedgerError> {
        seal(to_map(self, "a journal segment")?, "a journal segment")
    }
}

/// Everything that a journal holds.
struct Replay {
    lines: Vec<JournalLine>,
    segments: u64,
    /// The length of the last segment without its torn line, where that segment grows.
    grows_after: Option<u64>,
}

/// Reads a journal and checks every line of it.
pub(crate) async fn read(
    backend: &dyn Backend,
    operation: &str,
    open: bool,
) -> Result<Vec<JournalLine>, LedgerError> {
    let replay = replay(backend, operation, open).await?;
    let Some(last) = replay.segments.checked_sub(1) else {
        let place = backend.locate(&folder(operation));
        return Err(missing(&place, "the operation that it belongs to"));
    };
    let closed =
        replay.lines.last().is_some_and(|line| matches!(line.event, JournalEvent::Closed { .. }));
    if open || closed {
        return Ok(replay.lines);
    }
    let place = backend.locate(&segment_path(operation, last));
    Err(damaged(&place, "it ends before the operation was closed"))
}

/// Makes sure that the journal of an operation is there, so that one that is not was removed.
pub(crate) async fn found(
    backend: &dyn Backend,
    operation: &str,
    epoch: u64,
) -> Result<(), LedgerError> {
    check_name("operation id", operation)?;
    writer::create_first(backend, operation, epoch).await
}

fn folder(operation: &str) -> String {
    format!("journal/{operation}")
}

fn segment_path(operation: &str, segment: u64) -> String {
    format!("journal/{operation}/{segment:08}.jsonl")
}

fn new_header(
    operation: &str,
    segment: u64,
    lines: Option<u64>,
    epoch: u64,
) -> Result<Header, LedgerError> {
    let operation = operation.to_owned();
    Ok(Header { format: FORMAT, operation, segment, lines, epoch, nonce: nonce()? })
}

async fn replay(backend: &dyn Backend, operation: &str, open: bool) -> Result<Replay, LedgerError> {
    check_name("operation id", operation)?;
    let paths = backend.list(&folder(operation)).await?;
    let segments = paths.len() as u64;
    for (segment, path) in (0..).zip(&paths) {
        let expected = segment_path(operation, segment);
        if *path != expected {
            return Err(missing(&backend.locate(&expected), "a later part of the journal"));
        }
    }
    let mut reads = stream::iter(paths)
        .map(|path| async move { backend.get(&path).await.map(|object| (path, object)) })
        .buffered(READS);
    let mut replay = Replay { lines: Vec::new(), segments, grows_after: None };
    let mut number = 0;
    while let Some((path, object)) = reads.try_next().await? {
        let place = backend.locate(&path);
        let Some(object) = object else {
            return Err(missing(&place, "a later part of the journal"));
        };
        let torn_allowed = open && number + 1 == segments;
        replay.grows_after = read_segment(
            &object.bytes,
            operation,
            number,
            torn_allowed,
            &place,
            &mut replay.lines,
        )?;
        number += 1;
    }
    Ok(replay)
}

/// Adds a segment's lines to `lines`. Returns the length of what is whole, if the segment grows.
fn read_segment(
    bytes: &[u8],
    operation: &str,
    segment: u64,
    torn_allowed: bool,
    place: &str,
    lines: &mut Vec<JournalLine>,
) -> Result<Option<u64>, LedgerError> {
    let mut rows = bytes.split_inclusive(|byte| *byte == b'\n');
    let first = rows.next().unwrap_or_default();
    let header: Header = from_map(unseal(first, FORMAT, place)?, place)?;
    if header.operation != operation || header.segment != segment {
        return Err(damaged(
            place,
            format_args!("it is segment {} of operation {}", header.segment, header.operation),
        ));
    }
    let mut whole = first.len();
    let mut count = 0;
    for row in rows {
        let Some(text) = row.strip_suffix(b"\n") else {
            // The write of this line never ended, so nobody was told that it is durable.
            if torn_allowed && header.lines.is_none() {
                break;
            }
            return Err(damaged(place, "its last line is cut"));
        };
        let line = read_line(text, lines.last(), place)?;
        lines.push(line);
        whole += row.len();
        count += 1;
    }
    match header.lines {
        Some(expected) if expected != count => {
            Err(damaged(place, format_args!("it has {count} line(s), written were {expected}")))
        }
        Some(_) => Ok(None),
        None => Ok(Some(whole as u64)),
    }
}

fn read_line(
    text: &[u8],
    previous: Option<&JournalLine>,
    place: &str,
) -> Result<JournalLine, LedgerError> {
    let number = previous.map_or(0, |line| line.seq + 1);
    let line: JournalLine = serde_json::from_slice(text)
        .map_err(|e| damaged(place, format_args!("line {number} is no journal line: {e}")))?;
    line.verify(previous).map_err(|e| damaged(place, e))?;
    match canonical_json(&line) {
        Ok(bytes) if bytes == text => Ok(line),
        _ => Err(damaged(place, format_args!("line {number} was edited"))),
    }
}
