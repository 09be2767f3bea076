//! Encrypted ledgers: what is secret in them cannot be read without a key, and everything works with
//! one.

use std::path::PathBuf;

use insta::assert_snapshot;

use crate::environment::{Output, TestEnvironment};
use crate::site;

const CANARY: &str = "canary-5d1c7e";

/// A key pair; the secret one is in a file.
struct Key {
    recipient: String,
    file: PathBuf,
}

impl Key {
    fn new(site: &TestEnvironment, name: &str) -> Self {
        let identity = age::x25519::Identity::generate();
        let file = site.root().join("tmp").join(name);
        let secret = identity.to_string();
        let secret = age::secrecy::ExposeSecret::expose_secret(&secret);
        std::fs::write(&file, format!("# made for a test\n{secret}\n")).unwrap();
        Self { recipient: identity.to_public().to_string(), file }
    }

    fn relctl(&self, site: &TestEnvironment, arguments: &str) -> Output {
        let mut command = site.command(&arguments.split_whitespace().collect::<Vec<_>>());
        site.run(command.env("RELCTL_AGE_IDENTITY_FILE", &self.file))
    }
}

/// The small site, with a file that nobody else should read.
fn secretive(recipient: Option<&str>) -> TestEnvironment {
    let site = site::uninitialised();
    site.edit("release.toml", "color = \"blue\"", &format!("color = \"{CANARY}\""));
    encrypt_for(&site, recipient);
    site
}

/// Changes for whom the release file wants it.
fn encrypt_for(site: &TestEnvironment, recipient: Option<&str>) {
    let text = site.read("release.toml");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("[ledger]") && !line.starts_with("recipients"));
    let mut text = lines.map(|line| format!("{line}\n")).collect::<String>();
    if let Some(recipient) = recipient {
        let section = format!("[ledger]\nrecipients = [\"{recipient}\"]\n[plugins.local]");
        text = text.replace("[plugins.local]", &section);
    }
    site.write("release.toml", &text);
}

/// Where in the ledger the canary stands.
fn seen(site: &TestEnvironment) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![site.path("state")];
    while let Some(folder) = open.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            // Snapshots are compressed: what is inside counts.
            let bytes = if path.extension().is_some_and(|extension| extension == "zst") {
                zstd::decode_all(bytes.as_slice()).unwrap_or(bytes)
            } else {
                bytes
            };
            if bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()) {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found
}

#[test]
fn nothing_secret_is_readable_and_everything_works() {
    let site = TestEnvironment::new();
    let key = Key::new(&site, "key");
    let site = secretive(Some(&key.recipient));
    let made = key.relctl(&site, "init").success();
    assert!(made.stdout.contains(&format!("encrypted for {}", key.recipient)), "{made}");
    key.relctl(&site, "apply --auto-approve").success();
    site::bump(&site);
    key.relctl(&site, "apply --auto-approve").success();
    assert_eq!(seen(&site), Vec::<String>::new());
    assert!(site.read("www/current/index.html").contains(CANARY), "it is on the site");
    key.relctl(&site, "ledger verify").success();
    let export = key.relctl(&site, "ledger export").success();
    assert!(export.raw.contains(CANARY), "who has the key can read it");

    // The history is readable without the key; what it left behind is not.
    assert!(site.relctl("log").success().stdout.contains("v1.1.0"));
    let status = site.relctl("status");
    assert_snapshot!(status, @"
    exit code: 0
    ----- stdout
    site

      in force    v1.1.0 #2, verified
                  2026-11-22T10:00:00Z by ada
      entry       [sha256]
      ledger      state/site/default/
      lock        free
      revert      would go to v1.0.0 #1
      drift       not looked for; `relctl drift` looks
    ----- stderr
    warning: unsettled objects are not known: `state/site/default/snapshots/[sha256].json.zst` is encrypted, and no identity is given
    warning: drift is not known: `state/site/default/snapshots/[sha256].json.zst` is encrypted, and no identity is given
    ");
    assert_snapshot!(site.relctl("revert --auto-approve").stderr, @"
    error: `state/site/default/snapshots/[sha256].json.zst` is encrypted, and no identity is given

    hint: give the secret key of one of the ledger's recipients with RELCTL_AGE_IDENTITY, or its file with RELCTL_AGE_IDENTITY_FILE; if all of them are lost, what is encrypted is lost too, and only entries can be read
    ");
    let wrong = Key::new(&site, "wrong");
    assert_snapshot!(wrong.relctl(&site, "plan").stderr, @"
    error: `state/site/default/snapshots/[sha256].json.zst` is encrypted, and none of the identities that are given opens it

    hint: give the secret key of one of the ledger's recipients with RELCTL_AGE_IDENTITY, or its file with RELCTL_AGE_IDENTITY_FILE; if all of them are lost, what is encrypted is lost too, and only entries can be read
    ");

    // A machine without a release file writes for those that it is encrypted for.
    std::fs::remove_file(site.path("release.toml")).unwrap();
    key.relctl(&site, "revert --auto-approve").success();
    assert!(site.read("www/current/index.html").contains("site v1.0.0"));
    assert_eq!(seen(&site), Vec::<String>::new());
}

#[test]
fn rekeying_really_rewrites() {
    let site = secretive(None);
    site.relctl("init").success();
    site.relctl("apply --auto-approve").success();
    assert!(seen(&site).len() >= 3, "plan, snapshot, journal: {:?}", seen(&site));

    let (ada, bob) = (Key::new(&site, "ada"), Key::new(&site, "bob"));
    assert_snapshot!(site.relctl("ledger rekey --auto-approve").stderr, @r#"
    error: the release file names nobody to encrypt for

    hint: write `recipients = ["age1…"]` into `[ledger]`; `age-keygen` makes a key
    hint: or, to have it in plain text, say so: relctl ledger rekey --decrypt
    "#);
    encrypt_for(&site, Some(&ada.recipient));
    site::bump(&site);
    assert_snapshot!(ada.relctl(&site, "apply --auto-approve").stderr, @"
    error: the ledger `state/site/default/` is not encrypted, and `[ledger] recipients` names some

    hint: encrypt all that it holds: relctl ledger rekey
    ");
    ada.relctl(&site, "ledger rekey --auto-approve").success();
    assert_eq!(seen(&site), Vec::<String>::new());
    ada.relctl(&site, "apply --auto-approve").success();

    // Who rekeys needs the old key; afterwards the old key opens nothing.
    encrypt_for(&site, Some(&bob.recipient));
    bob.relctl(&site, "ledger rekey --auto-approve").exits(1);
    let other = ada.relctl(&site, "revert --auto-approve").exits(1);
    assert!(other.stderr.contains("relctl ledger rekey"), "{other}");
    ada.relctl(&site, "ledger rekey --auto-approve").success();
    ada.relctl(&site, "revert --auto-approve").exits(1);
    bob.relctl(&site, "revert --auto-approve").success();

    encrypt_for(&site, None);
    bob.relctl(&site, "ledger rekey --decrypt --auto-approve").success();
    assert!(!seen(&site).is_empty());
    site.relctl("ledger verify").success();
}
