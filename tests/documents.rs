//! Documents, and the table of requirements, that name a test as proof name one that exists.

use std::path::Path;

use regex::Regex;

#[test]
fn every_test_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let named = Regex::new(r"`([\w./-]+\.rs): (\w+)`").unwrap();
    for document in ["docs/security.md", "docs/reliability.md"] {
        let text = std::fs::read_to_string(root.join(document)).unwrap();
        let mut count = 0;
        for found in named.captures_iter(&text) {
            let (file, function) = (&found[1], &found[2]);
            if file == "file" {
                continue;
            }
            let source = std::fs::read_to_string(root.join(file))
                .unwrap_or_else(|error| panic!("{document} names {file}: {error}"));
            let is_there = source.contains(&format!("fn {function}("));
            assert!(is_there, "{document} names `{function}`, which is not in {file}");
            count += 1;
        }
        assert!(count > 10, "{document} names only {count} tests");
    }
}

#[test]
fn every_test_that_shows_a_requirement_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = String::new();
    for folder in ["tests", "crates", "plugins"] {
        read_sources(&root.join(folder), &mut sources);
    }
    let named = Regex::new(r"`\w+(?:::\w+)*::(\w+)`").unwrap();
    let mut count = 0;
    let table = include_str!("requirements.rs").lines().filter(|line| line.starts_with("//! | "));
    for found in table.flat_map(|row| named.captures_iter(row)) {
        let is_there = sources.contains(&format!("fn {}(", &found[1]));
        assert!(is_there, "there is no test {}", &found[0]);
        count += 1;
    }
    assert!(count > 80, "only {count} are named");
}

fn read_sources(folder: &Path, sources: &mut String) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
