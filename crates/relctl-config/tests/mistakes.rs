//! Every kind of mistake, as a person sees it.

#![expect(clippy::panic, reason = "a helper of tests may stop the test")]

#[cfg(test)]
mod common;

use common::{finish, folder, options};
use relctl_config::LoadOptions;

const HEAD: &str =
    "[release]\nname = \"shop\"\nversion = \"v1\"\n[plugins.world]\n[plugins.other]\n";

/// Renders the mistakes of one release file.
fn mistakes_of(title: &str, files: &[(&str, &str)], adapt: impl Fn(&mut LoadOptions)) -> String {
    let folder = folder(files);
    let mut options = options(folder.path());
    adapt(&mut options);
    let rendered = match finish(&options) {
        Ok(_) => panic!("{title}: there is no mistake"),
        Err(diagnostics) => diagnostics.render(false),
    };
    let place = folder.path().display().to_string();
    format!("## {title}\n\n{}", rendered.replace(&place, "<folder>"))
}

/// Renders the mistakes of several bodies, each below the same head.
fn bodies(cases: &[(&str, &str)]) -> String {
    let render = |(title, body): &(&str, &str)| {
        mistakes_of(title, &[("release.toml", &format!("{HEAD}{body}"))], |_| {})
    };
    cases.iter().map(render).collect::<Vec<_>>().join("\n")
}

#[test]
fn syntax() {
    insta::assert_snapshot!(bodies(&[
        ("two at once", "[resource.service.a]\ncluster = \nname = 'x\n"),
        ("a table twice", "[resource.service.a]\n[resource.service.a]\n"),
        ("a key twice", "[resource.service.a]\nname = 'a'\nname = 'b'\n"),
        ("the end is missing", "[resource.service.a]\ncommand = ['x'"),
    ]));
}

#[test]
fn values_that_do_not_survive() {
    insta::assert_snapshot!(bodies(&[(
        "numbers",
        "[vars]\na = 9007199254740992\nb = [nan, -inf]\nc = 0xFFFFFFFFFFFFFFFFFF\n",
    )]));
}

#[test]
fn sections() {
    let files = |text: &'static str| [("release.toml", text)];
    let cases = [
        ("nothing", ""),
        ("no version", "[release]\nname = \"a b\"\nverison = \"1\"\n"),
        ("wrong types", "release = 1\nplugins = []\nledger = {}\nvars = 2\n"),
        (
            "unknown sections",
            "[release]\nname='a'\nversion='1'\n[resources.a.b]\n[plugins.world]\nsorce='x'\nconfig=1\n",
        ),
        (
            "references too early",
            "[release]\nname='a'\nversion='${lookup.find.x.name}'\n[plugins.world]\nconfig.x = '${lookup.find.x.name}'\n[ledger]\nurl='${resource.service.a.arn}'\n",
        ),
    ];
    let rendered: Vec<String> =
        cases.iter().map(|(title, text)| mistakes_of(title, &files(text), |_| {})).collect();
    insta::assert_snapshot!(rendered.join("\n"));
}

#[test]
fn environments_and_variables() {
    let text = format!(
        "{HEAD}[vars]\ncount = 1\nurl = '${{vars.count}}'\nregistry = 'r'\n[check.http.a]\nplugin = 'world'\nurl = '${{vars.rgistry}}/${{vars.tag}}'\n"
    );
    let plain = [("release.toml", text.as_str()), ("v.toml", "unused = 1\n")];
    let with_environments = [
        ("release.toml", text.as_str()),
        ("environments/staging.toml", ""),
        ("environments/production.toml", "x ="),
    ];
    let environment =
        |name: &'static str| move |o: &mut LoadOptions| o.environment = Some(name.to_owned());
    insta::assert_snapshot!(
        [
            mistakes_of("no file", &[], |_| {}),
            mistakes_of("none is named", &with_environments, |_| {}),
            mistakes_of("an unknown one", &with_environments, environment("prodution")),
            mistakes_of("there are none", &plain, environment("production")),
            mistakes_of("a mistake in it", &with_environments, environment("production")),
            mistakes_of("variables", &plain, |options| {
                options.var_files = vec!["v.toml".into()];
                options.vars = vec![
                    ("count".to_owned(), "many".to_owned()),
                    ("regsitry".to_owned(), "x".to_owned()),
                ];
                options.env = [("RELCTL_VAR_count".to_owned(), "true".to_owned())].into();
            }),
            mistakes_of("no such file of variables", &plain, |options| {
                options.var_files = vec!["w.toml".into()];
            }),
        ]
        .join("\n")
    );
}

#[test]
fn files() {
    let text = format!(
        "{HEAD}[check.http.a]\nplugin='world'\nurl = '${{file(\"../secret\")}}${{file(\"/etc/passwd\")}}'\n\
         [check.http.b]\nplugin='world'\nurl = '${{file(\"link\")}} ${{file(\"none\")}} ${{file(\"folder\")}}'\n\
         [check.http.c]\nplugin='world'\nurl = \"${{json('bad.json')}} ${{json('big.json')}} ${{json('ok.json').b}}\"\n\
         [check.http.d]\nplugin='world'\nurl = \"${{json('deep.json')}}\"\n"
    );
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let files = [
        ("release/deep.json", deep.as_str()),
        ("release/release.toml", text.as_str()),
        ("release/folder/x", ""),
        ("release/bad.json", "{"),
        ("release/big.json", "{\"a\": [9007199254740993]}"),
        ("release/ok.json", "{\"a\": 1}"),
        ("secret", "s"),
    ];
    let rendered = mistakes_of("file() and json()", &files, |options| {
        let release = options.dir.join("release");
        std::os::unix::fs::symlink("../secret", release.join("link")).unwrap();
        options.dir = release;
    });
    insta::assert_snapshot!(rendered);
}

#[test]
fn objects() {
    insta::assert_snapshot!(bodies(&[
        ("no name", "[check.http]\nurl = 'x'\n"),
        ("names", "[check.http.'a b']\nurl = 'x'\n[lookup.'1'.x]\n"),
        (
            "unknown kinds",
            "[resource.servce.a]\n[lookup.service.a]\n[defaults.servic]\nx = 1\n[resource.service.b]\ncluster='c'\nname='b'\n"
        ),
        (
            "plugins",
            "[check.http.a]\nurl='x'\n[check.http.b]\nurl='x'\nplugin='othr'\n[lookup.find.c]\nplugin='other'\n[lookup.find.d]\nplugin=1\n"
        ),
        (
            "relctl's own keys",
            "[action.job.a]\ncommand=[]\nlifecycle={}\non_revert='kep'\ntriggers=1\nundo=[]\nwhen='before'\n\
             [check.http.b]\nplugin='world'\nurl='x'\nwhen='during'\nblocking='yes'\n\
             [resource.service.c]\ncluster='c'\nname='c'\n\
             lifecycle={ protect = 1, prevent = true, absent = ['a..b', 'tgs.x', ''], external = 'count' }\n",
        ),
        (
            "removed",
            "[removed.'resource.service.gone']\ndelete = true\nnow = true\n[removed.resource.service.here]\n\
             [removed.action.job.x]\n[removed.'nonsense']\n[resource.service.here]\ncluster='c'\nname='h'\n",
        ),
        (
            "one identity twice",
            "[vars]\nn='one'\n[defaults.service]\ncluster='c'\n[resource.service.a]\nname='one'\n[resource.service.b]\nname='${vars.n}'\n",
        ),
    ]));
}

#[test]
fn timeouts() {
    let job = |name: &str, timeout: &str| {
        format!("[action.job.{name}]\ncommand=[]\ntimeout = {timeout}\n")
    };
    let body: String = [
        ("unit", "'5 fortnights'"),
        ("no_unit", "'90'"),
        ("negative", "'-5s'"),
        ("number", "30"),
        ("zero", "'0s'"),
        ("nothing", "''"),
    ]
    .map(|(name, timeout)| job(name, timeout))
    .concat();
    let where_none_is_known = "[check.http.x]\nplugin='world'\nurl='x'\ntimeout='5s'\n";
    insta::assert_snapshot!(bodies(&[
        ("lengths of time", &body),
        ("where there is none", where_none_is_known)
    ]));
}

#[test]
fn references() {
    insta::assert_snapshot!(bodies(&[
        (
            "what is not there",
            "[lookup.find.now]\nname='x'\n[action.job.migrate]\ncommand=['${resource.service.backnd.arn}', '${lookup.find.now.netwrk}']\n\
             network='${lookup.find.now.network.subnets.any}'\ndepends_on=['action.job.migrat', 'job.x']\n\
             [resource.service.backend]\ncluster='${check.http.a}'\nname='x'\n[check.http.a]\nplugin='world'\nurl='x'\n",
        ),
        (
            "the language",
            "[check.http.a]\nplugin='world'\nurl='${release.versoin} ${vars} ${} ${release.name | shout} ${a + b}'\n\
             [check.http.b]\nplugin='world'\nurl=\"\\t${release.version\"\n",
        ),
        (
            "a circle",
            "[action.job.a]\ncommand=['${action.job.b.exit_code}']\n[action.job.b]\ncommand=[]\ndepends_on=['action.job.c']\n\
             [action.job.c]\ncommand=[]\ntriggers={ x = '${action.job.a.exit_code}' }\n",
        ),
        ("oneself", "[action.job.a]\ncommand=['${action.job.a.exit_code}']\n"),
        (
            "lookups cannot wait",
            "[lookup.find.a]\ndepends_on=['action.job.b']\n[action.job.b]\ncommand=[]\n"
        ),
    ]));
}

#[test]
fn fields() {
    insta::assert_snapshot!(bodies(&[
        (
            "missing and unknown",
            "[resource.service.a]\nclustr='c'\nimages=['x']\narn='arn:1'\nwhen='before'\n"
        ),
        (
            "types",
            "[resource.service.a]\ncluster=1\nname='a'\ncount='3'\npublic='true'\ntags={ x = 1 }\ncommand='npm'\nextra=[]\nratio=true\ntarget=1.5\n",
        ),
        (
            "bounds",
            "[resource.service.a]\ncluster='c'\nname='Not-a-name-and-much-too-long'\ncount=-1\nratio=1.0\nlaunch='fargat'\ncommand=['a','b','c','d']\ntarget=['a']\n",
        ),
        (
            "one of several",
            "[lookup.pick.a]\n[lookup.pick.b]\nnewest=true\nnumber=1\n[lookup.pick.c]\nnumber=1\n",
        ),
        (
            "undo takes fields of the same kind",
            "[action.job.a]\ncommand=[]\nundo={ comand = ['x'], network = 1 }\n",
        ),
        (
            "a default's mistake is shown where it is written",
            "[defaults.service]\ncluster='c'\ncount='x'\n[resource.service.a]\nname='a'\n[resource.service.b]\nname='b'\n",
        ),
    ]));
}

#[test]
fn keyed_lists() {
    let base = format!(
        "{HEAD}[resource.service.a]\ncluster='c'\nname='a'\ncontainers=[{{name='api', image='i'}}]\n"
    );
    let overlay = "[resource.service.a]\ncontainers=[{name='web', image='i'}]\n";
    let files = [("release.toml", base.as_str()), ("environments/prod.toml", overlay)];
    let replaced = mistakes_of("an overlay that replaces entries", &files, |options| {
        options.environment = Some("prod".to_owned());
    });
    let own = bodies(&[
        (
            "entries",
            "[resource.service.a]\ncluster='c'\nname='a'\n\
             containers=[{name='api', image='i'}, {image='i'}, 'x', {name='api', image='j'}, {name='b'}, {name=[], image='i'}]\n\
             ports.'80/tcp'={port=81, protocol='tcp'}\nports.x={port=1}\nlisteners.http={}\n",
        ),
        (
            "a key that is not known",
            "[lookup.find.x]\n[resource.service.a]\ncluster='c'\nname='a'\ncontainers=[{name='${lookup.find.x.name}', image='i'}]\n",
        ),
    ]);
    insta::assert_snapshot!(format!("{replaced}\n{own}"));
}

#[test]
fn colours_and_json() {
    let body = "[resource.service.a]\nclustr = 'c'\nname = 'a'\ncluster = 'c'\n";
    let folder = folder(&[("release.toml", &format!("{HEAD}{body}"))]);
    let diagnostics = finish(&options(folder.path())).unwrap_err();
    let json = serde_json::to_string_pretty(&diagnostics).unwrap();
    let colored = diagnostics.render(true).replace('\u{1b}', "ESC");
    insta::assert_snapshot!(format!("{colored}\n{json}"));
}
