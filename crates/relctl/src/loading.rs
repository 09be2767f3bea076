//! Loading plugins: those that the release file names, checked against `relctl.lock`, or those
//! that a plan or the ledger pins.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use relctl_broker::http::{HttpBroker, HttpOptions, HttpSetupError, RetryBudget};
use relctl_broker::{Grants, HttpTransport};
use relctl_config::{Draft, LockFile};
use relctl_engine::{Ledger as _, Provider, Providers};
use relctl_host::{Core, Host, HostOptions, Inspection, Limits, LoadRequest, core, grants_for};
use relctl_ledger::LedgerStore;
use relctl_plan::{Description, Digest, Instance, Plan, PlanKind, PluginPin, Value};

use crate::context::Session;
use crate::error::{CommandError, ErrorKind};
use crate::plugins::{PluginFile, PluginPath};

/// Plugins that are ready to be asked.
#[derive(Default)]
pub(crate) struct Loaded {
    pub providers: Providers,
    /// Their bytes, for the ledger to keep.
    pub wasm: Vec<(Digest, Vec<u8>)>,
}

/// How often requests of all plugins together are sent again in a row, before it is given up.
const RETRIES: u32 = 50;

/// A plugin that shall be loaded.
struct Wanted {
    instance: Instance,
    pin: PluginPin,
    file: PluginFile,
}

impl Loaded {
    /// What each says of itself.
    pub(crate) fn descriptions(&self) -> BTreeMap<Instance, Description> {
        self.providers
            .iter()
            .map(|(instance, provider)| (instance.clone(), provider.description().clone()))
            .collect()
    }
}

impl Session {
    /// Where plugins are looked for.
    pub(crate) fn plugin_path(&self) -> PluginPath {
        PluginPath::new(&self.folder(), &self.env.plugin_path)
    }

    /// Loads the plugins that a release file configures. Each must be the one in `relctl.lock`.
    pub(crate) async fn load_configured(&self, draft: &Draft) -> Result<Loaded, CommandError> {
        let lock = LockFile::read(&self.folder())?;
        let path = self.plugin_path();
        let mut wanted = Vec::new();
        for (instance, config) in draft.header().plugins() {
            let file = path.find(&config.source)?;
            let Some(locked) = lock.plugins.get(instance) else {
                return Err(CommandError::new(
                    ErrorKind::Plugin,
                    format!("plugin `{instance}` is not in `relctl.lock`"),
                )
                .hint("see what it asks for, and grant it: relctl init"));
            };
            if file.sha256 != locked.sha256 {
                return Err(CommandError::new(
                    ErrorKind::Plugin,
                    format!("plugin `{instance}` is not the one in `relctl.lock`"),
                )
                .detail(format!("in `relctl.lock`  {} {}", locked.version, locked.sha256))
                .detail(format!("`{}`  {}", file.path.display(), file.sha256))
                .hint("see what is new about it, and accept it: relctl init --upgrade"));
            }
            let grants = serde_json::to_value(grants_for(&locked.grants)).unwrap_or_default();
            let pin = PluginPin {
                name: locked.name.clone(),
                version: locked.version.clone(),
                sha256: locked.sha256.clone(),
                contract: locked.contract.clone(),
                grants,
                config: config.config.clone(),
                auth: config.auth.clone(),
            };
            wanted.push(Wanted { instance: instance.clone(), pin, file });
        }
        let mut loaded = self.load(wanted).await?;
        let core = core();
        let serves = |(role, kind)| core.description().kind(role, kind).is_some();
        // Only where it is used: an unused one would stand in every plan.
        if draft.kinds_needed().into_iter().any(serves) {
            loaded.providers.insert(Core::INSTANCE.to_owned(), core);
        }
        Ok(loaded)
    }

    /// What the plugins of a release file say of themselves. None is granted anything, so none need
    /// be in `relctl.lock`.
    pub(crate) async fn described(
        &self,
        draft: &Draft,
    ) -> Result<BTreeMap<Instance, Description>, CommandError> {
        let path = self.plugin_path();
        let mut descriptions = BTreeMap::new();
        for (instance, config) in draft.header().plugins() {
            let file = path.find(&config.source)?;
            descriptions.insert(instance.clone(), self.inspect(&file).await?.description);
        }
        descriptions.insert(Core::INSTANCE.to_owned(), core().description().clone());
        Ok(descriptions)
    }

    /// Loads the plugins that a plan or an entry was made with: exactly those, from the plugin path,
    /// from where `relctl.lock` says, or from the ledger.
    pub(crate) async fn load_pinned(
        &self,
        ledger: &LedgerStore,
        pins: &BTreeMap<Instance, PluginPin>,
    ) -> Result<Loaded, CommandError> {
        let path = self.plugin_path();
        // Not needed: a bare machine has none.
        let lock = LockFile::read(&self.folder()).ok();
        let mut wanted = Vec::new();
        let core = core();
        let (built_in, pins): (Vec<_>, Vec<_>) =
            pins.iter().partition(|(instance, _)| *instance == Core::INSTANCE);
        if let Some((_, pin)) = built_in.iter().find(|(_, pin)| !core.is_pinned_by(pin)) {
            return Err(CommandError::new(
                ErrorKind::Stale,
                format!("relctl {}'s own kinds are not those of this relctl", pin.version),
            )
            .hint(format!("use relctl {}, or plan again with this one", pin.version)));
        }
        for (instance, pin) in pins {
            let beside = lock.as_ref().and_then(|lock| lock.plugins.get(instance));
            let sources = [Some(pin.name.as_str()), beside.map(|locked| locked.source.as_str())];
            let mut found = sources.into_iter().flatten();
            let file = match found.find_map(|source| path.find_exactly(source, &pin.sha256)) {
                Some(file) => Some(file),
                None => ledger.plugin(&pin.sha256).await?.map(|wasm| PluginFile {
                    path: format!("plugins/{}.wasm", pin.sha256).into(),
                    wasm,
                    sha256: pin.sha256.clone(),
                }),
            };
            let Some(file) = file else {
                return Err(CommandError::new(
                    ErrorKind::Stale,
                    format!(
                        "plugin `{instance}` ({} {}) is not here with the bytes that were reviewed",
                        pin.name, pin.version
                    ),
                )
                .detail(format!("wanted sha256 {}", pin.sha256))
                .hint(format!(
                    "put that `{}.wasm` into a folder of RELCTL_PLUGIN_PATH, or plan again with \
                     the one that is here",
                    pin.name
                )));
            };
            wanted.push(Wanted { instance: instance.clone(), pin: pin.clone(), file });
        }
        let mut loaded = self.load(wanted).await?;
        if !built_in.is_empty() {
            loaded.providers.insert(Core::INSTANCE.to_owned(), core);
        }
        Ok(loaded)
    }

    /// A plan file comes from anywhere: each plugin that it names must be one that was granted what
    /// the plan says, in `relctl.lock` or by an entry that the plan goes on or back to. Where there
    /// is no `relctl.lock`, on a bare machine, whoever brought the plan has decided.
    pub(crate) async fn check_granted(
        &self,
        ledger: &LedgerStore,
        plan: &Plan,
    ) -> Result<(), CommandError> {
        let lock = LockFile::read(&self.folder())?;
        if lock.plugins.is_empty() {
            return Ok(());
        }
        let is_locked = |instance: &str, pin: &PluginPin| {
            lock.plugins.get(instance).is_some_and(|locked| {
                let grants = serde_json::to_value(grants_for(&locked.grants)).unwrap_or_default();
                locked.sha256 == pin.sha256 && grants == pin.grants
            })
        };
        let foreign: Vec<_> = plan
            .body
            .plugins
            .iter()
            .filter(|(instance, pin)| *instance != Core::INSTANCE && !is_locked(instance, pin))
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let target = match &plan.body.kind {
            PlanKind::Revert { target } => target.entry.clone(),
            PlanKind::Apply => None,
        };
        let mut recorded = Vec::new();
        for entry in [ledger.head().await?.entry, target].into_iter().flatten() {
            recorded.push(ledger.snapshot(&ledger.entry(&entry).await?.snapshot).await?.plugins);
        }
        let was_granted = |instance: &str, pin: &PluginPin| {
            recorded
                .iter()
                .filter_map(|plugins| plugins.get(instance))
                .any(|recorded| recorded.sha256 == pin.sha256 && recorded.grants == pin.grants)
        };
        match foreign.into_iter().find(|(instance, pin)| !was_granted(instance, pin)) {
            None => Ok(()),
            Some((instance, pin)) => Err(CommandError::new(
                ErrorKind::Stale,
                format!("plugin `{instance}` of the plan was not granted what the plan says"),
            )
            .detail(format!("the plan names {} {}", pin.version, pin.sha256))
            .detail("neither `relctl.lock` nor the ledger has it with these grants")
            .hint("nothing was changed; plan again with what is granted here: relctl plan")),
        }
    }

    /// Loads the plugins that the newest entry was made with.
    pub(crate) async fn load_recorded(&self, ledger: &LedgerStore) -> Result<Loaded, CommandError> {
        let Some(digest) = ledger.head().await?.entry else { return Ok(Loaded::default()) };
        let snapshot = ledger.snapshot(&ledger.entry(&digest).await?.snapshot).await?;
        self.load_pinned(ledger, &snapshot.plugins).await
    }
}

impl Session {
    /// Looks at a plugin without granting it anything.
    pub(crate) async fn inspect(&self, file: &PluginFile) -> Result<Inspection, CommandError> {
        let name = file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(self.host()?.inspect(&name.unwrap_or_default(), &file.wasm).await?)
    }

    /// How long it takes to compile a plugin.
    pub(crate) fn time_to_compile(&self, file: &PluginFile) -> Result<Duration, CommandError> {
        Ok(self.host()?.time_to_compile(&file.path.to_string_lossy(), &file.wasm)?)
    }

    fn host(&self) -> Result<Host, CommandError> {
        let options = HostOptions {
            cache_dir: self.env.cache_dir().map(|folder| folder.join("plugins")),
            limits: Limits::default(),
        };
        Host::new(options).map_err(|error| {
            CommandError::new(ErrorKind::Plugin, "this machine cannot run WebAssembly")
                .cause(error.to_string())
        })
    }

    /// Loads plugins, all at once, with what they may use.
    async fn load(&self, wanted: Vec<Wanted>) -> Result<Loaded, CommandError> {
        if wanted.is_empty() {
            return Ok(Loaded::default());
        }
        let host = self.host()?;
        let folder = std::env::current_dir()
            .map_err(|error| CommandError::file("find the folder", Path::new("."), &error))?
            .join(self.folder());
        let budget = Arc::new(RetryBudget::new(RETRIES));
        let loads = wanted.iter().map(|Wanted { instance, pin, file }| {
            let (host, folder, budget) = (&host, &folder, &budget);
            async move {
                let grants: Grants =
                    serde_json::from_value(pin.grants.clone()).map_err(|error| {
                        CommandError::new(
                            ErrorKind::Plugin,
                            format!("the grants of plugin `{instance}` cannot be read"),
                        )
                        .cause(error.to_string())
                    })?;
                let http = transport(instance, pin, &grants, budget)?;
                let root = pin.config.get("root").and_then(Value::as_str);
                let plugin = host
                    .load(LoadRequest {
                        instance: instance.clone(),
                        wasm: &file.wasm,
                        sha256: Some(pin.sha256.clone()),
                        grants,
                        config: pin.config.clone(),
                        auth: pin.auth.clone(),
                        files_root: root.map(|root| folder.join(root)),
                        http,
                    })
                    .await?;
                Ok::<_, CommandError>((instance.clone(), Arc::new(plugin) as Arc<dyn Provider>))
            }
        });
        let providers = try_join_all(loads).await?.into_iter().collect();
        let wasm = wanted.into_iter().map(|wanted| (wanted.file.sha256, wanted.file.wasm));
        Ok(Loaded { providers, wasm: wasm.collect() })
    }
}

/// What sends a plugin's requests, where it may send any.
fn transport(
    instance: &str,
    pin: &PluginPin,
    grants: &Grants,
    budget: &Arc<RetryBudget>,
) -> Result<Option<Arc<dyn HttpTransport>>, CommandError> {
    if grants.http.is_empty() {
        return Ok(None);
    }
    let as_error = |error: HttpSetupError| CommandError::from_error(ErrorKind::Plugin, &error);
    let options = HttpOptions::read(instance, Arc::clone(budget), &pin.config, &pin.auth)
        .map_err(as_error)?;
    let broker = HttpBroker::new(options).map_err(as_error)?;
    Ok(Some(Arc::new(broker)))
}
