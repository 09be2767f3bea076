//! Journal lines that the ledger could not take, kept on this machine until it can.
//!
//! A copy is one file, `<lineage>/<operation>.jsonl`: a sealed header, then the lines as they would
//! stand in the journal. Where the ledger is encrypted, so is the copy.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use relctl_engine::LedgerError;
use relctl_plan::{JournalLine, canonical_json};
use serde::{Deserialize, Serialize};

use crate::backend::Backend as _;
use crate::cell::{Swap, create, replace};
use crate::codec::{from_map, seal, to_map, unseal};
use crate::error::{self, damaged};
use crate::local::LocalBackend;
use crate::location::check_name;
use crate::store::LedgerStore;

const FORMAT: u32 = 1;

/// The copy's first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    lineage: String,
    operation: String,
    lines: usize,
}

/// A copy that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Unsaved {
    pub file: PathBuf,
    pub lines: Vec<JournalLine>,
}

impl LedgerStore {
    /// Keeps the lines in a copy below `folder`, and returns its path. It is durable then.
    pub async fn keep_unsaved(
        &self,
        folder: &Path,
        operation: &str,
        lines: &[JournalLine],
    ) -> Result<PathBuf, LedgerError> {
        let file = self.unsaved_file(folder, operation)?;
        let place = file.display().to_string();
        let header = Header {
            format: FORMAT,
            lineage: self.lineage().to_owned(),
            operation: operation.to_owned(),
            lines: lines.len(),
        };
        let mut bytes = seal(to_map(&header, &place)?, &place)?;
        for line in lines {
            bytes.extend(canonical_json(line).map_err(|e| damaged(&place, e))?);
            bytes.push(b'\n');
        }
        let bytes = self.write_keys()?.seal(&bytes, &place)?;
        let backend = LocalBackend::new(folder.join(self.lineage()));
        let name = name(operation);
        // What an earlier copy of this operation held was given back before it went on.
        let swap = match backend.get(&name).await? {
            None => create(&backend, &name, &bytes).await?,
            Some(there) => replace(&backend, &name, &bytes, &there.version).await?,
        };
        match swap {
            Swap::Done(_) => Ok(file),
            Swap::Lost(_) => Err(error::io("write", &place, "someone else writes it too")),
        }
    }

    /// The copy of an operation below `folder`, every line of it proved.
    pub fn unsaved(&self, folder: &Path, operation: &str) -> Result<Option<Unsaved>, LedgerError> {
        let file = self.unsaved_file(folder, operation)?;
        let place = file.display().to_string();
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(error::io("read", &place, e)),
        };
        let bytes = self.keys.open(bytes, &place)?;
        let lines = self.read_copy(&bytes, operation, &place).map_err(|error| LedgerError {
            hint: Some(format!(
                "restore it from a copy, or remove it: what it says is then asked of the plugins \
                 again: rm {place}"
            )),
            ..error
        })?;
        Ok(Some(Unsaved { file, lines }))
    }

    /// The lines of a copy, every one of them proved.
    fn read_copy(
        &self,
        bytes: &[u8],
        operation: &str,
        place: &str,
    ) -> Result<Vec<JournalLine>, LedgerError> {
        let mut rows = bytes.split_inclusive(|byte| *byte == b'\n');
        let first = rows.next().unwrap_or_default();
        let header: Header = from_map(unseal(first, FORMAT, place)?, place)?;
        let lines = rows.map(|row| read_line(row, place)).collect::<Result<Vec<_>, _>>()?;
        if header.operation != operation || header.lineage != self.lineage() {
            return Err(damaged(place, "it is of another operation"));
        }
        if header.lines != lines.len() {
            return Err(damaged(place, "lines of it are missing"));
        }
        for pair in lines.windows(2) {
            if let [before, line] = pair {
                line.verify(Some(before)).map_err(|e| damaged(place, e))?;
            }
        }
        Ok(lines)
    }

    fn unsaved_file(&self, folder: &Path, operation: &str) -> Result<PathBuf, LedgerError> {
        check_name("operation id", operation)?;
        Ok(folder.join(self.lineage()).join(name(operation)))
    }
}

impl Unsaved {
    /// Removes the copy: the ledger has what it holds.
    pub fn remove(&self) -> Result<(), LedgerError> {
        fs::remove_file(&self.file)
            .map_err(|e| error::io("remove", &self.file.display().to_string(), e))
    }
}

/// Every byte of a line is as it was written.
fn read_line(row: &[u8], place: &str) -> Result<JournalLine, LedgerError> {
    let line: JournalLine = serde_json::from_slice(row)
        .map_err(|e| damaged(place, format_args!("it holds what is no journal line: {e}")))?;
    let written = canonical_json(&line).map_err(|e| damaged(place, e))?;
    if row.strip_suffix(b"\n") == Some(written.as_slice()) {
        return Ok(line);
    }
    Err(damaged(place, format_args!("line {} was edited", line.seq)))
}

fn name(operation: &str) -> String {
    format!("{operation}.jsonl")
}
