//! Names that nobody else makes.

use relctl_engine::LedgerError;

use crate::error::io;

/// 32 random hexadecimal digits.
pub(crate) fn nonce() -> Result<String, LedgerError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| io("draw", "a random number", e))?;
    Ok(hex::encode(bytes))
}
