//! Release files, with their overlay and a file that they read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use relctl_config::{LoadOptions, load, schema};
use relctl_plan::{Description, Instance};
use serde_json::json;

/// Reads a release file, as `relctl validate` does. `\0` ends the release file and begins the
/// overlay, another one a JSON file beside it.
pub fn release_file(data: &[u8]) -> bool {
    thread_local! {
        static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
    }
    FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| tempfile::tempdir().expect("a folder"));
        let mut parts = data.splitn(3, |byte| *byte == 0);
        let mut write = |name: &str| {
            let bytes = parts.next().unwrap_or_default();
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(folder.path())).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        };
        write("release.toml");
        write("environments/e.toml");
        write("task-definition.json");
        read(folder.path())
    })
}

fn read(folder: &Path) -> bool {
    let options = LoadOptions {
        dir: folder.to_owned(),
        environment: Some("e".to_owned()),
        vars: vec![("given".to_owned(), "from outside".to_owned())],
        ..LoadOptions::default()
    };
    let mistakes = match load(&options) {
        Err(mistakes) => mistakes,
        Ok(mut draft) => match draft.finish(&descriptions()) {
            Err(mistakes) => mistakes,
            Ok(release) => {
                // The same file gives the same release.
                let again = load(&options).and_then(|mut draft| draft.finish(&descriptions()));
                assert_eq!(again.as_ref(), Ok(&release));
                return true;
            }
        },
    };
    assert!(!mistakes.is_empty(), "refused without a reason");
    let rendered = mistakes.render(false);
    assert!(rendered.len() < 64 << 20, "{} bytes of messages", rendered.len());
    mistakes.render(true);
    serde_json::to_string(&mistakes).expect("mistakes are JSON");
    false
}

/// Kinds with everything that a schema may say.
fn descriptions() -> BTreeMap<Instance, Description> {
    let resource = json!({
        "type": "object",
        "x-relctl": { "identity": ["path"] },
        "required": ["path"],
        "properties": {
            "path": { "type": "string", "pattern": "^[a-z/.]+$", "maxLength": 200 },
            "content": { "type": "string", "x-relctl": { "multiline": true } },
            "count": { "type": "integer", "minimum": 0, "maximum": 9 },
            "mode": { "enum": ["a", "b"] },
            "tags": { "type": "object", "additionalProperties": { "type": "string" } },
            "target": { "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "integer" } }] },
            "containers": {
                "type": "array",
                "x-relctl": { "key": ["name"] },
                "items": {
                    "type": "object",
                    "required": ["image"],
                    "properties": { "name": { "type": "string" }, "image": { "type": "string" } },
                },
            },
            "sha256": { "type": "string", "x-relctl": { "computed": true } },
        },
    });
    let open = json!({
        "type": "object",
        "properties": { "sha256": { "type": "string", "x-relctl": { "computed": true } } },
        "additionalProperties": true,
    });
    let kinds = [
        ("resource", "local_file", &resource),
        ("resource", "local_link", &open),
        ("action", "local_append", &open),
        ("check", "local_match", &open),
        ("lookup", "local_file", &open),
    ];
    let kinds = kinds.map(|(role, name, schema)| {
        let kind = json!({ "name": name, "role": role, "schema": schema, "batch": 1 });
        serde_json::from_value(kind).expect("a kind")
    });
    let local =
        Description { name: "local".to_owned(), kinds: kinds.into(), ..Description::default() };
    let all: BTreeMap<_, _> = [("local".to_owned(), local)].into();
    debug_assert!(schema(&all).is_object());
    all
}
