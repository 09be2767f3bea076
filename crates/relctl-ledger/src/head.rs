//! HEAD: the one object that says what the ledger's history is.

use relctl_engine::LedgerError;
use relctl_engine::LedgerErrorKind::Absent;
use relctl_plan::{Head, Value};

use crate::backend::{Backend, Version};
use crate::codec::{from_map, seal, to_map, unseal};
use crate::error::{damaged, error, untrusted};
use crate::nonce::nonce;

pub(crate) const HEAD: &str = "HEAD";

/// HEAD as it is stored: what the engine knows of it, and what guards it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StoredHead {
    pub(crate) head: Head,
    /// Rises by one with each write: an older copy has a lower one.
    pub(crate) revision: u64,
    /// Made for each write.
    pub(crate) nonce: String,
    /// For whom snapshots, plans and journals are encrypted, all of them; empty: none is.
    pub(crate) recipients: Vec<String>,
    /// Where this ledger went, if it was migrated. It is closed then.
    pub(crate) moved_to: Option<String>,
}

impl StoredHead {
    /// The head of a ledger without entries.
    pub(crate) fn first(head: Head) -> Result<Self, LedgerError> {
        Ok(Self { head, revision: 1, nonce: nonce()?, recipients: Vec::new(), moved_to: None })
    }

    /// What would be written after this one.
    pub(crate) fn next(&self, head: Head) -> Result<Self, LedgerError> {
        let Self { revision, recipients, moved_to, .. } = self.clone();
        Ok(Self { head, revision: revision + 1, nonce: nonce()?, recipients, moved_to })
    }

    pub(crate) fn to_bytes(&self, place: &str) -> Result<Vec<u8>, LedgerError> {
        let mut map = to_map(&self.head, place)?;
        map.insert("revision".to_owned(), Value::from(self.revision));
        map.insert("nonce".to_owned(), Value::from(self.nonce.as_str()));
        if !self.recipients.is_empty() {
            map.insert("recipients".to_owned(), Value::from(self.recipients.clone()));
        }
        if let Some(moved_to) = &self.moved_to {
            map.insert("moved-to".to_owned(), Value::from(moved_to.as_str()));
        }
        seal(map, place)
    }

    pub(crate) fn from_bytes(bytes: &[u8], place: &str) -> Result<Self, LedgerError> {
        let mut map = unseal(bytes, Head::FORMAT, place)?;
        let lacks = |field| damaged(place, format_args!("it has no `{field}`"));
        let revision = map.remove("revision").and_then(|value| value.as_u64());
        let recipients = map.remove("recipients").map(serde_json::from_value).transpose();
        let recipients: Option<Vec<String>> = recipients
            .map_err(|e| damaged(place, format_args!("its recipients are no list: {e}")))?;
        let mut take = |field| match map.remove(field) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        let nonce = take("nonce");
        let moved_to = take("moved-to");
        Ok(Self {
            head: from_map(map, place)?,
            revision: revision.ok_or_else(|| lacks("revision"))?,
            nonce: nonce.ok_or_else(|| lacks("nonce"))?,
            recipients: recipients.unwrap_or_default(),
            moved_to,
        })
    }
}

/// Which ledger is meant. Anything else found in its place is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) release: String,
    pub(crate) environment: Option<String>,
    /// `None`: no `relctl.lock` says.
    pub(crate) lineage: Option<String>,
}

/// Reads HEAD and checks that it is the one meant.
pub(crate) async fn read_head(
    backend: &dyn Backend,
    identity: &Identity,
) -> Result<(StoredHead, Version), LedgerError> {
    let place = backend.locate(HEAD);
    let Some(object) = backend.get(HEAD).await? else {
        return Err(absent(backend, &place).await);
    };
    let stored = StoredHead::from_bytes(&object.bytes, &place)?;
    check_identity(&stored.head, identity, &place)?;
    Ok((stored, object.version))
}

async fn absent(backend: &dyn Backend, place: &str) -> LedgerError {
    match backend.list("entries").await {
        Ok(entries) if entries.is_empty() => error(
            Absent,
            format!("there is no ledger: `{place}` does not exist"),
            Some("`relctl init` creates one; if there should be one, check `--ledger`".to_owned()),
        ),
        Ok(_) => untrusted(
            format!("`{place}` is missing, although entries are there"),
            "restore this file from a copy; nothing was changed",
        ),
        Err(error) => error,
    }
}

fn check_identity(head: &Head, wanted: &Identity, place: &str) -> Result<(), LedgerError> {
    let hint = "check `--ledger`, the release's name and `relctl.lock`";
    if head.release != wanted.release {
        return Err(untrusted(
            format!("`{place}` is for release `{}`, not `{}`", head.release, wanted.release),
            hint,
        ));
    }
    if head.environment != wanted.environment {
        return Err(untrusted(
            format!(
                "`{place}` is for {}, not {}",
                environment(head.environment.as_ref()),
                environment(wanted.environment.as_ref())
            ),
            hint,
        ));
    }
    match &wanted.lineage {
        Some(lineage) if *lineage != head.lineage => Err(untrusted(
            format!(
                "`{place}` has lineage {}, `relctl.lock` has {lineage}: it is another ledger",
                head.lineage
            ),
            hint,
        )),
        _ => Ok(()),
    }
}

fn environment(name: Option<&String>) -> String {
    name.map_or_else(|| "no environment".to_owned(), |name| format!("environment `{name}`"))
}
