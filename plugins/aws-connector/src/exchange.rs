//! The JSON that really crosses, below the SDK's types.
//!
//! A field that AWS added after this SDK was made is unknown to the SDK's types and would be lost
//! on the way through them: read, recorded, registered again without it. So the bodies of
//! documents are taken and given as JSON, while operations, protocol and errors are the SDK's.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use serde_json::Value;

/// Gives one call its JSON body and keeps the JSON of its reply.
#[derive(Debug, Clone)]
pub struct Exchange {
    body: Vec<u8>,
    reply: Arc<Mutex<Value>>,
}

impl Exchange {
    pub fn new(body: &Value) -> Self {
        Self { body: body.to_string().into_bytes(), reply: Arc::default() }
    }

    /// The reply, `null` before there is one.
    pub fn reply(&self) -> Value {
        std::mem::take(&mut *self.reply.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Exchange {
    fn name(&self) -> &'static str {
        "Exchange"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        *request.body_mut() = SdkBody::from(self.body.clone());
        request.headers_mut().insert("content-length", self.body.len().to_string());
        Ok(())
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context.response().body().bytes().unwrap_or_default();
        // What is not JSON is an error, which the SDK reports.
        let reply = serde_json::from_slice(bytes).unwrap_or_default();
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = reply;
        Ok(())
    }
}

/// Calls an operation of an SDK client with a JSON body; gives the reply as JSON.
#[macro_export]
macro_rules! call {
    ($service:literal, $writes:expr, $client:expr, $operation:ident, $name:literal, $body:expr) => {{
        let exchange = $crate::Exchange::new(&$body);
        let sent = $client.$operation().customize().interceptor(exchange.clone()).send();
        match $crate::block_on(sent) {
            Ok(_) => Ok(exchange.reply()),
            Err(error) => {
                let is_write = $writes.iter().any(|(name, _)| *name == $name);
                Err($crate::Problem::of($service, $name, is_write, &error))
            }
        }
    }};
}
