//! Running a guest's function under limits, and saying in one sentence how it went wrong.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relctl_broker::{CallContext, Phase};
use relctl_engine::ProviderFault;
use wasmtime::{Store, Trap};

use crate::Limits;
use crate::bindings::{Provider, ProviderPre};
use crate::limits::size;
use crate::state::{State, World};

/// What a guest's function is doing, borrowed from its store.
pub(crate) type Running<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// A function of the contract, and under which phase it runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) phase: Phase,
    /// Whether it is the first attempt at a step.
    pub(crate) first_attempt: bool,
}

impl Function {
    const fn new(name: &'static str, phase: Phase) -> Self {
        Self { name, phase, first_attempt: false }
    }
}

pub(crate) const DESCRIBE: Function = Function::new("describe", Phase::Pure);
pub(crate) const VALIDATE: Function = Function::new("validate", Phase::Pure);
pub(crate) const ASSESS: Function = Function::new("assess", Phase::Pure);
pub(crate) const OBSERVE: Function = Function::new("observe", Phase::Plan);
pub(crate) const PROBE: Function = Function::new("probe", Phase::Plan);
pub(crate) const APPLY: Function = Function::new("apply", Phase::Apply);
pub(crate) const POLL: Function = Function::new("poll", Phase::Apply);

/// A compiled plugin with all that its calls need.
#[derive(Clone)]
pub(crate) struct Callable {
    pub(crate) plugin: Arc<str>,
    pub(crate) component: ProviderPre<State>,
    pub(crate) world: Arc<World>,
}

impl Callable {
    /// Runs one function in a store of its own, which is dropped afterwards.
    pub(crate) async fn call<T, F>(
        &self,
        function: Function,
        time: Duration,
        run: F,
    ) -> Result<T, ProviderFault>
    where
        F: for<'a> FnOnce(&'a Provider, &'a mut Store<State>) -> Running<'a, T> + Send,
        T: Send,
    {
        let limits = &self.world.limits;
        let call = CallContext {
            plugin: self.plugin.to_string(),
            function: function.name,
            phase: function.phase,
            first_attempt: function.first_attempt,
            deadline: Instant::now() + time,
            max_response: limits.response_bytes,
        };
        let mut store =
            Store::new(self.component.engine(), State::new(Arc::clone(&self.world), call));
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.hostcall_bytes);
        // A guest that computes yields at each tick, so that the timeout below can fire.
        store.epoch_deadline_async_yield_and_update(1);
        let running = async {
            store.set_fuel(limits.fuel)?;
            let instance = self.component.instantiate_async(&mut store).await?;
            run(&instance, &mut store).await
        };
        let sentence = match tokio::time::timeout(time, running).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => explain(&error, store.data(), limits),
            Err(_elapsed) => format!("took longer than {} s", time.as_secs_f32()),
        };
        Err(ProviderFault::Trapped(format!("{sentence} in `{}`", function.name)))
    }
}

/// Says what went wrong, in words that go on after the plugin's name.
fn explain(error: &wasmtime::Error, state: &State, limits: &Limits) -> String {
    if let Some(passed) = &state.passed {
        return passed.clone();
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => "used its whole CPU budget".to_owned(),
        Some(Trap::StackOverflow) => "used its whole stack".to_owned(),
        Some(trap) => match &state.last_error {
            Some(logged) => format!("trapped ({trap}; the last error that it logged: {logged})"),
            None => format!("trapped ({trap})"),
        },
        // wasmtime keeps this error's type to itself.
        None if error.root_cause().to_string().starts_with("too much data is being copied") => {
            format!("handed over more than {} at once", size(limits.hostcall_bytes))
        }
        None => format!("broke the contract ({})", error.root_cause()),
    }
}
