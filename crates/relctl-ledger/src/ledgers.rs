//! Which ledgers there are below a root: for whoever comes with nothing but its URL.

use std::collections::BTreeMap;
use std::path::Path;

use relctl_engine::LedgerError;

use crate::aws;
use crate::backend::Backend;
use crate::error::io;
use crate::head::{HEAD, StoredHead};
use crate::local::LocalBackend;
use crate::location::{Location, Scheme};
use crate::object::ObjectBackend;

/// The release and the environment of each ledger below `root`, sorted.
pub async fn ledgers(
    root: &Location,
    settings: &BTreeMap<String, String>,
) -> Result<Vec<(String, Option<String>)>, LedgerError> {
    let mut found = Vec::new();
    match root {
        Location::Folder(root) => {
            for release in folders(root)? {
                for environment in folders(&root.join(&release))? {
                    let ledger = LocalBackend::new(root.join(&release).join(environment));
                    found.extend(head_of(&ledger).await?);
                }
            }
        }
        Location::Url { scheme, .. } => {
            let settings = match scheme {
                Scheme::S3 => aws::complete(settings).await,
                _ => settings.clone(),
            };
            let below = ObjectBackend::new(root, "", &settings)?;
            for release in below.folders("").await? {
                for environment in below.folders(&release).await? {
                    let folder = format!("{release}/{environment}");
                    let ledger = ObjectBackend::new(root, &folder, &settings)?;
                    found.extend(head_of(&ledger).await?);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whose ledger it is; `None` where there is none.
async fn head_of(backend: &dyn Backend) -> Result<Option<(String, Option<String>)>, LedgerError> {
    let Some(object) = backend.get(HEAD).await? else { return Ok(None) };
    let head = StoredHead::from_bytes(&object.bytes, &backend.locate(HEAD))?.head;
    Ok(Some((head.release, head.environment)))
}

/// The names of the folders in a folder; none where that does not exist.
fn folders(folder: &Path) -> Result<Vec<String>, LedgerError> {
    let failed = |e| io("list", &folder.display().to_string(), e);
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}
