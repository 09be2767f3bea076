//! `relctl import`.

use std::sync::Arc;

use clap::Args;
use relctl_engine::{EngineError, Provider, Providers, import};
use relctl_plan::{Address, Document, Instance, Kind, Map, Path, Role, Value};
use relctl_render::{Import, import_json, import_toml};

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::exit::Exit;
use crate::project;

/// Prints what exists as the part of a release file that declares it.
///
/// Nothing is changed, and no ledger is needed; the next `relctl plan` with it adopts the object.
/// Values that look like credentials are left out, and named.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  relctl import local_file config/site.toml >> release.toml
  relctl import aws_ecs_service cluster=production name=web --name web
  relctl import aws_ecs_task_definition web from.cluster=production from.service=web")]
pub(crate) struct ImportArgs {
    /// The kind of resource.
    kind: String,
    /// What tells it from others of its kind: values in the kind's order, or FIELD=VALUE; more
    /// fields may follow.
    #[arg(required = true)]
    identity: Vec<String>,
    /// What the release file shall call it [default: from its identity].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The plugin to ask, where more than one serves the kind.
    #[arg(long, value_name = "INSTANCE")]
    plugin: Option<Instance>,
}

pub(crate) async fn run(session: &Session, args: &ImportArgs) -> Result<Exit, CommandError> {
    let draft = project::load(session)?;
    let loaded = session.load_configured(&draft).await?;
    let serving = Serving::find(&loaded.providers, args)?;
    let kind = serving.kind;
    let given = given(kind, &args.identity)?;
    let address = address(kind, &given, args.name.as_deref())?;
    let found = import(serving.provider.as_ref(), &address, given.clone()).await;
    let found = found.map_err(not_meant)?;
    let Some(found) = found else {
        let what: Vec<String> =
            given.iter().map(|(field, value)| format!("{field} = {value}")).collect();
        return Err(CommandError::new(
            ErrorKind::Release,
            format!("there is no {} with {}", kind.name, what.join(", ")),
        )
        .hint(format!("check it, and the `config` of plugin `{}`", serving.instance)));
    };
    let import = Import {
        address: &address,
        kind,
        plugin: serving.is_one_of_many.then_some(serving.instance),
        fields: &found.fields,
        problems: &found.problems,
    };
    if session.ui.json {
        session.ui.document(&import_json(&import))?;
    } else {
        session.ui.data(&import_toml(&import))?;
    }
    Ok(Exit::Done)
}

/// What the plugin says against what was typed.
fn not_meant(error: EngineError) -> CommandError {
    let EngineError::Objects(errors) = error else { return error.into() };
    let said = errors.into_iter().map(|error| error.diagnostic);
    let mut error = wrong("this identifies nothing".to_owned());
    for diagnostic in said {
        error = error.detail(format!("{}: {}", diagnostic.path, diagnostic.message));
        error.hints.extend(diagnostic.hint);
    }
    error
}

/// The plugin that serves the kind.
struct Serving<'a> {
    instance: &'a str,
    provider: &'a Arc<dyn Provider>,
    kind: &'a Kind,
    is_one_of_many: bool,
}

impl<'a> Serving<'a> {
    fn find(providers: &'a Providers, args: &ImportArgs) -> Result<Self, CommandError> {
        let serving = |(instance, provider): (&'a Instance, &'a Arc<dyn Provider>)| {
            let kind = provider.description().kind(Role::Resource, &args.kind)?;
            Some((instance, provider, kind))
        };
        let all: Vec<_> = providers.iter().filter_map(serving).collect();
        let named = |(instance, ..): &&(&Instance, _, _)| {
            args.plugin.as_ref().is_none_or(|plugin| plugin == *instance)
        };
        let mut chosen = all.iter().filter(named);
        match (chosen.next(), chosen.next()) {
            (Some((instance, provider, kind)), None) => {
                Ok(Self { instance, provider, kind, is_one_of_many: all.len() > 1 })
            }
            (Some(_), Some(_)) => {
                let names: Vec<&str> = all.iter().map(|(instance, ..)| instance.as_str()).collect();
                Err(wrong(format!("`{}` is served by {}", args.kind, names.join(" and by ")))
                    .hint("say which to ask: --plugin INSTANCE"))
            }
            (None, _) => Err(not_served(providers, args)),
        }
    }
}

fn wrong(message: String) -> CommandError {
    CommandError::new(ErrorKind::Usage, message)
}

fn not_served(providers: &Providers, args: &ImportArgs) -> CommandError {
    let kind = &args.kind;
    if let Some(plugin) = args.plugin.as_ref().filter(|plugin| !providers.contains_key(*plugin)) {
        return wrong(format!("the release has no plugin `{plugin}`"))
            .hint("see which it has: relctl plugin list");
    }
    let serves =
        |role| providers.values().any(|provider| provider.description().kind(role, kind).is_some());
    let roles: Vec<String> =
        Role::ALL.into_iter().filter(|role| serves(*role)).map(|role| format!("{role}s")).collect();
    if !roles.is_empty() && !serves(Role::Resource) {
        let roles = roles.join(" and ");
        return wrong(format!(
            "`{kind}` names only {roles} here, and nothing but resources is imported"
        ))
        .hint(if serves(Role::Lookup) {
            format!("refer to what is there by a lookup: [lookup.{kind}.NAME]")
        } else {
            "nothing of it need be declared for it to be there".to_owned()
        });
    }
    let mut names: Vec<&str> = providers
        .values()
        .flat_map(|provider| &provider.description().kinds)
        .filter(|kind| kind.role == Role::Resource && !kind.identity.is_empty())
        .map(|kind| kind.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let error = wrong(format!("no plugin of the release serves a resource `{kind}`"));
    let nearest = names
        .iter()
        .map(|name| (strsim::jaro_winkler(name, kind), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.8);
    let error = match nearest {
        Some((_, nearest)) => error.hint(format!("did you mean `{nearest}`?")),
        None => error,
    };
    error.hint(format!("what can be imported: {}", names.join(", ")))
}

/// The fields that were given on the command line.
fn given(kind: &Kind, words: &[String]) -> Result<Map, CommandError> {
    let name = &kind.name;
    if kind.identity.is_empty() {
        return Err(wrong(format!(
            "a {name} is known to the ledger alone: nothing can be imported"
        )));
    }
    let shape: Vec<String> = kind.identity.iter().map(|field| format!("{field}=…")).collect();
    let shape = format!("give {}", shape.join(" "));
    let mut order = kind.identity.iter();
    let mut given = Document::default();
    for word in words {
        if let Some((path, value)) = named(kind, word) {
            let value = typed(kind, &path, value);
            given.set(&path, value);
        } else if let Some(field) = order.next() {
            let path = Path::field(field);
            given.set(&path, typed(kind, &path, word));
        } else {
            let message = format!("`{word}` is one more than identifies a {name}");
            return Err(wrong(message).hint(shape));
        }
    }
    match kind.identity.iter().find(|field| !given.value.contains_key(*field)) {
        Some(missing) => {
            Err(wrong(format!("a {name} is not identified without `{missing}`")).hint(shape))
        }
        None => Ok(Arc::unwrap_or_clone(given.value)),
    }
}

/// `FIELD=VALUE`, where the kind has that field: a plain value may hold a `=`.
fn named<'a>(kind: &Kind, word: &'a str) -> Option<(Path, &'a str)> {
    let (field, value) = word.split_once('=')?;
    let path: Path = field.parse().ok()?;
    kind.fields.fields.contains_key(path.first()?).then_some((path, value))
}

/// The value as the schema wants it: a whole number where only that will do.
fn typed(kind: &Kind, path: &Path, text: &str) -> Value {
    let schema = path.segments().try_fold(&kind.schema, |schema, segment| {
        schema.get("properties").and_then(|properties| properties.get(segment))
    });
    let is_integer = schema.and_then(|schema| schema.get("type")).is_some_and(|t| t == "integer");
    match text.parse::<i64>() {
        Ok(number) if is_integer => number.into(),
        _ => text.into(),
    }
}

/// What the release file calls it: as it was said, or the last part of its identity.
fn address(kind: &Kind, given: &Map, name: Option<&str>) -> Result<Address, CommandError> {
    let own = || {
        let last = kind.identity.last().and_then(|field| given.get(field));
        let text = last.map(|last| last.as_str().map_or_else(|| last.to_string(), str::to_owned));
        let text: String = text
            .unwrap_or_default()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        if text.starts_with(|c: char| c.is_ascii_digit()) { format!("_{text}") } else { text }
    };
    let name = name.map_or_else(own, str::to_owned);
    Address::new(Role::Resource, &kind.name, &name)
        .map_err(|error| wrong(error.to_string()).hint("name it yourself: --name NAME"))
}
