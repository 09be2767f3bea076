//! What a new user gets wrong: each has a message that a person can act on.

use std::process::Command;

use insta::assert_snapshot;

use crate::environment::TestEnvironment;
use crate::site;

/// The site with `from` in its release file replaced.
fn with(from: &str, to: &str) -> TestEnvironment {
    let site = site::initialised();
    site.edit("release.toml", from, to);
    site
}

#[test]
fn no_release_file() {
    let environment = TestEnvironment::new();
    assert_snapshot!(environment.relctl("plan"), @"");
    assert_snapshot!(environment.relctl("status"), @"");
    assert_snapshot!(environment.relctl("plan -f there/release.toml"), @"");
    assert_snapshot!(environment.relctl("plan -C there"), @"");
}

#[test]
fn not_initialised() {
    let site = site::uninitialised();
    assert_snapshot!(site.relctl("plan"), @"");
    assert_snapshot!(site.relctl("status"), @"");
    assert_snapshot!(site.relctl("apply --auto-approve"), @"");
}

#[test]
fn no_lock_file() {
    let site = site::initialised();
    std::fs::remove_file(site.path("relctl.lock")).unwrap();
    assert_snapshot!(site.relctl("plan"), @"");
}

#[test]
fn not_toml() {
    let site = with("color = \"blue\"", "color = \"blue");
    assert_snapshot!(site.relctl("plan"), @"");
}

#[test]
fn a_misspelled_kind() {
    let site = with("[resource.local_file.index]", "[resource.local_fiel.index]");
    assert_snapshot!(site.relctl("validate"), @"");
}

#[test]
fn a_misspelled_key() {
    let site = with("content = \"\"\"", "contnet = \"\"\"");
    assert_snapshot!(site.relctl("validate"), @"");
}

#[test]
fn a_misspelled_table() {
    let site = with("[vars]", "[vras]");
    assert_snapshot!(site.relctl("validate"), @"");
}

#[test]
fn a_misspelled_reference() {
    let site = with("<p>${vars.color}</p>", "<p>${vars.colour}</p>");
    assert_snapshot!(site.relctl("validate"), @"");
    site.edit("release.toml", "${vars.colour}", "${resource.local_file.indx.sha256}");
    assert_snapshot!(site.relctl("validate"), @"");
}

#[test]
fn a_wrong_type() {
    let site = with("target = \"${release.version}\"", "target = 1");
    assert_snapshot!(site.relctl("validate"), @"");
}

#[test]
fn several_mistakes_at_once() {
    let site = with("target = \"${release.version}\"", "target = 1");
    site.edit("release.toml", "line = ", "lime = ");
    site.edit("release.toml", "<p>${vars.color}</p>", "<p>${vars.colour}</p>");
    assert_snapshot!(site.relctl("validate"), @"");
}

#[test]
fn an_unknown_variable() {
    let site = site::initialised();
    assert_snapshot!(site.relctl("plan --var colour=red"), @"");
    assert_snapshot!(site.relctl("plan --var-file missing.toml"), @"");
}

#[test]
fn a_circle() {
    let site = with(
        "line = \"migrated to ${release.version}\"",
        "line = \"migrated to ${release.version}\"\ndepends_on = [\"resource.local_link.current\"]",
    );
    assert_snapshot!(site.relctl("validate"), @"");
}

#[test]
fn an_unknown_plugin() {
    let site = with("[plugins.local]", "[plugins.locl]");
    assert_snapshot!(site.relctl("plan"), @"");
    assert_snapshot!(site.relctl("init"), @"");
}

#[test]
fn one_identity_at_two_addresses() {
    let site = site::initialised();
    let release = site.read("release.toml");
    site.write(
        "release.toml",
        &format!("{release}\n[resource.local_link.again]\npath = \"current\"\ntarget = \"x\"\n"),
    );
    assert_snapshot!(site.relctl("plan"), @"");
}

#[test]
fn no_environment_chosen() {
    let site = site::uninitialised();
    site.write("environments/staging.toml", "");
    site.write("environments/production.toml", "");
    assert_snapshot!(site.relctl("plan"), @"");
    assert_snapshot!(site.relctl("plan -e prodution"), @"");
}

#[test]
fn the_ledger_is_gone() {
    let site = site::released();
    std::fs::remove_dir_all(site.path("state")).unwrap();
    assert_snapshot!(site.relctl("plan"), @"");
    assert_snapshot!(site.relctl("revert --auto-approve"), @"");
    // A new ledger in its place would call everything new: that is never done silently.
    assert_snapshot!(site.relctl("init"), @"");
    assert!(!site.exists("state/site"));
}

#[test]
fn the_ledger_is_damaged() {
    let site = site::released();
    let entries = site.path("state/site/default/entries");
    let entry = entries.read_dir().unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&entry).unwrap();
    std::fs::write(&entry, text.replace("v1.0.0", "v1.0.1")).unwrap();
    assert_snapshot!(site.relctl("plan"), @"");
    assert_snapshot!(site.relctl("log"), @"");
}

#[test]
fn the_head_is_cut() {
    let site = site::released();
    let head = site.read("state/site/default/HEAD");
    site.write("state/site/default/HEAD", &head[..head.len() / 2]);
    assert_snapshot!(site.relctl("plan"), @"");
}

#[test]
fn the_head_is_older_than_one_seen() {
    let site = site::released();
    let head = site.read("state/site/default/HEAD");
    site::bump(&site);
    site.relctl("apply --auto-approve").success();
    site.write("state/site/default/HEAD", &head);
    assert_snapshot!(site.relctl("plan"), @"");
}

#[test]
fn the_ledger_cannot_be_written() {
    let site = site::released();
    site::bump(&site);
    forbid_writing(&site, "state");
    assert_snapshot!(site.run(&mut unprivileged(&site, &["apply", "--auto-approve"])), @"");
    assert!(!site.exists("www/v1.1.0"));
}

#[test]
fn the_root_cannot_be_written() {
    let site = site::released();
    site::bump(&site);
    forbid_writing(&site, "www");
    assert_snapshot!(site.run(&mut unprivileged(&site, &["apply", "--auto-approve"])), @"");
    assert!(!site.exists("www/v1.1.0"));
}

#[test]
fn the_disk_is_full() {
    let site = site::released();
    site.write("big.txt", &"x".repeat(200_000));
    site.edit("release.toml", "<p>${vars.color}</p>", "${file(\"big.txt\")}");
    // A limit on the size of files makes the same writes fail as a full disk, after some bytes.
    let relctl = site.command::<&str>(&[]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -f 64; trap '' XFSZ; exec \"$0\" apply --auto-approve"])
        .arg(relctl.get_program())
        .current_dir(site.work())
        .env_clear();
    for (name, value) in relctl.get_envs() {
        shell.env(name, value.unwrap());
    }
    let head = site.read("state/site/default/HEAD");
    assert_snapshot!(site.run(&mut shell), @"");
    // Nothing is half written: with room again, all goes on.
    assert_eq!(site.read("www/current/index.html"), "<h1>site v1.0.0</h1>\n<p>blue</p>\n");
    assert_eq!(site.read("state/site/default/HEAD").len(), head.len());
    site.relctl("apply --auto-approve").success();
}

/// Makes a folder one that can be read and not written, with everything below it.
fn forbid_writing(site: &TestEnvironment, folder: &str) {
    use std::os::unix::fs::PermissionsExt;
    fn visit(path: &std::path::Path) {
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            for entry in path.read_dir().unwrap() {
                visit(&entry.unwrap().path());
            }
        }
        if !metadata.is_symlink() {
            let mode = if metadata.is_dir() { 0o555 } else { 0o444 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }
    visit(&site.path(folder));
}

/// `relctl` as someone whom permissions bind: where the tests run as root, as nobody.
fn unprivileged(site: &TestEnvironment, arguments: &[&str]) -> Command {
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    fn give(path: &std::path::Path) {
        std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        if path.symlink_metadata().unwrap().is_dir() {
            for entry in path.read_dir().unwrap() {
                give(&entry.unwrap().path());
            }
        }
    }
    let mut command = site.command(arguments);
    if rustix::process::geteuid().is_root() {
        give(site.root());
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
