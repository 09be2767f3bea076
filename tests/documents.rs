//! Documents that name a test as proof name one that exists.

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
