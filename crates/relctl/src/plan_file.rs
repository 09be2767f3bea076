//! Plan files: written whole or not at all, and read with suspicion.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use relctl_plan::{PLAN_FORMAT, Plan, PlanError, Value};
use relctl_render::plan_json;

use crate::error::{CommandError, ErrorKind};

/// Reads a plan, and checks that it is what its id says.
pub(crate) fn read(path: &Path) -> Result<Plan, CommandError> {
    let bytes = std::fs::read(path).map_err(|error| {
        CommandError::file("read the plan", path, &error).hint("`relctl plan -o FILE` writes one")
    })?;
    let plan: Plan = match serde_json::from_slice(&bytes) {
        Ok(plan) => plan,
        Err(error) => return Err(no_plan(path, &bytes, &error)),
    };
    plan.verify()?;
    Ok(plan)
}

/// Why the bytes are no plan. One of a newer format may look like none.
fn no_plan(path: &Path, bytes: &[u8], error: &serde_json::Error) -> CommandError {
    let format = serde_json::from_slice::<Value>(bytes).ok().and_then(|value| {
        let format = value.get("format")?.as_u64()?;
        u32::try_from(format).ok().filter(|format| *format > PLAN_FORMAT)
    });
    match format {
        Some(format) => PlanError::Format(format).into(),
        None => CommandError::new(ErrorKind::Stale, format!("`{}` is not a plan", path.display()))
            .cause(error.to_string())
            .hint("`relctl plan -o FILE` writes one; a release file is planned with `relctl plan`"),
    }
}

/// Writes a plan: a temporary file beside it, then a rename, so that no reader sees half of one.
pub(crate) fn write(path: &Path, plan: &Plan) -> Result<(), CommandError> {
    let text = plan_json(plan).map_err(|error| {
        CommandError::new(ErrorKind::Internal, "cannot write the plan as JSON")
            .cause(error.to_string())
    })?;
    write_whole(path, text.as_bytes())
        .map_err(|error| CommandError::file("write the plan", path, &error))
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary: PathBuf = path.with_file_name(name);
    let written = File::create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to tell.
        drop(std::fs::remove_file(&temporary));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("plan.json");
        std::fs::create_dir(&target).unwrap();
        assert!(write_whole(&target, b"{}").is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("plan.json");
        write_whole(&target, b"1").unwrap();
        write_whole(&target, b"2").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"2");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_plan_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("release.toml");
        std::fs::write(&file, "[release]").unwrap();
        assert_eq!(read(&file).unwrap_err().kind, ErrorKind::Stale);
        assert_eq!(read(&folder.path().join("no")).unwrap_err().kind, ErrorKind::File);
        std::fs::write(&file, r#"{"format": 99, "steps": "of another kind"}"#).unwrap();
        assert!(read(&file).unwrap_err().message.contains("newer relctl"));
    }
}
