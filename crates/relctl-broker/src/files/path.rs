//! Paths as plugins write them.

use std::fmt;
use std::io;

use super::FileError;

/// The folder, and the beginning of the names, that belong to relctl itself.
pub(super) const BOOKKEEPING: &str = ".relctl";

/// A path below the root: names separated by `/`, none of them empty, `.` or `..`.
///
/// The check is for the message's sake; that nothing leads out of the root is cap-std's work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RelativePath(String);

impl RelativePath {
    pub(super) fn parse(text: &str) -> Result<Self, FileError> {
        let deny = |why: &str| Err(FileError::Denied(format!("`{}` {why}", text.escape_debug())));
        if text.is_empty() {
            return deny("is not a path below the root");
        }
        if text.starts_with('/') {
            return deny("is absolute; paths are relative to the plugin's root");
        }
        if text.contains('\0') {
            return deny("has a NUL in it");
        }
        for (depth, name) in text.split('/').enumerate() {
            match name {
                ".." => return deny("leads out of the plugin's root: `..` is not allowed"),
                "" | "." => return deny("has an empty name or `.` in it; write it plainly"),
                _ if name.starts_with(BOOKKEEPING)
                    && (depth == 0 || name.starts_with(TEMPORARY)) =>
                {
                    return deny("is a name that relctl keeps for itself");
                }
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Like [`Self::parse`]; the empty path is the root.
    pub(super) fn parse_folder(text: &str) -> Result<Self, FileError> {
        if text.is_empty() { Ok(Self(".".to_owned())) } else { Self::parse(text) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_root(&self) -> bool {
        self.0 == "."
    }

    /// The folder above, `.` for the root, and the last name.
    pub(super) fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or((".", &self.0))
    }

    /// Every folder above it, the nearest first, without the root.
    pub(super) fn folders(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |path| {
            path.rsplit_once('/').map(|(above, _)| above)
        })
        .skip(1)
    }

    /// Turns "nothing there" into `None`, also where a file stands in place of a folder.
    pub(super) fn absent_is_none<T>(&self, result: io::Result<T>) -> Result<Option<T>, FileError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.failed("look at", error)),
        }
    }

    /// What a failed operation on this path means to the plugin.
    #[expect(clippy::needless_pass_by_value, reason = "it is the last use of every error")]
    pub(super) fn failed(&self, verb: &str, error: io::Error) -> FileError {
        let message = format!("cannot {verb} `{self}`: {error}");
        match error.kind() {
            io::ErrorKind::NotFound => FileError::NotFound,
            // cap-std's own refusal carries no error number, the system's EACCES does.
            io::ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
                FileError::Denied(format!("`{self}` leads out of the plugin's root over a link"))
            }
            io::ErrorKind::IsADirectory
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::DirectoryNotEmpty => FileError::OtherKind(message),
            _ => FileError::Unavailable(message),
        }
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How temporary files begin, in the folder of the file that they become.
pub(super) const TEMPORARY: &str = ".relctl-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_taken_and_refused() {
        for text in ["a", "a/b.c", "a b", "..a", "a/.hidden", "a/.relctl"] {
            assert!(RelativePath::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "/",
            "/a",
            "..",
            "../a",
            "a/..",
            "a/../b",
            ".",
            "./a",
            "a//b",
            "a/",
            "a\0b",
            ".relctl",
            ".relctl/appends/x",
            ".relctl-x",
            "a/.relctl-x.tmp",
        ] {
            assert!(matches!(RelativePath::parse(text), Err(FileError::Denied(_))), "{text}");
        }
    }

    #[test]
    fn folders_above() {
        let path = RelativePath::parse("a/b/c").unwrap();
        assert_eq!(path.folders().collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(path.split(), ("a/b", "c"));
        assert_eq!(RelativePath::parse("a").unwrap().split(), (".", "a"));
    }
}
