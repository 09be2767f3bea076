//! The model of a release, and nothing else.
//!
//! This crate is pure: no clock, no I/O, no environment. The same inputs give the same bytes and
//! so the same plan id (design: invariant 1). Everything that is written to disk or sent between
//! crates has its one definition here.
//!
//! Reading order: [`Address`] and [`Path`] name things; [`Document`] is what a thing holds;
//! [`Template`] is a document with references in it; [`Kind`] says what a plugin declares about a
//! kind; [`Release`] is what a team wants; [`diff`] compares; [`Plan`] says what would be done;
//! [`Entry`], [`Snapshot`] and [`JournalLine`] say what was.

mod address;
mod canonical;
mod diff;
mod document;
mod event;
mod expression;
mod fields;
mod graph;
mod journal;
mod kind;
mod ledger;
mod outcome;
mod path;
mod plan;
mod release;
mod template;

pub use address::{Address, AddressError, Role, is_identifier};
pub use canonical::{Digest, canonical_json, digest_of};
pub use diff::{FieldChange, diff, overlay, owned_paths, same_value, select};
pub use document::{Document, MAX_INTEGER};
pub use event::Event;
pub use expression::{
    Constant, ExpressionError, FILTERS, NoValue, Substituted, escape, escape_value, substitute,
};
pub use fields::Fields;
pub use graph::{Cycle, Graph};
pub use journal::{JournalError, JournalEvent, JournalLine, chain};
pub use kind::{
    Description, Field, Kind, KindError, Operations, RestorePoint, RunPolicy, Terraform, Wants,
    description_schema_key,
};
pub use ledger::{
    Before, Entry, EntryKind, EntryOutcome, Head, OpenOperation, Recorded, Retained, Run,
    RunOutcome, Snapshot,
};
pub use outcome::{
    Assessment, Attempt, Diagnostic, Failure, Outcome, Progress, Reversal, Risk, Severity, Undo,
    Verdict,
};
pub use path::{Path, PathError};
pub use plan::{
    Base, Body, Drift, Expectation, Meta, Origin, PLAN_FORMAT, Plan, PlanError, PlanKind,
    PluginPin, RecordChange, Reliance, Step, StepId, Summary, Verb,
};
pub use release::{
    CheckWhen, Instance, Lifecycle, Object, OnRevert, PluginConfig, Release, Removed,
};
pub use template::{Binding, Reference, Template, TemplateError};

/// A JSON value. Map keys are sorted, so that iteration is the same everywhere.
pub type Value = serde_json::Value;

/// A JSON object.
pub type Map = serde_json::Map<String, Value>;
