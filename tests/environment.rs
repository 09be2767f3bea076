//! A folder of its own for each test, and `relctl` run in it with nothing else around.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use regex::Regex;

/// An empty folder to work in, a home, and no environment but what is set here.
pub(crate) struct TestEnvironment {
    /// Holds `work`, `home` and `tmp`; deleted at the end.
    root: tempfile::TempDir,
}

/// What a run of `relctl` said, with everything that differs between runs replaced.
pub(crate) struct Output {
    pub stdout: String,
    pub stderr: String,
    /// `None`: killed by a signal.
    pub code: Option<i32>,
    /// stdout as it was.
    pub raw: String,
}

/// The time that every test lives in.
const NOW: &str = "2026-11-22T10:00:00Z";

impl TestEnvironment {
    pub(crate) fn new() -> Self {
        let root = new_root();
        for folder in ["work", "home", "tmp"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self { root }
    }

    /// A copy of it as it is now, to go another way from here.
    pub(crate) fn fork(&self) -> Self {
        let fork = Self { root: new_root() };
        crate::real::copy(self.root(), fork.root());
        fork
    }

    /// The folder that `relctl` runs in.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// The folder of everything that belongs to the test.
    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    /// A path below the folder that `relctl` runs in.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.work().join(path)
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        let path = self.path(path);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        std::fs::symlink_metadata(self.path(path)).is_ok()
    }

    /// Replaces the one place in a file where `from` stands.
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {path}:\n{text}");
        self.write(path, &text.replace(from, to));
    }

    /// `relctl` with these arguments, not yet started.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        self.command_of(binary(), arguments)
    }

    /// As [`Self::command`], on a machine with no plugin: a copy of `relctl` alone in its folder.
    pub(crate) fn bare_command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let copy = self.root().join("tmp/relctl");
        std::fs::copy(binary(), &copy).unwrap();
        let mut command = self.command_of(&copy, arguments);
        command.env_remove("RELCTL_PLUGIN_PATH");
        command
    }

    fn command_of<S: AsRef<OsStr>>(&self, binary: &Path, arguments: &[S]) -> Command {
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .current_dir(self.work())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.root.path().join("home"))
            .env("TMPDIR", self.root.path().join("tmp"))
            // Shared: compiling a plugin takes a second, and what is cached is keyed by its bytes.
            .env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"))
            .env("XDG_STATE_HOME", self.root.path().join("home/state"))
            .env("COLUMNS", "100")
            .env("USER", "ada")
            .env("RELCTL_PLUGIN_PATH", plugins())
            .env("RELCTL_TEST_NOW", NOW)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `relctl` with these arguments, written as in a shell without quotes.
    #[must_use = "compare it with a snapshot, or call `success` or `exits`"]
    pub(crate) fn relctl(&self, arguments: &str) -> Output {
        self.run(&mut self.command(&arguments.split_whitespace().collect::<Vec<_>>()))
    }

    /// Runs a command that [`Self::command`] made.
    #[must_use = "compare it with a snapshot, or call `success` or `exits`"]
    pub(crate) fn run(&self, command: &mut Command) -> Output {
        self.output(&command.output().unwrap())
    }

    /// Takes what a process left behind.
    #[must_use = "compare it with a snapshot, or call `success` or `exits`"]
    pub(crate) fn output(&self, output: &std::process::Output) -> Output {
        let raw = String::from_utf8(output.stdout.clone()).unwrap();
        Output {
            stdout: self.normalise(&raw),
            stderr: self.normalise(&String::from_utf8(output.stderr.clone()).unwrap()),
            code: output.status.code(),
            raw,
        }
    }

    /// Replaces what differs between runs: folders, digests, durations.
    fn normalise(&self, text: &str) -> String {
        static FILTERS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
            [
                (r"\b[0-9a-f]{64}\b", "[sha256]"),
                (r"\b[0-9a-f]{32}\b", "[id]"),
                (r"\b[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\b", "[uuid]"),
                (r"\b[0-9a-f]{12}\b", "[short]"),
                (r"\b[0-9a-f]{8}\b", "[short]"),
                (r"\b\d+(\.\d+)? ?(ms|s)\b", "[time]"),
                (r"\b\d+(\.\d+)? (kB|MB)\b", "[size]"),
                (r"\.new-\w+", ".new-[random]"),
                (r"\bpid \d+", "pid [pid]"),
                (r#""pid": ?\d+"#, r#""pid": [pid]"#),
            ]
            .into_iter()
            .map(|(pattern, with)| (Regex::new(pattern).unwrap(), with))
            .collect()
        });
        let mut text = text.to_owned();
        // macOS hands out temporary folders behind a link.
        let real = self.root.path().canonicalize().unwrap();
        for root in [real.as_path(), self.root.path()] {
            text = text.replace(root.to_str().unwrap(), "$ROOT");
        }
        // Whether they are beside the binary or elsewhere depends on who built them.
        let beside = binary().parent().unwrap().join("plugins");
        for folder in [&*beside, plugins()] {
            text = text.replace(folder.to_str().unwrap(), "$PLUGINS");
        }
        for (pattern, with) in FILTERS.iter() {
            text = pattern.replace_all(&text, *with).into_owned();
        }
        text
    }
}

impl Output {
    /// Asserts that the run went well, where its words do not matter.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Asserts how the run ended, where its words do not matter.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that all of this is said, wherever its lines were broken.
    #[track_caller]
    pub(crate) fn says(&self, parts: &[&str]) {
        let text = self.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(text.contains(part), "`{part}` is not said: {self}");
        }
    }

    /// stdout as the one JSON document that it is.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.raw).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "exit code: {code}")?,
            None => writeln!(f, "killed by a signal")?,
        }
        write!(f, "----- stdout\n{}----- stderr\n{}", self.stdout, self.stderr)
    }
}

fn new_root() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("relctl-test-").tempdir().unwrap()
}

/// The `relctl` under test: `RELCTL_TEST_BIN`, or the newest one that was built.
fn binary() -> &'static Path {
    static BINARY: LazyLock<PathBuf> =
        LazyLock::new(|| built("RELCTL_TEST_BIN", "relctl", &["relctl"]));
    &BINARY
}

/// The folder with the plugins under test: `RELCTL_TEST_PLUGINS`, or the newest that was built.
pub(crate) fn plugins() -> &'static Path {
    static PLUGINS: LazyLock<PathBuf> = LazyLock::new(|| {
        built("RELCTL_TEST_PLUGINS", "the plugin `local`", &["plugins", "local.wasm"])
            .parent()
            .unwrap()
            .to_owned()
    });
    &PLUGINS
}

fn built(variable: &str, what: &str, below: &[&str]) -> PathBuf {
    if let Some(set) = std::env::var_os(variable) {
        // A folder of plugins is named by the folder.
        return if below.len() > 1 { Path::new(&set).join("local.wasm") } else { set.into() };
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    ["debug", "release"]
        .iter()
        .map(|profile| target.join(profile).join(below.iter().collect::<PathBuf>()))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map_or_else(|| panic!("{what} is not built; run `cargo xtask test`"), |(_, path)| path)
}
