//! Records and the lines of a table, brought together by the hash of the id: both are sorted, whatever their number.

use super::names::{Names, number};
use super::table::{Line, Table};
use crate::error::{Error, Result};
use crate::sequence::Source;
use crate::spill::{Sorted, Sorter};
use crate::storage::Storage;

/// One way to read a table: rows of the id's hash, the group's number and the line.
#[derive(Default)]
struct Reading {
    rows: Sorter<3>,
    names: Names,
}

impl Reading {
    fn add(&mut self, id: &[u8], group: &[u8], line: u64) -> Result<()> {
        self.rows.push([id_hash(id), self.names.number(group), line])
    }
}

/// A whole table, and the ids of the pool that it is joined with.
pub(super) struct Join {
    location: String,
    pub sources: Vec<Source>,
    lines: u64,
    /// Where the first line stands, which may be a heading
    first_line: u64,
    /// By the first column as the id, or as the table itself says
    reading: Reading,
    /// By the second column as the id, where the table does not say
    other: Option<Reading>,
    /// The pool: hash of the id, ordinal
    ids: Sorter<2>,
    /// The same by the accession of an id like `sp|P12345|NAME`, as MMseqs2 writes it
    accessions: Sorter<2>,
    records: u64,
}

/// A table's groups of a pool.
pub(super) struct Joined {
    /// Ordinal and group of each record that has one, by ordinal
    pub groups: Sorted<2>,
    pub names: Names,
    /// Ids of the table that the pool does not have
    pub unknown: u64,
}

/// What one reading of a table comes to.
struct Outcome {
    covered: u64,
    unknown: u64,
    /// Two lines that give one id of the pool two groups
    contradiction: Option<[u64; 2]>,
}

impl Join {
    /// Reads a table.
    pub fn read(storage: &Storage, location: &str, columns: Option<&super::Columns>) -> Result<Join> {
        let mut table = Table::open(storage, location, columns)?;
        let mut reading = Reading::default();
        let mut other = Reading::default();
        let (mut lines, mut first_line) = (0, 0);
        while let Some(Line { number, id, group }) = table.next()? {
            reading.add(&id, &group, number)?;
            if table.either() {
                other.add(&group, &id, number)?;
            }
            if lines == 0 {
                first_line = number;
            }
            lines += 1;
        }
        if lines == 0 {
            return Err(Error::bad_input(format!("groups: {location} gives no record a group")));
        }
        Ok(Join {
            location: location.to_string(),
            sources: table.sources().to_vec(),
            lines,
            first_line,
            reading,
            other: table.either().then_some(other),
            ids: Sorter::default(),
            accessions: Sorter::default(),
            records: 0,
        })
    }

    /// The next record of the pool.
    pub fn add(&mut self, id: &[u8]) -> Result<()> {
        self.ids.push([id_hash(id), self.records])?;
        if let Some(accession) = accession(id) {
            self.accessions.push([id_hash(accession), self.records])?;
        }
        self.records += 1;
        Ok(())
    }

    /// Records of the pool so far.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Gives each record its group.
    ///
    /// Where the table does not say which column is the id, it is the one that finds more records of the pool; if both
    /// find the same, the one that gives no id two groups. (MMseqs2 writes representative and member: every record is a
    /// member, and only some are representatives.)
    pub fn finish(self) -> Result<Joined> {
        let Join { location, lines, first_line, reading, other, ids, accessions, records, .. } = self;
        let readings: Vec<(Sorted<3>, Names)> = [Some(reading), other]
            .into_iter()
            .flatten()
            .map(|reading| (reading.rows.sort(), reading.names))
            .collect();
        for pool in [ids.sort(), accessions.sort()] {
            let mut outcomes = Vec::new();
            for (rows, _) in &readings {
                outcomes.push(join(rows, &pool, first_line, |_, _| Ok(()))?);
            }
            let rank = |outcome: &Outcome| (outcome.covered, outcome.contradiction.is_none());
            let best = (0..outcomes.len()).rev().max_by_key(|at| rank(&outcomes[*at])).unwrap_or_default();
            let Some(outcome) = outcomes.get(best).filter(|outcome| outcome.covered > 0) else { continue };
            if let Some([first, second]) = outcome.contradiction {
                return Err(Error::bad_input(format!(
                    "groups: {location} gives one id two groups, in line {first} and in line {second}"
                )));
            }
            let mut groups = Sorter::default();
            let Some((rows, names)) = readings.into_iter().nth(best) else { break };
            let outcome = join(&rows, &pool, first_line, |ordinal, group| groups.push([ordinal, group]))?;
            return Ok(Joined { groups: groups.sort(), names, unknown: outcome.unknown });
        }
        Err(Error::bad_input(format!(
            "groups: none of the ids in the {lines} lines of {location} is that of one of the {records} records; an id \
             is a header up to its first whitespace (CD-HIT cuts ids off unless it is run with -d 0)"
        )))
    }
}

/// An id's group, the number of its first line, and two lines that give it different groups.
type Entry = (u64, u64, Option<[u64; 2]>);

/// Goes through both in the order of ids.
fn join(
    table: &Sorted<3>,
    pool: &Sorted<2>,
    first_line: u64,
    mut found: impl FnMut(u64, u64) -> Result<()>,
) -> Result<Outcome> {
    let mut outcome = Outcome { covered: 0, unknown: 0, contradiction: None };
    let mut lines = table.rows()?;
    let mut line = lines.next().transpose()?;
    // Takes all lines of one id; gives the group of the first.
    let mut take = |line: &mut Option<[u64; 3]>| -> Result<Option<Entry>> {
        let Some([id, group, number]) = *line else { return Ok(None) };
        let mut contradiction = None;
        loop {
            *line = lines.next().transpose()?;
            match line {
                Some([same, other, at]) if *same == id => {
                    if *other != group && contradiction.is_none() {
                        contradiction = Some([number.min(*at), number.max(*at)]);
                    }
                }
                _ => return Ok(Some((group, number, contradiction))),
            }
        }
    };
    let mut unknown = |number: u64| outcome.unknown += u64::from(number != first_line);
    let (mut last, mut group) = (None, None);
    for row in pool.rows()? {
        let [id, ordinal] = row?;
        if last != Some(id) {
            (last, group) = (Some(id), None);
            while line.is_some_and(|[below, ..]| below < id) {
                if let Some((_, number, _)) = take(&mut line)? {
                    unknown(number);
                }
            }
            if line.is_some_and(|[same, ..]| same == id)
                && let Some((of, _, contradiction)) = take(&mut line)?
            {
                group = Some(of);
                outcome.contradiction = outcome.contradiction.or(contradiction);
            }
        }
        if let Some(group) = group {
            outcome.covered += 1;
            found(ordinal, group)?;
        }
    }
    while let Some((_, number, _)) = take(&mut line)? {
        unknown(number);
    }
    Ok(outcome)
}

/// Ids that are not UTF-8 are taken as scores files hold them.
fn id_hash(id: &[u8]) -> u64 {
    number(String::from_utf8_lossy(id).as_bytes())
}

/// `P12345` of `sp|P12345|NAME_HUMAN` and `tr|…`, which MMseqs2 writes in the place of such an id.
fn accession(id: &[u8]) -> Option<&[u8]> {
    let rest = id.strip_prefix(b"sp|").or_else(|| id.strip_prefix(b"tr|"))?;
    let end = rest.iter().position(|byte| *byte == b'|')?;
    Some(&rest[..end])
}
