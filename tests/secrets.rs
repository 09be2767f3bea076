//! Canaries: no credential and no secret of the cloud is in any file or on any stream, however it
//! is written there.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::bytes::Regex;
use relctl_test::proxy::{Proxy, ProxyRules, Reply};
use serde_json::json;

use crate::environment::TestEnvironment;
use crate::healthflow::Production;
use crate::site;

/// With the signs that are written differently in URLs and in JSON.
const SECRET_KEY: &str = "wJalrXUt/nFEMI+K7MDENG/bPx=CanarySecret";
const SESSION_TOKEN: &str = "IQoJb3JpZ2lu/X2VjEC+canary/session==token";
const UNRELATED: &str = "pa\"ss/wo+rd-of-the-ci-canary";
/// In what the cloud answers: a variable that the release file does not mention.
const VARIABLE: &str = "value-of-a-variable/canary+1";
/// In what the cloud answers: a password in a message.
const IN_MESSAGE: &str = "inAMessageCanary+77";

const CANARIES: [&str; 5] = [SECRET_KEY, SESSION_TOKEN, UNRELATED, VARIABLE, IN_MESSAGE];

/// What was written and said, while nothing is known about how.
struct Witness {
    said: Vec<(String, Vec<u8>)>,
}

impl Witness {
    fn new() -> Self {
        Self { said: Vec::new() }
    }

    /// Runs a command with canaries around it; its exit code.
    fn run(&mut self, command: &mut Command) -> Option<i32> {
        command
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_SESSION_TOKEN", SESSION_TOKEN)
            .env("DATABASE_PASSWORD", UNRELATED)
            .env("GITHUB_TOKEN", UNRELATED)
            .env("RELCTL_VAR_unused_password", UNRELATED);
        let name = format!("{:?}", command.get_args().collect::<Vec<_>>());
        let output = command.output().unwrap();
        self.said.push((format!("stdout of {name}"), output.stdout));
        self.said.push((format!("stderr of {name}"), output.stderr));
        output.status.code()
    }

    fn heard(&self, what: &str) -> bool {
        self.said.iter().any(|(_, said)| holds(said, what.as_bytes()))
    }

    /// Asserts that no canary is in what was said, or in a file below `root`; the number of files.
    fn assert_clean(&self, root: &Path) -> usize {
        let mut texts = self.said.clone();
        read_files(root, &mut texts);
        for (place, text) in &texts {
            if let Some(found) = FORMS.find(text) {
                let form = String::from_utf8_lossy(found.as_bytes());
                panic!("{form} is in {place}:\n{}", String::from_utf8_lossy(text));
            }
        }
        texts.len() - self.said.len()
    }
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Every form of every canary.
static FORMS: LazyLock<Regex> = LazyLock::new(|| {
    let forms = CANARIES.into_iter().flat_map(forms);
    let forms: Vec<String> = forms.map(|form| regex::escape(&form)).collect();
    Regex::new(&forms.join("|")).unwrap()
});

/// A value raw, escaped for a URL and for JSON, in hexadecimal, and in base64 at any offset.
fn forms(canary: &str) -> Vec<String> {
    let escaped: String = url::form_urlencoded::byte_serialize(canary.as_bytes()).collect();
    let json = json!(canary).to_string();
    let mut forms = vec![
        canary.to_owned(),
        escaped.to_lowercase().replace(&canary.to_lowercase(), canary),
        escaped.replace('+', "%20"),
        escaped,
        json.trim_matches('"').to_owned(),
        json!(json).to_string().trim_matches(['"', '\\']).to_owned(),
        canary.replace('/', "\\/"),
        canary.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ];
    for offset in 0..3 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(canary.as_bytes());
        for digits in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            // Without the digits that neighbours share.
            forms.push(digits[offset + 1..digits.len() - 2].to_owned());
        }
    }
    forms
}

/// Every file, and what is in those that are compressed.
pub(crate) fn read_files(folder: &Path, into: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            read_files(&path, into);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "zst") {
            into.push((format!("{} unpacked", path.display()), zstd::decode_all(&*bytes).unwrap()));
        }
        into.push((path.display().to_string(), bytes));
    }
}

#[test]
fn a_form_of_each_kind_is_found() {
    let mut witness = Witness::new();
    let folder = TestEnvironment::new();
    witness.assert_clean(folder.root());
    for form in forms(SECRET_KEY) {
        witness.said = vec![("here".to_owned(), format!("x{form}y").into_bytes())];
        let found = std::panic::catch_unwind(|| witness.assert_clean(folder.root()));
        assert!(found.is_err(), "{form} is not found");
    }
}

/// The environment's secrets are not in anything that the local plugin's release leaves behind, also
/// where relctl dies or crashes.
#[test]
fn nothing_of_the_environment_is_written() {
    let site = site::uninitialised();
    let mut witness = Witness::new();
    let mut run = |arguments: &str| {
        let mut command = site.command(&arguments.split_whitespace().collect::<Vec<_>>());
        // A cache of its own: what is cached is looked through too.
        witness.run(command.env("XDG_CACHE_HOME", site.root().join("home/cache")))
    };
    for (arguments, code) in [
        ("init -vvv", 0),
        ("validate", 0),
        ("plan -vvv -o plan.json", 0),
        ("plan --json", 0),
        ("plan --format markdown", 0),
        ("show plan.json --json", 0),
        ("apply plan.json -vvv", 0),
        ("apply plan.json", 5),
        ("status --json", 0),
    ] {
        assert_eq!(run(arguments), Some(code), "{arguments}");
    }
    site::bump(&site);
    // Something is in the way of a step: it fails, and says why.
    site.write("www/v1.1.0/index.html/in-the-way", "");
    assert_eq!(run("apply --auto-approve --json"), Some(1));
    std::fs::remove_dir_all(site.path("www/v1.1.0")).unwrap();
    for (arguments, code) in [
        ("apply --auto-approve --json", 0),
        ("log --json", 0),
        ("diff -vv", 0),
        ("drift -vv", 0),
        ("revert --auto-approve --json -vvv", 0),
        ("show --json", 0),
        ("resume", 1),
        ("plugin inspect local -vvv", 0),
        ("plan --ledger s3://no-such-bucket.invalid/x?y", 1),
    ] {
        assert_eq!(run(arguments), Some(code), "{arguments}");
    }
    for moment in ["7", "panic:7", "panic:25"] {
        let fork = site.fork();
        site::bump_to(&fork, "v1.2.0");
        let mut command = fork.command(&["apply", "--auto-approve"]);
        assert_ne!(witness.run(command.env("RELCTL_TEST_DIE_AT", moment)), Some(0), "{moment}");
        witness.run(&mut fork.command(&["resume", "-vvv"]));
        witness.assert_clean(fork.root());
    }
    assert!(witness.heard("wants a panic here"), "nothing panicked");
    assert!(witness.heard("TRACE"), "nothing was logged");
    assert!(witness.assert_clean(site.root()) > 20);
}

/// A cloud that puts secrets into answers and errors, and repeats what it was sent.
fn telling(endpoint: &str) -> Proxy {
    let echo = || {
        format!(
            "the canonical string was POST / x-amz-security-token:{SESSION_TOKEN} \
             AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, with {SECRET_KEY}; the \
             application said password={IN_MESSAGE}"
        )
    };
    ProxyRules::default()
        .rewrite("DescribeTaskDefinition", |_, reply| {
            reply.edit_json(|json| {
                let containers = &mut json["taskDefinition"]["containerDefinitions"];
                if let Some(variables) = containers[0]["environment"].as_array_mut() {
                    variables.push(json!({ "name": "DB_PASSWORD", "value": VARIABLE }));
                }
            });
        })
        .rewrite("DescribeServices", |_, reply| {
            reply.edit_json(|json| {
                json["services"][0]["events"] = json!([{
                    "id": "e", "createdAt": 1, "message": format!("(service) started with password={IN_MESSAGE}"),
                }]);
            });
        })
        .rewrite("DescribeDBInstances", |_, reply| {
            reply.edit_text(|text| {
                let more = format!("<MasterUserPassword>{IN_MESSAGE}</MasterUserPassword><DBInstanceStatus>");
                text.replace("<DBInstanceStatus>", &more)
            });
        })
        .answer("UpdateService", move |call| match call.nth {
            1 => Reply::json_error(403, "InvalidSignatureException", &echo()),
            _ => Reply::json_error(400, "InvalidParameterException", &echo()),
        })
        .before(endpoint)
        .unwrap()
}

/// What a cloud tells does not get into plans, the ledger, messages or logs.
#[test]
fn nothing_that_the_cloud_tells_is_written() {
    let production = Production::start();
    let proxy = telling(&production.moto.url());
    let mut witness = Witness::new();
    let mut run = |arguments: &str| {
        let mut command = production.command(arguments, proxy.url());
        witness.run(command.env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"))
    };
    for (arguments, code) in [
        ("init -e production -vvv", 0),
        ("plan -e production -vvv -o plan.json", 0),
        ("plan -e production --json", 0),
        ("plan -e production --format markdown", 0),
        ("apply -e production -vvv plan.json", 9),
        ("status -e production --json", 0),
        ("log -e production --json", 0),
        ("show -e production --json", 0),
        ("apply -e production --auto-approve --json", 9),
        ("drift -e production -vvv", 0),
        ("revert -e production --to start --auto-approve --json -vv", 0),
    ] {
        let ended = run(arguments);
        assert!(ended == Some(code) || ended == Some(3), "{arguments}: {ended:?}");
    }
    assert!(proxy.count("UpdateService") >= 2, "the cloud was never asked");
    assert!(witness.heard("[redacted]"), "the cloud's reason is nowhere");
    assert!(witness.heard("TRACE"), "nothing was logged");
    assert!(witness.assert_clean(production.environment.root()) > 10);
}

/// What a store of ledgers tells about a request is not repeated.
#[test]
fn nothing_that_a_store_tells_is_shown() {
    let echo = format!(
        "<Error><Code>SignatureDoesNotMatch</Code><AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId>\
         <StringToSign>{SECRET_KEY}</StringToSign><CanonicalRequest>GET\nx-amz-security-token:{SESSION_TOKEN}\
         </CanonicalRequest></Error>"
    );
    let store = ProxyRules::default()
        .interfere(move |_| relctl_test::proxy::Interference::Answer(Reply::xml(403, &echo)))
        .before("http://127.0.0.1:9")
        .unwrap();
    let site = site::uninitialised();
    let mut witness = Witness::new();
    for arguments in ["init", "plan", "status --json", "log -vvv", "revert --auto-approve"] {
        let arguments = format!("{arguments} --ledger s3://bucket/prefix");
        let mut command = site.command(&arguments.split_whitespace().collect::<Vec<_>>());
        command
            .env("AWS_ENDPOINT_URL", store.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE");
        assert_eq!(witness.run(&mut command), Some(1), "{arguments}");
    }
    assert!(!store.calls().is_empty(), "the store was never asked");
    witness.assert_clean(site.root());
}
