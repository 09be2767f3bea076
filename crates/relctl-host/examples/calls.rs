//! Measures loading and calling the `local` plugin:
//! `cargo run --release -p relctl-host --example calls -- target/release/plugins/local.wasm 5000`
#![expect(clippy::print_stdout, reason = "a measurement for people")]

use std::error::Error;
use std::future::Future;
use std::time::{Duration, Instant};

use relctl_broker::Grants;
use relctl_engine::{Change, Provider as _, StepCall, Subject};
use relctl_host::{Host, HostOptions, Limits, LoadRequest};
use relctl_plan::{Attempt, Document, Map, StepId, Value, Verb};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the path of local.wasm, and how many subjects")?;
    let count: usize = arguments.next().unwrap_or_else(|| "5000".to_owned()).parse()?;
    let wasm = std::fs::read(path)?;
    let folder = std::env::temp_dir().join(format!("relctl-calls-{}", std::process::id()));

    let options = HostOptions { cache_dir: Some(folder.clone()), limits: Limits::default() };
    let mut started = Instant::now();
    let host = Host::new(options)?;
    println!("host           {:>9.3} ms", milliseconds(started.elapsed()));
    let request = || LoadRequest {
        instance: "local".to_owned(),
        wasm: &wasm,
        sha256: None,
        grants: Grants { files: true, ..Grants::default() },
        config: Value::Null,
        auth: Value::Null,
        files_root: Some(folder.join("root")),
        http: None,
    };
    for name in ["load, compiled", "load, mapped"] {
        started = Instant::now();
        drop(host.load(request()).await?);
        println!("{name:<14} {:>9.3} ms", milliseconds(started.elapsed()));
    }
    let plugin = host.load(request()).await?;

    let mut subjects = Vec::with_capacity(count);
    for number in 0..count {
        let mut desired = Map::new();
        desired.insert("input".to_owned(), format!("value number {number}").into());
        subjects.push(Subject {
            address: format!("resource.local_value.v{number}").parse()?,
            prior: Some(desired.clone().into()),
            desired: Some(Document::known(desired).into()),
        });
    }
    let changes: Vec<Change> = subjects
        .iter()
        .map(|subject| Change {
            subject: subject.clone(),
            verb: Verb::Update,
            observed: subject.prior.clone(),
            desired: subject.desired.clone(),
            paths: Vec::new(),
            undo: None,
        })
        .collect();
    measure("validate", count, plugin.validate(subjects.clone())).await?;
    measure("observe", count, plugin.observe(subjects)).await?;
    measure("assess", count, plugin.assess(changes.clone())).await?;
    started = Instant::now();
    for change in changes {
        let step = StepCall {
            id: StepId::new(&change.subject.address, change.verb),
            token: String::new(),
            run_key: None,
            attempt: Attempt::First,
            change,
            planned: Document::default(),
            lineage: String::new(),
            timeout: Duration::from_mins(1),
        };
        plugin.apply(&step).await?;
    }
    print_calls("apply", count, started.elapsed());
    Ok(std::fs::remove_dir_all(folder)?)
}

async fn measure<T, E>(
    name: &str,
    count: usize,
    call: impl Future<Output = Result<T, E>>,
) -> Result<(), E> {
    let started = Instant::now();
    call.await?;
    print_calls(name, count, started.elapsed());
    Ok(())
}

fn print_calls(name: &str, count: usize, elapsed: Duration) {
    let each = elapsed / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    println!("{name:<14} {:>9.3} ms, {each:?} each", milliseconds(elapsed));
}

fn milliseconds(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() * 1000.0
}
