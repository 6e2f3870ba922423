//! The files of a selection's records: written as they are picked, and read again to be matched.

use super::groups::Scored;
use super::{Context, Stage, tracker::Tracker};
use crate::error::{Error, Result};
use crate::groups::Groups;
use crate::scores::Scores;
use crate::selection::{Candidates, LengthHistogram, Pick};
use crate::sequence::{CoresetWriter, Dataset};
use crate::storage::{Committed, Location, ObjectWriter, io_error};
use std::io::{BufRead, BufReader, BufWriter, Write};

const SELECTED: &str = "selected.tsv";
pub(super) const CORESET: &str = "coreset.fa.gz";

/// The two files that hold the kept records, written side by side in input order.
pub(super) struct Coreset<'a> {
    scored: Scored<'a>,
    groups: Option<&'a Groups>,
    coreset: CoresetWriter,
    selected: BufWriter<ObjectWriter>,
    selected_at: Location,
    tracker: Tracker<'a>,
}

impl<'a> Coreset<'a> {
    /// For `kept` records; with groups, each record's is told in a column of its own.
    pub fn create(
        dataset: &'a Dataset,
        groups: Option<&'a Groups>,
        output: &Location,
        context: &'a Context,
        kept: u64,
    ) -> Result<Self> {
        let selected_at = output.join(SELECTED);
        let mut selected = BufWriter::new(context.storage.create(&selected_at)?);
        selected
            .write_all(b"source\tposition\tid\tinfluence\tstratum\treason")
            .and_then(|()| selected.write_all(if groups.is_some() { b"\tgroup\n" } else { b"\n" }))
            .map_err(|error| io_error(&selected_at, error))?;
        Ok(Coreset {
            scored: Scored::new(dataset),
            groups,
            coreset: CoresetWriter::create(&context.storage, &output.join(CORESET))?,
            selected,
            selected_at,
            tracker: Tracker::new(context, Stage::Select, Some(kept)),
        })
    }

    /// `ordinal` counts the scored records.
    pub fn write(&mut self, ordinal: u64, pick: &Pick, hash: u64) -> Result<()> {
        let record = self.scored.find(pick.source, pick.position, hash)?;
        self.coreset.write(&record)?;
        let stratum = pick.stratum.map_or_else(|| "-".to_string(), |stratum| stratum.to_string());
        let id = String::from_utf8_lossy(record.id());
        let Pick { source, position, influence, reason, .. } = pick;
        let group = self.groups.map_or_else(String::new, |groups| match groups.of(ordinal) {
            Some(group) => format!("\t{}", groups.name(group).replace(['\t', '\n', '\r'], " ")),
            None => "\t-".to_string(),
        });
        writeln!(self.selected, "{source}\t{position}\t{id}\t{influence}\t{stratum}\t{reason}{group}")
            .map_err(|error| io_error(&self.selected_at, error))?;
        self.tracker.advance(1, 0)
    }

    pub fn finish(self) -> Result<[Committed; 2]> {
        let selected = self
            .selected
            .into_inner()
            .map_err(|error| io_error(&self.selected_at, error.into_error()))?
            .commit()?;
        let coreset = self.coreset.finish()?;
        self.tracker.finish();
        Ok([selected, coreset])
    }
}

/// Lengths of the records of another selection (a folder or its selected.tsv) out of the same scores.
pub(super) fn matched_lengths(
    selection: &str,
    scores: &Scores,
    context: &Context,
) -> Result<LengthHistogram> {
    let mut location: Location = selection.parse()?;
    if location.file_name() != SELECTED {
        location = location.join(SELECTED);
    }
    let file = BufReader::new(context.storage.open(&context.storage.stat(&location)?)?);
    let mut keys = file.lines().zip(1..).skip(1).map(|(line, number)| {
        let line = line.map_err(|error| io_error(&location, error))?;
        let mut fields = line.split('\t').map(|field| field.parse::<u64>().ok());
        fields.next().flatten().zip(fields.next().flatten()).ok_or_else(|| {
            Error::bad_input(format!(
                "{location}, line {number}: allowed are lines of source, position, id … separated by tabs"
            ))
        })
    });
    // Both are in input order: they are gone through side by side.
    let mut wanted = keys.next().transpose()?;
    let mut lengths = LengthHistogram::default();
    scores.scan(&mut |candidates| {
        for candidate in candidates {
            if wanted == Some((u64::from(candidate.source), candidate.position)) {
                lengths.add(candidate.residues);
                wanted = keys.next().transpose()?;
            }
        }
        Ok(())
    })?;
    match wanted {
        None => Ok(lengths),
        Some((source, position)) => Err(Error::bad_input(format!(
            "{location} names a record (source {source}, position {position}) that is not in these scores: \
             it is a selection from others"
        ))),
    }
}
