//! What every row must hold, on its way in and on its way out.

use super::ScoreRow;
use crate::selection::Candidate;

/// Checks rows one after the other: influence is finite, and (source, position) grows.
pub(super) struct RowCheck {
    last: Option<(u32, u64)>,
    sources: usize,
}

impl RowCheck {
    /// For rows of so many sources.
    pub fn new(sources: usize) -> Self {
        RowCheck { last: None, sources }
    }

    /// What is wrong with the next row, if anything; names the record.
    #[inline]
    pub fn next(&mut self, source: u32, position: u64, influence: f32) -> Result<(), String> {
        let place = Some((source, position));
        if influence.is_finite() && (source as usize) < self.sources && self.last < place {
            self.last = place;
            return Ok(());
        }
        Err(self.refusal(source, position, influence))
    }

    #[cold]
    fn refusal(&self, source: u32, position: u64, influence: f32) -> String {
        let record = format!("record at source {source}, position {position}");
        match self.last {
            _ if !influence.is_finite() => {
                format!("{record}: influence is {influence}; allowed are finite numbers")
            }
            Some((last_source, last_position)) if (source as usize) < self.sources => format!(
                "{record} follows source {last_source}, position {last_position}: rows must grow, so a part may be \
                 given twice or the parts are of different scorings"
            ),
            _ => format!("{record}: the metadata names {} source(s), counted from 0", self.sources),
        }
    }

    #[inline]
    pub fn next_candidate(&mut self, candidate: &Candidate) -> Result<(), String> {
        self.next(candidate.source, candidate.position, candidate.influence)
    }

    pub fn next_row(&mut self, row: &ScoreRow) -> Result<(), String> {
        self.next(row.source, row.position, row.influence)
            .map_err(|message| format!("{message} (id {:?})", row.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_grow_by_source_then_position() {
        let mut check = RowCheck::new(2);
        for (source, position) in [(0, 3), (0, 9), (1, 0), (1, 1)] {
            check.next(source, position, -1.0).unwrap();
        }
        for (source, position) in [(1, 1), (1, 0), (0, 10)] {
            assert!(check.next(source, position, 1.0).unwrap_err().contains("must grow"));
        }
    }

    #[test]
    fn influence_is_finite_and_the_source_is_named() {
        for influence in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let message = RowCheck::new(1).next(0, 7, influence).unwrap_err();
            assert!(message.contains("position 7") && message.contains("finite"), "{message}");
        }
        assert!(RowCheck::new(1).next(1, 0, 0.0).unwrap_err().contains("1 source"));
    }
}
