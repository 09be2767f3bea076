//! One run of relctl: what the command line and the environment said, and the ways from there to
//! the release, its ledger and its plugins.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use relctl_engine::{Clock as _, Context, Holder, Ledger, Providers};
use relctl_plan::{Digest, Meta};
use serde_json::json;

use crate::cli::GlobalArgs;
use crate::clock::SystemClock;
use crate::env::Environment;
use crate::error::CommandError;
use crate::ui::Ui;

/// One run of relctl.
pub(crate) struct Session {
    pub global: GlobalArgs,
    pub env: Environment,
    pub ui: Arc<Ui>,
    clock: SystemClock,
    /// The command's word, `apply`.
    command: &'static str,
    begun: Arc<AtomicBool>,
    /// The environment of the plan that is applied: its commands are for that one.
    planned_for: OnceLock<String>,
}

impl Session {
    pub(crate) fn new(
        global: GlobalArgs,
        env: Environment,
        ui: Arc<Ui>,
        command: &'static str,
    ) -> Self {
        let clock = SystemClock::new(env.test_now.clone());
        Self {
            global,
            env,
            ui,
            clock,
            command,
            begun: Arc::default(),
            planned_for: OnceLock::new(),
        }
    }

    /// The release file.
    pub(crate) fn file(&self) -> PathBuf {
        self.global.file.clone().unwrap_or_else(|| "release.toml".into())
    }

    /// The folder of the release file: `relctl.lock`, `environments/` and `state/` are in it. Empty
    /// where that is the current folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.file().parent().map(Path::to_owned).unwrap_or_default()
    }

    /// The environment that `-e` or `RELCTL_ENV` chose.
    pub(crate) fn environment(&self) -> Option<&str> {
        self.global.environment.as_deref().or(self.env.environment.as_deref())
    }

    /// Notes the environment of a plan that is applied.
    pub(crate) fn planned_for(&self, environment: Option<&str>) {
        if let Some(environment) = environment {
            self.planned_for.get_or_init(|| environment.to_owned());
        }
    }

    /// What the engine needs of the world.
    pub(crate) fn engine<'a>(
        &'a self,
        ledger: &'a dyn Ledger,
        providers: &'a Providers,
    ) -> Context<'a> {
        Context { ledger, providers, clock: &self.clock }
    }

    /// What a plan says about its making.
    pub(crate) fn meta(&self) -> Meta {
        Meta {
            relctl: env!("CARGO_PKG_VERSION").to_owned(),
            created: self.clock.now(),
            host: Some(host()),
            commit: self.env.commit.clone(),
            run_url: self.env.run_url.clone(),
            ..Meta::default()
        }
    }

    /// Who this process is, for whoever finds its lock.
    pub(crate) fn holder(&self, plan_id: Option<Digest>) -> Holder {
        Holder {
            nonce: nonce(),
            actor: self.env.actor(),
            host: host(),
            pid: std::process::id(),
            command: self.command.to_owned(),
            plan_id,
            run_url: self.env.run_url.clone(),
            since: self.clock.now(),
        }
    }

    /// Set when the first step starts.
    pub(crate) fn begun(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.begun)
    }

    /// Whether a step was started, and so something may have changed.
    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Tells a program that reads stdout what went wrong.
    pub(crate) fn report_error(&self, error: &CommandError) {
        if !self.ui.json {
            return;
        }
        let exit = error.kind.exit().code();
        // Where stdout is gone, stderr has said it.
        drop(if matches!(self.command, "apply" | "revert" | "resume") {
            self.ui.event(&json!({ "event": "error", "exit": exit, "error": error }))
        } else {
            self.ui.document(&json!({ "exit": exit, "error": error }))
        });
    }

    /// The error with every command that it names as it is to be typed here.
    pub(crate) fn complete(&self, mut error: CommandError) -> CommandError {
        let environment = self.environment().or(self.planned_for.get().map(String::as_str));
        for hint in &mut error.hints {
            if let Some((label, command)) = hint.split_once(": relctl ") {
                *hint = format!("{label}: {}", self.command_line(command, environment));
            }
        }
        error
    }

    /// A relctl command about the same release, environment and ledger, as a person would type it.
    pub(crate) fn command_line(&self, command: &str, environment: Option<&str>) -> String {
        let mut words = vec![format!("relctl {command}")];
        let mut add = |flag: &str, value: &str| {
            let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:".contains(c));
            let quoted = if plain {
                value.to_owned()
            } else {
                format!("'{}'", value.replace('\'', r"'\''"))
            };
            words.push(format!("{flag} {quoted}"));
        };
        if let Some(folder) = &self.global.chdir {
            add("-C", &folder.to_string_lossy());
        }
        if let Some(file) = &self.global.file {
            add("-f", &file.to_string_lossy());
        }
        if let Some(environment) = environment {
            add("-e", environment);
        }
        if let Some(ledger) = &self.global.ledger {
            add("--ledger", ledger);
        }
        words.join(" ")
    }
}

fn host() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// 32 random hexadecimal digits.
pub(crate) fn nonce() -> String {
    format!("{:032x}", fastrand::u128(..))
}
