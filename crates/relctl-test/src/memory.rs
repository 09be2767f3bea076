//! A cloud in memory, and the plugin that serves it.
//!
//! It behaves as clouds do: it fills in what was not said, counts versions, names things itself,
//! and now and then it loses a reply.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use relctl_engine::{Change, Provider, ProviderError, StepCall, Subject};
use relctl_plan::{
    Address, Assessment, Attempt, Description, Diagnostic, Digest, Document, Failure, Map, Outcome,
    Path, PluginPin, Progress, Reversal, Risk, Role, Severity, Undo, Value, Verb, Verdict,
};
use serde_json::json;

/// One call that the plugin got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub name: &'static str,
    pub address: String,
}

#[derive(Debug, Default)]
struct World {
    /// (kind, name) → the object.
    things: BTreeMap<(String, String), Map>,
    /// Tokens of the steps that took effect, and what came of them.
    effects: BTreeMap<String, Map>,
    /// How often each effect was asked for and carried out.
    log: Vec<Call>,
    counter: u64,
    fail: BTreeMap<String, Failure>,
    lose_reply: BTreeSet<String>,
    verdicts: BTreeMap<String, Outcome>,
    /// Checks and steps that never answer.
    silent: BTreeSet<String>,
    /// Addresses whose steps answer `pending` this many times first.
    pending: BTreeMap<String, u32>,
}

/// The cloud. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryCloud {
    world: Arc<Mutex<World>>,
}

impl MemoryCloud {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Everything that is there.
    pub fn things(&self) -> BTreeMap<(String, String), Map> {
        self.world().things.clone()
    }

    /// What is there, without what the cloud counts by itself.
    pub fn settled_things(&self) -> BTreeMap<(String, String), Map> {
        let mut things = self.things();
        for thing in things.values_mut() {
            thing.remove("version");
            thing.remove("id");
        }
        things
    }

    /// Puts something there that relctl did not make.
    pub fn put(&self, kind: &str, name: &str, fields: impl Into<Value>) {
        let mut thing = fields.into().as_object().cloned().unwrap_or_default();
        let mut world = self.world();
        world.counter += 1;
        thing.insert("name".to_owned(), json!(name));
        thing.insert("id".to_owned(), json!(format!("id-{}", world.counter)));
        thing.insert("version".to_owned(), json!(1));
        thing.entry("color").or_insert(json!("auto"));
        world.things.insert((kind.to_owned(), name.to_owned()), thing);
    }

    /// Changes one field behind relctl's back; `null` removes it.
    pub fn poke(&self, kind: &str, name: &str, field: &str, value: Value) {
        let mut world = self.world();
        if let Some(thing) = world.things.get_mut(&(kind.to_owned(), name.to_owned())) {
            if value.is_null() {
                thing.remove(field)
            } else {
                thing.insert(field.to_owned(), value)
            };
        }
    }

    /// Removes something behind relctl's back.
    pub fn remove(&self, kind: &str, name: &str) {
        self.world().things.remove(&(kind.to_owned(), name.to_owned()));
    }

    /// Has the next step of this address fail so, without an effect.
    pub fn fail(&self, address: &str, failure: Failure) {
        self.world().fail.insert(address.to_owned(), failure);
    }

    /// Takes back a failure that has not happened yet; whether there was one.
    pub fn forgive(&self, address: &str) -> bool {
        self.world().fail.remove(address).is_some()
    }

    /// Has the next step of this address take effect and its reply be lost.
    pub fn lose_reply(&self, address: &str) {
        self.world().lose_reply.insert(address.to_owned());
    }

    /// Has steps of this address be pending this many times.
    pub fn take_long(&self, address: &str, polls: u32) {
        self.world().pending.insert(address.to_owned(), polls);
    }

    /// What a check says.
    pub fn set_verdict(&self, address: &str, outcome: Outcome) {
        self.world().verdicts.insert(address.to_owned(), outcome);
    }

    /// Has a check, or the steps of an address, never answer.
    pub fn silence(&self, address: &str) {
        self.world().silent.insert(address.to_owned());
    }

    /// Has everything answer again.
    pub fn end_silence(&self) {
        self.world().silent.clear();
    }

    /// Every call so far.
    pub fn log(&self) -> Vec<Call> {
        self.world().log.clone()
    }

    pub fn clear_log(&self) {
        self.world().log.clear();
    }

    /// The effects so far: `<verb> <address>` each time that something really changed.
    pub fn effects(&self) -> Vec<String> {
        let is_effect = |call: &&Call| call.name.starts_with("effect:");
        let text =
            |call: &Call| format!("{} {}", call.name.trim_start_matches("effect:"), call.address);
        self.world().log.iter().filter(is_effect).map(text).collect()
    }
}

/// The plugin of a [`MemoryCloud`].
pub struct MemoryProvider {
    cloud: MemoryCloud,
    description: Description,
    pin: PluginPin,
}

impl MemoryProvider {
    pub fn new(cloud: &MemoryCloud) -> Self {
        let description = describe();
        let pin = PluginPin {
            name: description.name.clone(),
            version: description.version.clone(),
            sha256: Digest::of(b"memory"),
            contract: "0.1".to_owned(),
            grants: json!({}),
            config: json!({}),
            auth: Value::Null,
        };
        Self { cloud: cloud.clone(), description, pin }
    }

    /// The same plugin under another digest.
    #[must_use]
    pub fn with_digest(mut self, digest: Digest) -> Self {
        self.pin.sha256 = digest;
        self
    }

    fn is_silent(&self, address: &Address) -> bool {
        self.cloud.world().silent.contains(address.as_str())
    }

    fn note(&self, name: &'static str, address: &Address) {
        self.cloud.world().log.push(Call { name, address: address.to_string() });
    }
}

fn describe() -> Description {
    let thing = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name"],
        "properties": {
            "name": { "type": "string" },
            "size": { "type": "integer" },
            "text": { "type": "string", "x-relctl": { "multiline": true } },
            "color": { "type": "string" },
            "zone": { "type": "string", "x-relctl": { "replace-on-change": true } },
            "uses": { "type": "string" },
            "tags": { "type": "array", "items": { "type": "string" } },
            "labels": { "type": "object", "additionalProperties": { "type": "string" } },
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "key": { "type": "string" }, "image": { "type": "string" } }
                },
                "x-relctl": { "key": ["key"] }
            },
            "id": { "type": "string", "x-relctl": { "computed": true } },
            "version": { "type": "integer", "x-relctl": { "volatile": true } }
        },
        "x-relctl": { "identity": ["name"] }
    });
    let mut vault = thing.clone();
    if let Some(vault) = vault.as_object_mut() {
        let own = json!({ "identity": ["name"], "holds-data": true, "create-explicit": true });
        vault.insert("x-relctl".to_owned(), own);
    }
    let job = |run: &str| {
        json!({
            "type": "object",
            "properties": {
                "input": { "type": "string" },
                "count": { "type": "integer", "x-relctl": { "computed": true } }
            },
            "x-relctl": { "run": run }
        })
    };
    let mut snapshot = job("when-needed");
    if let Some(snapshot) = snapshot.as_object_mut() {
        let text = json!({ "type": "string" });
        let fields = json!({ "name": text, "of": text, "taken": text, "procedure": text });
        snapshot.insert("properties".to_owned(), fields);
        let point =
            json!({ "of": "of", "name": "name", "taken": "taken", "procedure": "procedure" });
        let own = json!({ "run": "when-needed", "observed": true, "restore-point": point });
        snapshot.insert("x-relctl".to_owned(), own);
    }
    let check = json!({ "type": "object", "properties": { "of": { "type": "string" } } });
    let kinds = json!([
        { "name": "mem_thing", "role": "resource", "schema": thing, "batch": 1000 },
        { "name": "mem_vault", "role": "resource", "schema": vault, "batch": 1000 },
        { "name": "mem_thing", "role": "lookup", "schema": thing, "batch": 1000 },
        { "name": "mem_job", "role": "action", "schema": job("on-change"), "batch": 1000 },
        { "name": "mem_backup", "role": "action", "schema": job("when-needed"), "batch": 1000 },
        { "name": "mem_snapshot", "role": "action", "schema": snapshot, "batch": 1000 },
        { "name": "mem_check", "role": "check", "schema": check, "batch": 1000 },
    ]);
    Description {
        name: "mem".to_owned(),
        version: "1.0.0".to_owned(),
        kinds: serde_json::from_value(kinds).unwrap_or_default(),
        wants: relctl_plan::Wants::default(),
    }
}

fn key(address: &Address, desired: &Map) -> Option<(String, String)> {
    let name = desired.get("name")?.as_str()?;
    Some((address.kind().to_owned(), name.to_owned()))
}

fn merge(into: &mut Map, from: &Map) {
    for (name, value) in from {
        match (into.get_mut(name), value) {
            (_, Value::Null) => {
                into.remove(name);
            }
            (Some(Value::Object(inner)), Value::Object(new)) if !new.is_empty() => {
                merge(inner, new);
            }
            (_, Value::Object(new)) if !new.is_empty() => {
                let mut made = Map::new();
                merge(&mut made, new);
                into.insert(name.clone(), Value::Object(made));
            }
            _ => {
                into.insert(name.clone(), value.clone());
            }
        }
    }
    // An object whose last entry was removed is not there any more.
    into.retain(|name, value| {
        let emptied = value.as_object().is_some_and(Map::is_empty);
        let wanted_empty = from.get(name).and_then(Value::as_object).is_some_and(Map::is_empty);
        !emptied || wanted_empty
    });
}

#[async_trait]
impl Provider for MemoryProvider {
    fn description(&self) -> &Description {
        &self.description
    }

    fn pin(&self) -> &PluginPin {
        &self.pin
    }

    async fn validate(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Document, Vec<Diagnostic>>>, ProviderError> {
        let check = |subject: Subject| {
            let desired = subject.desired.unwrap_or_default();
            let size = desired.value.get("size").and_then(Value::as_i64);
            if size.is_some_and(|size| size < 0) {
                return Err(vec![Diagnostic {
                    path: Path::field("size"),
                    message: "a size is not negative".to_owned(),
                    hint: Some("use 0 or more".to_owned()),
                }]);
            }
            Ok(desired.as_ref().clone())
        };
        Ok(subjects.into_iter().map(check).collect())
    }

    async fn observe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Option<Arc<Map>>, Failure>>, ProviderError> {
        let mut answers = Vec::new();
        for subject in subjects {
            self.note("observe", &subject.address);
            let desired = subject.desired.unwrap_or_default();
            let world = self.cloud.world();
            let found = key(&subject.address, &desired.value)
                .and_then(|key| world.things.get(&key).cloned())
                .map(Arc::new);
            answers.push(Ok(found));
        }
        Ok(answers)
    }

    async fn assess(
        &self,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Assessment, Failure>>, ProviderError> {
        let assess = |change: Change| {
            self.note("assess", &change.subject.address);
            let mut assessment = Assessment::default();
            if change.verb == Verb::Run {
                let keeps = ["mem_backup", "mem_snapshot"];
                let is_kept = keeps.contains(&change.subject.address.kind());
                assessment.reversal = if is_kept { Reversal::Kept } else { Reversal::Impossible };
            }
            if change.paths.contains(&Path::field("size")) {
                assessment
                    .risks
                    .push(Risk { severity: Severity::Downtime, message: "it restarts".to_owned() });
            }
            if let Some(observed) = &change.observed {
                assessment.undo = Some(undo(observed.as_ref().clone()));
            }
            Ok(assessment)
        };
        Ok(changes.into_iter().map(assess).collect())
    }

    async fn probe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Verdict, Failure>>, ProviderError> {
        for subject in &subjects {
            self.note("probe", &subject.address);
            if self.is_silent(&subject.address) {
                std::future::pending::<()>().await;
            }
        }
        let probe = |subject: Subject| {
            let outcome = self.cloud.world().verdicts.get(subject.address.as_str()).copied();
            let outcome = outcome.unwrap_or(Outcome::Pass);
            Ok(Verdict { outcome, evidence: format!("it said {outcome:?}") })
        };
        Ok(subjects.into_iter().map(probe).collect())
    }

    async fn apply(&self, step: &StepCall) -> Result<Progress, Failure> {
        let address = &step.change.subject.address;
        self.note("apply", address);
        if step.change.undo.as_ref().is_some_and(|undo| undo.sealed.is_some()) {
            self.note("unsealed", address);
        }
        tokio::task::yield_now().await;
        if self.is_silent(address) {
            std::future::pending::<()>().await;
        }
        let mut world = self.cloud.world();
        if let Some(failure) = world.fail.remove(address.as_str()) {
            return Err(failure);
        }
        if let Some(left) = world.pending.get(address.as_str()).copied().filter(|left| *left > 0) {
            return Ok(Progress::Pending {
                token: left.to_string(),
                message: format!("{left} to go"),
                retry_after_ms: 1_000,
            });
        }
        carry_out(&mut world, step)
    }

    async fn poll(&self, step: &StepCall, token: &str) -> Result<Progress, Failure> {
        let address = &step.change.subject.address;
        self.note("poll", address);
        let mut world = self.cloud.world();
        match token.parse::<u32>() {
            Ok(left) if left > 1 => Ok(Progress::Pending {
                token: (left - 1).to_string(),
                message: format!("{} to go", left - 1),
                retry_after_ms: 1_000,
            }),
            _ => carry_out(&mut world, step),
        }
    }
}

/// What is needed to go back. A text that begins with `secret` is sealed.
fn undo(mut observed: Map) -> Undo {
    let is_secret = |value: &Value| value.as_str().is_some_and(|text| text.starts_with("secret"));
    let secret = observed.get("text").filter(|text| is_secret(text)).cloned();
    let sealed = secret.map(|text| {
        observed.remove("text");
        Document::known(Map::from_iter([("text".to_owned(), text)]))
    });
    Undo { open: Document::known(observed), sealed }
}

/// Does what the step says, once for its token.
fn carry_out(world: &mut World, step: &StepCall) -> Result<Progress, Failure> {
    let address = &step.change.subject.address;
    if step.attempt == Attempt::Again
        && let Some(done) = world.effects.get(&step.token)
    {
        return Ok(Progress::Done(Document::known(done.clone())));
    }
    let effect = match step.change.verb {
        Verb::Create => "effect:create",
        Verb::Update => "effect:update",
        Verb::Replace => "effect:replace",
        Verb::Delete => "effect:delete",
        Verb::Run => "effect:run",
        Verb::Adopt | Verb::Check => return Err(Failure::Denied("not a mutation".to_owned())),
    };
    let desired = step.change.desired.clone().unwrap_or_default();
    if !desired.is_known() {
        return Err(Failure::Denied("the desired document is not known".to_owned()));
    }
    let result = if address.role() == Role::Action {
        world.counter += 1;
        let mut output = desired.value.as_ref().clone();
        output.insert("count".to_owned(), json!(world.counter));
        if let Some(key) = key(address, &output).filter(|_| address.kind() == "mem_snapshot") {
            world.things.insert(key, output.clone());
        }
        output
    } else {
        change_thing(world, step, &desired.value)?
    };
    world.log.push(Call { name: effect, address: address.to_string() });
    world.effects.insert(step.token.clone(), result.clone());
    if world.lose_reply.remove(address.as_str()) {
        return Err(Failure::Unknown("the reply was lost".to_owned()));
    }
    Ok(Progress::Done(Document::known(result)))
}

fn change_thing(world: &mut World, step: &StepCall, desired: &Map) -> Result<Map, Failure> {
    let address = &step.change.subject.address;
    let subject = step.change.subject.desired.clone().unwrap_or_default();
    let Some(key) = key(address, &subject.value) else {
        return Err(Failure::Precondition("it has no name".to_owned()));
    };
    let there = world.things.contains_key(&key);
    match step.change.verb {
        Verb::Create if there => return Err(Failure::Precondition("it exists".to_owned())),
        Verb::Update | Verb::Replace if !there => {
            return Err(Failure::NotFound("it is not there".to_owned()));
        }
        Verb::Delete => {
            world.things.remove(&key);
            return Ok(Map::new());
        }
        _ => {}
    }
    world.counter += 1;
    let fresh = step.change.verb != Verb::Update;
    let mut thing = if fresh { Map::new() } else { world.things.remove(&key).unwrap_or_default() };
    merge(&mut thing, desired);
    if fresh {
        thing.insert("id".to_owned(), json!(format!("id-{}", world.counter)));
        thing.insert("version".to_owned(), json!(1));
    } else {
        let version = thing.get("version").and_then(Value::as_i64).unwrap_or_default();
        thing.insert("version".to_owned(), json!(version + 1));
    }
    thing.entry("color").or_insert(json!("auto"));
    world.things.insert(key, thing.clone());
    Ok(thing)
}
