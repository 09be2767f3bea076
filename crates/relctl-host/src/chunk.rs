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

/// Cuts subjects, given by their groups, into chunks of their indices.
pub(crate) fn chunks(groups: impl IntoIterator<Item = Group>, limits: &Limits) -> Vec<Vec<usize>> {
    let mut by_group: BTreeMap<Group, Vec<usize>> = BTreeMap::new();
    for (index, group) in groups.into_iter().enumerate() {
        by_group.entry(group).or_default().push(index);
    }
    let cut = |(group, indices): (Group, Vec<usize>)| cut(&indices, group.batch, limits);
    by_group.into_iter().flat_map(cut).collect()
}

/// Cuts so many things, about which a plugin only computes.
pub(crate) fn computed_chunks(count: usize, limits: &Limits) -> Vec<Vec<usize>> {
    cut(&(0..count).collect::<Vec<_>>(), COMPUTED_BATCH, limits)
}

fn cut(indices: &[usize], batch: usize, limits: &Limits) -> Vec<Vec<usize>> {
    indices.chunks(batch.clamp(1, limits.subjects)).map(<[usize]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(kind: &str, value: &str, batch: usize) -> Group {
        Group { role_and_kind: kind.to_owned(), values: vec![value.to_owned()], batch }
    }

    #[test]
    fn cuts_by_group_and_batch() {
        let limits = Limits { subjects: 3, ..Limits::default() };
        let groups = [
            group("b", "1", 2),
            group("a", "1", 9),
            group("b", "2", 2),
            group("b", "1", 2),
            group("b", "1", 2),
            group("a", "1", 9),
            group("a", "1", 9),
            group("a", "1", 9),
        ];
        assert_eq!(chunks(groups, &limits), [vec![1, 5, 6], vec![7], vec![0, 3], vec![4], vec![2]]);
    }

    #[test]
    fn computed_chunks_keep_the_order() {
        let limits = Limits::default();
        let chunks = computed_chunks(600, &limits);
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [250, 250, 100]);
        assert_eq!(chunks.concat(), (0..600).collect::<Vec<_>>());
        assert!(computed_chunks(0, &limits).is_empty());
    }
}
