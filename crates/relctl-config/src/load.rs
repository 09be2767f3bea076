//! From files to a draft: reading, environments, variables, and relctl's own sections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path as FilePath, PathBuf};

use relctl_plan::{Instance, PluginConfig, Value, is_identifier};

use crate::constants::Constants;
use crate::draft::{Draft, Ledger};
use crate::mistake::{Diagnostics, Found, did_you_mean, there_is};
use crate::objects;
use crate::secrets::{self, Search};
use crate::section::{Section, refuse_references, take_table, wrong_type};
use crate::source::Sources;
use crate::tree::{self, Content, Entry, Node, Table, lay_over, table_to_map};
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
    let mut sources = Sources::default();
    let mut found = Vec::new();
    match read(options, &mut sources, &mut found) {
        Some(draft) => Ok(Draft { sources, mistakes: found, ..draft }),
        None => Err(Diagnostics::locate(found, &sources)),
    }
}

fn read(options: &LoadOptions, sources: &mut Sources, found: &mut Vec<Found>) -> Option<Draft> {
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
    let base = parse(sources, file, found);
    let overlay = read_environment(options, &folder, &name, sources, found);
    let var_files: Vec<Option<Table>> = options
        .var_files
        .iter()
        .map(|file| read_file(&options.dir, file, sources, found))
        .collect();
    let var_files: Option<Vec<Table>> = var_files.into_iter().collect();
    let (mut root, mut overlay, files) = (base?, overlay?, var_files?);
    let mut search = Search::default();
    for layer in [&mut root, &mut overlay] {
        search.vouch(layer, found);
    }
    // Before they are merged: what another layer covers is in the file all the same.
    search.written(&root);
    search.written(&overlay);
    for file in &files {
        search.written_variables(file);
    }
    lay_over(&mut root, overlay);

    let folder = match folder.canonicalize() {
        Ok(folder) => folder,
        Err(error) => {
            let message = format!("cannot find the folder `{}`: {error}", folder.display());
            found.push(Found::nowhere(message));
            return None;
        }
    };
    let mut constants = Constants::new(folder);
    let given = Given { env: options.env.clone(), files, options: options.vars.clone() };
    let declared = read_vars(&mut root, &given, &mut constants, sources, found);

    let before = found.len();
    let release = read_release(&mut root, options, &mut constants, sources, found);
    for section in ["plugins", "ledger"] {
        if let Some(entry) = root.get_mut(section) {
            constants.put_in_node(&mut entry.node, sources, found);
            search.resolved_section(section, &entry.node);
        }
    }
    let plugins = read_plugins(&mut root, found);
    let ledger = read_ledger(&mut root, found);
    let sound = found.len() == before;

    constants.put_in(&mut root, sources, found);
    search.resolved(&root);
    search.variables(constants.used_variables());
    search.report(sources, found);
    let (objects, removed) = objects::read(&mut root, found);
    refuse_unknown_sections(&root, found);
    refuse_unused_variables(&given, &declared, &constants, found);
    let (name, version) = release.filter(|_| sound)?;
    Some(Draft {
        sources: Sources::default(),
        mistakes: Vec::new(),
        name,
        version,
        environment: options.environment.clone(),
        plugins,
        ledger,
        objects,
        removed,
    })
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

fn not_a_name(name: &str, entry: &Entry) -> Found {
    Found::at(entry.key, format!("`{name}` is not a name"))
        .hint("use a letter or `_`, then letters, digits, `_` or `-`")
}

/// `[release]`: name and version, which `${release.…}` gives from now on.
fn read_release(
    root: &mut Table,
    options: &LoadOptions,
    constants: &mut Constants,
    sources: &Sources,
    found: &mut Vec<Found>,
) -> Option<(String, String)> {
    let Some(mut entry) = root.remove("release") else {
        found.push(
            Found::nowhere("the release file has no [release]")
                .hint("add [release] with `name = \"…\"` and `version = \"…\"`"),
        );
        return None;
    };
    constants.put_in_node(&mut entry.node, sources, found);
    let mut section = Section::of("[release]".to_owned(), entry.node, found)?;
    let name = section.required_text("name");
    let version = section.required_text("version");
    if let Some((name, place)) = name.as_ref().filter(|(name, _)| !is_folder_name(name)) {
        let message = format!("`{name}` cannot be a release's name: it also names a folder");
        let hint = "use letters, digits, `_`, `-` and `.`, the first a letter or digit";
        section.found().push(Found::at(*place, message).hint(hint));
    }
    if let Some((version, place)) = version.as_ref()
        && (version.is_empty() || version.contains(|c: char| c.is_whitespace() || c.is_control()))
    {
        let message = format!("`{version}` is not a version");
        let hint = "use any text without spaces, such as `v1.2.0`";
        section.found().push(Found::at(*place, message).hint(hint));
    }
    section.finish();
    let (name, version) = (name?.0, version?.0);
    let mut known = relctl_plan::Map::new();
    known.insert("name".to_owned(), Value::String(name.clone()));
    known.insert("version".to_owned(), Value::String(version.clone()));
    if let Some(environment) = &options.environment {
        known.insert("environment".to_owned(), Value::String(environment.clone()));
    }
    constants.define("release", known);
    Some((name, version))
}

fn is_folder_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// `[plugins.<instance>]`. A release without any uses `local` in its own folder.
fn read_plugins(root: &mut Table, found: &mut Vec<Found>) -> BTreeMap<Instance, PluginConfig> {
    let Some(entry) = root.remove("plugins") else {
        let config = serde_json::json!({ "root": "." });
        let local = PluginConfig { source: "local".to_owned(), config, auth: Value::Null };
        return [("local".to_owned(), local)].into_iter().collect();
    };
    refuse_references("a plugin", &entry.node, found);
    let table = take_table("plugins", entry.node, found).unwrap_or_default();
    let mut plugins = BTreeMap::new();
    for (instance, entry) in table {
        if !is_identifier(&instance) {
            found.push(not_a_name(&instance, &entry));
        }
        let section = Section::of(format!("[plugins.{instance}]"), entry.node, found);
        let Some(mut section) = section else { continue };
        let source = section.text("source").map_or_else(|| instance.clone(), |(source, _)| source);
        let config = section.take("config").map(|entry| entry.node);
        let auth = section.take("auth").map(|entry| entry.node);
        let config = take_values("config", config, section.found());
        let auth = take_values("auth", auth, section.found());
        section.finish();
        let config = config.unwrap_or_else(|| Value::Object(relctl_plan::Map::new()));
        let auth = auth.unwrap_or(Value::Null);
        plugins.insert(instance, PluginConfig { source, config, auth });
    }
    plugins
}

fn take_values(key: &str, node: Option<Node>, found: &mut Vec<Found>) -> Option<Value> {
    match node? {
        Node { content: Content::Table(table), .. } => Some(Value::Object(table_to_map(&table))),
        node => {
            found.push(wrong_type(key, "a table", &node));
            None
        }
    }
}

fn read_ledger(root: &mut Table, found: &mut Vec<Found>) -> Ledger {
    let Some(entry) = root.remove("ledger") else { return Ledger::default() };
    let Some(mut section) = Section::of("[ledger]".to_owned(), entry.node, found) else {
        return Ledger::default();
    };
    let url = section.text("url").map(|(url, _)| url);
    let recipients = section.texts("recipients").into_iter().map(|(text, _)| text).collect();
    section.finish();
    Ledger { url, recipients }
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
