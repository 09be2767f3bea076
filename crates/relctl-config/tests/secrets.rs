//! What looks like a credential is refused, wherever it comes from, and never shown.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a helper of tests may stop the test")]

#[cfg(test)]
mod common;

use common::{finish, folder, options};
use relctl_config::LoadOptions;

const HEAD: &str =
    "[release]\nname = \"shop\"\nversion = \"v1\"\n[plugins.world]\n[plugins.other]\n";

/// A value that no message may hold.
const CANARY: &str = "canary-7Ht9-hunter2";

/// The messages about a release, which must be refused without showing the canary.
#[track_caller]
fn refused(files: &[(&str, &str)], adapt: impl Fn(&mut LoadOptions)) -> String {
    let folder = folder(files);
    let mut options = options(folder.path());
    adapt(&mut options);
    let Err(mistakes) = finish(&options) else { panic!("not refused: {files:?}") };
    let (text, json) = (mistakes.render(true), serde_json::to_string(&mistakes).unwrap());
    assert!(!text.contains(CANARY) && !json.contains(CANARY), "{text}");
    mistakes.render(false)
}

fn with_body(body: &str) -> String {
    format!("{HEAD}{body}")
}

#[test]
fn they_are_named_with_their_place_and_not_shown() {
    let github = ["gh", "p_0123456789abcdefghijklmnopqrstuvwxyz"].concat();
    let text = with_body(&format!(
        "[vars]\ndb_password = \"{CANARY}\"\n\
         [resource.service.a]\ncluster = 'c'\nname = 'a'\n\
         extra = {{ environment = [{{ name = 'API_TOKEN', value = '{CANARY}-2' }}] }}\n\
         tags = {{ note = 'see {github}', clone = 'https://ada:{CANARY}@git.example/x' }}\n\
         command = ['run', '--password', '{CANARY}-3']\n\
         [check.http.a]\nplugin = 'world'\nurl = 'https://x/${{vars.db_password}}'\n"
    ));
    let shown = refused(&[("release.toml", &text)], |_| {});
    assert!(!shown.contains(&github), "{shown}");
    insta::assert_snapshot!(shown);
}

#[test]
fn wherever_they_come_from() {
    let service = "[resource.service.a]\ncluster = 'c'\nname = 'a'\n";
    let used = with_body(&format!("{service}extra.password = '${{vars.word}}'\n"));
    let named = with_body(&format!("{service}extra.note = 'it is ${{vars.db_password}}'\n"));
    let from_json = with_body(&format!("{service}extra = \"${{json('extra.json')}}\"\n"));
    let from_file = with_body(&format!("{service}extra.note = \"${{file('key.pem')}}\"\n"));
    let json = format!("{{ \"env\": {{ \"DB_PASSWORD\": \"{CANARY}\" }} }}");
    let key = format!("{}{}\n{CANARY}\n", "-----BEGIN PRIVATE", " KEY-----");
    let overlay = format!("[resource.service.a]\nextra.password = '{CANARY}'\n");
    let base = with_body(service);
    let variable = |options: &mut LoadOptions| {
        options.vars = ["word", "db_password"].map(|n| (n.to_owned(), CANARY.to_owned())).to_vec();
    };
    let environment = |options: &mut LoadOptions| {
        options.env = [("RELCTL_VAR_db_password".to_owned(), CANARY.to_owned())].into();
    };
    let config = format!(
        "[release]\nname = 'shop'\nversion = 'v1'\n[plugins.world]\nconfig.token = '{CANARY}'\n[plugins.other]\n"
    );
    let url = format!("{HEAD}[ledger]\nurl = 's3://key:{CANARY}@bucket/x'\n");
    let covered = [
        ("release.toml", format!("{base}extra.password = '{CANARY}'\n")),
        ("environments/p.toml", "[resource.service.a]\nextra.password = 'arn:aws:x'\n".to_owned()),
    ];
    let shown = [
        refused(&[("release.toml", &used)], |options| {
            options.vars = vec![("word".to_owned(), CANARY.to_owned())];
        }),
        refused(&[("release.toml", &named)], |options| {
            options.vars = vec![("db_password".to_owned(), CANARY.to_owned())];
        }),
        refused(&[("release.toml", &named)], environment),
        refused(&[("release.toml", &from_json), ("extra.json", &json)], |_| {}),
        refused(&[("release.toml", &from_file), ("key.pem", &key)], |_| {}),
        refused(&[("release.toml", &base), ("environments/p.toml", &overlay)], |options| {
            options.environment = Some("p".to_owned());
        }),
        refused(&[("release.toml", &covered[0].1), ("environments/p.toml", &covered[1].1)], |o| {
            o.environment = Some("p".to_owned());
        }),
        refused(&[("release.toml", &config)], |_| {}),
        refused(&[("release.toml", &url)], |_| {}),
    ];
    for shown in &shown {
        assert!(shown.contains("looks like a credential"), "{shown}");
    }
    insta::assert_snapshot!(shown.join("\n"));
    // A variable that nothing declares or uses is another mistake, and is not shown either.
    let unused = refused(&[("release.toml", &base)], variable);
    assert!(unused.contains("no variable `db_password`"), "{unused}");
}

#[test]
fn other_mistakes_keep_quiet_too() {
    for body in [
        // A wrong type, a wrong choice and a wrong field on the line of a credential.
        format!(
            "[resource.service.a]\ncluster = 'c'\nname = 'a'\ncount = {{ password = '{CANARY}' }}\n"
        ),
        format!(
            "[resource.service.a]\ncluster = 'c'\nname = 'a'\nlaunch = '{CANARY}'\nextra.token = '{CANARY}'\n"
        ),
        format!("[resource.service.a]\ncluster = 'c'\nname = 'a'\npassword = '{CANARY}'\n"),
        // What is not TOML.
        format!("[vars]\npassword = \"{CANARY}\n"),
        format!("[vars]\n\"db.password\" = {CANARY}\n"),
        format!("[vars]\nurl = https://ada:{CANARY}@git.example\n"),
    ] {
        refused(&[("release.toml", &with_body(&body))], |_| {});
    }
    // A variable of another type.
    let text = with_body(
        "[vars]\npassword = 1\n[resource.service.a]\ncluster = 'c'\nname = 'a'\ncount = '${vars.password}'\n",
    );
    let shown = refused(&[("release.toml", &text)], |options| {
        options.vars = vec![("password".to_owned(), CANARY.to_owned())];
    });
    assert!(shown.contains("another type"), "{shown}");
}

#[test]
fn what_is_vouched_for_passes() {
    let body = "[plugins.world]\n[plugins.other]\n[vars]\nbreed = 'x'\n[resource.service.a]\ncluster = 'c'\nname = 'a'\nextra.tokens.game_token = 'meeple-7b'\n";
    let head = "[release]\nname = 'shop'\nversion = 'v1'\n";
    for path in ["resource.service.a.extra.tokens.game_token", "resource.service.a.extra"] {
        let folder = folder(&[("release.toml", &format!("{head}not_secret = ['{path}']\n{body}"))]);
        finish(&options(folder.path())).unwrap();
    }
    let other = format!("{head}not_secret = ['resource.service.a.extra.tokens.game']\n{body}");
    refused(&[("release.toml", &other)], |_| {});
    let wrong = format!("{head}not_secret = 1\n{body}");
    assert!(refused(&[("release.toml", &wrong)], |_| {}).contains("an array of strings"));
}

#[test]
fn nothing_else_is_refused() {
    let body = "[vars]\nregistry = '123456789012.dkr.ecr.us-east-1.amazonaws.com'\n\
        [resource.service.a]\ncluster = 'c'\nname = 'a'\n\
        extra.secrets = [{ name = 'DB_PASSWORD', value_from = 'arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf' }]\n\
        extra.environment = { API_KEY = { value_from = '/shop/api-key' }, MODE = { value = 'token' }, PASSWORD_FILE = { value = '/run/secrets/db' } }\n\
        extra.database = { password = '${lookup.find.x.name}', secret = 'db-credentials', secret_arn = 'arn:aws:x', max_tokens = '100' }\n\
        extra.page = '<form><input name=\"password\" type=\"password\"></form>'\n\
        command = ['login', '--password-stdin', 'x']\n\
        [lookup.find.x]\nname = 'password-service'\n\
        [check.http.a]\nplugin = 'world'\nurl = 'https://example.com/password/reset?next_token=1'\n";
    let folder = folder(&[("release.toml", &with_body(body))]);
    if let Err(mistakes) = finish(&options(folder.path())) {
        panic!("{mistakes}");
    }
}
