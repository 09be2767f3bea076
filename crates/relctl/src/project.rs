//! The release at hand: its file, its plugins and its ledger.

use relctl_config::{Diagnostics, Draft, LoadOptions, Mistake, RELEASE_FILE};
use relctl_engine::EngineError;
use relctl_ledger::LedgerStore;
use relctl_plan::Release;

use crate::context::Session;
use crate::error::CommandError;
use crate::loading::Loaded;
use crate::memory;
use crate::operation::running;
use crate::place::Place;

/// All that planning a release needs.
pub(crate) struct Project {
    draft: Draft,
    pub release: Release,
    pub plugins: Loaded,
    pub ledger: LedgerStore,
}

impl Project {
    /// Reads the release file, loads its plugins and opens its ledger.
    pub(crate) async fn open(session: &Session) -> Result<Self, CommandError> {
        let environment = session.environment().map(str::to_owned);
        let opened = relctl_config::open(&load_options(session, environment))?;
        // Before the plugins: who has not run `relctl init` lacks both, and is told once.
        let ledger = Place::of_header(session, opened.header())?.open().await?;
        ledger.read_ahead();
        let (draft, release, plugins) = checked(session, opened.read()).await?;
        Ok(Self { draft, release, plugins, ledger })
    }

    /// The error of planning: with a place in the release file for each mistake that has one.
    pub(crate) async fn refused(&self, session: &Session, error: EngineError) -> CommandError {
        match running(session, &self.ledger, &error).await {
            Some(running) => running,
            None => place(&self.draft, error),
        }
    }
}

/// Reads the release file with its overlay and variables.
pub(crate) fn load(session: &Session) -> Result<Draft, CommandError> {
    load_for(session, session.environment().map(str::to_owned))
}

/// As [`load`], for an environment that something else chose.
pub(crate) fn load_for(
    session: &Session,
    environment: Option<String>,
) -> Result<Draft, CommandError> {
    Ok(relctl_config::load(&load_options(session, environment))?)
}

fn load_options(session: &Session, environment: Option<String>) -> LoadOptions {
    let file = session.global.file.clone();
    memory::expect_file(file.as_deref().unwrap_or(RELEASE_FILE.as_ref()));
    LoadOptions {
        dir: ".".into(),
        file,
        environment,
        vars: session.global.vars.clone(),
        var_files: session.global.var_files.clone(),
        env: session.env.vars.clone(),
    }
}

/// Loads the plugins of the release, and checks the release against the kinds that they serve.
pub(crate) async fn checked(
    session: &Session,
    mut draft: Draft,
) -> Result<(Draft, Release, Loaded), CommandError> {
    let plugins = session.load_configured(&draft).await?;
    let release = draft.finish(&plugins.descriptions())?;
    Ok((draft, release, plugins))
}

/// The error with a place in the release file for each mistake that has one.
pub(crate) fn place(draft: &Draft, error: EngineError) -> CommandError {
    match error {
        EngineError::Objects(errors) => {
            let located = errors.into_iter().map(|error| {
                let diagnostic = error.diagnostic;
                draft.diagnostic(
                    &error.address,
                    &diagnostic.path,
                    diagnostic.message,
                    diagnostic.hint,
                )
            });
            located.collect::<Vec<Mistake>>().into_iter().collect::<Diagnostics>().into()
        }
        other => other.into(),
    }
}
