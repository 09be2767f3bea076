//! The root holds, whatever a plugin asks for and whoever changes it meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::{CallContext, Phase};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn call(phase: Phase) -> CallContext {
    CallContext {
        plugin: "local".to_owned(),
        function: "test",
        phase,
        first_attempt: false,
        deadline: Instant::now() + Duration::from_mins(1),
        max_response: 1000,
    }
}

/// A folder with a root in it, and a secret beside the root.
fn world() -> (TempDir, Files) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("root")).unwrap();
    fs::create_dir(folder.path().join("outside")).unwrap();
    fs::write(folder.path().join("outside/secret"), "secret").unwrap();
    let files = Files::new(folder.path().join("root"));
    (folder, files)
}

fn tree(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        if path.is_dir() && !path.is_symlink() {
            names.extend(tree(&path));
        }
    }
    names.sort();
    names
}

#[test]
fn a_missing_root_is_empty_until_the_first_write() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("a/b");
    let files = Files::new(root.clone());
    let plan = call(Phase::Plan);
    assert_eq!(files.stat(&plan, "x"), Ok(None));
    assert_eq!(files.read(&plan, "x"), Err(FileError::NotFound));
    assert_eq!(files.list(&plan, ""), Ok(Vec::new()));
    assert_eq!(files.appended(&plan, "x", TOKEN), Ok(false));
    assert_eq!(files.remove(&call(Phase::Apply), "x"), Err(FileError::NotFound));
    assert!(!root.exists());
    files.write_atomic(&call(Phase::Apply), "x", b"1", 0o644).unwrap();
    assert_eq!(files.read(&plan, "x").unwrap(), b"1");
}

#[test]
fn each_phase_allows_what_it_says() {
    let (folder, files) = world();
    fs::write(folder.path().join("root/x"), "1").unwrap();
    let denied = |result: Result<(), FileError>, ending: &str| match result {
        Err(FileError::Denied(message)) => assert!(message.ends_with(ending), "{message}"),
        other => panic!("{other:?}"),
    };
    for (phase, ending) in
        [(Phase::Pure, "while the plugin only computes"), (Phase::Plan, "while planning")]
    {
        let call = call(phase);
        denied(files.write_atomic(&call, "x", b"2", 0o644), ending);
        denied(files.link(&call, "y", "x"), ending);
        denied(files.remove(&call, "x"), ending);
        denied(files.append(&call, "x", b"2", TOKEN).map(drop), ending);
    }
    let pure = call(Phase::Pure);
    denied(files.read(&pure, "x").map(drop), "while the plugin only computes");
    denied(files.stat(&pure, "x").map(drop), "while the plugin only computes");
    denied(files.list(&pure, "").map(drop), "while the plugin only computes");
    denied(files.appended(&pure, "x", TOKEN).map(drop), "while the plugin only computes");
    assert_eq!(tree(&folder.path().join("root")), ["x"]);
}

#[test]
fn writes_modes_and_lists() {
    let (folder, files) = world();
    let apply = call(Phase::Apply);
    files.write_atomic(&apply, "a/b/c", b"1", 0o4750).unwrap();
    assert_eq!(files.stat(&apply, "a/b/c"), Ok(Some(Node::File { mode: 0o750 })));
    assert_eq!(files.stat(&apply, "a/b"), Ok(Some(Node::Directory)));
    assert_eq!(files.stat(&apply, "a/b/c/d"), Ok(None));
    files.link(&apply, "current", "a/b").unwrap();
    files.link(&apply, "current", "a").unwrap();
    let link = Node::Link { target: "a".to_owned() };
    assert_eq!(files.stat(&apply, "current"), Ok(Some(link)));
    assert_eq!(files.read(&apply, "current/b/c").unwrap(), b"1");
    assert_eq!(files.list(&apply, "").unwrap(), ["a", "current"]);
    assert!(matches!(files.read(&apply, "a"), Err(FileError::OtherKind(_))));
    assert!(matches!(files.write_atomic(&apply, "a", b"", 0o644), Err(FileError::OtherKind(_))));
    let mode = fs::metadata(folder.path().join("root/a/b/c")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o750);
}

#[test]
fn a_write_replaces_and_leaves_nothing_behind() {
    let (folder, files) = world();
    let root = folder.path().join("root");
    let apply = call(Phase::Apply);
    files.write_atomic(&apply, "x", b"1", 0o644).unwrap();
    let first = fs::metadata(root.join("x")).unwrap().ino();
    files.write_atomic(&apply, "x", b"2", 0o644).unwrap();
    assert_ne!(fs::metadata(root.join("x")).unwrap().ino(), first, "written in place");
    assert_eq!(tree(&root), ["x"]);
}

#[test]
fn what_a_killed_write_left_is_overwritten() {
    let (folder, files) = world();
    let root = folder.path().join("root");
    let left = root.join(format!(".relctl-{}.tmp", write::short_hash("x")));
    fs::write(&left, "half").unwrap();
    assert_eq!(files.list(&call(Phase::Plan), "").unwrap(), Vec::<String>::new());
    files.write_atomic(&call(Phase::Apply), "x", b"whole", 0o644).unwrap();
    assert_eq!(tree(&root), ["x"]);
}

#[test]
fn removing_takes_the_folders_that_relctl_made() {
    let (folder, files) = world();
    let root = folder.path().join("root");
    let apply = call(Phase::Apply);
    fs::create_dir(root.join("theirs")).unwrap();
    files.write_atomic(&apply, "theirs/ours/deep/x", b"1", 0o644).unwrap();
    files.write_atomic(&apply, "theirs/ours/y", b"1", 0o644).unwrap();
    files.remove(&apply, "theirs/ours/deep/x").unwrap();
    assert!(!root.join("theirs/ours/deep").exists());
    assert!(root.join("theirs/ours/y").exists());
    files.remove(&apply, "theirs/ours/y").unwrap();
    assert_eq!(tree(&root), ["theirs"], "someone else's folder stays, relctl's own notes go");
    assert!(matches!(files.remove(&apply, "theirs"), Err(FileError::OtherKind(_))));
}

#[test]
fn steps_that_share_a_folder_do_not_disturb_each_other() {
    let (folder, files) = world();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let files = &files;
            scope.spawn(move || {
                let path = format!("shared/deep/{worker}");
                for _ in 0..50 {
                    files.write_atomic(&call(Phase::Apply), &path, b"1", 0o644).unwrap();
                    files.remove(&call(Phase::Apply), &path).unwrap();
                }
            });
        }
    });
    assert_eq!(tree(&folder.path().join("root")), Vec::<String>::new());
}

#[test]
fn a_file_larger_than_an_answer_may_be_is_not_read() {
    let (folder, files) = world();
    fs::write(folder.path().join("root/x"), [0; 1001]).unwrap();
    let Err(FileError::Unavailable(message)) = files.read(&call(Phase::Plan), "x") else {
        panic!("it was read")
    };
    assert!(message.contains("larger than the 1000 bytes"), "{message}");
}

#[test]
fn no_path_leads_out_of_the_root() {
    let (folder, files) = world();
    let root = folder.path().join("root");
    symlink("../outside", root.join("relative")).unwrap();
    symlink(folder.path().join("outside"), root.join("absolute")).unwrap();
    symlink("../outside/secret", root.join("file")).unwrap();
    let apply = call(Phase::Apply);
    let outside = folder.path().join("outside/secret");
    let absolute = outside.to_str().unwrap();
    for path in ["../outside/secret", absolute, "relative/secret", "absolute/secret", "file"] {
        let read = files.read(&apply, path);
        assert!(matches!(read, Err(FileError::Denied(_))), "{path}: {read:?}");
    }
    for path in ["../outside/new", "relative/new", "absolute/new", "relative/deep/new"] {
        let denied = |result: Result<(), FileError>| {
            assert!(matches!(result, Err(FileError::Denied(_))), "{path}: {result:?}");
        };
        denied(files.write_atomic(&apply, path, b"1", 0o644));
        denied(files.append(&apply, path, b"1", TOKEN).map(drop));
        denied(files.link(&apply, path, "x"));
        denied(files.remove(&apply, path));
    }
    for target in ["../outside", "/etc/passwd", "a/../../outside", ""] {
        let link = files.link(&apply, "link", target);
        assert!(matches!(link, Err(FileError::Denied(_))), "{target}: {link:?}");
    }
    assert!(files.link(&apply, "a/link", "../b").is_ok());
    assert_eq!(tree(&folder.path().join("outside")), ["secret"]);
}

#[test]
fn a_link_at_the_path_is_replaced_and_never_written_through() {
    let (folder, files) = world();
    let root = folder.path().join("root");
    symlink("../outside/secret", root.join("x")).unwrap();
    files.write_atomic(&call(Phase::Apply), "x", b"1", 0o644).unwrap();
    assert_eq!(fs::read(folder.path().join("outside/secret")).unwrap(), b"secret");
    assert_eq!(fs::read(root.join("x")).unwrap(), b"1");
}

#[test]
fn a_link_swapped_in_between_check_and_use_leads_nowhere() {
    let (folder, files) = world();
    let root = folder.path().join("root");
    fs::create_dir(root.join("real")).unwrap();
    fs::write(root.join("real/secret"), "inside").unwrap();
    symlink("real", root.join("door")).unwrap();
    let apply = call(Phase::Apply);
    let stop = AtomicBool::new(false);
    let (mut inside, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Renaming over it: at each moment the door is a link to one or the other.
            for target in ["../outside", "real"].iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                symlink(target, root.join("next")).unwrap();
                fs::rename(root.join("next"), root.join("door")).unwrap();
            }
        });
        // Until both sides of the race were seen often; what is never seen is a leak.
        while inside < 200 || refused < 200 {
            match files.read(&apply, "door/secret") {
                Ok(bytes) => {
                    assert_eq!(bytes, b"inside");
                    inside += 1;
                }
                Err(FileError::Denied(_)) => refused += 1,
                Err(other) => panic!("{other:?}"),
            }
            let written = files.write_atomic(&apply, "door/new", b"1", 0o644);
            assert!(matches!(written, Ok(()) | Err(FileError::Denied(_))), "{written:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(tree(&folder.path().join("outside")), ["secret"]);
}

#[test]
fn appends_once_for_each_token() {
    let (folder, files) = world();
    let apply = call(Phase::Apply);
    assert_eq!(files.append(&apply, "log/a", b"1\n", TOKEN), Ok(true));
    assert_eq!(files.append(&apply, "log/a", b"1\n", TOKEN), Ok(false));
    assert_eq!(files.append(&apply, "log/a", b"2\n", "other"), Ok(true));
    assert_eq!(files.append(&apply, "log/b", b"1\n", TOKEN), Ok(true));
    assert_eq!(files.read(&apply, "log/a").unwrap(), b"1\n2\n");
    assert_eq!(files.appended(&apply, "log/a", TOKEN), Ok(true));
    assert_eq!(files.appended(&apply, "log/a", "third"), Ok(false));
    // Also where someone has rotated the file since.
    fs::remove_file(folder.path().join("root/log/a")).unwrap();
    assert_eq!(files.append(&apply, "log/a", b"1\n", TOKEN), Ok(false));
}

#[test]
fn many_appends_at_once_lose_nothing() {
    let (folder, files) = world();
    let root = folder.path().join("root");
    // Two processes' worth of handles: the lock file holds them apart, not the mutex alone.
    let other = Files::new(root);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let files = if number % 2 == 0 { &files } else { &other };
            scope.spawn(move || {
                for token in 0..10 {
                    let appended =
                        files.append(&call(Phase::Apply), "log", b"line\n", &token.to_string());
                    assert!(appended.is_ok(), "{appended:?}");
                }
            });
        }
    });
    assert_eq!(files.read(&call(Phase::Plan), "log").unwrap(), b"line\n".repeat(10));
}

#[test]
fn a_process_that_is_stopped_is_not_waited_for_without_end() {
    let (folder, files) = world();
    let apply = call(Phase::Apply);
    assert_eq!(files.append(&apply, "log", b"1\n", TOKEN), Ok(true));
    let lock = fs::File::open(folder.path().join("root/.relctl/appends/lock")).unwrap();
    lock.lock().unwrap();
    let soon =
        CallContext { deadline: Instant::now() + Duration::from_millis(50), ..call(Phase::Apply) };
    let refused = files.append(&soon, "log", b"2\n", "other");
    assert!(
        matches!(&refused, Err(FileError::Unknown(why)) if why.contains("appends/lock")),
        "{refused:?}"
    );
    lock.unlock().unwrap();
    assert_eq!(files.append(&apply, "log", b"2\n", "other"), Ok(true));
    assert_eq!(files.read(&apply, "log").unwrap(), b"1\n2\n");
}

/// A person said that what was begun did not happen: nothing of it counts, and it is done.
#[test]
fn a_first_attempt_begins_anew() {
    let (folder, files) = world();
    let log = folder.path().join("root/log");
    let apply = call(Phase::Apply);
    assert_eq!(files.append(&apply, "log", b"before\n", "other"), Ok(true));
    let records = folder.path().join("root/.relctl/appends");
    let names = || fs::read_dir(&records).unwrap().map(|entry| entry.unwrap().path());
    let other: Vec<_> = names().collect();
    assert_eq!(files.append(&apply, "log", b"line\n", TOKEN), Ok(true));
    let done = names().find(|path| !other.contains(path)).unwrap();
    fs::rename(&done, done.with_extension("intent")).unwrap();
    fs::write(&log, "someone else\n").unwrap();
    let unclear = files.append(&apply, "log", b"line\n", TOKEN);
    assert!(matches!(&unclear, Err(FileError::Unknown(_))), "{unclear:?}");
    let first = CallContext { first_attempt: true, ..call(Phase::Apply) };
    assert_eq!(files.append(&first, "log", b"line\n", TOKEN), Ok(true));
    assert_eq!(fs::read_to_string(&log).unwrap(), "someone else\nline\n");
    assert_eq!(files.append(&first, "log", b"line\n", TOKEN), Ok(false), "a receipt counts");
}

/// Not a test of its own: what the killed process of the next one does.
#[test]
fn append_in_a_process_that_is_killed() {
    let Some(root) = std::env::var_os("RELCTL_TEST_ROOT") else { return };
    let appended = Files::new(root.into()).append(&call(Phase::Apply), "log", b"line 2\n", TOKEN);
    panic!("it was not killed: {appended:?}");
}

#[test]
fn a_killed_append_is_finished_exactly_once() {
    for (crash, torn, again) in [
        ("intent", None, Ok(true)),
        ("bytes", None, Ok(false)),
        ("bytes", Some(3), Ok(true)),
        ("receipt", None, Ok(false)),
    ] {
        let (folder, files) = world();
        let root = folder.path().join("root");
        fs::write(root.join("log"), "line 1\n").unwrap();
        let killed = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "files::tests::append_in_a_process_that_is_killed"])
            .env("RELCTL_TEST_ROOT", &root)
            .env("RELCTL_TEST_CRASH", crash)
            .output()
            .unwrap();
        assert_eq!(killed.status.code(), None, "{crash}: {killed:?}");
        if let Some(cut) = torn {
            // The file system kept only a part of the bytes.
            let log = fs::File::options().write(true).open(root.join("log")).unwrap();
            log.set_len(log.metadata().unwrap().len() - cut).unwrap();
        }
        assert_eq!(
            files.append(&call(Phase::Apply), "log", b"line 2\n", TOKEN),
            again,
            "{crash} {torn:?}"
        );
        assert_eq!(files.append(&call(Phase::Apply), "log", b"line 2\n", TOKEN), Ok(false));
        assert_eq!(fs::read(root.join("log")).unwrap(), b"line 1\nline 2\n", "{crash} {torn:?}");
    }
}

#[test]
fn an_append_that_cannot_be_told_says_so() {
    let (folder, files) = world();
    let root = folder.path().join("root");
    fs::write(root.join("log"), "line 1\n").unwrap();
    let killed = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "files::tests::append_in_a_process_that_is_killed"])
        .env("RELCTL_TEST_ROOT", &root)
        .env("RELCTL_TEST_CRASH", "intent")
        .output()
        .unwrap();
    assert_eq!(killed.status.code(), None, "{killed:?}");
    fs::write(root.join("log"), "line 1\nsomeone else's\n").unwrap();
    let again = files.append(&call(Phase::Apply), "log", b"line 2\n", TOKEN);
    assert!(matches!(again, Err(FileError::Unknown(_))), "{again:?}");
    assert_eq!(fs::read(root.join("log")).unwrap(), b"line 1\nsomeone else's\n");
}
