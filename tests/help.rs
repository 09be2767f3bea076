//! The command line's help, all of it: a change of it is seen in review.

use insta::assert_snapshot;

use crate::environment::TestEnvironment;

#[test]
fn help() {
    let environment = TestEnvironment::new();
    assert_snapshot!(environment.relctl("--help").success().stdout, @"");
}

#[test]
fn help_of_the_commands_that_change_something() {
    let environment = TestEnvironment::new();
    assert_snapshot!(environment.relctl("apply --help").success().stdout, @"");
    assert_snapshot!(environment.relctl("revert --help").success().stdout, @"");
}

#[test]
fn a_misspelled_command_is_a_usage_error() {
    let environment = TestEnvironment::new();
    assert_snapshot!(environment.relctl("aply"), @"");
    assert_snapshot!(environment.relctl("plan --var color"), @"");
}

#[test]
fn completions_know_every_command() {
    let environment = TestEnvironment::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = environment.relctl(&format!("completions {shell}")).success().stdout;
        for command in ["init", "revert", "inspect"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
