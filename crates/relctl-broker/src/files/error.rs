//! Why a file operation was refused or failed.

/// Why a file operation was refused or failed. Messages name the path as the plugin gave it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("there is no such file")]
    NotFound,
    /// Outside the root, or not in this phase.
    #[error("{0}")]
    Denied(String),
    /// It is there, but is another kind of thing.
    #[error("{0}")]
    OtherKind(String),
    /// Nothing was changed.
    #[error("{0}")]
    Unavailable(String),
    /// An append may have happened, and what is there does not tell.
    #[error("{0}")]
    Unknown(String),
}
