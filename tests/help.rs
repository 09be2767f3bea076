//! The command line's help, all of it: a change of it is seen in review.

use insta::assert_snapshot;

use crate::environment::TestEnvironment;

#[test]
fn help() {
    let environment = TestEnvironment::new();
    assert_snapshot!(environment.relctl("--help").success().stdout, @"
    Plans, applies and reverts releases.

    A release file says what shall run. `relctl plan` shows every step, every risk and how each would be
    undone. `relctl apply` does exactly that plan. `relctl revert` goes back to what was recorded
    before.

    Usage: relctl [OPTIONS] <COMMAND>

    Commands:
      init         Finds the release's plugins, shows what each asks for, and makes the ledger
      status       Shows what runs, whether it is verified, what is open, and where a revert would go
      validate     Checks the release file, with every overlay, variable and plugin, and reads nothing
                   else
      plan         Shows every step of the release, every risk, and how each would be undone
      apply        Does exactly what a plan says, and nothing else
      revert       Goes back to what an earlier release left behind
      resume       Goes on with an operation that was interrupted
      log          Lists the history, newest first
      show         Shows an entry of the history, or a plan file
      diff         Compares what two entries of the history left behind
      drift        Compares what the newest entry recorded with what is there, on the fields that it
                   owns
      import       Prints what exists as the part of a release file that declares it
      plugin       Lists plugins, and shows what one asks for and serves
      schema       Prints a JSON Schema of the release file, with the kinds of its plugins, for editors
      ledger       Checks, moves, shows and encrypts the ledger
      unlock       Takes the lock from a holder that will not give it back, on the record
      completions  Prints a script that completes relctl's commands in a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Common options:
      -C, --chdir <DIR>
              Run as if started in this folder

      -f, --file <FILE>
              The release file [default: release.toml]

      -e, --env <NAME>
              The environment: `environments/<NAME>.toml` lies over the release file

          --var <NAME=VALUE>
              Sets a value of `[vars]`. May be given more than once

          --var-file <FILE>
              A TOML file with values of `[vars]`. May be given more than once; later ones win

          --ledger <URL>
              The ledgers' root: a folder, or `s3://bucket/prefix`, `gs://…`, `az://…`.
              
              [default: `[ledger] url` of the release file, else state/ beside it]

          --release <NAME>
              Whose ledger it is, where no release file says it

          --json
              Print JSON for programs on stdout

          --color <WHEN>
              When to colour
              
              [default: auto]

      -q, --quiet
              Print only data and errors

      -v, --verbose...
              Log to stderr what relctl does; twice for more

    Environment:
      RELCTL_ENV           the environment, where `-e` does not say it
      RELCTL_LEDGER        the ledger's root, where `--ledger` does not say it
      RELCTL_VAR_<name>    a value for `[vars]`, where `--var` and `--var-file` do not say it
      RELCTL_PLUGIN_PATH   more folders to look for plugins in, separated like PATH
      RELCTL_AGE_IDENTITY  the secret key of an encrypted ledger; RELCTL_AGE_IDENTITY_FILE names a file
      RELCTL_ACTOR         who is named in the history
      RELCTL_LOG           what to log to stderr, for example `debug`
      NO_COLOR             no colour
    ");
}

#[test]
fn help_of_the_commands_that_change_something() {
    let environment = TestEnvironment::new();
    assert_snapshot!(environment.relctl("apply --help").success().stdout, @"
    Does exactly what a plan says, and nothing else.

    With a plan file nothing is asked: who may apply it is decided where it was reviewed. Without one
    relctl plans, shows the plan and waits for `yes`. If anything that the plan depends on has changed
    since, nothing is done.

    Usage: relctl apply [OPTIONS] [PLAN]

    Arguments:
      [PLAN]
              A plan that `relctl plan -o` wrote

    Options:
          --auto-approve
              Applies without asking

          --expect <PLAN_ID>
              Goes on only if the plan has this id: its 64 digits, or at least the first 12

          --parallelism <N>
              How many steps may run at once
              
              [default: 10]

          --lock-timeout <TIME>
              How long to wait for whoever holds the lock, for example `5m`
              
              [default: [time]]

          --step-timeout <TIME>
              How long a step may take where its `timeout` does not say it, for example `30m`
              
              [default: 1h]

          --reason <TEXT>
              Why, for the history

      -h, --help
              Print help (see a summary with '-h')

    Common options:
      -C, --chdir <DIR>
              Run as if started in this folder

      -f, --file <FILE>
              The release file [default: release.toml]

      -e, --env <NAME>
              The environment: `environments/<NAME>.toml` lies over the release file

          --var <NAME=VALUE>
              Sets a value of `[vars]`. May be given more than once

          --var-file <FILE>
              A TOML file with values of `[vars]`. May be given more than once; later ones win

          --ledger <URL>
              The ledgers' root: a folder, or `s3://bucket/prefix`, `gs://…`, `az://…`.
              
              [default: `[ledger] url` of the release file, else state/ beside it]

          --release <NAME>
              Whose ledger it is, where no release file says it

          --json
              Print JSON for programs on stdout

          --color <WHEN>
              When to colour
              
              [default: auto]

      -q, --quiet
              Print only data and errors

      -v, --verbose...
              Log to stderr what relctl does; twice for more

    Examples:
      relctl apply plan.json
      relctl apply -e staging --auto-approve
      relctl apply --expect [short]…    # plans afresh; goes on only if the plan has this id
    ");
    assert_snapshot!(environment.relctl("revert --help").success().stdout, @"
    Goes back to what an earlier release left behind.

    The way back is a plan like any other, computed from what was recorded: it is shown, approved and
    applied, and becomes a new entry of the history. Neither the release file nor a checkout of the old
    version is needed. Without `--to` it goes to the newest good entry before the one in force.

    Usage: relctl revert [OPTIONS]

    Options:
          --to <ENTRY>
              A serial (`12` or `#12`), a version, the first digits of an entry's hash, or `start`

      -o, --out <FILE>
              Writes the plan to this file and changes nothing

          --auto-approve
              Reverts without asking

          --expect <PLAN_ID>
              Goes on only if the plan has this id: its 64 digits, or at least the first 12

          --preempt
              Asks whoever holds the lock to park: what it began is settled, then the way back is
              planned

          --accept-loss <ADDRESS>
              Accepts that reverting destroys this object. May be given more than once

          --parallelism <N>
              How many steps may run at once
              
              [default: 10]

          --lock-timeout <TIME>
              How long to wait for whoever holds the lock, for example `5m`
              
              [default: [time]]

          --step-timeout <TIME>
              How long a step may take where its `timeout` does not say it, for example `30m`
              
              [default: 1h]

          --reason <TEXT>
              Why, for the history

      -h, --help
              Print help (see a summary with '-h')

    Common options:
      -C, --chdir <DIR>
              Run as if started in this folder

      -f, --file <FILE>
              The release file [default: release.toml]

      -e, --env <NAME>
              The environment: `environments/<NAME>.toml` lies over the release file

          --var <NAME=VALUE>
              Sets a value of `[vars]`. May be given more than once

          --var-file <FILE>
              A TOML file with values of `[vars]`. May be given more than once; later ones win

          --ledger <URL>
              The ledgers' root: a folder, or `s3://bucket/prefix`, `gs://…`, `az://…`.
              
              [default: `[ledger] url` of the release file, else state/ beside it]

          --release <NAME>
              Whose ledger it is, where no release file says it

          --json
              Print JSON for programs on stdout

          --color <WHEN>
              When to colour
              
              [default: auto]

      -q, --quiet
              Print only data and errors

      -v, --verbose...
              Log to stderr what relctl does; twice for more

    Examples:
      relctl revert -e production
      relctl revert --to v1.0.0 -o revert.json    # review it first, then: relctl apply revert.json
      relctl revert --to start                    # before the first entry
      relctl revert --preempt                     # over an apply that still runs: it parks first
    ");
}

#[test]
fn a_misspelled_command_is_a_usage_error() {
    let environment = TestEnvironment::new();
    assert_snapshot!(environment.relctl("aply"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: unrecognized subcommand 'aply'

      tip: a similar subcommand exists: 'apply'

    Usage: relctl [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(environment.relctl("plan --var color"), @"
    exit code: 1
    ----- stdout
    ----- stderr
    error: invalid value 'color' for '--var <NAME=VALUE>': write it as NAME=VALUE

    For more information, try '--help'.
    ");
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
