//! `examples/local`: a small site, on the embedded default alone.

use anyhow::{Result, ensure};

use super::session::Session;
use crate::workspace::Workspace;

/// init → plan → apply → a new version → plan → apply → revert.
pub(crate) fn run(workspace: &Workspace, keep: bool) -> Result<()> {
    let site = Session::start(workspace, "local")?;

    site.say("A release file says what shall run.");
    site.types("cat release.toml")?;

    site.say("Once per ledger: which plugins, what they may do, where the history is kept.");
    site.types("relctl init")?;

    site.say("Version v1.0.0: plan it, look at it, apply exactly that.");
    site.types("relctl plan -o plan.json")?;
    site.types("relctl apply plan.json")?;
    site.types("cat www/current/index.html")?;
    site.holds("www/current/index.html", "You see v1.0.0")?;
    let released = site.files("www")?;

    site.say("Applied means: nothing left to do.");
    site.expects("relctl plan --detailed-exitcode", 0)?;

    site.say("Version v1.1.0, on another port.");
    site.types("sed -i -e s/v1.0.0/v1.1.0/ -e s/8080/9090/ release.toml")?;
    site.expects("relctl plan --detailed-exitcode -o plan.json", 2)?;
    site.types("relctl apply plan.json")?;
    site.types("cat www/current/index.html")?;
    site.holds("www/current/index.html", "You see v1.1.0")?;
    site.holds("www/config/site.toml", "port    = 9090")?;

    site.say("A plan is applied once.");
    site.expects("relctl apply plan.json", 5)?;

    site.say("It was a mistake. The way back is one more plan, from what was recorded.");
    site.types("relctl revert -o revert.json")?;
    site.types("relctl apply revert.json")?;
    site.types("cat www/current/index.html")?;
    site.types("relctl status")?;
    site.types("relctl log")?;

    // Everything is as v1.0.0 left it, but for what was appended: that is kept, and the plan said so.
    let migrations = "data/migrations.log";
    site.holds(&format!("www/{migrations}"), "v1.1.0: ")?;
    let mut expected = released;
    let mut found = site.files("www")?;
    expected.retain(|path, _| !path.ends_with(migrations));
    found.retain(|path, _| !path.ends_with(migrations));
    ensure!(
        found == expected,
        "the revert should have left {:?}, and there is {:?}",
        expected.keys(),
        found.keys()
    );

    site.say("Reverted: every file is as v1.0.0 left it, and the history tells the whole story.");
    site.end(keep);
    Ok(())
}
