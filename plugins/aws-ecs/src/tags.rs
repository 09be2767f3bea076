//! What AWS takes as tags.

use aws_connector::json::Object;
use aws_connector::wrong;
use relctl_sdk::{Diagnostic, Pointer};

/// What is wrong with an object's `tags`.
pub(crate) fn rules(tags: &Object) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    if tags.len() > 50 {
        problems.push(wrong("/tags", "has more than 50 tags", "leave some out"));
    }
    for (key, value) in tags {
        let at = Pointer::field("tags").join(key);
        let reserved = ["aws:", "relctl:"].iter().any(|p| key.to_ascii_lowercase().starts_with(p));
        if key.is_empty() || key.chars().count() > 128 || reserved {
            problems.push(wrong(
                at.as_str(),
                "is not a tag key",
                "use 1 to 128 characters that do not begin with `aws:` or `relctl:`",
            ));
        }
        if value.as_str().is_some_and(|value| value.chars().count() > 256) {
            problems.push(wrong(at.as_str(), "is longer than 256 characters", "shorten the value"));
        }
    }
    problems
}
