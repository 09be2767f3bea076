//! A release of a production on AWS, killed around each call of ECS, RDS and STS: before it is
//! carried out, and after. One command goes on and reaches the same end, and no effect is there
//! twice: one snapshot, one registered revision, one migration, one roll-out. One point alone takes
//! two: of a migration that was begun and that ECS does not show, a person says that it did not run.

use std::collections::BTreeMap;

use relctl_test::proxy::{ProxiedCall, ProxyRules};
use serde_json::Value;

use crate::death::{self, MOMENTS, Moment, Point, every, go_on};
use crate::environment::Output;
use crate::moto::Moto;
use crate::production::{Production, whole};

/// What is killed, and what it does.
struct Way {
    /// What goes before it, and is not killed.
    before: &'static [&'static str],
    command: &'static str,
    /// Each operation that changes something is called once.
    effects: &'static [&'static str],
    runs: (&'static str, u64),
    serial: u64,
}

const FORWARD: Way = Way {
    before: &[],
    command: "apply --auto-approve --parallelism 1",
    effects: &[
        "CreateDBSnapshot",
        "RegisterTaskDefinition",
        "TagResource",
        "RunTask",
        "UpdateService",
    ],
    runs: ("v1.1.0", 2),
    serial: 1,
};

const BACK: Way = Way {
    before: &["apply --auto-approve"],
    command: "revert --to start --auto-approve --parallelism 1",
    effects: &["UpdateService"],
    runs: ("v1.0.0", 1),
    serial: 2,
};

/// Which calls are counted.
type Counts = fn(&ProxiedCall) -> bool;

const WRITES: Counts = |call| call.writes;
const ALL: Counts = |_| true;

impl Way {
    /// Production as it is before the command, with what it calls counted from here on.
    fn start(&self, moto: Moto) -> Production {
        moto.reset();
        let production = Production::on(moto, &whole(), ProxyRules::default());
        for command in self.before {
            production.relctl(command).success();
        }
        production.proxy.clear();
        production
    }

    fn rescue(&self, production: &Production, context: &str) {
        let is_done = || head(production)["serial"] == self.serial;
        go_on(|arguments| answered(production, arguments), self.command, is_done, context);
        assert!(is_done() && head(production)["operation"].is_null(), "{context}");
        let mut calls: BTreeMap<String, usize> = BTreeMap::new();
        for write in production.writes() {
            *calls.entry(write).or_default() += 1;
        }
        let once = self.effects.iter().map(|effect| ((*effect).to_owned(), 1)).collect();
        assert_eq!(calls, once, "{context}");
        assert_eq!(production.runs("api"), (self.runs.0.to_owned(), self.runs.1), "{context}");
        assert_eq!(production.snapshots().len(), 1, "{context}");
        assert_eq!(production.revisions("api"), ["api:1", "api:2"], "{context}");
        if self.serial == 1 {
            let plan = production.relctl("plan --detailed-exitcode");
            assert_eq!(plan.code, Some(0), "{context}: {plan}");
        }
    }
}

/// Runs a command. Where it asks whether the migration ran, a person looks, and says that it did not.
fn answered(production: &Production, arguments: &str) -> Output {
    let output = production.relctl(arguments);
    if output.code != Some(10) {
        return output;
    }
    assert!(!production.writes().contains(&"RunTask".to_owned()), "it is there: {output}");
    let answer = ["resume", "--resolve", "action.aws_ecs_task.migrate=not-done"];
    let mut resume = production.command(&answer.join(" "), production.proxy.url());
    production.environment.run(resume.args(["--reason", "ECS shows no task of it"]))
}

fn head(production: &Production) -> Value {
    serde_json::from_str(&production.environment.read("state/shop/default/HEAD")).unwrap()
}

/// Runs a command that is to die at a call.
fn kill(production: &Production, arguments: &str, point: Point) -> Output {
    // What arrives at the second proxy was carried out.
    point.kill(&production.environment, production.proxy.url(), |endpoint| {
        production.command(arguments, endpoint)
    })
}

/// Dies at all calls that change something, and at every `step`-th of all calls.
fn at_every_call(way: &Way, step: usize) {
    let mut moto = Moto::start();
    let mut points = 0;
    for (counts, step) in [(WRITES, 1), (ALL, step)] {
        for moment in MOMENTS {
            for number in (1..).step_by(step) {
                let production = way.start(moto);
                let point = Point { counts, number, moment };
                let died = death::died(&kill(&production, way.command, point));
                if died {
                    let context = format!("died {moment:?} call {number} of `{}`", way.command);
                    way.rescue(&production, &context);
                    points += 1;
                }
                moto = production.moto;
                if !died {
                    break;
                }
            }
        }
    }
    println!("`relctl {}` died at {points} points around its calls of AWS", way.command);
    assert!(points > 2 * way.effects.len(), "only {points} points");
}

#[test]
fn an_apply_that_died_is_resumed() {
    at_every_call(&FORWARD, every(9));
}

#[test]
fn a_revert_that_died_is_resumed() {
    at_every_call(&BACK, every(9));
}

#[test]
fn a_resume_that_dies_again_and_again_ends_well() {
    let mut moto = Moto::start();
    let mut points = 0;
    for first in (1..).step_by(every(3)) {
        let production = FORWARD.start(moto);
        let point = Point { counts: WRITES, number: first, moment: Moment::After };
        let died = death::died(&kill(&production, FORWARD.command, point));
        if died {
            // Each resume comes some calls further than the one before it, then dies too.
            let mut moments = MOMENTS.into_iter().cycle();
            for number in (1..).step_by(every(4)) {
                let point = Point { counts: ALL, number, moment: moments.next().unwrap() };
                if head(&production)["operation"].is_null() {
                    break;
                }
                let resumed = kill(&production, "resume --parallelism 1", point);
                // A person is asked, or all is done.
                if resumed.code == Some(10) || !death::died(&resumed) {
                    break;
                }
                points += 1;
            }
            FORWARD.rescue(&production, &format!("died at {first}, and again in resume"));
        }
        moto = production.moto;
        if !died {
            break;
        }
    }
    println!("`relctl resume` died at {points} points around its calls of AWS");
    assert!(points >= 4, "{points}");
}
