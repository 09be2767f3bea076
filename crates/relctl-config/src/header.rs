//! The header of a release file: `[release]`, `[plugins]` and `[ledger]`.

use std::collections::BTreeMap;

use relctl_plan::{Instance, PluginConfig, Value, is_identifier};

use crate::constants::Constants;
use crate::mistake::Found;
use crate::secrets::Search;
use crate::section::{Section, refuse_references, take_table, wrong_type};
use crate::source::Sources;
use crate::tree::{Content, Entry, Node, Table, table_to_map};

/// What a release file says of the release as a whole.
#[derive(Debug, Default)]
pub struct Header {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) environment: Option<String>,
    pub(crate) plugins: BTreeMap<Instance, PluginConfig>,
    ledger: Ledger,
}

/// What `[ledger]` says.
#[derive(Debug, Default)]
struct Ledger {
    url: Option<String>,
    recipients: Vec<String>,
}

impl Header {
    /// The release's name, which also names its ledger.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn version(&self) -> &str {
        &self.version
    }

    /// `None`: the release has no environments.
    pub fn environment(&self) -> Option<&str> {
        self.environment.as_deref()
    }

    /// The plugins that are configured; `local` in the release's folder where none is.
    pub fn plugins(&self) -> &BTreeMap<Instance, PluginConfig> {
        &self.plugins
    }

    /// `[ledger] url`.
    pub fn ledger_url(&self) -> Option<&str> {
        self.ledger.url.as_deref()
    }

    /// `[ledger] recipients`: for whom the ledger is encrypted.
    pub fn ledger_recipients(&self) -> &[String] {
        &self.ledger.recipients
    }
}

/// Takes the header's sections out of the root, and has `${release.…}` known from now on; `None`
/// where one of them is wrong.
pub(crate) fn read(
    root: &mut Table,
    environment: Option<&str>,
    constants: &mut Constants,
    search: &mut Search,
    sources: &Sources,
    found: &mut Vec<Found>,
) -> Option<Header> {
    let before = found.len();
    let release = read_release(root, environment, constants, sources, found);
    for section in ["plugins", "ledger"] {
        if let Some(entry) = root.get_mut(section) {
            constants.put_in_node(&mut entry.node, sources, found);
            search.resolved_section(section, &entry.node);
        }
    }
    let plugins = read_plugins(root, found);
    let ledger = read_ledger(root, found);
    let (name, version) = release.filter(|_| found.len() == before)?;
    Some(Header { name, version, environment: environment.map(str::to_owned), plugins, ledger })
}

/// `[release]`: name and version, which `${release.…}` gives from now on.
fn read_release(
    root: &mut Table,
    environment: Option<&str>,
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
    if let Some(environment) = environment {
        known.insert("environment".to_owned(), Value::String(environment.to_owned()));
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

pub(crate) fn not_a_name(name: &str, entry: &Entry) -> Found {
    Found::at(entry.key, format!("`{name}` is not a name"))
        .hint("use a letter or `_`, then letters, digits, `_` or `-`")
}
