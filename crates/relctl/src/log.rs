//! Where the log goes: to stderr, without credentials.
//!
//! Our own crates log none; those that they stand on do, at `trace`: a signed request, a session's
//! token.

use std::io::{self, Write};

use relctl_broker::http::redact;
use tracing_subscriber::fmt::MakeWriter;

use crate::env::Environment;

/// Makes writers that know which values must not be written.
pub(crate) fn writer(environment: &Environment) -> impl for<'a> MakeWriter<'a> + 'static {
    let secrets: Vec<String> = environment.secrets().into_iter().map(ToOwned::to_owned).collect();
    move || Redacted { secrets: secrets.clone() }
}

/// Takes one whole event with each write.
struct Redacted {
    secrets: Vec<String>,
}

impl Write for Redacted {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        let text = redact(&String::from_utf8_lossy(event), &secrets);
        io::stderr().lock().write_all(text.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
