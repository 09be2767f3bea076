//! From files to a draft: reading, environments and variables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path as FilePath, PathBuf};

use relctl_plan::is_identifier;

use crate::constants::Constants;
use crate::draft::Draft;
use crate::header::{self, Header, not_a_name};
use crate::mistake::{Diagnostics, Found, did_you_mean, there_is};
use crate::objects;
use crate::secrets::{self, Search};
use crate::section::{refuse_references, take_table};
use crate::source::Sources;
use crate::tree::{self, Table, lay_over};
use crate::vars::{self, Given};

/// The release file's name where none is given.
pub const RELEASE_FILE: &str = "release.toml";

/// The folder of environments, beside the release file.
const ENVIRONMENTS: &str = "environments";

/// What [`load`] reads.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// The folder that relative paths start from.
    pub dir: PathBuf,
    /// The release file; `None`: [`RELEASE_FILE`].
    pub file: Option<PathBuf>,
    /// `-e`.
    pub environment: Option<String>,
    /// `--var`, names with texts; later ones win.
    pub vars: Vec<(String, String)>,
    /// `--var-file`; later ones win.
    pub var_files: Vec<PathBuf>,
    /// The process's variables `RELCTL_VAR_<name>`, whole names; others are ignored.
    pub env: BTreeMap<String, String>,
}

/// Reads a release file with its overlay, as far as that is possible without the plugins.
///
/// Fails where there is no way on: unreadable files, syntax, the choice of the environment, and
/// mistakes in `[release]`, `[plugins]` or `[ledger]`. All other mistakes are reported by
/// [`Draft::finish`] together with those that only the plugins' kinds reveal.
pub fn load(options: &LoadOptions) -> Result<Draft, Diagnostics> {
    open(options).map(Opened::read)
}

/// Begins to read a release file: it fails as [`load`] does, and objects are still to be read. What
/// the header names can be fetched meanwhile.
pub fn open(options: &LoadOptions) -> Result<Opened, Diagnostics> {
    let mut sources = Sources::default();
    let mut found = Vec::new();
    let Some(layers) = read_layers(options, &mut sources, &mut found) else {
        return Err(Diagnostics::locate(found, &sources));
    };
    let (header, body) = read_header(options, layers, sources, found);
    match header {
        Some(header) => Ok(Opened { header, body }),
        None => {
            // Whoever mends the header wants to know all that is wrong.
            let draft = body.read(Header::default());
            Err(Diagnostics::locate(draft.mistakes, &draft.sources))
        }
    }
}

/// A release file of which only the header was read.
pub struct Opened {
    header: Header,
    body: Body,
}

impl Opened {
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the objects.
    pub fn read(self) -> Draft {
        self.body.read(self.header)
    }
}

/// What is left of a release file once its header was read.
struct Body {
    root: Table,
    given: Given,
    /// The names in `[vars]`.
    declared: BTreeSet<String>,
    constants: Constants,
    search: Search,
    sources: Sources,
    found: Vec<Found>,
}

impl Body {
    fn read(self, header: Header) -> Draft {
        let Self { mut root, given, declared, constants, mut search, mut sources, mut found } =
            self;
        constants.put_in(&mut root, &sources, &mut found);
        search.resolved(&root);
        search.variables(constants.used_variables());
        search.report(&mut sources, &mut found);
        let (objects, removed) = objects::read(&mut root, &mut found);
        refuse_unknown_sections(&root, &mut found);
        refuse_unused_variables(&given, &declared, &constants, &mut found);
        Draft { sources, mistakes: found, header, objects, removed }
    }
}

/// The release file's folder, and the trees of everything that was read.
struct Layers {
    folder: PathBuf,
    root: Table,
    overlay: Table,
    var_files: Vec<Table>,
}

fn read_layers(
    options: &LoadOptions,
    sources: &mut Sources,
    found: &mut Vec<Found>,
) -> Option<Layers> {
    let name = options.file.clone().unwrap_or_else(|| PathBuf::from(RELEASE_FILE));
    let path = options.dir.join(&name);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot read the release file `{}`: {error}", name.display());
            let hint =
                "name it with `--file`, or the folder that holds `release.toml` with `--chdir`";
            found.push(Found::nowhere(message).hint(hint));
            return None;
        }
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let file = sources.add(name.display().to_string(), text);
    let root = parse(sources, file, found);
    let overlay = read_environment(options, &folder, &name, sources, found);
    let var_files: Vec<Option<Table>> = options
        .var_files
        .iter()
        .map(|file| read_file(&options.dir, file, sources, found))
        .collect();
    let var_files: Option<Vec<Table>> = var_files.into_iter().collect();
    let (root, overlay, var_files) = (root?, overlay?, var_files?);
    match folder.canonicalize() {
        Ok(folder) => Some(Layers { folder, root, overlay, var_files }),
        Err(error) => {
            let message = format!("cannot find the folder `{}`: {error}", folder.display());
            found.push(Found::nowhere(message));
            None
        }
    }
}

/// Merges the layers and reads relctl's own sections; no header where one of these is wrong.
fn read_header(
    options: &LoadOptions,
    layers: Layers,
    sources: Sources,
    mut found: Vec<Found>,
) -> (Option<Header>, Body) {
    let Layers { folder, mut root, mut overlay, var_files } = layers;
    let mut search = Search::default();
    for layer in [&mut root, &mut overlay] {
        search.vouch(layer, &mut found);
    }
    // Before they are merged: what another layer covers is in the file all the same.
    search.written(&root);
    search.written(&overlay);
    for file in &var_files {
        search.written_variables(file);
    }
    lay_over(&mut root, overlay);

    let mut constants = Constants::new(folder);
    let given = Given { env: options.env.clone(), files: var_files, options: options.vars.clone() };
    let declared = read_vars(&mut root, &given, &mut constants, &sources, &mut found);
    let environment = options.environment.as_deref();
    let header =
        header::read(&mut root, environment, &mut constants, &mut search, &sources, &mut found);
    (header, Body { root, given, declared, constants, search, sources, found })
}

/// The overlay's table; an empty one where the release has no environments.
fn read_environment(
    options: &LoadOptions,
    folder: &FilePath,
    release_file: &FilePath,
    sources: &mut Sources,
    found: &mut Vec<Found>,
) -> Option<Table> {
    let known = environments(folder);
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    match &options.environment {
        None if known.is_empty() => Some(Table::new()),
        None => {
            let message = "this release has environments, and none is named";
            let hint = format!("add `-e NAME`: {}", there_is(&names));
            found.push(Found::nowhere(message).hint(hint));
            None
        }
        Some(name) if names.contains(&name.as_str()) => {
            let overlay = release_file.with_file_name(ENVIRONMENTS).join(format!("{name}.toml"));
            read_file(&options.dir, &overlay, sources, found)
        }
        Some(name) => {
            let message = format!("there is no environment `{name}`");
            let hint = did_you_mean(name, names)
                .unwrap_or_else(|| format!("create `{ENVIRONMENTS}/{name}.toml` beside the file"));
            found.push(Found::nowhere(message).hint(hint));
            None
        }
    }
}

/// The names of the files in `environments/`, sorted.
fn environments(folder: &FilePath) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder.join(ENVIRONMENTS)) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_toml = path.extension().is_some_and(|extension| extension == "toml");
            is_toml.then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    names.sort();
    names
}

/// Reads a file's tree; where that fails, the lines that are shown may still hold credentials.
fn parse(sources: &mut Sources, file: usize, found: &mut Vec<Found>) -> Option<Table> {
    let table = tree::parse(sources, file, found);
    if table.is_none() {
        secrets::hide_unread(sources, file);
    }
    table
}

fn read_file(
    dir: &FilePath,
    file: &FilePath,
    sources: &mut Sources,
    found: &mut Vec<Found>,
) -> Option<Table> {
    match std::fs::read_to_string(dir.join(file)) {
        Ok(text) => {
            let index = sources.add(file.display().to_string(), text);
            parse(sources, index, found)
        }
        Err(error) => {
            found.push(Found::nowhere(format!("cannot read `{}`: {error}", file.display())));
            None
        }
    }
}

/// Gives the variables their values; returns the names that `[vars]` declares.
fn read_vars(
    root: &mut Table,
    given: &Given,
    constants: &mut Constants,
    sources: &Sources,
    found: &mut Vec<Found>,
) -> BTreeSet<String> {
    let mut declared = root
        .remove("vars")
        .and_then(|mut entry| {
            constants.put_in_node(&mut entry.node, sources, found);
            refuse_references("a variable", &entry.node, found);
            take_table("vars", entry.node, found)
        })
        .unwrap_or_default();
    for (name, entry) in &declared {
        if !is_identifier(name) {
            found.push(not_a_name(name, entry));
        }
    }
    declared.retain(|name, _| is_identifier(name));
    let names = declared.keys().cloned().collect();
    constants.define("vars", vars::resolve(declared, given, found));
    names
}

/// What the sections read so far have left over.
fn refuse_unknown_sections(root: &Table, found: &mut Vec<Found>) {
    const SECTIONS: [&str; 10] = [
        "release", "vars", "plugins", "ledger", "lookup", "resource", "action", "check",
        "defaults", "removed",
    ];
    for (name, entry) in root {
        let message = format!("a release file has no `{name}`");
        let hint = did_you_mean(name, SECTIONS);
        found.push(Found::at(entry.key, message).maybe_hint(hint));
    }
}

/// A variable that is neither declared nor used is a slip of the pen.
fn refuse_unused_variables(
    given: &Given,
    declared: &BTreeSet<String>,
    constants: &Constants,
    found: &mut Vec<Found>,
) {
    for (name, place) in vars::named(given) {
        if declared.contains(name) || constants.is_used(name) {
            continue;
        }
        let message = format!("no variable `{name}` is declared or used in this release");
        let wrong = match place {
            Some(place) => Found::at(place, message),
            None => Found::nowhere(message),
        };
        found.push(wrong.maybe_hint(did_you_mean(name, declared.iter().map(String::as_str))));
    }
}
