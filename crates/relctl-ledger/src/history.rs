//! Walking the chain of entries, newest first, without a request for each.
//!
//! `history/00000000.json.zst` holds the entries 1 to 100 once more, the next page 101 to 200.
//! Pages are a convenience: HEAD and `parent` alone say what the history is, every entry taken
//! from a page is proved by its digest, and what a page lacks is read from `entries/`. A page is
//! written after HEAD, so a crash in between leaves it one entry behind until the next write.

use std::collections::BTreeMap;

use relctl_engine::LedgerError;
use relctl_plan::{Digest, Entry, Head, Value};
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, Object, Version};
use crate::cell::{create, replace};
use crate::codec::{check_digest, decode, encode, pack, unpack};
use crate::error::{damaged, missing, refused};
use crate::store::{LedgerStore, entry_path};

/// How many entries a page holds.
const PAGE: u64 = 100;

/// The shortest prefix of an entry's digest that names it.
const MIN_PREFIX: usize = 4;

/// An entry with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub digest: Digest,
    pub entry: Entry,
}

/// What a prefix of a digest may name.
#[derive(Debug, Clone, PartialEq)]
pub enum Match {
    NoMatch,
    Single(Box<Row>),
    /// Newest first.
    Ambiguous(Vec<Row>),
}

impl LedgerStore {
    /// The newest `limit` entries, newest first.
    pub async fn history(&self, limit: usize) -> Result<Vec<Row>, LedgerError> {
        self.chain().await?.take(limit).await
    }

    /// As [`LedgerStore::history`], of the ledger as it was when it was opened: a request less.
    pub async fn history_as_opened(&self, limit: usize) -> Result<Vec<Row>, LedgerError> {
        match &self.opened {
            Some(head) => Chain::from_head(self.backend.as_ref(), head).take(limit).await,
            None => self.history(limit).await,
        }
    }

    /// The entry with this serial.
    pub async fn find_serial(&self, serial: u64) -> Result<Option<Row>, LedgerError> {
        let mut chain = self.chain().await?;
        while let Some(row) = chain.next().await? {
            if row.entry.serial <= serial {
                return Ok((row.entry.serial == serial).then_some(row));
            }
        }
        Ok(None)
    }

    /// The entry whose digest begins like this: at least four hexadecimal digits.
    pub async fn find_prefix(&self, prefix: &str) -> Result<Match, LedgerError> {
        let prefix = prefix.to_ascii_lowercase();
        if prefix.len() < MIN_PREFIX || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refused(
                format!("`{prefix}` cannot be the beginning of an entry's digest"),
                format!("give {MIN_PREFIX} or more hexadecimal digits, or a serial"),
            ));
        }
        let mut chain = self.chain().await?;
        let mut rows = Vec::new();
        while let Some(row) = chain.next().await? {
            if row.digest.as_str().starts_with(&prefix) {
                rows.push(row);
            }
        }
        Ok(match (rows.pop(), rows.is_empty()) {
            (None, _) => Match::NoMatch,
            (Some(row), true) => Match::Single(Box::new(row)),
            (Some(row), false) => {
                rows.push(row);
                Match::Ambiguous(rows)
            }
        })
    }

    /// The chain from HEAD.
    pub(crate) async fn chain(&self) -> Result<Chain<'_>, LedgerError> {
        let (stored, _) = self.read_head().await?;
        Ok(Chain::from_head(self.backend.as_ref(), &stored.head))
    }
}

/// A walk from an entry to the first one.
pub(crate) struct Chain<'a> {
    backend: &'a dyn Backend,
    lineage: String,
    /// The entry to be read next, and its serial.
    next: Option<(Digest, u64)>,
    page: Option<(u64, Page)>,
}

impl<'a> Chain<'a> {
    pub(crate) fn from_head(backend: &'a dyn Backend, head: &Head) -> Self {
        let next = head.entry.clone().map(|digest| (digest, head.serial));
        Self { backend, lineage: head.lineage.clone(), next, page: None }
    }

    async fn take(mut self, limit: usize) -> Result<Vec<Row>, LedgerError> {
        let mut rows = Vec::new();
        while rows.len() < limit {
            let Some(row) = self.next().await? else { break };
            rows.push(row);
        }
        Ok(rows)
    }

    pub(crate) async fn next(&mut self) -> Result<Option<Row>, LedgerError> {
        let Some((digest, serial)) = self.next.take() else { return Ok(None) };
        let number = page_number(serial);
        if self.page.as_ref().is_none_or(|(loaded, _)| *loaded != number) {
            let page = read_page(self.backend, number).await?;
            self.page = Some((number, page.map(|(page, _)| page).unwrap_or_default()));
        }
        let paged = self.page.as_ref().and_then(|(_, page)| page.entries.get(&digest));
        let (bytes, path) = match paged {
            Some(entry) => {
                let path = page_path(number);
                (encode(entry, &self.backend.locate(&path))?, path)
            }
            None => {
                let path = entry_path(&digest);
                (self.read_entry(&path).await?, path)
            }
        };
        let place = self.backend.locate(&path);
        check_digest(&bytes, &digest, &place)?;
        let entry = decode(&bytes, Entry::FORMAT, |entry: &Entry| entry.format, &place)?;
        self.next = check_link(&entry, serial, &self.lineage, &place)?;
        Ok(Some(Row { digest, entry }))
    }

    async fn read_entry(&self, path: &str) -> Result<Vec<u8>, LedgerError> {
        match self.backend.get(path).await? {
            Some(object) => Ok(object.bytes),
            None => Err(missing(&self.backend.locate(path), "HEAD or a later entry")),
        }
    }
}

/// Checks that `entry` is the one with this serial in this lineage, and says which is before it.
pub(crate) fn check_link(
    entry: &Entry,
    serial: u64,
    lineage: &str,
    place: &str,
) -> Result<Option<(Digest, u64)>, LedgerError> {
    if entry.lineage != lineage {
        return Err(damaged(place, format_args!("it is of lineage {}", entry.lineage)));
    }
    if entry.serial != serial {
        return Err(damaged(place, format_args!("it is #{}, not #{serial}", entry.serial)));
    }
    match (&entry.parent, serial) {
        (None, 1) => Ok(None),
        (Some(parent), 2..) => Ok(Some((parent.clone(), serial - 1))),
        _ => Err(damaged(place, format_args!("#{serial} has no right parent"))),
    }
}

/// Entries once more, as they are in `entries/`.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Page {
    format: u32,
    pub(crate) entries: BTreeMap<Digest, Value>,
}

impl Page {
    const FORMAT: u32 = 1;
}

/// The format that an entry says it has; 0 where it says none.
fn format_of(entry: &Value) -> u32 {
    let format = entry.get("format").and_then(Value::as_u64);
    format.and_then(|format| format.try_into().ok()).unwrap_or_default()
}

pub(crate) fn page_number(serial: u64) -> u64 {
    serial.saturating_sub(1) / PAGE
}

pub(crate) fn page_path(number: u64) -> String {
    format!("history/{number:08}.json.zst")
}

/// A page, `None` where there is none.
pub(crate) async fn read_page(
    backend: &dyn Backend,
    number: u64,
) -> Result<Option<(Page, Version)>, LedgerError> {
    let path = page_path(number);
    let Some(Object { bytes, version }) = backend.get(&path).await? else { return Ok(None) };
    let place = backend.locate(&path);
    let read = || decode(&unpack(&bytes, &place)?, Page::FORMAT, |page: &Page| page.format, &place);
    let page = read().map_err(|error| LedgerError {
        hint: Some("it is only a copy: remove it, the next entry writes it anew".to_owned()),
        ..error
    })?;
    Ok(Some((page, version)))
}

/// Brings the page of HEAD's entry up to it, and the page before if a new one begins.
pub(crate) async fn record(backend: &dyn Backend, head: &Head) -> Result<(), LedgerError> {
    let mut chain = Chain::from_head(backend, head);
    let newest = page_number(head.serial);
    let first =
        if page_number(head.serial.saturating_sub(1)) < newest { newest - 1 } else { newest };
    let mut pages: BTreeMap<u64, Page> = BTreeMap::new();
    while let Some(row) = chain.next().await? {
        let number = page_number(row.entry.serial);
        if number < first {
            break;
        }
        let path = entry_path(&row.digest);
        let bytes = match chain.page.as_ref().and_then(|(_, page)| page.entries.get(&row.digest)) {
            Some(entry) => entry.clone(),
            // As it is written: it may have fields that this version does not know.
            None => decode(&chain.read_entry(&path).await?, Entry::FORMAT, format_of, &path)?,
        };
        let page =
            pages.entry(number).or_insert_with(|| Page { format: Page::FORMAT, ..Page::default() });
        page.entries.insert(row.digest, bytes);
    }
    for (number, page) in pages {
        write_page(backend, number, &page).await?;
    }
    Ok(())
}

pub(crate) async fn write_page(
    backend: &dyn Backend,
    number: u64,
    page: &Page,
) -> Result<(), LedgerError> {
    let path = page_path(number);
    let place = backend.locate(&path);
    let bytes = pack(&encode(page, &place)?, &place)?;
    match read_page(backend, number).await? {
        Some((there, _)) if there == *page => {}
        Some((_, version)) => {
            // Whoever was first has a later page; the next entry brings it up to date.
            replace(backend, &path, &bytes, &version).await?;
        }
        None => {
            create(backend, &path, &bytes).await?;
        }
    }
    Ok(())
}
