//! What the owner of the infrastructure adds, so that Terraform and relctl leave each other alone.
//!
//! The plugin's kind says which resource of Terraform it is, and what belongs into others beside
//! it. What the release file declares of the object, Terraform shall ignore.

use std::fmt::Write as _;

use relctl_plan::{Address, Kind, Map, Value};
use serde_json::json;

/// What to add, as data; `null` where Terraform does not come into it.
pub(super) fn additions(kind: &Kind, declared: &Map) -> Value {
    let Some(terraform) = &kind.terraform else { return Value::Null };
    let ignore = json!({ "lifecycle": { "ignore_changes": ignored(kind, declared) } });
    let beside =
        terraform.beside.iter().map(|(resource, settings)| (resource.clone(), json!(settings)));
    Value::Object(std::iter::once((terraform.resource.clone(), ignore)).chain(beside).collect())
}

/// What to add, as comments.
pub(super) fn text(address: &Address, kind: &Kind, declared: &Map) -> String {
    let Some(terraform) = &kind.terraform else { return String::new() };
    let resource = &terraform.resource;
    let mut lines = vec![
        "In Terraform, for what the release owns from now on:".to_owned(),
        String::new(),
        format!("resource \"{resource}\" \"{}\" {{", address.name()),
        "  lifecycle {".to_owned(),
        format!("    ignore_changes = [{}]", ignored(kind, declared).join(", ")),
        "  }".to_owned(),
        "}".to_owned(),
    ];
    for (resource, settings) in &terraform.beside {
        lines.push(String::new());
        lines.push(format!("resource \"{resource}\" \"{}\" {{", address.name()));
        lines.extend(settings.iter().map(|(name, value)| format!("  {name} = {value}")));
        lines.push("}".to_owned());
    }
    let mut text = String::new();
    for line in lines {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n#{}{line}", if line.is_empty() { "" } else { " " });
    }
    text + "\n"
}

/// The declared fields, which have Terraform's names.
fn ignored<'a>(kind: &Kind, declared: &'a Map) -> Vec<&'a str> {
    declared
        .keys()
        .map(String::as_str)
        .filter(|name| !kind.identity.contains(&(*name).to_owned()))
        .collect()
}
