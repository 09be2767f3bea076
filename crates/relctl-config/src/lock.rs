//! `relctl.lock`: which plugins a release was reviewed with, what they may do, and which ledgers are
//! its own. Written by `relctl init`, committed, read by everything else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use relctl_plan::{Digest, Instance, Wants};
use serde::{Deserialize, Serialize};

use crate::mistake::{Diagnostics, Found};
use crate::source::{Place, Sources};

/// The file's name, beside the release file.
pub const LOCK_FILE: &str = "relctl.lock";

/// The version that this relctl reads and writes.
const VERSION: u32 = 1;

/// The name of the ledger of a release without environments.
const DEFAULT_LEDGER: &str = "default";

const HEADER: &str = "\
# Written by `relctl init`. Commit it.
# It pins every plugin to the bytes that were reviewed, grants exactly what is listed, and names the
# ledgers of this release. After a plugin changed, `relctl init --upgrade` shows the difference.

";

/// What `relctl.lock` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    version: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plugins: BTreeMap<Instance, LockedPlugin>,
    /// By environment, `default` where the release has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ledgers: BTreeMap<String, LockedLedger>,
}

/// A plugin as it was reviewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPlugin {
    /// As the release file says.
    pub source: String,
    pub name: String,
    pub version: String,
    /// Of the wasm.
    pub sha256: Digest,
    /// The contract's version, `0.1`.
    pub contract: String,
    /// What the plugin may do: all that it asked for when it was reviewed.
    #[serde(default)]
    pub grants: Wants,
}

/// A ledger that belongs to this release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedLedger {
    lineage: String,
}

/// Why `relctl.lock` could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    #[error("cannot encode `{LOCK_FILE}`")]
    Encode(#[source] toml::ser::Error),
    #[error("cannot write `{}`: check that its folder can be written", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl Default for LockFile {
    fn default() -> Self {
        Self { version: VERSION, plugins: BTreeMap::new(), ledgers: BTreeMap::new() }
    }
}

impl LockFile {
    /// Reads the file in `folder`; an empty one where there is none.
    pub fn read(folder: &Path) -> Result<Self, Diagnostics> {
        let path = folder.join(LOCK_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => {
                let message = format!("cannot read `{}`: {error}", path.display());
                Err(Diagnostics::locate(vec![Found::nowhere(message)], &Sources::default()))
            }
        }
    }

    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Self, Diagnostics> {
        let mut sources = Sources::default();
        let file = sources.add(LOCK_FILE.to_owned(), text.to_owned());
        let refuse = |found: Found| Err(Diagnostics::locate(vec![found], &sources));
        if let Some((version, span)) = version_of(text)
            && version != i64::from(VERSION)
        {
            let message =
                format!("`{LOCK_FILE}` has version {version}, and this relctl reads {VERSION}");
            let found = Found::at(Place::new(file, span), message);
            return refuse(found.hint("use the relctl that wrote it, or a newer one"));
        }
        let lock: Self = match toml::from_str(text) {
            Ok(lock) => lock,
            Err(error) => {
                let place = Place::new(file, error.span().unwrap_or(0..0));
                let found = Found::at(place, error.message().trim());
                return refuse(found.hint(
                    "restore the committed file; `relctl init` writes it where there is none",
                ));
            }
        };
        for (instance, plugin) in &lock.plugins {
            if Digest::parse(plugin.sha256.as_str()).is_none() {
                let message =
                    format!("`{}` of plugin `{instance}` is not a SHA-256", plugin.sha256);
                let start = text.find(plugin.sha256.as_str()).unwrap_or_default();
                let place = Place::new(file, start..start + plugin.sha256.as_str().len());
                return refuse(Found::at(place, message).hint("restore the committed file"));
            }
        }
        Ok(lock)
    }

    /// The file's text: the same for the same content, made to be read in a review.
    pub fn render(&self) -> Result<String, LockFileError> {
        let body = toml::to_string_pretty(self).map_err(LockFileError::Encode)?;
        Ok(format!("{HEADER}{body}"))
    }

    /// Writes the file into `folder`, whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<(), LockFileError> {
        let text = self.render()?;
        let path = folder.join(LOCK_FILE);
        let temporary = folder.join(format!(".{LOCK_FILE}.new"));
        std::fs::write(&temporary, text)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .map_err(|source| LockFileError::Write { path, source })
    }

    /// The lineage of an environment's ledger; `None`: it has none yet.
    pub fn lineage(&self, environment: Option<&str>) -> Option<&str> {
        let ledger = self.ledgers.get(environment.unwrap_or(DEFAULT_LEDGER))?;
        Some(&ledger.lineage)
    }

    /// Records the ledger of an environment.
    pub fn set_lineage(&mut self, environment: Option<&str>, lineage: String) {
        let name = environment.unwrap_or(DEFAULT_LEDGER).to_owned();
        self.ledgers.insert(name, LockedLedger { lineage });
    }
}

/// The version that the file says it has, and where.
fn version_of(text: &str) -> Option<(i64, std::ops::Range<usize>)> {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    let value = table.get_ref().get("version")?;
    let version = value.get_ref().as_integer()?.as_str().parse().ok()?;
    Some((version, value.span()))
}

#[cfg(test)]
mod tests {
    use relctl_plan::Operations;

    use super::*;

    fn lock() -> LockFile {
        let operations = Operations {
            read: vec!["DescribeServices".to_owned()],
            write: vec!["UpdateService".to_owned()],
            also_needs: vec!["iam:PassRole".to_owned()],
        };
        let plugin = LockedPlugin {
            source: "aws-ecs".to_owned(),
            name: "aws-ecs".to_owned(),
            version: "0.1.0".to_owned(),
            sha256: Digest::of(b"wasm"),
            contract: "0.1".to_owned(),
            grants: Wants {
                http: [("ecs".to_owned(), operations)].into_iter().collect(),
                ..Wants::default()
            },
        };
        let mut lock = LockFile::default();
        lock.plugins.insert("ecs_eu".to_owned(), plugin);
        lock.set_lineage(None, "l-1".to_owned());
        lock.set_lineage(Some("production"), "l-2".to_owned());
        lock
    }

    #[test]
    fn is_made_to_be_read_in_a_review() {
        insta::assert_snapshot!(lock().render().unwrap());
    }

    #[test]
    fn reads_what_it_writes() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(LockFile::read(folder.path()).unwrap(), LockFile::default());
        lock().write(folder.path()).unwrap();
        let read = LockFile::read(folder.path()).unwrap();
        assert_eq!(read, lock());
        assert_eq!(read.lineage(None), Some("l-1"));
        assert_eq!(read.lineage(Some("production")), Some("l-2"));
        assert_eq!(read.lineage(Some("staging")), None);
    }

    #[test]
    fn damage_has_a_place() {
        let text = lock().render().unwrap();
        let renders: Vec<String> = [
            "version = 2\n".to_owned(),
            text.replace("contract", "contrast"),
            text.replace(Digest::of(b"wasm").as_str(), "12"),
            text.chars().take(text.len() - 4).collect(),
        ]
        .iter()
        .map(|text| LockFile::parse(text).unwrap_err().render(false))
        .collect();
        insta::assert_snapshot!(renders.join("\n"));
    }
}
