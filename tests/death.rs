//! Killing `relctl` in the middle of a call, and going on afterwards.
//!
//! The proxy before a store or a cloud kills it as its n-th call arrives, or when that was carried
//! out and before it is answered.

use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use relctl_test::proxy::{Interference, ProxiedCall, ProxyRules};
use rustix::process::{Pid, Signal, kill_process};

use crate::environment::{Output, TestEnvironment};

/// When, during a call, whoever called dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// It arrived, and is never carried out.
    Before,
    /// It was carried out, and is never answered.
    After,
}

/// Both of them.
pub(crate) const MOMENTS: [Moment; 2] = [Moment::Before, Moment::After];

/// A call at which to die: the `number`-th of those that `counts` counts.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub(crate) counts: fn(&ProxiedCall) -> bool,
    pub(crate) number: usize,
    pub(crate) moment: Moment,
}

impl Point {
    /// Runs a command that dies here, unless it ends before. It is made for the address of the proxy
    /// that is put before `endpoint`.
    pub(crate) fn kill(
        self,
        site: &TestEnvironment,
        endpoint: &str,
        command: impl FnOnce(&str) -> Command,
    ) -> Output {
        let victim: Arc<OnceLock<Pid>> = Arc::default();
        let killed = Arc::clone(&victim);
        let seen = AtomicUsize::new(0);
        let kill = |victim: &OnceLock<Pid>| kill_process(*victim.wait(), Signal::KILL).unwrap();
        let proxy = ProxyRules::default()
            .interfere(move |call| {
                let counts = (self.counts)(call);
                if !counts || seen.fetch_add(1, Ordering::SeqCst) + 1 != self.number {
                    return Interference::Pass;
                }
                let killed = Arc::clone(&killed);
                match self.moment {
                    Moment::Before => {
                        kill(&killed);
                        Interference::Reset
                    }
                    Moment::After => Interference::Lose(Box::new(move || kill(&killed))),
                }
            })
            .before(endpoint)
            .unwrap();
        let child = command(proxy.url()).spawn().unwrap();
        victim.set(pid(&child)).unwrap();
        site.output(&child.wait_with_output().unwrap())
    }
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// Whether a run was killed; it must have ended well otherwise.
#[track_caller]
pub(crate) fn died(output: &Output) -> bool {
    assert!(matches!(output.code, None | Some(0)), "it was to die: {output}");
    output.code.is_none()
}

/// Goes on with one command, whatever was cut off: `resume`, or where nothing is open and it is not
/// done, the same command again.
#[track_caller]
pub(crate) fn go_on(
    relctl: impl Fn(&str) -> Output,
    command: &str,
    is_done: impl Fn() -> bool,
    context: &str,
) {
    let resumed = relctl("resume");
    // It died before it opened an operation, or after it closed it.
    let nothing_open = resumed.code == Some(1) && resumed.stderr.contains("no operation is open");
    let last = if nothing_open && !is_done() { relctl(command) } else { resumed };
    assert!(last.code == Some(0) || (nothing_open && is_done()), "{context}: {last}");
}

/// Every how many points; `RELCTL_TEST_EVERY=1` tries all, as docs/reliability.md does.
pub(crate) fn every(usual: usize) -> usize {
    std::env::var("RELCTL_TEST_EVERY").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
