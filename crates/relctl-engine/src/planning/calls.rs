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
    let Some((first, _)) = items.first() else { return Ok(Vec::new()) };
    if items.iter().all(|(plugin, _)| plugin == first) {
        let provider = provider(context, first)?;
        return Ok(call(provider, items.into_iter().map(|(_, item)| item).collect()).await?);
    }
    let mut placed: Vec<Option<R>> = items.iter().map(|_| None).collect();
    let mut batches: BTreeMap<Instance, (Vec<usize>, Vec<T>)> = BTreeMap::new();
    for (place, (plugin, item)) in items.into_iter().enumerate() {
        let (places, batch) = batches.entry(plugin).or_default();
        places.push(place);
        batch.push(item);
    }
    let mut calls = Vec::with_capacity(batches.len());
    let mut places = Vec::with_capacity(batches.len());
    for (plugin, (its_places, batch)) in batches {
        calls.push(call(provider(context, &plugin)?, batch));
        places.push(its_places);
    }
    for (places, answers) in places.into_iter().zip(try_join_all(calls).await?) {
        for (place, answer) in places.into_iter().zip(answers) {
            if let Some(slot) = placed.get_mut(place) {
                *slot = Some(answer);
            }
        }
    }
    Ok(placed.into_iter().flatten().collect())
}

fn provider(context: Context<'_>, plugin: &Instance) -> Result<Arc<dyn Provider>, EngineError> {
    let provider = context.providers.get(plugin).map(Arc::clone);
    provider.ok_or_else(|| EngineError::NoPlugin(plugin.clone()))
}
