//! Reading what exists, as a release file would declare it.

use std::sync::Arc;

use relctl_plan::{Address, Diagnostic, Document, Field, Map, Role, Value};

use crate::{EngineError, ObjectError, Provider, Subject};

/// What exists, ready to be declared.
#[derive(Debug, Clone, PartialEq)]
pub struct Declarable {
    /// Every field that a release file may declare and that holds something.
    pub fields: Map,
    /// What the plugin would say if they were declared just so.
    pub problems: Vec<Diagnostic>,
}

/// Reads the resource that `given` identifies; `None`: nothing is there.
///
/// It is looked at twice. Plugins hold back values that a release file does not declare, since they
/// may be secrets; the second look declares what the first one saw. So whoever shows the result must
/// sift it.
pub async fn import(
    provider: &dyn Provider,
    address: &Address,
    given: Map,
) -> Result<Option<Declarable>, EngineError> {
    let kind = provider.description().kind(Role::Resource, address.kind());
    let kind = kind.ok_or_else(|| EngineError::NoKind {
        plugin: provider.description().name.clone(),
        address: address.clone(),
    })?;
    let asked = identified(provider, address, given.clone()).await?;
    let Some(first) = look(provider, address, asked).await? else { return Ok(None) };
    let declared = declarable(&kind.fields, first, &given);
    // What the plugin would refuse can still be looked at: it exists.
    let (asked, _) = judged(provider, address, declared).await?;
    let Some(second) = look(provider, address, asked).await? else { return Ok(None) };
    let fields = declarable(&kind.fields, second, &given);
    let (_, problems) = judged(provider, address, fields.clone()).await?;
    Ok(Some(Declarable { fields, problems }))
}

/// What identifies the object, in the plugin's spelling. Only what is wrong with that counts.
async fn identified(
    provider: &dyn Provider,
    address: &Address,
    given: Map,
) -> Result<Document, EngineError> {
    let (document, problems) = judged(provider, address, given.clone()).await?;
    let is_given =
        |problem: &Diagnostic| problem.path.first().is_some_and(|field| given.contains_key(field));
    let wrong: Vec<ObjectError> = problems
        .into_iter()
        .filter(is_given)
        .map(|diagnostic| ObjectError { address: address.clone(), diagnostic })
        .collect();
    if wrong.is_empty() { Ok(document) } else { Err(EngineError::Objects(wrong)) }
}

/// The fields in the plugin's spelling; or as they are, with what is wrong with them.
async fn judged(
    provider: &dyn Provider,
    address: &Address,
    fields: Map,
) -> Result<(Document, Vec<Diagnostic>), EngineError> {
    let plain = Document::known(fields);
    let answers = provider.validate(vec![subject(address, plain.clone())]).await?;
    Ok(match answers.into_iter().next() {
        Some(Ok(document)) => (document, Vec::new()),
        Some(Err(problems)) => (plain, problems),
        None => (plain, Vec::new()),
    })
}

async fn look(
    provider: &dyn Provider,
    address: &Address,
    asked: Document,
) -> Result<Option<Arc<Map>>, EngineError> {
    let answers = provider.observe(vec![subject(address, asked)]).await?;
    match answers.into_iter().next() {
        Some(Ok(observed)) => Ok(observed),
        Some(Err(failure)) => Err(EngineError::Unanswered(vec![(address.clone(), failure)])),
        None => Ok(None),
    }
}

fn subject(address: &Address, desired: Document) -> Subject {
    Subject { address: address.clone(), desired: Some(desired.into()), prior: None }
}

/// What of an observation a release file may declare, over what was given to find it.
fn declarable(kind: &Field, observed: Arc<Map>, given: &Map) -> Map {
    let mut fields = given.clone();
    fields.extend(without_given_by_others(kind, Arc::unwrap_or_clone(observed)));
    fields
}

/// Leaves out what the cloud or the plugin sets, and what holds nothing: declaring an empty list
/// would own it as empty.
fn without_given_by_others(field: &Field, map: Map) -> Map {
    map.into_iter()
        .filter_map(|(name, value)| {
            let below = field.fields.get(&name).or(field.entries.as_deref());
            if below.is_some_and(|below| below.computed || below.read_only) {
                return None;
            }
            let value = match (value, below) {
                (Value::Object(inner), Some(below)) if !below.atomic => {
                    Value::Object(without_given_by_others(below, inner))
                }
                (value, _) => value,
            };
            let is_empty = match &value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(inner) => inner.is_empty(),
                _ => false,
            };
            (!is_empty).then_some((name, value))
        })
        .collect()
}
