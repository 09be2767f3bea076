//! `relctl import`: what exists, as the part of a release file that declares it.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use insta::assert_snapshot;

use crate::environment::TestEnvironment;

const RELEASE: &str = "[release]
name = \"site\"
version = \"v1\"

[plugins.local]
config = { root = \"www\" }
";

/// A release without objects, and files that someone made.
fn site() -> TestEnvironment {
    let site = TestEnvironment::new();
    site.write("release.toml", RELEASE);
    site.write("www/config/site.toml", "port = 80\nhome = \"${HOME}\"\n");
    site.write("www/config/secret.env", "USER=app\nDB_PASSWORD=hunter2\n");
    std::fs::set_permissions(
        site.path("www/config/site.toml"),
        std::fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    symlink("config/site.toml", site.path("www/current")).unwrap();
    site.relctl("init").success();
    site
}

#[test]
fn what_is_imported_is_adopted_without_a_change() {
    let site = site();
    let file = site.relctl("import local_file config/site.toml --name settings");
    assert_snapshot!(file, @r#"
    exit code: 0
    ----- stdout
    # What is there now. Keep what the release shall own: what is not written here, relctl
    # leaves alone.
    [resource.local_file.settings]
    path = "config/site.toml"
    content = """
    port = 80
    home = \"$${HOME}\"
    """
    mode = "0640"
    ----- stderr
    "#);
    let link = site.relctl("import local_link path=current").success();
    site.write("release.toml", &[RELEASE, &file.raw, &link.raw].join("\n"));
    assert_snapshot!(site.relctl("plan").success().stdout, @"
    site v1                                                                            in force: nothing

    Risks: none

    Steps
      1  = adopt  resource.local_file.settings   config/site.toml
      2  = adopt  resource.local_link.current    current

    Undo
      exact   steps 1, 2: back to what was there

    Plugins
      local 0.1.0, [short]   root = www

    Drift: none
    2 to adopt.  plan [short]…
    To apply exactly this: relctl apply --expect [sha256]
    ");
    site.relctl("apply --auto-approve").success();
    let again = site.relctl("plan --detailed-exitcode").success();
    assert!(again.stdout.contains("no changes"), "{again}");
}

#[test]
fn what_looks_like_a_credential_is_left_out() {
    let site = site();
    let output = site.relctl("import local_file config/secret.env").success();
    assert!(!output.to_string().contains("hunter2"), "{output}");
    assert!(
        output.stdout.contains("# content is left out: it looks like a credential"),
        "{output}"
    );
    let json = site.relctl("import local_file config/secret.env --json").success();
    assert!(!json.raw.contains("hunter2"), "{json}");
    assert_eq!(json.json()["address"], "resource.local_file.config_secret_env");
    assert_eq!(json.json()["left_out"][0]["path"], "content");
}

#[test]
fn what_cannot_be_imported_is_said() {
    let site = site();
    let said = |arguments: &str| {
        let output = site.relctl(&format!("import {arguments}")).exits(1);
        assert_eq!(output.stdout, "", "{output}");
        output.stderr
    };
    assert_snapshot!(said("local_file nowhere.html"), @r#"
    error: there is no local_file with path = "nowhere.html"

    hint: check it, and the `config` of plugin `local`
    "#);
    assert_snapshot!(said("local_file ../outside"), @"
    error: this identifies nothing
           path: `../outside` has `..` in it

    hint: paths are relative to the plugin's `config.root`
    ");
    assert_snapshot!(said("local_file a b"), @"
    error: `b` is one more than identifies a local_file

    hint: give path=…
    ");
    assert_snapshot!(said("local_file content=x"), @"
    error: a local_file is not identified without `path`

    hint: give path=…
    ");
    assert_snapshot!(said("local_fil a"), @"
    error: no plugin of the release serves a resource `local_fil`

    hint: did you mean `local_file`?
    hint: what can be imported: local_file, local_link
    ");
    assert_snapshot!(said("local_append a"), @"
    error: `local_append` names only actions here, and nothing but resources is imported

    hint: nothing of it need be declared for it to be there
    ");
    assert_snapshot!(said("local_value a"), @"error: a local_value is known to the ledger alone: nothing can be imported");
    assert_snapshot!(said("local_file current"), @"
    error: 1 object(s) could not be read or assessed
           resource.local_file.current: `current` is a link; move it away first
    ");
    assert_snapshot!(said("local_file config/site.toml --name a.b"), @"
    error: `a.b` in `resource.local_file.a.b` is not a name: use a letter or `_`, then letters, digits, `_` or `-`

    hint: name it yourself: --name NAME
    ");
    assert_snapshot!(said("local_file config/site.toml --plugin other"), @"
    error: the release has no plugin `other`

    hint: see which it has: relctl plugin list
    ");
}

/// Snapshots are no resources: a release takes them or looks them up, and owns none that is there.
#[test]
fn snapshots_are_looked_up_instead() {
    let site = TestEnvironment::new();
    let plugin =
        "\n[plugins.aws-rds]\nconfig = { region = \"us-east-1\", account = \"123456789012\" }\n";
    site.write("release.toml", &[RELEASE, plugin].concat());
    site.relctl("init").success();
    for kind in ["aws_db_snapshot", "aws_db_cluster_snapshot"] {
        let output = site.relctl(&format!("import {kind} before-v1")).exits(1);
        for part in [
            format!("`{kind}` names only lookups and actions here"),
            format!("hint: refer to what is there by a lookup: [lookup.{kind}.NAME]"),
        ] {
            assert!(output.stderr.contains(&part), "{part}: {output}");
        }
    }
}

#[test]
fn of_two_plugins_one_is_named() {
    let site = site();
    let second = "\n[plugins.other]\nsource = \"local\"\nconfig = { root = \"elsewhere\" }\n";
    site.write("release.toml", &[RELEASE, second].concat());
    site.write("elsewhere/a.txt", "a\n");
    site.relctl("init --upgrade").success();
    let output = site.relctl("import local_file a.txt").exits(1);
    assert_snapshot!(output.stderr, @"
    error: `local_file` is served by local and by other

    hint: say which to ask: --plugin INSTANCE
    ");
    let output = site.relctl("import local_file a.txt --plugin other").success();
    assert!(output.stdout.contains("plugin = \"other\""), "{output}");
}
