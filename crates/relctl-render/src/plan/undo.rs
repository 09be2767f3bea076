//! Undo: how each step would be taken back, known before it is taken.

use relctl_plan::{Reversal, Verb};

use super::View;
use crate::style::Tone;
use crate::text::{pad, ranges};

impl View<'_> {
    /// The steps by how they would be undone, the worst first.
    pub(crate) fn undo_lines(&self) -> Vec<String> {
        const GROUPS: [(Reversal, &str, &str); 4] = [
            (Reversal::Impossible, "impossible", "no way back; after this, reverting is partial"),
            (
                Reversal::Compensating,
                "compensating",
                "made up for by another step; not all as it was",
            ),
            (Reversal::Exact, "exact", "back to what was there"),
            (Reversal::Kept, "kept", "stays, and does no harm"),
        ];
        let groups: Vec<(Reversal, &str, &str, String)> = GROUPS
            .into_iter()
            .filter_map(|(reversal, name, meaning)| {
                let numbers: Vec<usize> = (1..)
                    .zip(&self.plan.body.steps)
                    .filter(|(_, step)| step.verb != Verb::Check && step.reversal == reversal)
                    .map(|(number, _)| number)
                    .collect();
                let label = if numbers.len() == 1 { "step" } else { "steps" };
                (!numbers.is_empty()).then(|| {
                    (reversal, name, meaning, format!("{label} {}", ranges(&numbers, self.style)))
                })
            })
            .collect();
        let widest = groups.iter().map(|(_, name, ..)| name.len()).max().unwrap_or(0);
        groups
            .into_iter()
            .flat_map(|(reversal, name, meaning, steps)| {
                let mut lines = self.hanging(
                    &format!("  {}   ", pad(name, widest)),
                    &format!("{steps}: {meaning}"),
                );
                if reversal == Reversal::Impossible
                    && let Some(first) = lines.first_mut()
                {
                    let rest = first.split_off(2 + name.len());
                    *first = format!("{}{rest}", self.style.paint(Tone::Bad, first));
                }
                lines
            })
            .collect()
    }
}
