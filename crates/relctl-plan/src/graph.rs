//! The graph of objects: what must come before what.

use std::collections::{BTreeMap, BTreeSet};

/// Edges from a node to those that it needs. Orders are deterministic: topological, then by node.
#[derive(Debug, Clone)]
pub struct Graph<N: Ord + Clone> {
    needs: BTreeMap<N, BTreeSet<N>>,
}

impl<N: Ord + Clone> Default for Graph<N> {
    fn default() -> Self {
        Self { needs: BTreeMap::new() }
    }
}

/// Nodes that need each other, in the order of the edges, the first repeated at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle<N>(pub Vec<N>);

impl<N: Ord + Clone> Graph<N> {
    /// Adds a node with what it needs. Needs that are no nodes are ignored by the orders.
    pub fn insert(&mut self, node: N, needs: impl IntoIterator<Item = N>) {
        self.needs.entry(node).or_default().extend(needs);
    }

    /// What `node` needs directly.
    pub fn needs(&self, node: &N) -> impl Iterator<Item = &N> {
        self.needs.get(node).into_iter().flatten()
    }

    /// Nodes in waves: each needs only nodes of earlier waves. Sorted within a wave.
    pub fn waves(&self) -> Result<Vec<Vec<N>>, Cycle<N>> {
        let nodes: Vec<&N> = self.needs.keys().collect();
        // Nodes by their place among all: what waits for how many, and who waits for it.
        let mut waiting: Vec<usize> = vec![0; nodes.len()];
        let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for (at, (needs, count)) in self.needs.values().zip(&mut waiting).enumerate() {
            for need in needs.iter().filter_map(|need| nodes.binary_search(&need).ok()) {
                *count += 1;
                if let Some(waiters) = dependants.get_mut(need) {
                    waiters.push(at);
                }
            }
        }
        let free = |(at, count): (usize, &usize)| (*count == 0).then_some(at);
        let mut wave: Vec<usize> = waiting.iter().enumerate().filter_map(free).collect();
        let mut waves = Vec::new();
        let mut placed = 0;
        while !wave.is_empty() {
            placed += wave.len();
            let mut next = Vec::new();
            for dependant in wave.iter().filter_map(|at| dependants.get(*at)).flatten() {
                if let Some(count) = waiting.get_mut(*dependant) {
                    *count -= 1;
                    if *count == 0 {
                        next.push(*dependant);
                    }
                }
            }
            next.sort_unstable();
            waves.push(wave.iter().filter_map(|at| nodes.get(*at)).map(|n| (*n).clone()).collect());
            wave = next;
        }
        if placed == nodes.len() { Ok(waves) } else { Err(self.cycle(&nodes, &waiting)) }
    }

    /// Follows unmet needs from any stuck node until one comes up again.
    fn cycle(&self, nodes: &[&N], waiting: &[usize]) -> Cycle<N> {
        let stuck = |node: &&N| {
            let at = nodes.binary_search(node).ok();
            at.and_then(|at| waiting.get(at)).is_some_and(|count| *count > 0)
        };
        let mut path: Vec<&N> = Vec::new();
        let mut at = nodes.iter().copied().find(stuck);
        while let Some(node) = at {
            if let Some(start) = path.iter().position(|seen| *seen == node) {
                let mut cycle: Vec<N> = path.iter().skip(start).map(|n| (*n).clone()).collect();
                cycle.push(node.clone());
                return Cycle(cycle);
            }
            path.push(node);
            at = self.needs(node).find(stuck);
        }
        Cycle(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_sorted_and_complete() {
        let mut graph = Graph::default();
        graph.insert("d", ["b", "c"]);
        graph.insert("c", ["a"]);
        graph.insert("b", ["a", "elsewhere"]);
        graph.insert("a", []);
        assert_eq!(graph.waves().unwrap(), [vec!["a"], vec!["b", "c"], vec!["d"]]);
    }

    #[test]
    fn names_a_cycle() {
        let mut graph = Graph::default();
        graph.insert("a", ["b"]);
        graph.insert("b", ["c"]);
        graph.insert("c", ["b"]);
        assert_eq!(graph.waves().unwrap_err(), Cycle(vec!["b", "c", "b"]));
    }
}
