//! relctl's embedded default: files, links, an append-only log and plain values under one root.
//!
//! Each kind is a module with its pure logic; this file only tells them apart.

mod append;
mod file;
mod link;
mod matching;
mod path;
mod value;

use relctl_sdk::{
    Assessment, Change, Description, Diagnostic, Document, Failure, Host, Kind, Map, Progress,
    Role, Step, Subject, Verdict,
};

/// The plugin.
#[derive(Debug)]
pub struct Local;

relctl_sdk::export!(Local);

impl relctl_sdk::Plugin for Local {
    fn describe() -> Description {
        Description {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kinds: vec![
                // Answers hold whole files, so few of them go into one call.
                kind("local_file", Role::Lookup, include_str!("../kinds/lookup_file.json"), 16),
                kind("local_file", Role::Resource, include_str!("../kinds/file.json"), 16),
                kind("local_link", Role::Resource, include_str!("../kinds/link.json"), 200),
                // Nothing is read for these: few enough in a call that every core has some.
                kind("local_value", Role::Resource, include_str!("../kinds/value.json"), 250),
                kind("local_append", Role::Action, include_str!("../kinds/append.json"), 200),
                kind("local_match", Role::Check, include_str!("../kinds/match.json"), 16),
            ],
            files: true,
            http: Vec::new(),
        }
    }

    fn validate(_host: &impl Host, subject: &Subject) -> Result<Document, Vec<Diagnostic>> {
        let desired = subject.desired.clone().unwrap_or_default();
        match subject.kind() {
            "local_file" => file::validate(desired),
            "local_link" => link::validate(desired),
            "local_value" => Ok(value::validate(desired)),
            "local_append" => append::validate(desired),
            "local_match" => matching::validate(desired),
            _ => Err(vec![Diagnostic {
                path: String::new(),
                message: format!("`{}` is not a kind of this plugin", subject.kind()),
                hint: None,
            }]),
        }
    }

    fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>> {
        let observe = |subject: &Subject| match subject.kind() {
            "local_file" => file::observe(host, identity(subject)?),
            "local_link" => link::observe(host, identity(subject)?),
            "local_value" => Ok(subject.prior.clone()),
            "local_append" => Ok(None),
            _ => Err(not_served(subject)),
        };
        subjects.iter().map(observe).collect()
    }

    fn assess(_host: &impl Host, change: &Change) -> Result<Assessment, Failure> {
        match change.subject.kind() {
            "local_file" => Ok(file::assess(change)),
            "local_link" => Ok(link::assess(change)),
            "local_value" => Ok(value::assess(change)),
            "local_append" => Ok(append::assess(change)),
            _ => Err(not_served(&change.subject)),
        }
    }

    fn probe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Verdict, Failure>> {
        subjects.iter().map(|subject| matching::probe(host, subject)).collect()
    }

    fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure> {
        let document = match step.change.subject.kind() {
            "local_file" => file::apply(host, step)?,
            "local_link" => link::apply(host, step)?,
            "local_value" => value::apply(step),
            "local_append" => append::apply(host, step)?,
            _ => return Err(not_served(&step.change.subject)),
        };
        Ok(Progress::Done(document))
    }
}

fn kind(name: &str, role: Role, schema: &str, batch: u32) -> Kind {
    Kind { name: name.to_owned(), role, schema: schema.to_owned(), batch, group_by: Vec::new() }
}

/// The path that says which file or link is meant.
fn identity(subject: &Subject) -> Result<&str, Failure> {
    subject.identity_text("path").ok_or_else(|| {
        Failure::Unavailable(format!("`path` of {} is not known yet", subject.address))
    })
}

fn not_served(subject: &Subject) -> Failure {
    Failure::Unavailable(format!("`{}` is not a kind of this plugin", subject.kind()))
}
