//! A release's surroundings in memory: cloud, ledger, clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use relctl_engine::{
    ApplyOptions, Context, EngineError, Holder, Interrupter, Providers, Report, ResumeMode,
    RevertTarget, Silent, apply, plan_apply, plan_revert, resume,
};
use relctl_plan::{
    Address, CheckWhen, Lifecycle, Map, Meta, Object, OnRevert, Plan, Release, Removed, Template,
    Value,
};
use relctl_test::{FixedClock, MemoryCloud, MemoryLedger, MemoryProvider};

pub(crate) struct Site {
    pub(crate) cloud: MemoryCloud,
    pub(crate) ledger: MemoryLedger,
    pub(crate) clock: FixedClock,
    pub(crate) providers: Providers,
}

impl Site {
    pub(crate) fn new() -> Self {
        let cloud = MemoryCloud::default();
        let provider: Arc<dyn relctl_engine::Provider> = Arc::new(MemoryProvider::new(&cloud));
        Self {
            ledger: MemoryLedger::new("site", None),
            clock: FixedClock::default(),
            providers: Providers::from([("mem".to_owned(), provider)]),
            cloud,
        }
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context { ledger: &self.ledger, providers: &self.providers, clock: &self.clock }
    }

    pub(crate) async fn plan(&self, release: &Release) -> Result<Plan, EngineError> {
        plan_apply(self.context(), release, Meta::default()).await
    }

    pub(crate) async fn apply_plan(&self, plan: &Plan) -> Result<Report, EngineError> {
        let (_keep, interrupt) = Interrupter::new();
        apply(self.context(), plan, &options(), &Silent, interrupt).await
    }

    /// Plans and applies; everything must succeed.
    pub(crate) async fn release(&self, release: &Release) -> Report {
        let plan = self.plan(release).await.unwrap();
        let report = self.apply_plan(&plan).await.unwrap();
        assert!(report.failed.is_empty() && report.held.is_empty(), "{report:?}");
        report
    }

    pub(crate) async fn plan_revert(&self, target: RevertTarget) -> Result<Plan, EngineError> {
        plan_revert(self.context(), &target, &BTreeSet::new(), Meta::default()).await
    }

    pub(crate) async fn revert(&self, target: RevertTarget) -> Report {
        let plan = self.plan_revert(target).await.unwrap();
        let report = self.apply_plan(&plan).await.unwrap();
        assert!(report.failed.is_empty() && report.held.is_empty(), "{report:?}");
        report
    }

    pub(crate) async fn resume(&self, mode: ResumeMode) -> Result<Report, EngineError> {
        let (_keep, interrupt) = Interrupter::new();
        resume(self.context(), mode, &options(), &Silent, interrupt).await
    }
}

pub(crate) fn options() -> ApplyOptions {
    ApplyOptions {
        holder: Holder {
            nonce: "1".to_owned(),
            actor: "tester".to_owned(),
            host: "here".to_owned(),
            pid: 1,
            command: "apply".to_owned(),
            plan_id: None,
            run_url: None,
            since: "2026-01-01T00:00:00Z".to_owned(),
        },
        reason: None,
        parallelism: 4,
        lock_timeout: Duration::ZERO,
        step_timeout: Duration::from_mins(10),
        plugins: Vec::new(),
    }
}

/// A release from JSON: address → fields, with relctl's own keys under `$`.
pub(crate) fn release(version: &str, objects: Value) -> Release {
    let objects = objects.as_object().cloned().unwrap_or_default();
    let mut release = Release {
        name: "site".to_owned(),
        version: version.to_owned(),
        environment: None,
        plugins: BTreeMap::new(),
        objects: BTreeMap::new(),
        removed: BTreeMap::new(),
    };
    for (address, fields) in objects {
        let address: Address = address.parse().unwrap();
        let mut fields = fields.as_object().cloned().unwrap_or_default();
        let own = fields.remove("$").unwrap_or_default();
        if own.get("removed").is_some() {
            release.removed.insert(address, Removed { delete: own["removed"] == "delete" });
            continue;
        }
        release.objects.insert(address.clone(), object(address, fields, &own));
    }
    release
}

fn object(address: Address, fields: Map, own: &Value) -> Object {
    let template = |name: &str| {
        own.get(name).and_then(Value::as_object).map(|map| Template::parse(map.clone()).unwrap())
    };
    let depends_on = own.get("depends_on").cloned().unwrap_or_default();
    Object {
        plugin: "mem".to_owned(),
        inputs: Template::parse(fields).unwrap(),
        depends_on: serde_json::from_value(depends_on).unwrap_or_default(),
        lifecycle: own
            .get("lifecycle")
            .map_or_else(Lifecycle::default, |l| serde_json::from_value(l.clone()).unwrap()),
        on_revert: match own.get("on_revert").and_then(Value::as_str) {
            Some("keep") => Some(OnRevert::Keep),
            Some("undo") => Some(OnRevert::Undo),
            _ => None,
        },
        undo: template("undo"),
        triggers: template("triggers"),
        when: if own.get("when").is_some() { CheckWhen::Before } else { CheckWhen::After },
        blocking: own.get("blocking").is_none_or(|value| value == true),
        address,
    }
}

/// The verbs and addresses of a plan's steps, in order.
pub(crate) fn steps(plan: &Plan) -> Vec<String> {
    plan.body.steps.iter().map(|step| format!("{} {}", step.verb, step.address)).collect()
}
