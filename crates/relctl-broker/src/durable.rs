//! Names the moments around durable writes, so that tests can die at each of them.

/// Says which moment this is, to whoever listens to the tracing target `relctl::durable`.
///
/// `relctl` listens where `RELCTL_TEST_DIE_AT` asks it to die at one of them, and a trace log shows
/// them. Otherwise a mark costs one load from memory.
pub(crate) fn mark(moment: &'static str) {
    tracing::trace!(target: "relctl::durable", moment);
    #[cfg(test)]
    if std::env::var("RELCTL_TEST_CRASH").is_ok_and(|at| at == moment) {
        std::process::abort();
    }
}
