//! Carries operations of services that speak AWS's JSON 1.1, below the SDK's types.

use aws_connector::{Connector, Exchange, Problem, Writes, block_on, client_config};
use aws_sdk_ecs::Client;
use relctl_sdk::Host;
use serde_json::Value;

pub(crate) type Answer = Result<Value, Problem>;

/// One service. The smallest operation of the SDK for ECS lends its pipeline, to other services
/// too: what tells them apart is the target, and where the host sends it.
#[derive(Debug, Clone)]
pub(crate) struct Carrier {
    client: Client,
    service: &'static str,
    target: &'static str,
    writes: Writes,
}

impl Carrier {
    /// `target` is what precedes the operation in `X-Amz-Target`.
    pub(crate) fn new(
        host: &impl Host,
        service: &'static str,
        target: &'static str,
        writes: Writes,
    ) -> Self {
        let connector = Connector::new(service, writes, host.clone());
        let client = Client::from_conf(client_config!(aws_sdk_ecs, connector));
        Self { client, service, target, writes }
    }

    pub(crate) fn call(&self, operation: &'static str, body: &Value) -> Answer {
        let exchange = Exchange::json(format!("{}.{operation}", self.target), body);
        let carrier = self.client.list_clusters().customize().interceptor(exchange.clone());
        match block_on(carrier.send()) {
            Ok(_) => Ok(exchange.reply()),
            Err(error) => {
                let is_write = self.writes.iter().any(|(name, _)| *name == operation);
                Err(Problem::of(self.service, operation, is_write, &error))
            }
        }
    }
}
