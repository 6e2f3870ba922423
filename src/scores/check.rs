//! What every row must hold, on its way in and on its way out.

use super::ScoreRow;

/// Checks rows one after the other: influence is finite, and (source, position) grows.
#[derive(Default)]
pub(super) struct RowCheck {
    last: Option<(u32, u64)>,
}

impl RowCheck {
    /// What is wrong with the next row, if anything; names the record.
    pub fn next(&mut self, source: u32, position: u64, influence: f32, sources: usize) -> Result<(), String> {
        let record = || format!("record at source {source}, position {position}");
        if !influence.is_finite() {
            return Err(format!("{}: influence is {influence}; allowed are finite numbers", record()));
        }
        if source as usize >= sources {
            return Err(format!("{}: the metadata names {sources} source(s), counted from 0", record()));
        }
        if let Some((last_source, last_position)) = self.last.filter(|last| *last >= (source, position)) {
            return Err(format!(
                "{} follows source {last_source}, position {last_position}: rows must grow, so a part may be given \
                 twice or the parts are of different scorings",
                record()
            ));
        }
        self.last = Some((source, position));
        Ok(())
    }

    pub fn next_row(&mut self, row: &ScoreRow, sources: usize) -> Result<(), String> {
        self.next(row.source, row.position, row.influence, sources)
            .map_err(|message| format!("{message} (id {:?})", row.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_grow_by_source_then_position() {
        let mut check = RowCheck::default();
        for (source, position) in [(0, 3), (0, 9), (1, 0), (1, 1)] {
            check.next(source, position, -1.0, 2).unwrap();
        }
        for (source, position) in [(1, 1), (1, 0), (0, 10)] {
            assert!(check.next(source, position, 1.0, 2).unwrap_err().contains("must grow"));
        }
    }

    #[test]
    fn influence_is_finite_and_the_source_is_named() {
        for influence in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let message = RowCheck::default().next(0, 7, influence, 1).unwrap_err();
            assert!(message.contains("position 7") && message.contains("finite"), "{message}");
        }
        assert!(RowCheck::default().next(1, 0, 0.0, 1).unwrap_err().contains("1 source"));
    }
}
