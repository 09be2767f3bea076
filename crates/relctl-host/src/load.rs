//! From bytes to a plugin, step by step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relctl_broker::{Files, Grants, HttpTransport, Operations};
use relctl_plan::{
    Description, Digest, Instance, Kind, Operations as WantedOperations, PluginPin, Value, Wants,
};
use serde_json::json;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::artifact::{Artifact, CONTRACT};
use crate::bindings::{Provider, ProviderPre, types as wire};
use crate::cache::Cache;
use crate::call::{Callable, DESCRIBE};
use crate::state::{State, World};
use crate::{Limits, LoadError, LoadFault, Plugin, engine};

/// How a host works.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Where compiled plugins are kept; `None`: nowhere, each load compiles.
    pub cache_dir: Option<PathBuf>,
    pub limits: Limits,
}

/// Loads plugins. One per process; cheap to share.
pub struct Host {
    engine: Engine,
    linker: Linker<State>,
    cache: Option<Cache>,
    limits: Limits,
}

/// A plugin that shall be loaded, and what is expected of it.
pub struct LoadRequest<'a> {
    /// The name under which it is configured.
    pub instance: Instance,
    /// The component's bytes.
    pub wasm: &'a [u8],
    /// The digest that `relctl.lock` has; `None`: any.
    pub sha256: Option<Digest>,
    /// What it may use.
    pub grants: Grants,
    /// Its `config` from the release file, handed to it as it is.
    pub config: Value,
    /// Its `auth` from the release file, which it never sees; part of the pin.
    pub auth: Value,
    /// The root of its files, an absolute path. It need not exist.
    pub files_root: Option<PathBuf>,
    /// What sends its requests.
    pub http: Option<Arc<dyn HttpTransport>>,
}

/// What there is to know about a plugin before it is granted anything.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub description: Description,
    pub sha256: Digest,
    /// Bytes.
    pub size: usize,
    /// The contract's version.
    pub contract: String,
    /// The interfaces that it imports, sorted: `files`, `host`, `http`, `types`.
    pub imports: Vec<String>,
    /// How long loading it takes once it is compiled, `describe` included.
    pub load: Duration,
}

impl Host {
    /// Fails where this machine cannot run WebAssembly.
    pub fn new(options: HostOptions) -> wasmtime::Result<Self> {
        let engine = engine::new()?;
        engine::start_clock(&engine);
        let mut linker = Linker::new(&engine);
        Provider::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        let cache = options.cache_dir.map(|folder| Cache::new(folder, &engine));
        Ok(Self { engine, linker, cache, limits: options.limits })
    }

    /// Loads a plugin, in the order of [`LoadFault`]'s variants.
    ///
    /// Several can be loaded at once: what takes time is compiling, which happens once per digest
    /// and machine, on a thread of its own.
    pub async fn load(&self, request: LoadRequest<'_>) -> Result<Plugin, LoadError> {
        let instance = request.instance.clone();
        self.try_load(request)
            .await
            .map_err(|fault| LoadError { plugin: instance, fault: Box::new(fault) })
    }

    async fn try_load(&self, request: LoadRequest<'_>) -> Result<Plugin, LoadFault> {
        let sha256 = Digest::of(request.wasm);
        if let Some(expected) = request.sha256.filter(|expected| *expected != sha256) {
            return Err(LoadFault::Digest { expected, actual: sha256 });
        }
        let artifact = Artifact::read(request.wasm, sha256)?;
        artifact.check_grants(&request.grants)?;
        let files = match request.files_root {
            Some(root) => Some(Arc::new(Files::new(root))),
            None if request.grants.files => return Err(LoadFault::NoRoot),
            None => None,
        };
        let component = match &self.cache {
            Some(cache) => cache.component(&self.engine, &artifact.sha256, request.wasm),
            None => Component::from_binary(&self.engine, request.wasm),
        }
        .map_err(LoadFault::Compile)?;
        let callable = Callable {
            plugin: request.instance.into(),
            component: self.instantiable(&component)?,
            world: Arc::new(World {
                config: request.config.to_string(),
                grants: request.grants,
                files,
                http: request.http,
                limits: self.limits.clone(),
            }),
        };
        let description = describe(&callable).await?;
        let grants = &callable.world.grants;
        let beyond = grants_for(&description.wants).beyond(grants);
        if !beyond.is_empty() {
            return Err(LoadFault::Capability(beyond));
        }
        let pin = PluginPin {
            name: description.name.clone(),
            version: description.version.clone(),
            sha256: artifact.sha256,
            contract: CONTRACT.to_owned(),
            grants: serde_json::to_value(grants).unwrap_or_default(),
            config: request.config,
            auth: request.auth,
        };
        Ok(Plugin::new(callable, description, pin))
    }

    /// How long it takes to compile a plugin, whether it was compiled before or not.
    pub fn time_to_compile(&self, name: &str, wasm: &[u8]) -> Result<Duration, LoadError> {
        let started = Instant::now();
        match Component::from_binary(&self.engine, wasm) {
            Ok(_) => Ok(started.elapsed()),
            Err(error) => Err(LoadError {
                plugin: name.to_owned(),
                fault: Box::new(LoadFault::Compile(error)),
            }),
        }
    }

    /// Looks at a plugin without granting it anything.
    pub async fn inspect(&self, name: &str, wasm: &[u8]) -> Result<Inspection, LoadError> {
        self.try_inspect(name, wasm)
            .await
            .map_err(|fault| LoadError { plugin: name.to_owned(), fault: Box::new(fault) })
    }

    async fn try_inspect(&self, name: &str, wasm: &[u8]) -> Result<Inspection, LoadFault> {
        // What does not even parse is not handed to the compiler.
        Artifact::read(wasm, Digest::of(wasm))?;
        // Fills the cache, where there is one.
        if let Some(cache) = &self.cache {
            let sha256 = Digest::of(wasm);
            cache.component(&self.engine, &sha256, wasm).map_err(LoadFault::Compile)?;
        }
        let started = Instant::now();
        let artifact = Artifact::read(wasm, Digest::of(wasm))?;
        let component = match &self.cache {
            Some(cache) => cache.component(&self.engine, &artifact.sha256, wasm),
            None => Component::from_binary(&self.engine, wasm),
        }
        .map_err(LoadFault::Compile)?;
        let callable = Callable {
            plugin: name.into(),
            component: self.instantiable(&component)?,
            world: Arc::new(World {
                config: json!({}).to_string(),
                grants: Grants::default(),
                files: None,
                http: None,
                limits: self.limits.clone(),
            }),
        };
        let description = describe(&callable).await?;
        Ok(Inspection {
            description,
            sha256: artifact.sha256,
            size: wasm.len(),
            contract: CONTRACT.to_owned(),
            imports: artifact.imports,
            load: started.elapsed(),
        })
    }

    fn instantiable(&self, component: &Component) -> Result<ProviderPre<State>, LoadFault> {
        self.linker
            .instantiate_pre(component)
            .and_then(ProviderPre::new)
            .map_err(LoadFault::Exports)
    }
}

/// The grants that give a plugin all that it asks for.
pub fn grants_for(wants: &Wants) -> Grants {
    let operations = |wanted: &WantedOperations| Operations {
        read: wanted.read.iter().cloned().collect(),
        write: wanted.write.iter().cloned().collect(),
        also_needs: wanted.also_needs.iter().cloned().collect(),
    };
    Grants {
        files: wants.files,
        http: wants.http.iter().map(|(name, wanted)| (name.clone(), operations(wanted))).collect(),
    }
}

/// Asks the plugin what it is.
async fn describe(callable: &Callable) -> Result<Description, LoadFault> {
    let time = callable.world.limits.planning_time;
    let wire = callable
        .call(DESCRIBE, time, |provider, store| Box::pin(provider.call_describe(store)))
        .await
        .map_err(LoadFault::Describe)?;
    let mut http = BTreeMap::new();
    for operations in wire.http {
        let service = operations.service;
        let wanted = WantedOperations {
            read: operations.read,
            write: operations.write,
            also_needs: operations.also_needs,
        };
        if http.insert(service.clone(), wanted).is_some() {
            return Err(LoadFault::ServiceTwice { service });
        }
    }
    Ok(Description {
        name: wire.name,
        version: wire.version,
        kinds: wire.kinds.into_iter().map(read_kind).collect::<Result<_, _>>()?,
        wants: Wants { files: wire.files, http },
    })
}

fn read_kind(kind: wire::Kind) -> Result<Kind, LoadFault> {
    let role = match kind.role {
        wire::Role::Lookup => relctl_plan::Role::Lookup,
        wire::Role::Resource => relctl_plan::Role::Resource,
        wire::Role::Action => relctl_plan::Role::Action,
        wire::Role::Check => relctl_plan::Role::Check,
    };
    let schema: Value = serde_json::from_str(&kind.schema)
        .map_err(|error| LoadFault::Schema { kind: kind.name.clone(), error })?;
    Kind::from_parts(kind.name, role, schema, kind.batch, kind.group_by).map_err(LoadFault::Kind)
}
