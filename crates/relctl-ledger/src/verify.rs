//! Proving a whole ledger, and showing it as plain JSON.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use relctl_engine::{Ledger as _, LedgerError};
use relctl_plan::{Digest, Entry, Head, Value};
use serde_json::json;

use crate::codec::{check_digest, encode};
use crate::error::damaged;
use crate::head::HEAD;
use crate::history::{Row, check_link, page_number, page_path, read_page};
use crate::lock::{LOCK, read_unlock};
use crate::store::{LedgerStore, entry_path, plan_path, plugin_path, snapshot_path};

/// How many entries are checked at once.
const CHECKS: usize = 8;

/// What a check of the whole ledger found.
#[derive(Debug, Default)]
pub struct Verification {
    /// How many entries were proved.
    pub entries: u64,
    /// How many objects were read.
    pub objects: u64,
    /// Everything that is not as it was written; empty for a sound ledger.
    pub problems: Vec<LedgerError>,
    /// Plugins that plans name and whose bytes are not kept here.
    pub missing_plugins: BTreeSet<Digest>,
    /// Objects that nothing refers to: left by work that was cut off. They do no harm.
    pub unreferenced: Vec<String>,
}

impl Verification {
    fn note<T>(&mut self, result: Result<T, LedgerError>) -> Option<T> {
        self.objects += 1;
        result.map_err(|problem| self.problems.push(problem)).ok()
    }
}

/// What one entry refers to, read and checked.
struct Checked {
    paths: Vec<String>,
    plugins: Vec<Digest>,
    results: Vec<Result<(), LedgerError>>,
}

impl LedgerStore {
    /// Reads and checks every object of this ledger. Fails only if HEAD cannot be trusted or the
    /// ledger cannot be read; everything else is in [`Verification::problems`].
    pub async fn verify(&self) -> Result<Verification, LedgerError> {
        let (stored, _) = self.read_head().await?;
        let head = &stored.head;
        let mut found = Verification { objects: 1, ..Verification::default() };
        let mut known: BTreeSet<String> = [HEAD, LOCK].map(ToOwned::to_owned).into();
        let rows = self.verify_chain(head, &mut found, &mut known).await;

        let mut checks = stream::iter(rows)
            .map(|row| async move { self.check_entry(row).await })
            .buffered(CHECKS);
        let mut plugins = BTreeSet::new();
        while let Some(checked) = checks.next().await {
            known.extend(checked.paths);
            plugins.extend(checked.plugins);
            for result in checked.results {
                found.note(result);
            }
        }
        if let Some(open) = &head.operation {
            known.insert(plan_path(&open.plan));
            known.extend(self.backend.list(&format!("journal/{}", open.id)).await?);
            found.note(self.journal(&open.id, true).await);
            if let Some(plan) = found.note(self.plan(&open.plan).await) {
                plugins.extend(plan.body.plugins.into_values().map(|pin| pin.sha256));
            }
        }
        for digest in plugins {
            known.insert(plugin_path(&digest));
            if let Some(None) = found.note(self.plugin(&digest).await) {
                found.missing_plugins.insert(digest);
            }
        }
        self.verify_pages(head, &mut found, &mut known).await;
        for path in self.backend.list("").await? {
            if path.starts_with("unlocks/") {
                found.note(read_unlock(self.backend.as_ref(), &path).await);
            } else if !known.contains(&path) {
                found.unreferenced.push(path);
            }
        }
        Ok(found)
    }

    /// Reads the chain from `entries/` alone.
    async fn verify_chain(
        &self,
        head: &Head,
        found: &mut Verification,
        known: &mut BTreeSet<String>,
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut next = head.entry.clone().map(|digest| (digest, head.serial));
        while let Some((digest, serial)) = next.take() {
            let path = entry_path(&digest);
            let place = self.backend.locate(&path);
            let Some(entry) = found.note(self.entry(&digest).await) else { break };
            known.insert(path);
            match check_link(&entry, serial, &head.lineage, &place) {
                Ok(parent) => next = parent,
                Err(problem) => found.problems.push(problem),
            }
            found.entries += 1;
            rows.push(Row { digest, entry });
        }
        rows
    }

    async fn check_entry(&self, row: Row) -> Checked {
        let Row { digest, entry } = row;
        let place = self.backend.locate(&entry_path(&digest));
        let mut paths = vec![plan_path(&entry.plan), snapshot_path(&entry.snapshot)];
        let mut plugins = Vec::new();
        let plan = self.plan(&entry.plan).await.and_then(|plan| {
            plugins.extend(plan.body.plugins.into_values().map(|pin| pin.sha256));
            if plan.plan_id == entry.plan_id {
                return Ok(());
            }
            Err(damaged(&place, format_args!("its plan has the id {}", plan.plan_id)))
        });
        let snapshot = self.snapshot(&entry.snapshot).await.map(drop);
        let journal = self.check_journal(&entry, &place).await;
        let segments = self.backend.list(&format!("journal/{}", entry.operation)).await;
        let listed = segments.map(|segments| paths.extend(segments));
        Checked { paths, plugins, results: vec![plan, snapshot, journal, listed] }
    }

    async fn check_journal(&self, entry: &Entry, place: &str) -> Result<(), LedgerError> {
        let lines = self.journal(&entry.operation, false).await?;
        if lines.last().is_some_and(|line| line.digest == entry.journal) {
            return Ok(());
        }
        Err(damaged(
            place,
            format_args!("the journal of operation {} is not the one it names", entry.operation),
        ))
    }

    async fn verify_pages(
        &self,
        head: &Head,
        found: &mut Verification,
        known: &mut BTreeSet<String>,
    ) {
        for number in 0..=page_number(head.serial) {
            let path = page_path(number);
            let place = self.backend.locate(&path);
            let page = found.note(read_page(self.backend.as_ref(), number).await).flatten();
            known.insert(path);
            for (digest, entry) in page.map(|(page, _)| page.entries).unwrap_or_default() {
                let bytes = encode(&entry, &place);
                if let Err(problem) = bytes.and_then(|bytes| check_digest(&bytes, &digest, &place))
                {
                    found.problems.push(problem);
                }
            }
        }
    }

    /// Hands the whole ledger to `sink` as plain JSON: HEAD, then each entry with its plan,
    /// snapshot and journal, oldest first, the operation that is open, and each unlock.
    pub async fn export(
        &self,
        sink: &mut (dyn FnMut(Value) -> Result<(), LedgerError> + Send),
    ) -> Result<(), LedgerError> {
        let (stored, _) = self.read_head().await?;
        sink(json!({ "record": "head", "head": stored.head }))?;
        let mut rows = self.history(usize::MAX).await?;
        rows.reverse();
        for Row { digest, entry } in rows {
            sink(json!({
                "record": "entry",
                "digest": digest,
                "plan": self.plan(&entry.plan).await?,
                "snapshot": self.snapshot(&entry.snapshot).await?,
                "journal": self.journal(&entry.operation, false).await?,
                "entry": entry,
            }))?;
        }
        if let Some(open) = &stored.head.operation {
            sink(json!({
                "record": "open-operation",
                "operation": open,
                "plan": self.plan(&open.plan).await?,
                "journal": self.journal(&open.id, true).await?,
            }))?;
        }
        for path in self.backend.list("unlocks").await? {
            let unlock = read_unlock(self.backend.as_ref(), &path).await?;
            sink(json!({ "record": "unlock", "unlock": unlock }))?;
        }
        Ok(())
    }
}
