//! Which ledger is meant, and opening it.

use std::path::{Path, PathBuf};

use relctl_config::{Draft, LockFile};
use relctl_engine::{LedgerError, LedgerErrorKind};
use relctl_ledger::{LedgerStore, Location, OpenOptions, Timing};
use relctl_plan::Plan;

use crate::context::Session;
use crate::error::CommandError;
use crate::project;

/// The ledgers' folder beside the release file.
const STATE: &str = "state";

/// Which ledger is meant.
pub(crate) struct Place {
    pub place: relctl_ledger::Place,
    /// What `relctl.lock` says; `None`: it says nothing about this environment.
    pub lineage: Option<String>,
    seen_heads: Option<PathBuf>,
}

impl Place {
    /// The ledger of a release file that was read.
    pub(crate) fn of_draft(session: &Session, draft: &Draft) -> Result<Self, CommandError> {
        let environment = draft.environment().map(str::to_owned);
        Self::of(session, draft.name().to_owned(), environment, draft.ledger_url())
    }

    /// The ledger that a plan was made for. Neither release file nor `relctl.lock` need be there.
    pub(crate) fn of_plan(session: &Session, plan: &Plan) -> Result<Self, CommandError> {
        let glance = Glance::at(&session.file());
        let body = &plan.body;
        Self::of(session, body.release.clone(), body.environment.clone(), glance.ledger.as_deref())
    }

    /// The ledger of the release at hand. Of the release file only what names the ledger is read:
    /// the way back must not depend on a file that is right.
    pub(crate) fn of_release(session: &Session) -> Result<Self, CommandError> {
        let glance = Glance::at(&session.file());
        let environment = session.environment().map(str::to_owned);
        let Some(name) = glance.name else {
            return Self::of_only_release(session, environment);
        };
        let chosen = environment.is_some() || !session.folder().join("environments").is_dir();
        if !chosen {
            // Its message names the environments that there are.
            project::load(session)?;
        }
        Self::of(session, name, environment, glance.ledger.as_deref())
    }

    /// Without a release file that tells its name: the only release in the ledger, if there is one.
    fn of_only_release(
        session: &Session,
        environment: Option<String>,
    ) -> Result<Self, CommandError> {
        let location = location(session, None)?;
        let root = match &location {
            Location::Folder(root) => Some(root),
            Location::Url { .. } => None,
        };
        match root.map(|root| folders(root)).as_deref() {
            Some([name]) => Self::of(session, name.clone(), environment, None),
            // Its message says what is wrong with the release file.
            _ => match project::load(session) {
                Ok(draft) => Self::of_draft(session, &draft),
                Err(error) => Err(error),
            },
        }
    }

    fn of(
        session: &Session,
        release: String,
        environment: Option<String>,
        url: Option<&str>,
    ) -> Result<Self, CommandError> {
        let lock = LockFile::read(&session.folder())?;
        Ok(Self {
            lineage: lock.lineage(environment.as_deref()).map(str::to_owned),
            place: relctl_ledger::Place {
                location: location(session, url)?,
                release,
                environment,
                settings: session.env.cloud.clone(),
            },
            seen_heads: session.env.state_dir().map(|folder| folder.join("heads")),
        })
    }

    /// Opens it.
    pub(crate) async fn open(&self) -> Result<LedgerStore, LedgerError> {
        let options = OpenOptions {
            place: self.place.clone(),
            expected_lineage: self.lineage.clone(),
            seen_heads: self.seen_heads.clone(),
            timing: Timing::default(),
        };
        LedgerStore::open(options).await.map_err(|error| match &self.lineage {
            // A new one would call everything new: `relctl init` is no way out.
            Some(_) if error.kind == LedgerErrorKind::Absent => LedgerError {
                message: format!("the ledger that `relctl.lock` names is gone: {}", error.message),
                hint: Some(
                    "restore it from a copy, or name the place that it moved to with `--ledger`"
                        .to_owned(),
                ),
                ..error
            },
            _ => error,
        })
    }
}

/// `--ledger` beats `RELCTL_LEDGER` beats `[ledger] url` beats `state/` beside the release file.
fn location(session: &Session, url: Option<&str>) -> Result<Location, CommandError> {
    if let Some(given) = session.global.ledger.as_deref().or(session.env.ledger.as_deref()) {
        return Ok(Location::parse(given)?);
    }
    let folder = session.folder();
    Ok(match Location::parse(url.unwrap_or(STATE))? {
        Location::Folder(path) => Location::Folder(folder.join(path)),
        remote @ Location::Url { .. } => remote,
    })
}

/// The names of the folders in `root`.
fn folders(root: &Path) -> Vec<String> {
    let Ok(entries) = root.read_dir() else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// What of a release file names its ledger, as far as it can be read.
#[derive(Default)]
struct Glance {
    name: Option<String>,
    ledger: Option<String>,
}

impl Glance {
    fn at(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let Ok(table) = text.parse::<toml::Table>() else { return Self::default() };
        let text =
            |section: &str, key: &str| Some(table.get(section)?.get(key)?.as_str()?.to_owned());
        Self { name: text("release", "name"), ledger: text("ledger", "url") }
    }
}
