//! What an Azure client does within a call: a policy that sees each try of the client's own retries.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};

use super::calls;

/// Counts the tries of a call, notes their status, and lets the service take part in the trace. Goes into
/// `ClientOptions::per_try_policies`.
#[derive(Debug)]
pub struct EachTry;

#[async_trait]
impl Policy for EachTry {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        calls::trying(request.url().as_str());
        if let Some(traceparent) = calls::traceparent() {
            request.insert_header("traceparent", traceparent);
        }
        let answered = next[0].send(context, request, &next[1..]).await;
        if let Ok(response) = &answered {
            calls::answered(u16::from(response.status()));
        }
        answered
    }
}
