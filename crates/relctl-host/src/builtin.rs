//! What relctl serves itself, without a plugin: the check kind `http`.

use std::sync::Arc;

use async_trait::async_trait;
use relctl_broker::http::{
    CheckOutcome, CheckProblem, HTTP_CHECK_SCHEMA, HttpCheck, check_problems,
};
use relctl_engine::{Change, Provider, ProviderError, ProviderFault, StepCall, Subject};
use relctl_plan::{
    Assessment, Description, Diagnostic, Digest, Document, Failure, Kind, Map, Outcome, Path,
    PluginPin, Progress, Verdict, Wants,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::CONTRACT;

/// The built-in kinds, as an instance like those of plugins.
///
/// Its pin's digest is that of the kinds' schemas: a plan is for another `core` when what can be
/// declared is another.
#[derive(Debug)]
pub struct Core {
    description: Description,
    pin: PluginPin,
}

impl Core {
    /// The instance's name. No plugin can be configured under it.
    pub const INSTANCE: &'static str = "core";

    /// Whether a pin is that of this relctl's own kinds.
    pub fn is_pinned_by(&self, pin: &PluginPin) -> bool {
        pin.name == self.pin.name && pin.sha256 == self.pin.sha256
    }
}

impl Default for Core {
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let name = Self::INSTANCE.to_owned();
        let description = Description {
            name: name.clone(),
            version: version.clone(),
            kinds: vec![http_check()],
            wants: Wants::default(),
        };
        let pin = PluginPin {
            name,
            version,
            sha256: Digest::of(HTTP_CHECK_SCHEMA.as_bytes()),
            contract: CONTRACT.to_owned(),
            grants: json!({}),
            config: Value::Null,
            auth: Value::Null,
        };
        Self { description, pin }
    }
}

#[expect(clippy::expect_used, reason = "a constant, which every test of this file reads")]
fn http_check() -> Kind {
    let schema: Value = serde_json::from_str(HTTP_CHECK_SCHEMA).expect("the schema is JSON");
    let kind = json!({"name": "http", "role": "check", "schema": schema, "batch": 100});
    serde_json::from_value(kind).expect("the schema is a kind's")
}

#[async_trait]
impl Provider for Core {
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
        let validate = |subject: Subject| {
            let desired = subject.desired.unwrap_or_default();
            let problems = check_problems(&desired.value);
            if problems.is_empty() {
                Ok(desired.as_ref().clone())
            } else {
                Err(diagnostics(problems))
            }
        };
        Ok(subjects.into_iter().map(validate).collect())
    }

    async fn observe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Option<Arc<Map>>, Failure>>, ProviderError> {
        Ok(subjects.iter().map(|_| Err(only_checks())).collect())
    }

    async fn assess(
        &self,
        changes: Vec<Change>,
    ) -> Result<Vec<Result<Assessment, Failure>>, ProviderError> {
        Ok(changes.iter().map(|_| Err(only_checks())).collect())
    }

    async fn probe(
        &self,
        subjects: Vec<Subject>,
    ) -> Result<Vec<Result<Verdict, Failure>>, ProviderError> {
        let mut running = JoinSet::new();
        let mut verdicts: Vec<Result<Verdict, Failure>> = Vec::with_capacity(subjects.len());
        for (index, subject) in subjects.into_iter().enumerate() {
            // Replaced when the check ends.
            verdicts.push(Err(only_checks()));
            running.spawn(async move { (index, probe(&subject).await) });
        }
        while let Some(ended) = running.join_next().await {
            let (index, verdict) = ended.map_err(|cut_off| ProviderError {
                plugin: Self::INSTANCE.to_owned(),
                fault: ProviderFault::Trapped(format!("failed in `probe`: {cut_off}")),
            })?;
            if let Some(slot) = verdicts.get_mut(index) {
                *slot = verdict;
            }
        }
        Ok(verdicts)
    }

    async fn apply(&self, _step: &StepCall) -> Result<Progress, Failure> {
        Err(only_checks())
    }

    async fn poll(&self, _step: &StepCall, _token: &str) -> Result<Progress, Failure> {
        Err(only_checks())
    }
}

async fn probe(subject: &Subject) -> Result<Verdict, Failure> {
    let nothing = Document::default();
    let desired = subject.desired.as_deref().unwrap_or(&nothing);
    if let Some(unknown) = desired.unknown.first() {
        return Ok(Verdict {
            outcome: Outcome::Inconclusive,
            evidence: format!("`{unknown}` is not known, so nothing was asked"),
        });
    }
    let check = HttpCheck::read(&desired.value)
        .map_err(|problems| Failure::Invalid(diagnostics(problems)))?;
    let report = check.run().await;
    let outcome = match report.outcome {
        CheckOutcome::Pass => Outcome::Pass,
        CheckOutcome::Fail => Outcome::Fail,
        CheckOutcome::Inconclusive => Outcome::Inconclusive,
    };
    Ok(Verdict { outcome, evidence: report.evidence })
}

fn only_checks() -> Failure {
    Failure::Denied("`core` has only checks, which are probed and nothing else".to_owned())
}

fn diagnostics(problems: Vec<CheckProblem>) -> Vec<Diagnostic> {
    let diagnostic = |problem: CheckProblem| Diagnostic {
        path: Path::from_pointer(&problem.path).unwrap_or(Path::ROOT),
        message: problem.message,
        hint: problem.hint,
    };
    problems.into_iter().map(diagnostic).collect()
}

/// The built-in kinds, to stand among the plugins of a release.
pub fn core() -> Arc<Core> {
    Arc::new(Core::default())
}

#[cfg(test)]
mod tests {
    use relctl_plan::Role;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn check(name: &str, fields: Value) -> Subject {
        Subject {
            address: format!("check.http.{name}").parse().unwrap(),
            desired: Some(Document::known(serde_json::from_value::<Map>(fields).unwrap()).into()),
            prior: None,
        }
    }

    #[test]
    fn offers_the_check() {
        let core = core();
        let kind = core.description().kind(Role::Check, "http").unwrap();
        assert!(kind.fields.fields["expect"].fields["json"].atomic);
        assert!(core.is_pinned_by(core.pin()));
        let other = PluginPin { sha256: Digest::of(b"other"), ..core.pin().clone() };
        assert!(!core.is_pinned_by(&other));
    }

    #[tokio::test]
    async fn says_where_a_field_is_wrong() {
        let subjects = vec![
            check("good", json!({"url": "https://api.example.com/"})),
            check("bad", json!({"url": "https://h/", "expect": {"matches": "("}})),
        ];
        let answers = core().validate(subjects).await.unwrap();
        assert!(answers[0].is_ok());
        assert_eq!(answers[1].as_ref().unwrap_err()[0].path.to_pointer(), "/expect/matches");
    }

    #[tokio::test]
    async fn answers_stand_in_the_order_of_the_checks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        });
        let mut open = check("open", json!({"url": null}));
        Arc::make_mut(open.desired.as_mut().unwrap()).unknown.insert(Path::field("url"));
        let subjects = vec![
            open,
            check("down", json!({"url": "http://127.0.0.1:1/", "retries": 0})),
            check("up", json!({"url": url, "retries": 0})),
        ];
        let verdicts = core().probe(subjects).await.unwrap();
        let outcomes: Vec<Outcome> =
            verdicts.into_iter().map(|verdict| verdict.unwrap().outcome).collect();
        assert_eq!(outcomes, [Outcome::Inconclusive, Outcome::Fail, Outcome::Pass]);
    }
}
