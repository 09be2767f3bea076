//! Plans built by hand for the tests.

use proptest::prelude::*;
use relctl_plan::{
    Address, Body, Digest, Drift, Meta, Origin, Plan, Reversal, Risk, Severity, Step, Summary, Verb,
};
use serde_json::{Value, json};

pub(crate) fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn origin(serial: u64, version: &str) -> Origin {
    Origin { serial, entry: Some(digest(version)), version: Some(version.to_owned()) }
}

/// A step with `more` over what every step has.
pub(crate) fn step(address: &str, verb: Verb, needs: &[&str], more: Value) -> Step {
    let mut step = json!({
        "id": format!("{address}#{verb}"),
        "address": address,
        "plugin": "aws",
        "verb": verb,
        "identity": {},
        "inputs": {},
        "desired": {},
        "planned": {},
        "changes": [],
        "expects": { "exists": true },
        "needs": needs,
        "reversal": "exact",
        "depends_on": [],
    });
    let (Value::Object(step_map), Value::Object(more)) = (&mut step, more) else {
        panic!("a step is an object")
    };
    step_map.extend(more);
    serde_json::from_value(step).unwrap()
}

pub(crate) fn plan(steps: &[Step], change: impl FnOnce(&mut Body, &mut Meta)) -> Plan {
    let count =
        |verb| u32::try_from(steps.iter().filter(|step| step.verb == verb).count()).unwrap();
    let summary = Summary {
        create: count(Verb::Create),
        update: count(Verb::Update),
        replace: count(Verb::Replace),
        delete: count(Verb::Delete),
        adopt: count(Verb::Adopt),
        run: count(Verb::Run),
        check: count(Verb::Check),
        noop: 0,
    };
    let mut body: Body = serde_json::from_value(json!({
        "release": "healthflow",
        "version": "v1.1.0",
        "environment": "production",
        "kind": "apply",
        "new_version": true,
        "base": { "lineage": "l", "serial": 12, "entry": digest("v1.0.0") },
        "plugins": {},
        "steps": steps,
        "relied_on": {},
        "records": {},
        "retain": [],
        "forget": [],
        "summary": summary,
        "drift": [],
        "risks": [],
        "notes": [],
    }))
    .unwrap();
    let mut meta = Meta {
        in_force: Some(origin(12, "v1.0.0")),
        in_force_verified: Some(true),
        ..Meta::default()
    };
    change(&mut body, &mut meta);
    Plan::new(body, meta).unwrap()
}

/// The example of design §14.
pub(crate) fn healthflow() -> Plan {
    const SNAPSHOT: &str = "action.aws_db_snapshot.before";
    const TASK: &str = "resource.aws_ecs_task_definition.backend";
    const MIGRATE: &str = "action.aws_ecs_task.migrate";
    const SERVICE: &str = "resource.aws_ecs_service.backend";
    let image =
        |version: &str| format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/api:{version}");
    let arn = "${resource.aws_ecs_task_definition.backend.arn}";
    let steps = vec![
        step(
            SNAPSHOT,
            Verb::Run,
            &[],
            json!({ "reversal": "kept", "desired": { "value": {
                "db_instance_identifier": "healthflow-production-db",
                "name_prefix": "healthflow-v1-1-0",
            } } }),
        ),
        step(
            TASK,
            Verb::Create,
            &[],
            json!({
                "reversal": "kept",
                "identity": { "family": "healthflow-backend" },
                "notes": ["from healthflow-backend:41"],
                "changes": [{
                    "path": "container_definitions.api.image",
                    "before": image("v1.0.0"),
                    "after": image("v1.1.0"),
                }],
            }),
        ),
        step(
            MIGRATE,
            Verb::Run,
            &[
                "action.aws_db_snapshot.before#run",
                "resource.aws_ecs_task_definition.backend#create",
            ],
            json!({
                "reversal": "impossible",
                "inputs": { "task_definition": arn, "command": ["npm", "run", "migrate:up"] },
                "desired": {
                    "value": { "task_definition": null, "command": ["npm", "run", "migrate:up"] },
                    "unknown": ["task_definition"],
                },
                "risks": [{
                    "severity": "point-of-no-return",
                    "message": "action.aws_ecs_task.migrate declares no undo. After it runs, going \
                        back means restoring healthflow-production-db from step 1 (what is written \
                        since is lost)",
                }],
            }),
        ),
        step(
            SERVICE,
            Verb::Update,
            &["action.aws_ecs_task.migrate#run"],
            json!({
                "identity": { "cluster": "healthflow", "name": "backend" },
                "inputs": { "task_definition": arn },
                "changes": [
                    { "path": "task_definition", "before": "healthflow-backend:41", "unknown": true },
                ],
            }),
        ),
        step(
            "check.http.health",
            Verb::Check,
            &["resource.aws_ecs_service.backend#update"],
            json!({ "blocking": true, "when": "after", "desired": { "value": {
                "url": "https://api.healthflow.example/health",
                "expect": { "status": 200 },
            } } }),
        ),
    ];
    plan(&steps, |body, meta| {
        let service: Address = SERVICE.parse().unwrap();
        let path = "desired_count".parse().unwrap();
        body.plugins = serde_json::from_value(json!({ "aws": {
            "name": "aws-ecs",
            "version": "0.3.1",
            "sha256": digest("aws-ecs"),
            "contract": "0.1",
            "grants": {},
            "config": { "region": "us-east-1", "account": "123456789012" },
        } }))
        .unwrap();
        meta.external.entry(service).or_default().insert(path, json!(6));
    })
}

/// As many services, each with its task definition. `odd`: the last one differs in its count too.
pub(crate) fn many_services(count: usize, odd: bool) -> Plan {
    let mut tasks = Vec::new();
    let mut services = Vec::new();
    for n in 1..=count {
        let (task, service) = (
            format!("resource.aws_ecs_task_definition.svc_{n:03}"),
            format!("resource.aws_ecs_service.svc_{n:03}"),
        );
        let image = |version: &str| {
            format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/svc-{n:03}:{version}")
        };
        tasks.push(step(&task, Verb::Create, &[], json!({
            "reversal": "kept",
            "changes": [
                { "path": "container_definitions.app.image", "before": image("v1.0.0"), "after": image("v1.1.0") },
                { "path": "container_definitions.app.environment.RELEASE", "before": "v1.0.0", "after": "v1.1.0" },
            ],
        })));
        let mut changes = vec![json!({
            "path": "task_definition",
            "before": format!("svc-{n:03}:{}", 7 * n),
            "unknown": true,
        })];
        if odd && n == count {
            changes.push(json!({ "path": "desired_count", "before": 6, "after": 1 }));
        }
        services.push(step(&service, Verb::Update, &[&format!("{task}#create")], json!({
            "inputs": { "task_definition": format!("${{{task}.arn}}") },
            "changes": changes,
            "risks": [{ "severity": "caution", "message": format!("{service} runs both versions for a while") }],
        })));
    }
    tasks.extend(services);
    plan(&tasks, |_, _| {})
}

/// Values, messages and names that try to be more than text.
pub(crate) fn hostile() -> Plan {
    let forged = "x\n\nRisks\n  none\u{1b}[2K\u{202e}```\n</details><script>@everyone #1 **bold**";
    let steps = vec![step(
        "resource.local_file.evil",
        Verb::Update,
        &[],
        json!({
            "notes": [forged],
            "identity": { "path": "a\u{7}b" },
            "changes": [
                { "path": "content", "before": "safe\n", "after": "````\n</details>\n# title\u{1b}[31m\r\n" },
                { "path": "labels.\"a\\\"\n- b\"", "after": "(known after step 9)" },
                { "path": "tag", "before": "v1", "after": "v2 → v3" },
            ],
            "risks": [{ "severity": "destructive", "message": forged }],
        }),
    )];
    plan(&steps, |body, _| {
        body.release = "health`flow --> <b>".to_owned();
        body.version = "v1\n\u{1b}[0m".to_owned();
        body.notes = vec![forged.to_owned()];
    })
}

/// Any text, often made of what is special somewhere.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9 ./:-]{0,40}",
        "[`*_<>|\\[\\]()#@!&~\\\\\n\r\u{1b}\u{202e} a-c]{0,60}",
        any::<String>(),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        text().prop_map(Value::from),
        (text(), text()).prop_map(|(a, b)| json!({ a: [b] })),
        (text(), text()).prop_map(|(a, b)| json!(json!({ a: b }).to_string())),
    ]
}

fn risk() -> impl Strategy<Value = Risk> {
    let severity = prop::sample::select(vec![
        Severity::PointOfNoReturn,
        Severity::Destructive,
        Severity::Downtime,
        Severity::Caution,
    ]);
    (severity, text()).prop_map(|(severity, message)| Risk { severity, message })
}

fn random_step(n: usize) -> impl Strategy<Value = Step> {
    let verbs = vec![
        Verb::Create,
        Verb::Update,
        Verb::Replace,
        Verb::Delete,
        Verb::Adopt,
        Verb::Run,
        Verb::Check,
    ];
    let reversals =
        vec![Reversal::Exact, Reversal::Compensating, Reversal::Kept, Reversal::Impossible];
    let changes = prop::collection::vec((text(), value(), value(), any::<bool>()), 0..5);
    (
        prop::sample::select(verbs),
        prop::sample::select(reversals),
        changes,
        prop::collection::vec(risk(), 0..3),
        prop::collection::vec(text(), 0..3),
        value(),
    )
        .prop_map(move |(verb, reversal, changes, risks, notes, identity)| {
            let changes: Vec<Value> = changes
                .into_iter()
                .map(|(name, before, after, unknown)| {
                    let path = relctl_plan::Path::field(&name);
                    json!({ "path": path, "before": before, "after": after, "unknown": unknown })
                })
                .collect();
            step(
                &format!("resource.kind_{}.object_{n}", n % 3),
                verb,
                &[],
                json!({
                    "reversal": reversal,
                    "changes": changes,
                    "risks": risks,
                    "notes": notes,
                    "identity": { "id": identity },
                }),
            )
        })
}

/// Any plan of up to 40 steps.
pub(crate) fn random_plan() -> impl Strategy<Value = Plan> {
    let steps =
        (0..40_usize).prop_flat_map(|count| (0..count).map(random_step).collect::<Vec<_>>());
    let drift = prop::collection::vec((text(), value(), value()), 0..6);
    (steps, prop::collection::vec(risk(), 0..4), drift, text(), text(), prop::option::of(text()))
        .prop_map(|(steps, risks, drift, release, version, environment)| {
            plan(&steps, |body, _| {
                body.risks = risks;
                body.release = release;
                body.version = version;
                body.environment = environment;
                body.drift = drift
                    .into_iter()
                    .map(|(path, recorded, observed)| Drift {
                        address: "resource.kind_0.object_0".parse().unwrap(),
                        path: relctl_plan::Path::field(&path),
                        recorded,
                        observed,
                    })
                    .collect();
            })
        })
}
