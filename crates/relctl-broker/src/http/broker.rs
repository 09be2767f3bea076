//! One request of a plugin, from its bytes to its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use tokio::sync::OnceCell;
use tracing::{Instrument, debug, debug_span, field};

use super::HttpOptions;
use super::attempt::{Exchange, Outcome, attempt};
use super::credentials::{Identity, Source};
use super::redact::excerpt;
use super::service::{partition, service};
use super::settings::{HttpSetupError, Settings, check};
use super::wire::{CONTENT_TYPE_FORM, Wire, verdict};
use crate::{
    Access, CallContext, Grants, HttpError, HttpRequest, HttpResponse, HttpTransport, Phase,
};

/// How much of an error's text goes into a message, in bytes.
const MAX_DETAIL: usize = 300;
/// How long an aside is waited for at most.
const MAX_ASIDE: Duration = Duration::from_secs(10);
/// The largest answer to a question of relctl's own, in bytes.
const MAX_OWN_ANSWER: u64 = 64 * 1024;

/// Sends one plugin instance's requests to its cloud.
///
/// Errors say what is certain: [`HttpError::Denied`], [`HttpError::Throttled`] and
/// [`HttpError::Unavailable`] mean that nothing was carried out, [`HttpError::Unknown`] that it may
/// have been. An answer with an error of the operation itself (`ClusterNotFoundException`) is a
/// response, for the plugin to read.
pub struct HttpBroker {
    options: HttpOptions,
    /// Read once, when the first request needs them.
    settings: OnceCell<Settings>,
    plan: Arc<Source>,
    apply: Arc<Source>,
}

impl HttpBroker {
    /// Checks the settings. Nothing outside is asked before the first request.
    pub fn new(options: HttpOptions) -> Result<Self, HttpSetupError> {
        check(&options)?;
        let plan = Arc::new(Source::new(options.plan_role.clone(), &options.plugin));
        // One role for both phases is asked only once who it is.
        let apply = if options.plan_role == options.apply_role {
            Arc::clone(&plan)
        } else {
            Arc::new(Source::new(options.apply_role.clone(), &options.plugin))
        };
        Ok(Self { options, settings: OnceCell::new(), plan, apply })
    }

    async fn settings(&self) -> Result<&Settings, HttpError> {
        let load = || Settings::load(&self.options);
        self.settings
            .get_or_try_init(load)
            .await
            .map_err(|error| HttpError::Denied(error.to_string()))
    }

    /// Compares account and region of the credentials with those of the config, once.
    async fn guard(
        &self,
        settings: &Settings,
        source: &Source,
        deadline: Instant,
    ) -> Result<(), HttpError> {
        let Some(expected) = &self.options.account else { return Ok(()) };
        let identity =
            source.identity.get_or_try_init(|| self.who(settings, source, deadline)).await?;
        let plugin = &self.options.plugin;
        if identity.account != *expected {
            return Err(HttpError::Denied(format!(
                "the credentials belong to account {}, but `config.account` of plugin `{plugin}` \
                 is {expected}; nothing else was sent; use other credentials, or correct the \
                 release file",
                identity.account
            )));
        }
        let region = &settings.region;
        if identity.partition() != partition(region).name {
            return Err(HttpError::Denied(format!(
                "the credentials belong to the partition `{}`, which has no region `{region}`; \
                 nothing else was sent; correct `config.region` of plugin `{plugin}`",
                identity.partition()
            )));
        }
        Ok(())
    }

    /// Asks the cloud whose credentials these are.
    async fn who(
        &self,
        settings: &Settings,
        source: &Source,
        deadline: Instant,
    ) -> Result<Identity, HttpError> {
        let sts =
            service("sts").ok_or_else(|| HttpError::Denied("`sts` is not known".to_owned()))?;
        let wire = Wire {
            service: sts,
            operation: "GetCallerIdentity".to_owned(),
            content_type: CONTENT_TYPE_FORM,
            target: None,
            body: b"Action=GetCallerIdentity&Version=2011-06-15".to_vec(),
        };
        let answer = self
            .exchange(
                settings,
                &Exchange {
                    wire: &wire,
                    source,
                    repeatable: true,
                    read: true,
                    deadline,
                    max_response: MAX_OWN_ANSWER,
                },
            )
            .await?;
        let text = String::from_utf8_lossy(&answer.body);
        if answer.status != 200 {
            return Err(HttpError::Denied(format!(
                "the cloud does not say whose credentials these are: HTTP {}: {}; check the \
                 credentials of plugin `{}`",
                answer.status,
                excerpt(&text, &[], MAX_DETAIL),
                self.options.plugin
            )));
        }
        Identity::read(&text).ok_or_else(|| {
            HttpError::Unavailable(format!(
                "the endpoint for `sts` of plugin `{}` does not answer as AWS does; check its \
                 endpoint",
                self.options.plugin
            ))
        })
    }

    /// Sends it, and again as long as that is allowed and of use.
    async fn exchange(
        &self,
        settings: &Settings,
        exchange: &Exchange<'_>,
    ) -> Result<HttpResponse, HttpError> {
        let name = format!("{}:{}", exchange.wire.service.name, exchange.wire.operation);
        // Once one attempt may have been carried out, nothing later makes that certain again.
        let mut perhaps = false;
        let mut number = 0;
        loop {
            number += 1;
            let span = debug_span!(
                "http",
                plugin = %self.options.plugin,
                operation = %name,
                region = %settings.region,
                attempt = number,
                status = field::Empty,
                code = field::Empty,
                request = field::Empty,
                ms = field::Empty,
            );
            let begun = Instant::now();
            let (outcome, credentials) = attempt(settings, exchange, self.options.attempt_timeout)
                .instrument(span.clone())
                .await;
            span.record("ms", begun.elapsed().as_millis());
            let mut asked = None;
            let (again, error) = match outcome {
                Outcome::Answer(response) => {
                    if number == 1 {
                        self.options.budget.earn();
                    }
                    return Ok(response);
                }
                Outcome::Expired(response) => {
                    // Others may be there by now; the same again would expire again.
                    if !self.renewed(settings, exchange.source, credentials.as_ref()).await {
                        return Ok(response);
                    }
                    (true, HttpError::Unavailable(format!("{name}: the credentials have expired")))
                }
                Outcome::Foreign(response) if exchange.read => return Ok(response),
                Outcome::Foreign(response) => {
                    let error = format!("{name} was answered with HTTP {}", response.status);
                    (false, HttpError::Unknown(error))
                }
                Outcome::Throttled { after } => {
                    asked = after;
                    let ms =
                        after.map(|after| u32::try_from(after.as_millis()).unwrap_or(u32::MAX));
                    (true, HttpError::Throttled(ms))
                }
                Outcome::NotSent(detail) => {
                    (true, HttpError::Unavailable(format!("{name} was not sent: {detail}")))
                }
                Outcome::Refused(detail) => {
                    (false, HttpError::Denied(format!("{name} was not sent: {detail}")))
                }
                Outcome::Lost { detail, again } if exchange.read => {
                    (again, HttpError::Unavailable(format!("{name}: {detail}")))
                }
                Outcome::Lost { detail, again } => {
                    perhaps = true;
                    let error = format!("{name} may have been carried out: {detail}");
                    (again && exchange.repeatable, HttpError::Unknown(error))
                }
            };
            let wait = if again {
                self.options.retries.next(number, asked, &self.options.budget)
            } else {
                None
            };
            let left = exchange.deadline.saturating_duration_since(Instant::now());
            let Some(wait) = wait.filter(|wait| *wait < left) else {
                debug!(parent: &span, %error, "given up");
                return Err(if perhaps { uncertain(&name, error) } else { error });
            };
            debug!(parent: &span, %error, ?wait, "trying again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether there are other credentials than these, which have expired.
    async fn renewed(
        &self,
        settings: &Settings,
        source: &Source,
        stale: Option<&Credentials>,
    ) -> bool {
        let Some(stale) = stale else { return false };
        source.forget(stale).await;
        source.credentials(&settings.sdk).await.is_ok_and(|fresh| fresh != *stale)
    }
}

#[async_trait]
impl HttpTransport for HttpBroker {
    async fn send(
        &self,
        call: &CallContext,
        grants: &Grants,
        access: Access,
        request: HttpRequest,
    ) -> Result<HttpResponse, HttpError> {
        let settings = self.settings().await?;
        let wire = verdict(call.phase, access, grants, &settings.region, &request)
            .map_err(|refusal| HttpError::Denied(refusal.to_string()))?;
        let source = if call.phase == Phase::Apply { &self.apply } else { &self.plan };
        let deadline = if wire.service.aside { soon(call.deadline) } else { call.deadline };
        self.guard(settings, source, deadline).await?;
        let exchange = Exchange {
            wire: &wire,
            source,
            repeatable: !matches!(access, Access::Write { replay_safe: false }),
            read: access == Access::Read,
            deadline,
            max_response: call.max_response,
        };
        self.exchange(settings, &exchange).await
    }
}

/// Until when an aside is waited for: the call that asks for it must have time left to end well.
fn soon(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + (deadline.saturating_duration_since(now) / 2).min(MAX_ASIDE)
}

/// An error after an attempt whose outcome is not known.
fn uncertain(name: &str, error: HttpError) -> HttpError {
    match error {
        HttpError::Unknown(_) => error,
        other => HttpError::Unknown(format!(
            "{name} may have been carried out: an earlier attempt was not answered, and then: \
             {other}"
        )),
    }
}
