//! Cutting subjects into calls.

use std::collections::BTreeMap;

use relctl_engine::Subject;
use relctl_plan::{Description, Value};

use crate::Limits;

/// How many subjects one call carries at most of those that a plugin only computes about: few enough
/// to use all cores, enough to pay for an instance.
pub(crate) const COMPUTED_BATCH: usize = 250;

/// What must be the same for subjects of one call.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    role_and_kind: String,
    /// The values of the kind's `group-by` fields, as JSON.
    values: Vec<String>,
    batch: usize,
}

/// The group of a subject that a plugin reads about.
pub(crate) fn group_of(subject: &Subject, description: &Description) -> Group {
    let address = &subject.address;
    let kind = description.kind(address.role(), address.kind());
    let value = |name: &String| {
        let desired = subject.desired.as_ref().map(|desired| &desired.value);
        let value = desired.or(subject.prior.as_ref()).and_then(|map| map.get(name));
        value.unwrap_or(&Value::Null).to_string()
    };
    Group {
        role_and_kind: format!("{}.{}", address.role(), address.kind()),
        values: kind.map(|kind| kind.group_by.iter().map(value).collect()).unwrap_or_default(),
        batch: kind.map_or(1, |kind| kind.batch as usize),
    }
}

/// Cuts items, given by group and size in bytes, into chunks of their indices. An item larger than
/// the limit goes alone; the caller refuses it.
pub(crate) fn chunks(
    items: impl IntoIterator<Item = (Group, usize)>,
    limits: &Limits,
) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<Group, Vec<(usize, usize)>> = BTreeMap::new();
    for (index, (group, bytes)) in items.into_iter().enumerate() {
        groups.entry(group).or_default().push((index, bytes));
    }
    groups.into_iter().flat_map(|(group, items)| cut(items, group.batch, limits)).collect()
}

/// Cuts items, given by size in bytes, about which a plugin only computes.
pub(crate) fn computed_chunks(
    sizes: impl IntoIterator<Item = usize>,
    limits: &Limits,
) -> Vec<Vec<usize>> {
    cut(sizes.into_iter().enumerate(), COMPUTED_BATCH, limits)
}

fn cut(
    items: impl IntoIterator<Item = (usize, usize)>,
    batch: usize,
    limits: &Limits,
) -> Vec<Vec<usize>> {
    let batch = batch.clamp(1, limits.subjects);
    let mut chunks = Vec::new();
    let mut chunk = Vec::new();
    let mut filled = 0;
    for (index, bytes) in items {
        if !chunk.is_empty() && (chunk.len() == batch || filled + bytes > limits.asked_bytes) {
            chunks.push(std::mem::take(&mut chunk));
            filled = 0;
        }
        chunk.push(index);
        filled += bytes;
    }
    if !chunk.is_empty() {
        chunks.push(chunk);
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(kind: &str, value: &str, batch: usize) -> Group {
        Group { role_and_kind: kind.to_owned(), values: vec![value.to_owned()], batch }
    }

    #[test]
    fn cuts_by_group_batch_and_size() {
        let limits = Limits { asked_bytes: 100, subjects: 3, ..Limits::default() };
        let items = [
            (group("b", "1", 2), 10),
            (group("a", "1", 9), 10),
            (group("b", "2", 2), 10),
            (group("b", "1", 2), 10),
            (group("b", "1", 2), 10),
            (group("a", "1", 9), 95),
            (group("a", "1", 9), 500),
        ];
        assert_eq!(
            chunks(items, &limits),
            [vec![1], vec![5], vec![6], vec![0, 3], vec![4], vec![2]]
        );
    }

    #[test]
    fn computed_chunks_keep_the_order() {
        let limits = Limits::default();
        let chunks = computed_chunks(std::iter::repeat_n(1, 600), &limits);
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [250, 250, 100]);
        assert_eq!(chunks.concat(), (0..600).collect::<Vec<_>>());
        assert!(computed_chunks([], &limits).is_empty());
    }
}
