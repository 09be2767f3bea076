//! A release's surroundings, real and in this process: the `local` component in its sandbox, a
//! ledger in a folder, a tree of files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use relctl_broker::Grants;
use relctl_engine::{
    ApplyOptions, Context, Holder, Interrupter, Ledger as _, Provider, Providers, Report,
    RevertTarget, Silent, apply, plan_apply, plan_revert,
};
use relctl_host::{Host, HostOptions, Limits, LoadRequest};
use relctl_ledger::{LedgerStore, Location, OpenOptions, Place, Timing, init};
use relctl_plan::{Meta, Plan, Release, Snapshot, Value};
use relctl_test::FixedClock;
use serde_json::json;

use crate::environment::plugins;

/// A ledger, and a root for the files of the one plugin.
pub(crate) struct Site {
    pub(crate) folder: PathBuf,
    pub(crate) ledger: LedgerStore,
    pub(crate) clock: FixedClock,
    pub(crate) providers: Providers,
}

/// What lies at a path below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    File { content: String, mode: u32 },
    Link { target: String },
    Folder,
}

impl Site {
    /// A new ledger in `folder`.
    pub(crate) async fn new(folder: &Path) -> Self {
        init(&place(folder), &folder.to_string_lossy()).await.unwrap();
        Self::open(folder).await
    }

    /// The ledger and the files that are in `folder`.
    pub(crate) async fn open(folder: &Path) -> Self {
        let options = OpenOptions {
            place: place(folder),
            expected_lineage: None,
            seen_heads: None,
            timing: Timing::default(),
        };
        Self {
            folder: folder.to_owned(),
            ledger: LedgerStore::open(options).await.unwrap(),
            clock: FixedClock::default(),
            providers: Providers::from([("local".to_owned(), local(&folder.join("www")).await)]),
        }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context { ledger: &self.ledger, providers: &self.providers, clock: &self.clock }
    }

    pub(crate) async fn plan(&self, release: &Release) -> Plan {
        plan_apply(self.context(), release, Meta::default()).await.unwrap()
    }

    /// Plans and applies; everything must succeed.
    pub(crate) async fn release(&self, release: &Release) -> Report {
        let plan = self.plan(release).await;
        self.apply(&plan).await
    }

    pub(crate) async fn revert(&self, serial: u64) -> Report {
        let target = RevertTarget::Serial(serial);
        let plan = plan_revert(self.context(), &target, &BTreeSet::new(), Meta::default()).await;
        self.apply(&plan.unwrap()).await
    }

    async fn apply(&self, plan: &Plan) -> Report {
        let (_keep, interrupt) = Interrupter::new();
        let report = apply(self.context(), plan, &options(), &Silent, interrupt).await.unwrap();
        assert!(report.failed.is_empty() && report.held.is_empty(), "{report:#?}");
        report
    }

    pub(crate) async fn serial(&self) -> u64 {
        self.ledger.head().await.unwrap().serial
    }

    /// What the newest entry left behind.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        match self.ledger.head().await.unwrap().entry {
            Some(entry) => {
                let entry = self.ledger.entry(&entry).await.unwrap();
                self.ledger.snapshot(&entry.snapshot).await.unwrap()
            }
            None => Snapshot::empty(),
        }
    }

    /// Everything below the root, relctl's own notes aside.
    pub(crate) fn tree(&self) -> BTreeMap<String, Node> {
        tree(&self.folder.join("www"))
    }
}

/// Everything below a folder, relctl's own notes aside. Nothing where there is no folder.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, Node> {
    fn collect(root: &Path, folder: &Path, nodes: &mut BTreeMap<String, Node>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let metadata = path.symlink_metadata().unwrap();
            if name == ".relctl" {
                continue;
            }
            let node = if metadata.is_dir() {
                collect(root, &path, nodes);
                Node::Folder
            } else if metadata.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                Node::Link { target: target.to_str().unwrap().to_owned() }
            } else {
                let content = fs::read_to_string(&path).unwrap();
                Node::File { content, mode: metadata.permissions().mode() & 0o777 }
            };
            nodes.insert(name, node);
        }
    }
    let mut nodes = BTreeMap::new();
    collect(root, root, &mut nodes);
    nodes
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, copied) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&source, &copied);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source).unwrap(), copied).unwrap();
        } else {
            fs::copy(&source, copied).unwrap();
        }
    }
}

fn place(folder: &Path) -> Place {
    Place {
        location: Location::Folder(folder.join("state")),
        release: "site".to_owned(),
        environment: None,
        settings: BTreeMap::new(),
    }
}

/// The built component, compiled once.
async fn local(root: &Path) -> Arc<dyn Provider> {
    static HOST: LazyLock<Host> = LazyLock::new(|| {
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache/relctl/plugins");
        Host::new(HostOptions { cache_dir: Some(cache), limits: Limits::default() }).unwrap()
    });
    static WASM: LazyLock<Vec<u8>> =
        LazyLock::new(|| fs::read(plugins().join("local.wasm")).unwrap());
    let request = LoadRequest {
        instance: "local".to_owned(),
        wasm: &WASM,
        sha256: None,
        grants: Grants { files: true, ..Grants::default() },
        config: json!({ "root": "www" }),
        auth: Value::Null,
        files_root: Some(root.to_owned()),
        http: None,
    };
    Arc::new(HOST.load(request).await.unwrap())
}

fn options() -> ApplyOptions {
    ApplyOptions {
        holder: Holder {
            nonce: "1".to_owned(),
            actor: "tester".to_owned(),
            host: "here".to_owned(),
            pid: 1,
            command: "apply".to_owned(),
            plan_id: None,
            run_url: None,
            since: "2026-01-01T00:00:00Z".to_owned(),
        },
        reason: None,
        parallelism: 4,
        lock_timeout: Duration::ZERO,
        step_timeout: Duration::from_mins(10),
        plugins: Vec::new(),
    }
}
