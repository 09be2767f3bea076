//! Batched calls to plugins: one call a plugin, all plugins at once, answers in order.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use futures::future::try_join_all;
use relctl_plan::Instance;

use crate::{Context, EngineError, Provider, ProviderError};

/// Sends each item to its plugin; the answers come in the items' order.
pub(crate) async fn by_plugin<T, R, F>(
    context: Context<'_>,
    items: Vec<(Instance, T)>,
    call: impl Fn(Arc<dyn Provider>, Vec<T>) -> F,
) -> Result<Vec<R>, EngineError>
where
    F: Future<Output = Result<Vec<R>, ProviderError>>,
{
    let mut places: BTreeMap<Instance, Vec<usize>> = BTreeMap::new();
    let mut batches: BTreeMap<Instance, Vec<T>> = BTreeMap::new();
    let count = items.len();
    for (place, (plugin, item)) in items.into_iter().enumerate() {
        places.entry(plugin.clone()).or_default().push(place);
        batches.entry(plugin).or_default().push(item);
    }
    let mut calls = Vec::with_capacity(batches.len());
    for (plugin, batch) in batches {
        let provider =
            context.providers.get(&plugin).ok_or_else(|| EngineError::NoPlugin(plugin.clone()))?;
        calls.push(call(Arc::clone(provider), batch));
    }
    let answers = try_join_all(calls).await?;
    let mut placed: Vec<(usize, R)> = Vec::with_capacity(count);
    for (places, answers) in places.into_values().zip(answers) {
        placed.extend(places.into_iter().zip(answers));
    }
    placed.sort_by_key(|(place, _)| *place);
    Ok(placed.into_iter().map(|(_, answer)| answer).collect())
}
