//! A disk that keeps what was synced, and of everything else what luck has it.
//!
//! The directory backend says each step of its writes (tracing target `relctl::disk`). They are
//! repeated here on a disk of which the power can be cut after any of them: then of every change
//! that was not synced, of a file's bytes or of a folder's names, some, all or nothing is left.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// One step of a write.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// What the file holds now.
    Write(PathBuf, Vec<u8>),
    SyncFile(PathBuf),
    Rename(PathBuf, PathBuf),
    MakeFolder(PathBuf),
    SyncFolder(PathBuf),
}

/// What becomes of a change that was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    /// Half of what was written last; names are there or not.
    Torn,
    Kept,
}

/// The steps of this process below each folder that is listened for, in their order.
static STEPS: Mutex<BTreeMap<PathBuf, Vec<Step>>> = Mutex::new(BTreeMap::new());

/// A folder, and what happens in it from now on.
pub(crate) struct Watched {
    folder: tempfile::TempDir,
}

impl Watched {
    pub(crate) fn new() -> Self {
        listen();
        let folder = tempfile::tempdir().unwrap();
        STEPS.lock().unwrap().insert(folder.path().to_owned(), Vec::new());
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// How many steps there were since the last were taken.
    pub(crate) fn count(&self) -> usize {
        STEPS.lock().unwrap()[self.path()].len()
    }

    pub(crate) fn take(&self) -> Vec<Step> {
        std::mem::take(STEPS.lock().unwrap().get_mut(self.path()).unwrap())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        STEPS.lock().unwrap().remove(self.path());
    }
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let disk = Targets::new().with_target("relctl::disk", Level::TRACE);
        tracing_subscriber::registry().with(Listener.with_filter(disk)).init();
    });
}

struct Listener;

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let path = |name: &str| PathBuf::from(&fields.0[name]);
        let mut all = STEPS.lock().unwrap();
        let Some((_, steps)) = all.iter_mut().find(|(root, _)| path("path").starts_with(root))
        else {
            return;
        };
        let step = match fields.0["step"].as_str() {
            "write" => Step::Write(path("path"), fs::read(path("path")).unwrap()),
            "sync file" => Step::SyncFile(path("path")),
            "rename" => Step::Rename(path("from"), path("path")),
            "make folder" => Step::MakeFolder(path("path")),
            "sync folder" => Step::SyncFolder(path("path")),
            other => panic!("nobody knows what `{other}` does to a disk"),
        };
        steps.push(step);
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }
}

/// A disk: its first node is the folder of everything.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
enum Node {
    File {
        synced: Vec<u8>,
        now: Vec<u8>,
    },
    Folder {
        synced: BTreeMap<String, usize>,
        now: BTreeMap<String, usize>,
        /// What was done to its names since. `None`: the name is gone.
        changes: Vec<Vec<(String, Option<usize>)>>,
    },
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![folder()] }
    }

    /// Repeats a step that was done below `root`.
    pub(crate) fn repeat(&mut self, root: &Path, step: &Step) {
        let relative = |path: &Path| path.strip_prefix(root).unwrap().to_owned();
        match step {
            Step::Write(path, bytes) => {
                let path = relative(path);
                let id = self.find(&path).unwrap_or_else(|| {
                    let file = Node::File { synced: Vec::new(), now: Vec::new() };
                    self.add(&path, file)
                });
                let Node::File { now, .. } = &mut self.nodes[id] else {
                    panic!("{} is none", path.display())
                };
                now.clone_from(bytes);
            }
            Step::SyncFile(path) => {
                let id = self.find(&relative(path)).unwrap();
                let Node::File { synced, now } = &mut self.nodes[id] else {
                    panic!("{} is none", path.display())
                };
                synced.clone_from(now);
            }
            Step::Rename(from, to) => {
                let (from, to) = (relative(from), relative(to));
                assert_eq!(from.parent(), to.parent(), "within a folder it is one change");
                let id = self.find(&from);
                self.change(&to, vec![(name(&from), None), (name(&to), id)]);
            }
            Step::MakeFolder(path) => {
                self.add(&relative(path), folder());
            }
            Step::SyncFolder(path) => {
                let id = self.find(&relative(path)).unwrap();
                let Node::Folder { synced, now, changes } = &mut self.nodes[id] else {
                    panic!("{} is none", path.display())
                };
                synced.clone_from(now);
                changes.clear();
            }
        }
    }

    /// The power is cut: of each change that was not synced becomes what `fate` says. What is left
    /// is durable.
    pub(crate) fn cut_power(&mut self, mut fate: impl FnMut(&str) -> Fate) {
        for node in &mut self.nodes {
            match node {
                Node::File { synced, now } => {
                    if synced == now {
                        continue;
                    }
                    match fate("bytes") {
                        Fate::Lost => now.clone_from(synced),
                        Fate::Torn if now.starts_with(synced) => {
                            let rest = now.len() - synced.len();
                            now.truncate(synced.len() + rest / 2);
                        }
                        // A cut of the file, by half or in whole: as bytes go, it happened.
                        Fate::Torn | Fate::Kept => {}
                    }
                    synced.clone_from(now);
                }
                Node::Folder { synced, now, changes } => {
                    for change in changes.drain(..) {
                        if fate("names") != Fate::Lost {
                            apply(synced, change);
                        }
                    }
                    now.clone_from(synced);
                }
            }
        }
    }

    /// Writes what is on the disk into a folder.
    pub(crate) fn restore(&self, to: &Path) {
        self.restore_node(0, to);
    }

    fn restore_node(&self, id: usize, to: &Path) {
        match &self.nodes[id] {
            Node::File { now, .. } => fs::write(to, now).unwrap(),
            Node::Folder { now, .. } => {
                fs::create_dir_all(to).unwrap();
                for (name, id) in now {
                    self.restore_node(*id, &to.join(name));
                }
            }
        }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.components().try_fold(0, |id, component| match (&self.nodes[id], component) {
            (Node::Folder { now, .. }, Component::Normal(name)) => {
                now.get(name.to_str().unwrap()).copied()
            }
            _ => None,
        })
    }

    fn add(&mut self, path: &Path, node: Node) -> usize {
        let id = self.nodes.len();
        self.nodes.push(node);
        self.change(path, vec![(name(path), Some(id))]);
        id
    }

    /// Changes names in the folder of `path`.
    fn change(&mut self, path: &Path, change: Vec<(String, Option<usize>)>) {
        let id = self.find(path.parent().unwrap()).unwrap();
        let Node::Folder { now, changes, .. } = &mut self.nodes[id] else {
            panic!("{} is none", path.display())
        };
        apply(now, change.clone());
        changes.push(change);
    }
}

fn folder() -> Node {
    Node::Folder { synced: BTreeMap::new(), now: BTreeMap::new(), changes: Vec::new() }
}

fn apply(names: &mut BTreeMap<String, usize>, change: Vec<(String, Option<usize>)>) {
    for (name, id) in change {
        match id {
            Some(id) => names.insert(name, id),
            None => names.remove(&name),
        };
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A write that is renamed before it was synced is lost under its new name; and one that was synced
/// is not there while its name is not.
#[test]
fn what_was_not_synced_is_lost() {
    let root = Path::new("/disk");
    let at = |name: &str| root.join(name);
    let steps = [
        Step::Write(at("new"), b"second".to_vec()),
        Step::Rename(at("new"), at("file")),
        Step::SyncFolder(root.to_owned()),
    ];
    let mut disk = Disk::new();
    disk.repeat(root, &Step::Write(at("file"), b"first".to_vec()));
    disk.repeat(root, &Step::SyncFile(at("file")));
    disk.repeat(root, &Step::SyncFolder(root.to_owned()));
    let after = |steps: &[Step], fate: Fate| {
        let mut disk = disk.clone();
        for step in steps {
            disk.repeat(root, step);
        }
        disk.cut_power(|_| fate);
        let folder = tempfile::tempdir().unwrap();
        disk.restore(folder.path());
        fs::read_to_string(folder.path().join("file")).unwrap()
    };
    assert_eq!(after(&steps, Fate::Lost), "", "its name is there, its bytes are not");
    assert_eq!(after(&steps, Fate::Torn), "sec");
    assert_eq!(after(&steps[..2], Fate::Lost), "first");
    let synced = [steps[0].clone(), Step::SyncFile(at("new")), steps[1].clone()];
    assert_eq!(after(&synced, Fate::Lost), "first");
    assert_eq!(after(&[&synced[..], &steps[2..]].concat(), Fate::Lost), "second");
}
