//! A small release that most tests start from.

use crate::environment::{TestEnvironment, plugins};

/// The release file, version v1.0.0.
pub(crate) const RELEASE: &str = r#"[release]
name = "site"
version = "v1.0.0"

[vars]
color = "blue"

[plugins.local]
config = { root = "www" }

[resource.local_file.index]
path = "${release.version}/index.html"
content = """
<h1>site ${release.version}</h1>
<p>${vars.color}</p>
"""

[resource.local_link.current]
path = "current"
target = "${release.version}"
depends_on = ["resource.local_file.index", "action.local_append.migrate"]

[action.local_append.migrate]
path = "migrations.log"
line = "migrated to ${release.version}"

[check.local_match.served]
path = "current/index.html"
matches = "site ${release.version}"
depends_on = ["resource.local_link.current"]
"#;

/// A folder with the release, not initialised.
pub(crate) fn uninitialised() -> TestEnvironment {
    let environment = TestEnvironment::new();
    environment.write("release.toml", RELEASE);
    environment
}

/// A folder with the release, initialised.
pub(crate) fn initialised() -> TestEnvironment {
    let environment = uninitialised();
    environment.relctl("init").success();
    environment
}

/// A folder in which v1.0.0 is in force.
pub(crate) fn released() -> TestEnvironment {
    let environment = initialised();
    environment.relctl("apply --auto-approve").success();
    environment
}

/// Writes v1.1.0 over v1.0.0.
pub(crate) fn bump(environment: &TestEnvironment) {
    environment.edit("release.toml", "version = \"v1.0.0\"", "version = \"v1.1.0\"");
}

/// Writes another version over v1.1.0.
pub(crate) fn bump_to(environment: &TestEnvironment, version: &str) {
    environment.edit("release.toml", "v1.1.0", version);
}

/// A folder with the release and a plugin of its own, `mine.wasm`, that is nowhere else; not
/// initialised.
pub(crate) fn with_own_plugin() -> TestEnvironment {
    let environment = uninitialised();
    std::fs::copy(plugins().join("local.wasm"), environment.path("mine.wasm")).unwrap();
    environment.edit("release.toml", "[plugins.local]", "[plugins.local]\nsource = \"mine.wasm\"");
    change_own_plugin(&environment);
    environment
}

/// Gives `mine.wasm` other bytes and the same behaviour: a custom section more.
pub(crate) fn change_own_plugin(environment: &TestEnvironment) {
    let mut wasm = std::fs::read(environment.path("mine.wasm")).unwrap();
    wasm.extend_from_slice(&[0, 5, 4, b'm', b'o', b'r', b'e']);
    std::fs::write(environment.path("mine.wasm"), wasm).unwrap();
}
