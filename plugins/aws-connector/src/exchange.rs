//! The JSON that really crosses, below the SDK's types.
//!
//! A field that AWS added after this SDK was made is unknown to the SDK's types and would be lost
//! on the way through them: read, recorded, registered again without it. So bodies are given and
//! taken as JSON. The SDK's shapes are then dead weight, 100 kB of wasm for each operation: one
//! small operation of the SDK carries them all, and its target and its body are replaced. Where a
//! service speaks forms and XML, the same serves for what is only told, not asked.

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

/// Gives one call its operation and its body, and keeps the JSON of its reply.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The operation as its header names it; `None`: the body says it.
    target: Option<String>,
    body: Vec<u8>,
    reply: Arc<Mutex<Value>>,
}

impl Exchange {
    /// A JSON body, for an operation that the target header names: `Service.Operation`.
    pub fn json(target: String, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { target: Some(target), body, reply: Arc::default() }
    }

    /// A form, which names its operation itself.
    pub fn form(body: String) -> Self {
        Self { target: None, body: body.into_bytes(), reply: Arc::default() }
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
        if let Some(target) = &self.target {
            request.headers_mut().try_insert("x-amz-target", target.clone())?;
        }
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
