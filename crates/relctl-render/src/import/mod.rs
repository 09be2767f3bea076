//! What exists, as the part of a release file that declares it.
//!
//! `sift` takes out what does not belong into a file, `toml` writes the rest, `terraform` says what
//! the owner of the infrastructure adds so that both tools leave each other alone.

mod credentials;
mod sift;
mod terraform;
mod toml;

use relctl_plan::{Address, Diagnostic, Kind, Map, Path, Value};
use serde_json::json;

use self::sift::{Sifted, sift};
use crate::text::safe;

/// An object that exists and shall be declared.
#[derive(Debug, Clone)]
pub struct Import<'a> {
    pub address: &'a Address,
    pub kind: &'a Kind,
    /// The plugin instance, where the kind alone does not say it.
    pub plugin: Option<&'a str>,
    /// What may be declared of it.
    pub fields: &'a Map,
    /// What the plugin would say against it.
    pub problems: &'a [Diagnostic],
}

/// The object as TOML, to be put into a release file.
pub fn import_toml(import: &Import<'_>) -> String {
    let sifted = sift(import.kind, import.fields);
    let mut text = String::new();
    text.push_str(
        "# What is there now. Keep what the release shall own: what is not written here, relctl\n\
         # leaves alone.\n",
    );
    for problem in import.problems {
        text.push_str(&said(problem));
    }
    let head: Vec<(&str, Value)> = import
        .plugin
        .map(|plugin| ("plugin", Value::from(plugin)))
        .into_iter()
        .chain(import.kind.holds_data.then(|| ("lifecycle", json!({ "protect": true }))))
        .collect();
    text.push_str(&toml::object(import.address, import.kind, &head, &sifted));
    text.push_str(&terraform::text(import.address, import.kind, &sifted.kept));
    text
}

/// The same for programs.
pub fn import_json(import: &Import<'_>) -> Value {
    let Sifted { kept, left_out } = sift(import.kind, import.fields);
    let left_out: Vec<Value> = left_out
        .iter()
        .map(|(path, reason)| json!({ "path": path, "reason": reason.to_string() }))
        .collect();
    json!({
        "address": import.address,
        "plugin": import.plugin,
        "fields": kept,
        "left_out": left_out,
        "problems": import.problems,
        "terraform": terraform::additions(import.kind, &kept),
    })
}

/// One line of what the plugin says.
fn said(problem: &Diagnostic) -> String {
    let of =
        if problem.path == Path::ROOT { String::new() } else { format!(" of {}", problem.path) };
    let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
    format!("# {}\n", safe(&format!("The plugin says{of}: {}{hint}", problem.message)))
}

#[cfg(test)]
mod tests;
