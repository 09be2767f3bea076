//! Every example is run, and the first release of README.md as it stands there.

use std::path::{Path, PathBuf};

use crate::environment::TestEnvironment;
use crate::real::copy;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A copy of an example.
fn example(name: &str) -> TestEnvironment {
    let environment = TestEnvironment::new();
    copy(&root().join("examples").join(name), &environment.path("."));
    environment
}

#[test]
fn no_example_is_forgotten() {
    // `healthflow` is run by `healthflow.rs`; `github-actions` is checked by actionlint in CI.
    let known = ["environments", "github-actions", "healthflow", "local"];
    let mut names: Vec<String> = std::fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, known, "add a test for it");
}

#[test]
fn the_site_is_released_and_reverted() {
    let site = example("local");
    site.relctl("init").success();
    site.relctl("apply --auto-approve").success();
    site.relctl("plan --detailed-exitcode").success();
    assert!(site.read("www/current/index.html").contains("You see v1.0.0"));
    site.edit("release.toml", "version = \"v1.0.0\"", "version = \"v1.1.0\"");
    site.relctl("apply --auto-approve --var port=9090").success();
    assert!(site.read("www/current/index.html").contains("You see v1.1.0"));
    assert!(site.read("www/config/site.toml").contains("9090"));
    site.relctl("revert --auto-approve").success();
    assert!(site.read("www/current/index.html").contains("You see v1.0.0"));
    assert!(site.read("www/config/site.toml").contains("8080"));
    assert_eq!(site.read("www/data/migrations.log").lines().count(), 2, "what was appended stays");
}

#[test]
fn staging_and_production_go_their_own_ways() {
    let greeter = example("environments");
    greeter.relctl("plan").exits(1);
    for environment in ["staging", "production"] {
        greeter.relctl(&format!("init -e {environment}")).success();
        greeter.relctl(&format!("apply -e {environment} --auto-approve")).success();
        greeter.relctl(&format!("plan -e {environment} --detailed-exitcode")).success();
    }
    assert!(greeter.read("servers/staging/greeter.toml").contains("Hello from staging"));
    assert!(greeter.read("servers/production/greeter.toml").contains("workers  = 8"));
    // A new version reaches staging alone, and its way back is staging's alone.
    greeter.edit("release.toml", "v2.3.0", "v2.4.0");
    greeter.relctl("apply -e staging --auto-approve").success();
    let runs =
        |environment: &str| greeter.read(&format!("servers/{environment}/current/greeter.sh"));
    assert!(runs("staging").contains("v2.4.0") && runs("production").contains("v2.3.0"));
    greeter.relctl("revert -e staging --auto-approve").success();
    assert!(runs("staging").contains("v2.3.0"));
    // Production protects its switch, also where both its tables leave the files.
    let before = |path: &str, mark: &str| greeter.read(path).split(mark).next().unwrap().to_owned();
    let release = before("release.toml", "[resource.local_link.current]");
    let removal = "[removed.resource.local_link.current]\ndelete = true\n";
    let overlay = before("environments/production.toml", "# Nothing deletes");
    greeter.write("release.toml", &format!("{release}{removal}"));
    greeter.write("environments/production.toml", &overlay);
    let refused = greeter.relctl("plan -e production").exits(1);
    assert!(refused.stderr.contains("is protected"), "{refused}");
}

#[test]
fn the_first_release_of_the_readme_works() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let from = readme.find("```toml\n[release]").unwrap() + "```toml\n".len();
    let to = from + readme[from..].find("```").unwrap();
    let hello = TestEnvironment::new();
    hello.write("release.toml", &readme[from..to]);
    for command in ["init", "plan", "apply --auto-approve", "status", "plan --detailed-exitcode"] {
        hello.relctl(command).success();
    }
    assert_eq!(hello.read("www/greeting.txt"), "Hello from v1\n");
}
