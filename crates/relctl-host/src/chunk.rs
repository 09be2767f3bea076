//! Cutting what is asked into calls.

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
        let desired = subject.desired.as_ref().map(|desired| desired.value.as_ref());
        let value = desired.or(subject.prior.as_deref()).and_then(|map| map.get(name));
        value.unwrap_or(&Value::Null).to_string()
    };
    Group {
        role_and_kind: format!("{}.{}", address.role(), address.kind()),
        values: kind.map(|kind| kind.group_by.iter().map(value).collect()).unwrap_or_default(),
        batch: kind.map_or(1, |kind| kind.batch as usize),
    }
}

/// What is asked together, in one call unless its documents are too large for one: each with its place
/// among all that is asked.
pub(crate) type Chunk<Q> = Vec<(usize, Q)>;

/// Cuts questions into chunks by their groups.
pub(crate) fn chunks<Q>(
    questions: Vec<Q>,
    group_of: impl Fn(&Q) -> Group,
    limits: &Limits,
) -> Vec<Chunk<Q>> {
    let mut groups: BTreeMap<Group, Chunk<Q>> = BTreeMap::new();
    for (index, question) in questions.into_iter().enumerate() {
        groups.entry(group_of(&question)).or_default().push((index, question));
    }
    let cut = |(group, chunk): (Group, Chunk<Q>)| cut(chunk.into_iter(), group.batch, limits);
    groups.into_iter().flat_map(cut).collect()
}

/// Cuts questions about which a plugin only computes.
pub(crate) fn computed_chunks<Q>(questions: Vec<Q>, limits: &Limits) -> Vec<Chunk<Q>> {
    cut(questions.into_iter().enumerate(), COMPUTED_BATCH, limits)
}

fn cut<Q>(
    mut questions: impl ExactSizeIterator<Item = (usize, Q)>,
    batch: usize,
    limits: &Limits,
) -> Vec<Chunk<Q>> {
    let batch = batch.clamp(1, limits.subjects);
    let mut chunks = Vec::with_capacity(questions.len().div_ceil(batch));
    while questions.len() > 0 {
        let mut chunk = Vec::with_capacity(batch.min(questions.len()));
        chunk.extend(questions.by_ref().take(batch));
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

    fn places<Q>(chunks: &[Chunk<Q>]) -> Vec<Vec<usize>> {
        chunks.iter().map(|chunk| chunk.iter().map(|(index, _)| *index).collect()).collect()
    }

    #[test]
    fn cuts_by_group_and_batch() {
        let limits = Limits { subjects: 3, ..Limits::default() };
        let questions = vec![
            ("b", "1", 2),
            ("a", "1", 9),
            ("b", "2", 2),
            ("b", "1", 2),
            ("b", "1", 2),
            ("a", "1", 9),
            ("a", "1", 9),
            ("a", "1", 9),
        ];
        let chunks = chunks(questions, |(kind, value, batch)| group(kind, value, *batch), &limits);
        assert_eq!(places(&chunks), [vec![1, 5, 6], vec![7], vec![0, 3], vec![4], vec![2]]);
    }

    #[test]
    fn computed_chunks_keep_the_order() {
        let limits = Limits::default();
        let chunks = computed_chunks((0..600).collect(), &limits);
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [250, 250, 100]);
        assert!(chunks.concat().into_iter().eq((0..600).enumerate()));
        assert!(computed_chunks(Vec::<()>::new(), &limits).is_empty());
    }
}
