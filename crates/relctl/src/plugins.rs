//! Finding plugins: by name on the plugin path, by path, or by digest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use relctl_plan::Digest;

use crate::error::{CommandError, ErrorKind};

/// Where plugins are looked for.
#[derive(Debug, Clone)]
pub(crate) struct PluginPath {
    /// Paths that end in `.wasm` are relative to it.
    project: PathBuf,
    /// In the order in which they are looked at.
    folders: Vec<PathBuf>,
}

/// A plugin's file, as it was found.
#[derive(Debug, Clone)]
pub(crate) struct PluginFile {
    pub path: PathBuf,
    pub wasm: Vec<u8>,
    pub sha256: Digest,
}

impl PluginPath {
    /// The folder `plugins` beside the executable, then those of `RELCTL_PLUGIN_PATH`.
    pub(crate) fn new(project: &Path, configured: &[PathBuf]) -> Self {
        let beside = std::env::current_exe()
            // Where a link leads to the executable, the plugins are beside the executable.
            .and_then(|exe| exe.canonicalize())
            .ok()
            .and_then(|exe| Some(exe.parent()?.join("plugins")));
        Self {
            project: project.to_owned(),
            folders: beside.into_iter().chain(configured.iter().cloned()).collect(),
        }
    }

    /// Finds what the release file's `source` names.
    pub(crate) fn find(&self, source: &str) -> Result<PluginFile, CommandError> {
        if is_path(source) {
            return read(self.project.join(source));
        }
        match self.candidates(source).into_iter().find(|path| path.is_file()) {
            Some(path) => read(path),
            None => Err(self.not_found(source)),
        }
    }

    /// Finds the plugin with exactly these bytes, among those that `source` may mean.
    pub(crate) fn find_exactly(&self, source: &str, sha256: &Digest) -> Option<PluginFile> {
        let candidates =
            if is_path(source) { vec![self.project.join(source)] } else { self.candidates(source) };
        candidates
            .into_iter()
            .filter_map(|path| read(path).ok())
            .find(|file| file.sha256 == *sha256)
    }

    fn candidates(&self, name: &str) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join(format!("{name}.wasm"))).collect()
    }

    fn not_found(&self, name: &str) -> CommandError {
        let mut error =
            CommandError::new(ErrorKind::Plugin, format!("plugin `{name}` was not found"));
        for path in self.candidates(name) {
            error = error.detail(format!("no `{}`", path.display()));
        }
        let available = self.available();
        let nearest = available
            .iter()
            .map(|found| (strsim::jaro_winkler(found, name), found))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, nearest)) = nearest.filter(|(likeness, _)| *likeness > 0.8) {
            error = error.hint(format!("did you mean `{nearest}`?"));
        }
        error.hint(format!(
            "put `{name}.wasm` beside relctl in `plugins/`, name its folder in RELCTL_PLUGIN_PATH, \
             or write `source = \"path/to/{name}.wasm\"`"
        ))
    }

    /// The names of all plugins on the path.
    fn available(&self) -> BTreeSet<String> {
        self.folders
            .iter()
            .filter_map(|folder| folder.read_dir().ok())
            .flatten()
            .filter_map(|entry| {
                let name = entry.ok()?.file_name().into_string().ok()?;
                name.strip_suffix(".wasm").map(str::to_owned)
            })
            .collect()
    }
}

/// Whether a `source` is a path, not a name.
fn is_path(source: &str) -> bool {
    Path::new(source).extension().is_some_and(|extension| extension == "wasm")
}

fn read(path: PathBuf) -> Result<PluginFile, CommandError> {
    let wasm = std::fs::read(&path).map_err(|error| {
        CommandError::new(ErrorKind::Plugin, format!("cannot read the plugin `{}`", path.display()))
            .cause(error.to_string())
    })?;
    Ok(PluginFile { sha256: Digest::of(&wasm), path, wasm })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn path(project: &Path, folders: &[&tempfile::TempDir]) -> PluginPath {
        let folders = folders.iter().map(|folder| folder.path().to_owned()).collect();
        PluginPath { project: project.to_owned(), folders }
    }

    #[test]
    fn the_first_folder_wins() {
        let (first, second) = (folder(&[("a.wasm", b"1")]), folder(&[("a.wasm", b"2")]));
        let found = path(Path::new("/"), &[&first, &second]).find("a").unwrap();
        assert_eq!(found.wasm, b"1");
    }

    #[test]
    fn exactly_these_bytes_are_found_behind_others_of_the_name() {
        let (first, second) = (folder(&[("a.wasm", b"1")]), folder(&[("a.wasm", b"2")]));
        let plugins = path(Path::new("/"), &[&first, &second]);
        assert_eq!(plugins.find_exactly("a", &Digest::of(b"2")).unwrap().wasm, b"2");
        assert!(plugins.find_exactly("a", &Digest::of(b"3")).is_none());
    }

    #[test]
    fn a_path_is_relative_to_the_project() {
        let project = folder(&[("mine.wasm", b"1")]);
        let found = path(project.path(), &[]).find("mine.wasm").unwrap();
        assert_eq!(found.path, project.path().join("mine.wasm"));
    }

    #[test]
    fn a_likely_name_is_hinted_at() {
        let plugins = folder(&[("local.wasm", b"1")]);
        let error = path(Path::new("/"), &[&plugins]).find("locl").unwrap_err();
        assert_eq!(error.hints[0], "did you mean `local`?");
    }
}
