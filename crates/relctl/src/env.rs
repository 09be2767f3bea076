//! Every environment variable that relctl reads, and the only place that reads them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use relctl_config::VARIABLE_PREFIX;

use crate::die_at::Death;
use crate::error::CommandError;

/// What relctl took from the environment, once, at its start. Not `Debug`: it holds credentials.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    /// `RELCTL_LEDGER`: the ledger's root; `--ledger` beats it.
    pub ledger: Option<String>,
    /// `RELCTL_ENV`: the environment; `-e` beats it.
    pub environment: Option<String>,
    /// `RELCTL_PLUGIN_PATH`: more folders to look for plugins in, separated like `PATH`.
    pub plugin_path: Vec<PathBuf>,
    /// `RELCTL_VAR_<name>`, whole names: values for `[vars]`; `--var` and `--var-file` beat them.
    pub vars: BTreeMap<String, String>,
    /// `RELCTL_LOG`: a `tracing` filter, for example `debug` or `relctl_engine=trace`.
    pub log: Option<String>,
    /// `RELCTL_ACTOR`: who is named in the history, where CI does not say it.
    actor: Option<String>,
    /// `RELCTL_TEST_NOW`: a fixed time, RFC 3339. Tests only.
    pub test_now: Option<String>,
    /// `RELCTL_TEST_DIE_AT`: the durable write, counted from 1, at which to die. Tests only.
    pub test_die_at: Option<Death>,
    /// `RELCTL_TEST_LOCK_TTL_MS`: when a silent holder of a remote lock counts as dead. Tests only.
    pub test_lock_ttl: Option<Duration>,
    /// `NO_COLOR`, not empty: no colour (no-color.org).
    pub no_color: bool,
    /// `CLICOLOR_FORCE`, neither empty nor `0`: colour even where nobody watches.
    pub force_color: bool,
    /// `CI`: nobody watches and nobody can answer.
    pub ci: bool,
    /// `TERM=dumb`: a terminal that can neither colour nor redraw.
    pub dumb_terminal: bool,
    /// `LC_ALL`, `LC_CTYPE`, `LANG`: the terminal cannot show more than ASCII.
    pub ascii_terminal: bool,
    /// `HOME`, `XDG_CACHE_HOME`, `XDG_STATE_HOME` (XDG base directories).
    home: Option<PathBuf>,
    cache_home: Option<PathBuf>,
    state_home: Option<PathBuf>,
    /// `RELCTL_AGE_IDENTITY`: secret keys that open an encrypted ledger, one a line.
    age_identity: Option<String>,
    /// `RELCTL_AGE_IDENTITY_FILE`: a file of such keys, as `age-keygen` writes it.
    age_identity_file: Option<PathBuf>,
    /// `AWS_*`, `AZURE_*`, `GOOGLE_*`: how a remote ledger is reached. Only the ledger sees them.
    pub cloud: BTreeMap<String, String>,
    /// The page of the CI run, from the variables that each CI service sets.
    pub run_url: Option<String>,
    /// The commit that the CI run is about.
    pub commit: Option<String>,
}

/// Shown at the end of `relctl --help`.
pub(crate) const HELP: &str = "\
Environment:
  RELCTL_ENV           the environment, where `-e` does not say it
  RELCTL_LEDGER        the ledger's root, where `--ledger` does not say it
  RELCTL_VAR_<name>    a value for `[vars]`, where `--var` and `--var-file` do not say it
  RELCTL_PLUGIN_PATH   more folders to look for plugins in, separated like PATH
  RELCTL_AGE_IDENTITY  the secret key of an encrypted ledger; RELCTL_AGE_IDENTITY_FILE names a file
  RELCTL_ACTOR         who is named in the history
  RELCTL_LOG           what to log to stderr, for example `debug`
  NO_COLOR             no colour";

impl Environment {
    /// Reads the process's environment.
    pub(crate) fn read() -> Self {
        Self::from_vars(std::env::vars_os())
    }

    fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let all: BTreeMap<OsString, OsString> = vars.into_iter().collect();
        // An empty variable counts as one that is not set: CI services set many to nothing.
        let path = |name: &str| all.get(&OsString::from(name)).filter(|v| !v.is_empty()).cloned();
        let text = |name: &str| path(name).and_then(|value| value.into_string().ok());
        let first = |names: &[&str]| names.iter().find_map(|name| text(name));
        let named = |prefixes: &[&str]| -> BTreeMap<String, String> {
            let wanted = |name: &&str| prefixes.iter().any(|prefix| name.starts_with(prefix));
            all.iter()
                .filter_map(|(name, value)| {
                    let name = name.to_str().filter(wanted)?;
                    Some((name.to_owned(), value.to_str()?.to_owned()))
                })
                .collect()
        };
        Self {
            ledger: text("RELCTL_LEDGER"),
            environment: text("RELCTL_ENV"),
            plugin_path: path("RELCTL_PLUGIN_PATH")
                .map(|value| std::env::split_paths(&value).collect())
                .unwrap_or_default(),
            vars: named(&[VARIABLE_PREFIX]),
            cloud: named(&["AWS_", "AZURE_", "GOOGLE_"]),
            age_identity: text("RELCTL_AGE_IDENTITY"),
            age_identity_file: path("RELCTL_AGE_IDENTITY_FILE").map(PathBuf::from),
            log: text("RELCTL_LOG"),
            actor: first(&[
                "RELCTL_ACTOR",
                "GITHUB_ACTOR",
                "GITLAB_USER_LOGIN",
                "BUILDKITE_BUILD_CREATOR",
                "USER",
                "LOGNAME",
            ]),
            test_now: text("RELCTL_TEST_NOW"),
            test_die_at: text("RELCTL_TEST_DIE_AT").and_then(|moment| moment.parse().ok()),
            test_lock_ttl: text("RELCTL_TEST_LOCK_TTL_MS")
                .and_then(|ms| ms.parse().ok())
                .map(Duration::from_millis),
            no_color: text("NO_COLOR").is_some(),
            force_color: text("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            ci: text("CI").is_some_and(|value| value != "false"),
            dumb_terminal: text("TERM").is_some_and(|value| value == "dumb"),
            ascii_terminal: first(&["LC_ALL", "LC_CTYPE", "LANG"]).is_some_and(|locale| {
                !locale.to_ascii_lowercase().replace('-', "").contains("utf8")
            }),
            home: path("HOME").map(PathBuf::from),
            cache_home: path("XDG_CACHE_HOME").map(PathBuf::from),
            state_home: path("XDG_STATE_HOME").map(PathBuf::from),
            run_url: github_run(&text).or_else(|| first(&["CI_JOB_URL", "BUILDKITE_BUILD_URL"])),
            commit: first(&["GITHUB_SHA", "CI_COMMIT_SHA", "BUILDKITE_COMMIT"]),
        }
    }

    /// Who is named in the history.
    pub(crate) fn actor(&self) -> String {
        self.actor.clone().unwrap_or_else(|| "unknown".to_owned())
    }

    /// The secret keys that open an encrypted ledger, one a line; empty where there are none.
    pub(crate) fn identities(&self) -> Result<String, CommandError> {
        let mut identities = self.age_identity.clone().unwrap_or_default();
        if let Some(file) = &self.age_identity_file {
            let text = std::fs::read_to_string(file).map_err(|error| {
                CommandError::file("read the age identities", file, &error)
                    .hint("RELCTL_AGE_IDENTITY_FILE names that file")
            })?;
            identities.push('\n');
            identities.push_str(&text);
        }
        Ok(identities)
    }

    /// The credentials among the variables, which nothing that is written may hold.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        const SECRET: [&str; 4] = ["SECRET", "TOKEN", "KEY", "PASSWORD"];
        let is_secret =
            |name: &str| SECRET.iter().any(|word| name.contains(word)) && !name.ends_with("_FILE");
        let named = self.cloud.iter().filter(|(name, _)| is_secret(name));
        let identities = self.age_identity.iter().flat_map(|text| text.lines());
        let all = named.map(|(_, value)| value.as_str()).chain(identities);
        // What is shorter is no credential, but a word that a test put there.
        all.filter(|value| value.len() >= 8).collect()
    }

    /// `$XDG_CACHE_HOME/relctl`: compiled plugins. `None` where there is no home.
    pub(crate) fn cache_dir(&self) -> Option<PathBuf> {
        self.xdg(self.cache_home.as_ref(), ".cache")
    }

    /// `$XDG_STATE_HOME/relctl`: the newest head seen of each ledger. `None` where there is no home.
    pub(crate) fn state_dir(&self) -> Option<PathBuf> {
        self.xdg(self.state_home.as_ref(), ".local/state")
    }

    fn xdg(&self, set: Option<&PathBuf>, below_home: &str) -> Option<PathBuf> {
        // The specification: a relative path there is invalid and is ignored.
        let set = set.filter(|path| path.is_absolute()).cloned();
        let base = set.or_else(|| self.home.as_ref().map(|home| home.join(below_home)))?;
        Some(base.join("relctl"))
    }
}

fn github_run(text: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let server = text("GITHUB_SERVER_URL")?;
    let repository = text("GITHUB_REPOSITORY")?;
    let run = text("GITHUB_RUN_ID")?;
    Some(format!("{server}/{repository}/actions/runs/{run}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(vars: &[(&str, &str)]) -> Environment {
        Environment::from_vars(vars.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn reads_what_ci_says() {
        let github = environment(&[
            ("CI", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "team/site"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_ACTOR", "ada"),
            ("USER", "runner"),
        ]);
        assert!(github.ci);
        assert_eq!(github.run_url.as_deref(), Some("https://github.com/team/site/actions/runs/7"));
        assert_eq!(github.actor(), "ada");
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let empty = environment(&[("NO_COLOR", ""), ("RELCTL_LEDGER", ""), ("CI", "")]);
        assert!(!empty.no_color && !empty.ci);
        assert_eq!(empty.ledger, None);
        assert_eq!(empty.actor(), "unknown");
    }

    #[test]
    fn reads_release_variables() {
        let read = environment(&[("RELCTL_VAR_color", "blue"), ("RELCTL_VARIABLE", "no")]);
        assert_eq!(read.vars, BTreeMap::from([("RELCTL_VAR_color".to_owned(), "blue".to_owned())]));
    }

    #[test]
    fn knows_which_variables_are_credentials() {
        let read = environment(&[
            ("AWS_ACCESS_KEY_ID", "the-key-id"),
            ("AWS_SECRET_ACCESS_KEY", "the-secret"),
            ("AWS_SESSION_TOKEN", "the-session"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/the/file"),
            ("AWS_REGION", "us-east-1"),
            ("AZURE_STORAGE_ACCOUNT_KEY", "testing"),
            ("RELCTL_AGE_IDENTITY", "the-identity"),
        ]);
        assert_eq!(read.secrets(), ["the-key-id", "the-secret", "the-session", "the-identity"]);
    }

    #[test]
    fn finds_the_xdg_folders() {
        let read = environment(&[("HOME", "/home/ada"), ("XDG_STATE_HOME", "/var/state")]);
        assert_eq!(read.cache_dir(), Some("/home/ada/.cache/relctl".into()));
        assert_eq!(read.state_dir(), Some("/var/state/relctl".into()));
        assert_eq!(environment(&[]).cache_dir(), None);
        let relative = environment(&[("HOME", "/home/ada"), ("XDG_CACHE_HOME", "cache")]);
        assert_eq!(relative.cache_dir(), Some("/home/ada/.cache/relctl".into()));
    }
}
