//! The trait that a plugin implements.

use crate::{
    Assessment, Change, Description, Diagnostic, Document, Failure, Host, Map, Progress, Step,
    Subject, Verdict,
};

/// A plugin. Its functions hold no state between calls: each call may run in a fresh instance.
///
/// Documents are *canonical*: what the cloud fills in, reorders or spells differently looks the same
/// in [`validate`](Self::validate) and [`observe`](Self::observe), keyed lists are objects from key
/// to entry, absent fields are left out. Then a plan right after an apply is empty.
pub trait Plugin {
    /// Name, version, kinds, and what the plugin asks for. Asks the host nothing.
    fn describe() -> Description;

    /// Pure: the canonical form of what is desired, or everything that is wrong with it.
    fn validate(host: &impl Host, subject: &Subject) -> Result<Document, Vec<Diagnostic>>;

    /// Reads only: what is there, canonical, with nothing volatile in it; `None`: nothing is. One
    /// answer for each subject, in order; the subjects are of one kind and share its `group-by`.
    fn observe(host: &impl Host, subjects: &[Subject]) -> Vec<Result<Option<Map>, Failure>>;

    /// Pure: what a change would mean.
    fn assess(host: &impl Host, change: &Change) -> Result<Assessment, Failure>;

    /// Reads only: runs checks. One verdict for each subject, in order.
    fn probe(_host: &impl Host, subjects: &[Subject]) -> Vec<Result<Verdict, Failure>> {
        subjects.iter().map(|subject| Err(unserved(subject, "probe"))).collect()
    }

    /// Does a step. With [`Attempt::Again`](crate::Attempt::Again) it may have happened already:
    /// look first, and answer [`Failure::Unknown`] if it cannot be told.
    fn apply(host: &impl Host, step: &Step) -> Result<Progress, Failure>;

    /// Asks how a step is that answered [`Progress::Pending`].
    fn poll(_host: &impl Host, step: &Step, _token: &str) -> Result<Progress, Failure> {
        Err(unserved(&step.change.subject, "poll"))
    }
}

fn unserved(subject: &Subject, function: &str) -> Failure {
    Failure::Unavailable(format!("this plugin does not `{function}` kind `{}`", subject.kind()))
}
