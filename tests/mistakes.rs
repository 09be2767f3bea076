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
    assert_snapshot!(environment.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: cannot read the release file `release.toml`: No such file or directory (os error 2)
     = hint: name it with `--file`, or the folder that holds `release.toml` with `--chdir`
    ");
    assert_snapshot!(environment.relctl("status"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: there is no release file `release.toml`, and no ledger at `state`

    hint: go to the release's folder, or name it: -C FOLDER
    hint: or name the ledger: --ledger s3://bucket/prefix
    ");
    assert_snapshot!(environment.relctl("plan -f there/release.toml"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: cannot read the release file `there/release.toml`: No such file or directory (os error 2)
     = hint: name it with `--file`, or the folder that holds `release.toml` with `--chdir`
    ");
    assert_snapshot!(environment.relctl("plan -C there"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: cannot change to the folder `there`
      caused by: No such file or directory (os error 2)
    ");
}

#[test]
fn not_initialised() {
    let site = site::uninitialised();
    assert_snapshot!(site.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: there is no ledger: `state/site/default/HEAD` does not exist

    hint: `relctl init` creates one; if there should be one, check `--ledger`
    ");
    assert_snapshot!(site.relctl("status"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: there is no ledger: `state/site/default/HEAD` does not exist

    hint: `relctl init` creates one; if there should be one, check `--ledger`
    ");
    assert_snapshot!(site.relctl("apply --auto-approve"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: there is no ledger: `state/site/default/HEAD` does not exist

    hint: `relctl init` creates one; if there should be one, check `--ledger`
    ");
}

#[test]
fn no_lock_file() {
    let site = site::initialised();
    std::fs::remove_file(site.path("relctl.lock")).unwrap();
    assert_snapshot!(site.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: plugin `local` is not in `relctl.lock`

    hint: see what it asks for, and grant it: relctl init
    ");
}

#[test]
fn not_toml() {
    let site = with("color = \"blue\"", "color = \"blue");
    assert_snapshot!(site.relctl("plan"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: invalid basic string, expected `"`
     --> release.toml:6:14
      |
    6 | color = "blue
      |              ^
    "#);
}

#[test]
fn a_misspelled_kind() {
    let site = with("[resource.local_file.index]", "[resource.local_fiel.index]");
    assert_snapshot!(site.relctl("validate"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: no plugin serves the resource `local_fiel`
      --> release.toml:11:1
       |
    11 | [resource.local_fiel.index]
       | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = hint: did you mean `local_file`?

    error: there is no `resource.local_file.index`
      --> release.toml:21:15
       |
    21 | depends_on = ["resource.local_file.index", "action.local_append.migrate"]
       |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = hint: did you mean `resource.local_fiel.index`?

    2 mistakes
    "#);
}

#[test]
fn a_misspelled_key() {
    let site = with("content = \"\"\"", "contnet = \"\"\"");
    assert_snapshot!(site.relctl("validate"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `local_file` needs `content`
      --> release.toml:11:1
       |
    11 | [resource.local_file.index]
       | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = hint: `content`: What the file holds.

    error: `local_file` has no field `contnet`
      --> release.toml:13:1
       |
    13 | contnet = """
       | ^^^^^^^
       = hint: did you mean `content`?

    2 mistakes
    "#);
}

#[test]
fn a_misspelled_table() {
    let site = with("[vars]", "[vras]");
    assert_snapshot!(site.relctl("validate"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: a release file has no `vras`
     --> release.toml:5:2
      |
    5 | [vras]
      |  ^^^^
      = hint: did you mean `vars`?

    error: variable `color` has no value
      --> release.toml:15:6
       |
    15 | <p>${vars.color}</p>
       |      ^^^^^^^^^^
       = hint: declare it in [vars], or pass `--var color=…`

    2 mistakes
    ");
}

#[test]
fn a_misspelled_reference() {
    let site = with("<p>${vars.color}</p>", "<p>${vars.colour}</p>");
    assert_snapshot!(site.relctl("validate"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: variable `colour` has no value
      --> release.toml:15:6
       |
    15 | <p>${vars.colour}</p>
       |      ^^^^^^^^^^^
       = hint: did you mean `color`?
    ");
    site.edit("release.toml", "${vars.colour}", "${resource.local_file.indx.sha256}");
    assert_snapshot!(site.relctl("validate"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: there is no `resource.local_file.indx`
      --> release.toml:15:6
       |
    15 | <p>${resource.local_file.indx.sha256}</p>
       |      ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = hint: did you mean `resource.local_file.index`?
    ");
}

#[test]
fn a_wrong_type() {
    let site = with("target = \"${release.version}\"", "target = 1");
    assert_snapshot!(site.relctl("validate"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `target` must be a string, not an integer
      --> release.toml:20:10
       |
    20 | target = 1
       |          ^
       = hint: write it in quotes
    ");
}

#[test]
fn a_value_that_only_the_plugin_knows_to_be_wrong() {
    let site = with("target = \"${release.version}\"", "target = \"/etc\"");
    site.edit("release.toml", "path = \"current\"", "path = \"../current\"");
    let validated = site.relctl("validate").exits(1);
    assert_eq!(site.relctl("plan").exits(1).stderr, validated.stderr);
    assert_snapshot!(validated.stderr, @r#"
    error: `../current` has `..` in it
      --> release.toml:19:8
       |
    19 | path = "../current"
       |        ^^^^^^^^^^^^
       = hint: paths are relative to the plugin's `config.root`

    error: `/etc` is not a relative path
      --> release.toml:20:10
       |
    20 | target = "/etc"
       |          ^^^^^^
       = hint: targets are relative to the link's folder

    2 mistakes
    "#);
}

#[test]
fn mistakes_are_found_before_anything_is_initialised() {
    let site = site::uninitialised();
    assert_snapshot!(site.relctl("validate"), @"
    exit code: 0
    ----- stdout
    site v1.0.0 is valid: 4 object(s), 1 plugin(s).
    ----- stderr
    warning: only the kinds were checked, the plugins themselves were not asked: plugin `local` is not in `relctl.lock`
    ");
    site.edit("release.toml", "target = \"${release.version}\"", "target = 1");
    assert_snapshot!(site.relctl("validate"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `target` must be a string, not an integer
      --> release.toml:20:10
       |
    20 | target = 1
       |          ^
       = hint: write it in quotes
    ");
}

#[test]
fn several_mistakes_at_once() {
    let site = with("target = \"${release.version}\"", "target = 1");
    site.edit("release.toml", "line = ", "lime = ");
    site.edit("release.toml", "<p>${vars.color}</p>", "<p>${vars.colour}</p>");
    assert_snapshot!(site.relctl("validate"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: variable `colour` has no value
      --> release.toml:15:6
       |
    15 | <p>${vars.colour}</p>
       |      ^^^^^^^^^^^
       = hint: did you mean `color`?

    error: `target` must be a string, not an integer
      --> release.toml:20:10
       |
    20 | target = 1
       |          ^
       = hint: write it in quotes

    error: `local_append` needs `line`
      --> release.toml:23:1
       |
    23 | [action.local_append.migrate]
       | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       = hint: `line`: Without a line break.

    error: `local_append` has no field `lime`
      --> release.toml:25:1
       |
    25 | lime = "migrated to ${release.version}"
       | ^^^^
       = hint: did you mean `line`?

    4 mistakes
    "#);
}

#[test]
fn an_unknown_variable() {
    let site = site::initialised();
    assert_snapshot!(site.relctl("plan --var colour=red"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: no variable `colour` is declared or used in this release
     = hint: did you mean `color`?
    ");
    assert_snapshot!(site.relctl("plan --var-file missing.toml"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: cannot read `missing.toml`: No such file or directory (os error 2)
    ");
}

#[test]
fn a_circle() {
    let site = with(
        "line = \"migrated to ${release.version}\"",
        "line = \"migrated to ${release.version}\"\ndepends_on = [\"resource.local_link.current\"]",
    );
    assert_snapshot!(site.relctl("validate"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: these need each other: action.local_append.migrate → resource.local_link.current → action.local_append.migrate
      --> release.toml:26:15
       |
    26 | depends_on = ["resource.local_link.current"]
       |               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      ::: release.toml:21:44
       |
    21 | depends_on = ["resource.local_file.index", "action.local_append.migrate"]
       |                                            ----------------------------- `resource.local_link.current` needs `action.local_append.migrate`
       = hint: remove one of these, so that there is an order
    "#);
}

#[test]
fn an_unknown_plugin() {
    let site = with("[plugins.local]", "[plugins.locl]");
    assert_snapshot!(site.relctl("plan"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: plugin `locl` was not found
           no `$PLUGINS/locl.wasm`
           no `$PLUGINS/locl.wasm`

    hint: did you mean `local`?
    hint: put `locl.wasm` beside relctl in `plugins/`, name its folder in RELCTL_PLUGIN_PATH, or write `source = "path/to/locl.wasm"`
    "#);
    assert_snapshot!(site.relctl("init"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: plugin `locl` was not found
           no `$PLUGINS/locl.wasm`
           no `$PLUGINS/locl.wasm`

    hint: did you mean `local`?
    hint: put `locl.wasm` beside relctl in `plugins/`, name its folder in RELCTL_PLUGIN_PATH, or write `source = "path/to/locl.wasm"`
    "#);
}

#[test]
fn one_identity_at_two_addresses() {
    let site = site::initialised();
    let release = site.read("release.toml");
    site.write(
        "release.toml",
        &format!("{release}\n[resource.local_link.again]\npath = \"current\"\ntarget = \"x\"\n"),
    );
    assert_snapshot!(site.relctl("plan"), @r#"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `resource.local_link.current` and `resource.local_link.again` are the same object
      --> release.toml:19:8
       |
    19 | path = "current"
       |        ^^^^^^^^^
      ::: release.toml:33:8
       |
    33 | path = "current"
       |        --------- the other one
       = hint: one `local_link` is told from another by `path`
    "#);
}

#[test]
fn no_environment_chosen() {
    let site = site::uninitialised();
    site.write("environments/staging.toml", "");
    site.write("environments/production.toml", "");
    assert_snapshot!(site.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: this release has environments, and none is named
     = hint: add `-e NAME`: there are `production` and `staging`
    ");
    assert_snapshot!(site.relctl("plan -e prodution"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: there is no environment `prodution`
     = hint: did you mean `production`?
    ");
}

#[test]
fn the_ledger_is_gone() {
    let site = site::released();
    std::fs::remove_dir_all(site.path("state")).unwrap();
    assert_snapshot!(site.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: the ledger that `relctl.lock` names is gone: there is no ledger: `state/site/default/HEAD` does not exist

    hint: restore it from a copy, or name the place that it moved to with `--ledger`
    ");
    assert_snapshot!(site.relctl("revert --auto-approve"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: the ledger that `relctl.lock` names is gone: there is no ledger: `state/site/default/HEAD` does not exist

    hint: restore it from a copy, or name the place that it moved to with `--ledger`
    ");
    // A new ledger in its place would call everything new: that is never done silently.
    assert_snapshot!(site.relctl("init"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: the ledger is gone; a new one would call everything new, so none was made
      caused by: the ledger that `relctl.lock` names is gone: there is no ledger: `state/site/default/HEAD` does not exist

    hint: restore the ledger with lineage [id] from a copy
    hint: or name the place that it moved to with `--ledger`
    hint: or, to begin a new history on purpose, take its lines out of `relctl.lock`
    ");
    assert!(!site.exists("state/site"));
}

#[test]
fn the_ledger_is_damaged() {
    let site = site::released();
    let entries = site.path("state/site/default/entries");
    let entry = entries.read_dir().unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&entry).unwrap();
    std::fs::write(&entry, text.replace("v1.0.0", "v1.0.1")).unwrap();
    assert_snapshot!(site.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `state/site/default/entries/[sha256].json` is damaged: its content does not match the digest in its name

    hint: restore this file from a copy; nothing was changed
    ");
    assert_snapshot!(site.relctl("ledger verify"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `state/site/default/` is not sound: 1 thing(s) are not what was written
           `state/site/default/entries/[sha256].json` is damaged: its content does not match the digest in its name

    hint: restore what is named from a copy, then verify again
    hint: apply and revert refuse what cannot be trusted; what is sound can be read
    ");
}

#[test]
fn the_head_is_cut() {
    let site = site::released();
    let head = site.read("state/site/default/HEAD");
    site.write("state/site/default/HEAD", &head[..head.len() / 2]);
    assert_snapshot!(site.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `state/site/default/HEAD` is damaged: it is not JSON: EOF while parsing a value at line 1 column 169

    hint: restore this file from a copy; nothing was changed
    ");
}

#[test]
fn the_head_is_older_than_one_seen() {
    let site = site::released();
    let head = site.read("state/site/default/HEAD");
    site::bump(&site);
    site.relctl("apply --auto-approve").success();
    site.write("state/site/default/HEAD", &head);
    assert_snapshot!(site.relctl("plan"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: `state/site/default/HEAD` is older than what was seen here: it is at #1, revision 4; seen were #2, revision 7

    hint: if an older copy was put there on purpose, remove `$ROOT/home/state/relctl/heads/[id]` and run again
    ");
}

#[test]
fn the_ledger_cannot_be_written() {
    let site = site::released();
    site::bump(&site);
    forbid_writing(&site, "state");
    assert_snapshot!(site.run(&mut unprivileged(&site, &["apply", "--auto-approve"])), @"
    exit code: 1
    ----- stdout
    site v1.1.0                                                            in force: v1.0.0 #1, verified

    Risks: none

    Steps
      1  ▶ run     action.local_append.migrate   line = migrated to v1.1.0, path = migrations.log
      2  + create  resource.local_file.index
           + content   (2 lines)
               + <h1>site v1.1.0</h1>
               + <p>blue</p>
           + path   v1.1.0/index.html
      3  ~ update  resource.local_link.current   current                                      after 1, 2
           ~ target   v1.0.0 → v1.1.0
      4  ✓ check   check.local_match.served                                                      after 3
             matches = site v1.1.0, path = current/index.html

    Record only: nothing is touched
      no longer managed, stays as it is   resource.local_file.index

    Undo
      exact   steps 2, 3: back to what was there
      kept    step 1: stays, and does no harm

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    1 to create, 1 to update, 1 to run, 1 check, 1 record only.  plan [short]…
    ----- stderr
    error: could not open `state/site/default/.lock`: Permission denied (os error 13)

    hint: check that the ledger can be read and written, and that its disk has room
    ");
    assert!(!site.exists("www/v1.1.0"));
}

#[test]
fn the_root_cannot_be_written() {
    let site = site::released();
    site::bump(&site);
    forbid_writing(&site, "www");
    assert_snapshot!(site.run(&mut unprivileged(&site, &["apply", "--auto-approve", "--parallelism=1"])), @"
    exit code: 9
    ----- stdout
    site v1.1.0                                                            in force: v1.0.0 #1, verified

    Risks: none

    Steps
      1  ▶ run     action.local_append.migrate   line = migrated to v1.1.0, path = migrations.log
      2  + create  resource.local_file.index
           + content   (2 lines)
               + <h1>site v1.1.0</h1>
               + <p>blue</p>
           + path   v1.1.0/index.html
      3  ~ update  resource.local_link.current   current                                      after 1, 2
           ~ target   v1.0.0 → v1.1.0
      4  ✓ check   check.local_match.served                                                      after 3
             matches = site v1.1.0, path = current/index.html

    Record only: nothing is touched
      no longer managed, stays as it is   resource.local_file.index

    Undo
      exact   steps 2, 3: back to what was there
      kept    step 1: stays, and does no harm

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    1 to create, 1 to update, 1 to run, 1 check, 1 record only.  plan [short]…
    FAILED: site v1.1.0
      1 ▶ run action.local_append.migrate FAILED: cannot append to `migrations.log`: Permission denied (os error 13)
      done      no step
      held      2 steps: 2, 3, not started
      entry     #2 [sha256]
      go back   relctl revert
    ----- stderr
    site v1.1.0: 4 steps, plan [short]
    1 ▶ run action.local_append.migrate started
    1 ▶ run action.local_append.migrate FAILED after [time]: cannot append to `migrations.log`: Permission denied (os error 13)
    2 + create resource.local_file.index held: not started
    3 ~ update resource.local_link.current held: not started
    entry #2 [short]: FAILED, NOT verified
    ");
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
    assert_snapshot!(site.run(&mut shell), @r#"
    exit code: 1
    ----- stdout
    site v1.0.0                                                            in force: v1.0.0 #1, verified

    Risks: none

    Steps
      1  ~ update  resource.local_file.index   v1.0.0/index.html
           ~ content   (1 line added, 1 removed)
                 <h1>site v1.0.0</h1>
               - <p>blue</p>
               + xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…(199928 more)…xxxxxxxxxxxxxxxxxxxxxxxx
      2  ✓ check   check.local_match.served                                                      after 1
             matches = site v1.0.0, path = current/index.html

    Undo
      exact   step 1: back to what was there

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    1 to update, 1 check, 2 unchanged.  plan [short]…
    ----- stderr
    error: could not write `state/site/default/plans/[sha256].json`: File too large (os error 27)

    hint: check that the ledger can be read and written, and that its disk has room
    "#);
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
