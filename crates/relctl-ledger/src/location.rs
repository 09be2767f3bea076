//! Where a ledger is: `state`, `s3://bucket/prefix`.

use std::fmt;
use std::path::PathBuf;

use relctl_engine::LedgerError;

use crate::error::refused;

/// The root of ledgers: a folder, or a bucket with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    /// `s3://`, `gs://`, `az://` or `memory://`.
    Url {
        scheme: Scheme,
        bucket: String,
        prefix: String,
    },
}

/// Whose object store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    S3,
    Gcs,
    Azure,
    /// Of this process: for tests.
    Memory,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
            Self::Memory => "memory",
        }
    }
}

impl Location {
    /// Reads a URL or a path. A relative path stays one: the caller knows from where.
    pub fn parse(text: &str) -> Result<Self, LedgerError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return if text.is_empty() {
                Err(refused("the ledger's location is empty", HINT))
            } else {
                Ok(Self::Folder(PathBuf::from(text)))
            };
        };
        let scheme = match scheme {
            "s3" => Scheme::S3,
            "gs" => Scheme::Gcs,
            "az" => Scheme::Azure,
            "memory" => Scheme::Memory,
            _ => return Err(refused(format!("`{text}` is no ledger's location"), HINT)),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/');
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace() && !"?#@".contains(c);
        let whole = !bucket.is_empty() && rest.chars().all(is_plain) && !prefix.contains("//");
        if !whole || prefix.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(refused(format!("`{text}` names no bucket and prefix"), HINT));
        }
        Ok(Self::Url { scheme, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// Whether another machine can see it.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Url { .. })
    }
}

const HINT: &str =
    "write a folder, or `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`";

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Url { scheme, bucket, prefix } if prefix.is_empty() => {
                write!(f, "{}://{bucket}", scheme.as_str())
            }
            Self::Url { scheme, bucket, prefix } => {
                write!(f, "{}://{bucket}/{prefix}", scheme.as_str())
            }
        }
    }
}

/// The folder of one release in one environment, below the root.
pub(crate) fn folder(release: &str, environment: Option<&str>) -> Result<String, LedgerError> {
    check_name("release name", release)?;
    let environment = environment.unwrap_or("default");
    check_name("environment name", environment)?;
    Ok(format!("{release}/{environment}"))
}

/// Names become folders: they must be one everywhere.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), LedgerError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let whole = !name.is_empty() && name.len() <= 128 && !name.starts_with('.');
    if whole && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(refused(
        format!("`{name}` cannot be a {what} here"),
        "use letters, digits, `-`, `_` and `.`, at most 128, not starting with `.`",
    ))
}
