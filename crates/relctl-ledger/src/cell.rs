//! Conditional writes that know whether they happened.
//!
//! A store may apply a write and lose the reply, answer a retried success with "precondition
//! failed", or answer a collision with "already exists" although nothing exists. So after
//! anything but a plain success the object is read back. The bytes of every mutable object hold a
//! nonce: an object that has one's own bytes is one's own write.

use std::time::Duration;

use relctl_engine::LedgerError;

use crate::backend::{Backend, Object, Put, Version};
use crate::error::io;

/// How often a write is tried that the store neither did nor refused.
const ATTEMPTS: u32 = 5;

/// How a conditional write ended, for certain.
#[derive(Debug)]
pub(crate) enum Swap {
    Done(Version),
    /// Somebody else's object is there, or none.
    Lost(Option<Object>),
}

/// Creates the object at `path`.
pub(crate) async fn create(
    backend: &dyn Backend,
    path: &str,
    bytes: &[u8],
) -> Result<Swap, LedgerError> {
    write(backend, path, bytes, None).await
}

/// Replaces the object at `path` if it is still at `expected`.
pub(crate) async fn replace(
    backend: &dyn Backend,
    path: &str,
    bytes: &[u8],
    expected: &Version,
) -> Result<Swap, LedgerError> {
    write(backend, path, bytes, Some(expected)).await
}

async fn write(
    backend: &dyn Backend,
    path: &str,
    bytes: &[u8],
    expected: Option<&Version>,
) -> Result<Swap, LedgerError> {
    let mut last_error = None;
    for attempt in 0..ATTEMPTS {
        let put = match expected {
            None => backend.put_if_absent(path, bytes).await?,
            Some(expected) => backend.put_if_match(path, bytes, expected).await?,
        };
        match put {
            Put::Done(version) => return Ok(Swap::Done(version)),
            Put::Refused => {}
            Put::Unsure(error) => last_error = Some(error),
        }
        match backend.get(path).await? {
            Some(object) if object.bytes == bytes => return Ok(Swap::Done(object.version)),
            now if now.as_ref().map(|object| &object.version) == expected => {
                tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            }
            now => return Ok(Swap::Lost(now)),
        }
    }
    let why = "the store neither did it nor refused it, and was asked five times";
    Err(last_error.unwrap_or_else(|| io("write", &backend.locate(path), why)))
}
