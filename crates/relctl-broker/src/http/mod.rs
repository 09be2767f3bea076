//! Cloud APIs on behalf of plugins, and the HTTP check of the core.
//!
//! A plugin says which service it means and what to send. [`HttpBroker`] derives the operation from
//! the bytes (`wire`), asks phase and grants, builds its own request for the endpoint that it
//! chooses (`endpoint`, `address`), signs it (`credentials`, `sign`), and sends it again where that
//! can do no harm (`retry`). What comes back is cut to size, and to what a plugin needs.

mod address;
mod answer;
mod attempt;
mod broker;
mod check;
mod credentials;
mod endpoint;
mod iam;
mod options;
mod redact;
mod retry;
mod service;
mod settings;
mod sign;
mod wire;

pub use broker::HttpBroker;
pub use check::{
    CheckOutcome, CheckProblem, CheckReport, HTTP_CHECK_SCHEMA, HttpCheck, check_problems,
};
pub use endpoint::EndpointError;
pub use iam::{IamPolicy, iam_policy};
pub use options::HttpOptions;
pub use redact::redact;
pub use retry::{Retries, RetryBudget};
pub use settings::HttpSetupError;
pub use wire::{Classified, classified, known_services};
