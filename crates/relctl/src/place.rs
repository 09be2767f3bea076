//! Which ledger is meant, and opening it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use relctl_config::{Header, LockFile};
use relctl_engine::{LedgerError, LedgerErrorKind};
use relctl_ledger::{Keys, LedgerStore, Location, OpenOptions, Timing, ledgers};
use relctl_plan::Plan;

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::project;

/// The ledgers' folder beside the release file.
const STATE: &str = "state";

/// Which ledger is meant.
pub(crate) struct Place {
    pub place: relctl_ledger::Place,
    /// What `relctl.lock` says; `None`: it says nothing about this environment.
    pub lineage: Option<String>,
    /// For whom the release file wants it encrypted, and who reads.
    pub keys: Keys,
    seen_heads: Option<PathBuf>,
    timing: Timing,
}

impl Place {
    /// The ledger of a release file whose header was read.
    pub(crate) fn of_header(session: &Session, header: &Header) -> Result<Self, CommandError> {
        let environment = header.environment().map(str::to_owned);
        let named = Named {
            url: header.ledger_url().map(str::to_owned),
            recipients: header.ledger_recipients().to_vec(),
        };
        Self::of(session, header.name().to_owned(), environment, &named)
    }

    /// The ledger that a plan was made for. Neither release file nor `relctl.lock` need be there.
    pub(crate) fn of_plan(session: &Session, plan: &Plan) -> Result<Self, CommandError> {
        let (release, environment) = (&plan.body.release, plan.body.environment.clone());
        let named = match project::load_for(session, environment.clone()) {
            Ok(draft) if draft.header().name() == release => {
                return Self::of_header(session, draft.header());
            }
            Ok(_) => Named::default(),
            Err(error) => match Glance::at(session, environment.as_deref()) {
                Glance { name: Some(name), .. } if name != *release => Named::default(),
                glance => glance.ledger(error)?,
            },
        };
        Self::of(session, release.clone(), environment, &named)
    }

    /// The ledger of the release at hand. Where the release file is wrong, only what names the
    /// ledger is read: the way back must not depend on a file that is right.
    pub(crate) async fn of_release(session: &Session) -> Result<Self, CommandError> {
        let environment = session.environment().map(str::to_owned);
        if !session.file().exists() {
            return Self::of_only_ledger(session, environment).await;
        }
        match project::load(session) {
            Ok(draft) => Self::of_header(session, draft.header()),
            Err(error) => {
                let glance = Glance::at(session, environment.as_deref());
                let chosen = environment.is_some() || !session.folder().join(OVERLAYS).is_dir();
                match &glance.name {
                    Some(name) if chosen => {
                        let name = name.clone();
                        Self::of(session, name, environment, &glance.ledger(error)?)
                    }
                    // Nothing can be read of the file: the only ledger there is, if it is one.
                    None => Self::of_only_ledger(session, environment).await.map_err(|_| error),
                    _ => Err(error),
                }
            }
        }
    }

    /// Without a release file: the only ledger below the root that is named, or the one that
    /// `--release` and `-e` choose.
    async fn of_only_ledger(
        session: &Session,
        environment: Option<String>,
    ) -> Result<Self, CommandError> {
        let location = location(session, None)?;
        let wanted = session.global.release.as_deref();
        let all = ledgers(&location, &session.env.cloud).await?;
        let mut meant = all.iter().filter(|(release, of)| {
            wanted.is_none_or(|wanted| wanted == release)
                && (environment.is_none() || environment == *of)
        });
        let (release, environment) = match (meant.next(), meant.next()) {
            (Some((release, environment)), None) => (release.clone(), environment.clone()),
            (Some(_), Some(_)) => return Err(ambiguous(session, &location, &all)),
            (None, _) if all.is_empty() => {
                let file = session.file();
                return Err(CommandError::new(
                    ErrorKind::Ledger,
                    format!(
                        "there is no release file `{}`, and no ledger at `{location}`",
                        file.display()
                    ),
                )
                .hint("go to the release's folder, or name it: -C FOLDER")
                .hint("or name the ledger: --ledger s3://bucket/prefix"));
            }
            (None, _) => {
                return Err(CommandError::new(
                    ErrorKind::Ledger,
                    format!("`{location}` has no ledger of that release and environment"),
                )
                .detail(listing(&all)));
            }
        };
        Self::of(session, release, environment, &Named::default())
    }

    fn of(
        session: &Session,
        release: String,
        environment: Option<String>,
        named: &Named,
    ) -> Result<Self, CommandError> {
        if let Some(wanted) = session.global.release.as_deref().filter(|wanted| *wanted != release)
        {
            return Err(CommandError::new(
                ErrorKind::Usage,
                format!("the release here is `{release}`, not `{wanted}`"),
            )
            .hint("leave out `--release`, or run it in a folder without a release file"));
        }
        let lock = LockFile::read(&session.folder())?;
        Ok(Self {
            lineage: lock.lineage(environment.as_deref()).map(str::to_owned),
            place: relctl_ledger::Place {
                location: location(session, named.url.as_deref())?,
                release,
                environment,
                settings: session.env.cloud.clone(),
            },
            keys: Keys::parse(&named.recipients, &session.env.identities()?)?,
            seen_heads: session.env.state_dir().map(|folder| folder.join("heads")),
            timing: timing(session.env.test_lock_ttl),
        })
    }

    /// Opens it.
    pub(crate) async fn open(&self) -> Result<LedgerStore, LedgerError> {
        let options = OpenOptions {
            place: self.place.clone(),
            expected_lineage: self.lineage.clone(),
            seen_heads: self.seen_heads.clone(),
            timing: self.timing,
        };
        let opened = LedgerStore::open_with(options, self.keys.clone()).await;
        opened.map(LedgerStore::watching_holders).map_err(|error| match &self.lineage {
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

/// What `[ledger]` says.
#[derive(Default)]
struct Named {
    url: Option<String>,
    recipients: Vec<String>,
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

fn ambiguous(
    session: &Session,
    location: &Location,
    all: &[(String, Option<String>)],
) -> CommandError {
    let message =
        format!("`{location}` has {} ledgers, and no release file says which is meant", all.len());
    let error = CommandError::new(ErrorKind::Usage, message).detail(listing(all));
    if session.global.release.is_some() {
        error.hint("name the environment with `-e`")
    } else {
        error.hint("name one with `--release` and `-e`")
    }
}

/// How long a silent holder is waited for; tests cannot wait half a minute.
fn timing(ttl: Option<Duration>) -> Timing {
    ttl.map_or_else(Timing::default, |ttl| Timing { ttl, poll: ttl / 10 })
}

/// As a person would choose each.
fn listing(all: &[(String, Option<String>)]) -> String {
    let lines = all.iter().map(|(release, environment)| match environment {
        Some(environment) => format!("--release {release} -e {environment}"),
        None => format!("--release {release}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The folder of the environments beside the release file.
const OVERLAYS: &str = "environments";

/// What of a release file names its ledger, as far as it can be read.
#[derive(Default)]
struct Glance {
    name: Option<String>,
    url: Option<String>,
    recipients: Vec<String>,
}

impl Glance {
    fn at(session: &Session, environment: Option<&str>) -> Self {
        let base = table(&session.file());
        let overlay = environment
            .map(|name| table(&session.folder().join(OVERLAYS).join(format!("{name}.toml"))))
            .unwrap_or_default();
        let find = |section: &str, key: &str| {
            let find = |table: &toml::Table| table.get(section)?.get(key).cloned();
            find(&overlay).or_else(|| find(&base))
        };
        let text = |section: &str, key: &str| {
            find(section, key).and_then(|v| v.as_str().map(str::to_owned))
        };
        let recipients = find("ledger", "recipients");
        let recipients = recipients.as_ref().and_then(toml::Value::as_array);
        let recipients = recipients.into_iter().flatten().filter_map(|value| value.as_str());
        Self {
            name: text("release", "name"),
            url: text("ledger", "url"),
            recipients: recipients.map(str::to_owned).collect(),
        }
    }

    /// What it says about the ledger; `error`, which says why the file cannot be read, where that
    /// depends on variables.
    fn ledger(self, error: CommandError) -> Result<Named, CommandError> {
        let open = self.url.iter().chain(&self.recipients).any(|text| text.contains("${"));
        if open { Err(error) } else { Ok(Named { url: self.url, recipients: self.recipients }) }
    }
}

fn table(file: &Path) -> toml::Table {
    std::fs::read_to_string(file).unwrap_or_default().parse().unwrap_or_default()
}
