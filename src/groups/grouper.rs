//! The records of a pool, one after the other, into their groups.

use super::join::{Join, Joined};
use super::names::{NONE, Names};
use super::near::Near;
use super::options::{GroupOptions, GroupSource};
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::sequence::Source;
use crate::spill::{Column, ColumnWriter};
use crate::storage::Storage;
use regex::bytes::Regex;

/// Is given the records of a pool in input order.
pub struct Grouper {
    form: Form,
    asked: String,
}

enum Form {
    Table(Box<Join>),
    Header { regex: Regex, names: Names, column: ColumnWriter },
    Source { names: Names, column: ColumnWriter },
    Near(Box<Near>),
}

/// The group of each record of a pool.
pub struct Groups {
    column: Column,
    names: Names,
    /// Records that nothing gave a group: each is its own
    pub ungrouped: u64,
    /// Ids of the table that are not in the pool
    pub unknown: u64,
    /// The files that the groups were read from
    pub sources: Vec<Source>,
}

impl Grouper {
    /// Makes ready for the records of `sources`; reads the table if there is one. None where no groups were asked for.
    pub fn open(options: &GroupOptions, storage: &Storage, sources: &[Source]) -> Result<Option<Grouper>> {
        let Some(groups) = &options.groups else { return Ok(None) };
        let form = match groups {
            GroupSource::Table(location) => {
                Form::Table(Box::new(Join::read(storage, location, options.groups_columns.as_ref())?))
            }
            GroupSource::Header(regex) => Form::Header {
                regex: regex.clone(),
                names: Names::default(),
                column: ColumnWriter::default(),
            },
            GroupSource::Near => Form::Near(Box::default()),
            GroupSource::Source => {
                let mut names = Names::default();
                for (source, index) in sources.iter().zip(0..) {
                    names.keep(of_source(index), source.uri.as_str().as_bytes());
                }
                Form::Source { names, column: ColumnWriter::default() }
            }
        };
        Ok(Some(Grouper { form, asked: groups.to_string() }))
    }

    /// Whether whole records are needed; else the id may stand for the header, and the sequence be empty.
    pub fn reads_records(&self) -> bool {
        matches!(self.form, Form::Header { .. } | Form::Near(_))
    }

    /// The next record: the index of its source, its header and its residues.
    pub fn add(&mut self, source: u32, header: &[u8], sequence: &[u8]) -> Result<()> {
        let end = header.iter().position(u8::is_ascii_whitespace).unwrap_or(header.len());
        match &mut self.form {
            Form::Table(join) => join.add(&header[..end]),
            Form::Near(near) => near.add(&header[..end], sequence),
            Form::Header { regex, names, column } => {
                let group = regex.captures(header).and_then(|captures| captures.get(1));
                column.push(group.map_or(NONE, |group| names.number(group.as_bytes())))
            }
            Form::Source { column, .. } => column.push(of_source(source)),
        }
    }

    /// The groups of the records.
    ///
    /// # Errors
    /// `BadInput` where no record has a group, or a table gives a record two.
    pub fn finish(self, cancel: &CancelToken) -> Result<Groups> {
        let by_header = matches!(self.form, Form::Header { .. });
        let (column, names, unknown, sources) = match self.form {
            Form::Header { names, column, .. } | Form::Source { names, column } => {
                (column.finish()?, names, 0, Vec::new())
            }
            Form::Near(near) => {
                let (column, names) = near.finish(cancel)?;
                (column, names, 0, Vec::new())
            }
            Form::Table(mut join) => {
                let sources = std::mem::take(&mut join.sources);
                let records = join.records();
                let Joined { groups, names, unknown } = join.finish()?;
                let mut column = ColumnWriter::default();
                for row in groups.rows()? {
                    let [ordinal, group] = row?;
                    while column.len() < ordinal {
                        column.push(NONE)?;
                    }
                    column.push(group)?;
                }
                while column.len() < records {
                    column.push(NONE)?;
                }
                (column.finish()?, names, unknown, sources)
            }
        };
        let mut ungrouped = 0;
        for group in (0..column.len()).filter_map(|ordinal| column.get(ordinal)) {
            ungrouped += u64::from(group == NONE);
        }
        if by_header && ungrouped == column.len() {
            return Err(Error::bad_input(format!(
                "groups {:?}: it matches the header of none of the {ungrouped} records",
                self.asked
            )));
        }
        Ok(Groups { column, names, ungrouped, unknown, sources })
    }
}

/// The group of the records of a source; not by its name, so that a file may lie anywhere.
fn of_source(index: u32) -> u64 {
    super::names::number(&index.to_le_bytes())
}

impl Groups {
    /// The group of the record of that ordinal, counted in input order; none where it is its own group.
    #[inline]
    pub fn of(&self, ordinal: u64) -> Option<u64> {
        self.column.get(ordinal).filter(|group| *group != NONE)
    }

    /// Number of records.
    pub fn records(&self) -> u64 {
        self.column.len()
    }

    /// What the group is called.
    pub fn name(&self, group: u64) -> String {
        self.names.get(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(spec: &str, table: Option<&str>, headers: &[&str]) -> Result<Groups> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.tsv");
        table.iter().for_each(|table| std::fs::write(&path, table).unwrap());
        let spec = spec.replace("TABLE", path.to_str().unwrap());
        let options = GroupOptions { groups: Some(spec.parse()?), groups_columns: None };
        let mut grouper = Grouper::open(&options, &Storage::from_env().unwrap(), &[])?.unwrap();
        headers.iter().zip(0..).for_each(|(header, i)| grouper.add(i / 2, header.as_bytes(), b"").unwrap());
        grouper.finish(&CancelToken::default())
    }

    fn names(groups: &Groups) -> Vec<String> {
        (0..groups.records())
            .map(|i| groups.of(i).map_or("-".to_string(), |group| groups.name(group)))
            .collect()
    }

    #[test]
    fn a_table_names_the_id_first_or_last_and_the_pool_decides() {
        let pool = ["a x=1", "b", "c", "d"];
        for (table, expected) in [
            // id, group
            ("a\tF1\nb\tF1\nc\tF2\n", ["F1", "F1", "F2", "-"]),
            ("id\tfamily\na\tF1\nb\tF1\nc\tF2\nzz\tF9\n", ["F1", "F1", "F2", "-"]),
            // MMseqs2: representative, member; also one whose other members are not in the pool
            ("b\tb\nb\ta\nc\tc\n", ["b", "b", "c", "-"]),
            ("b\tb\nb\ta\nc\tc\nc\tz\nd\td\nd\ty\n", ["b", "b", "c", "d"]),
            // Only representatives are in the pool: by either column every id is found, but one contradicts itself
            ("a\ta\na\tp\nb\tb\nb\tq\nc\tc\nd\td\n", ["a", "b", "c", "d"]),
            (">Cluster 0\n0\t9nt, >a... *\n1\t9nt, >d... at 90%\n", ["Cluster 0", "-", "-", "Cluster 0"]),
        ] {
            let found = groups("TABLE", Some(table), &pool).unwrap();
            assert_eq!(names(&found), expected, "{table}");
        }
    }

    #[test]
    fn what_a_table_lacks_or_has_too_much_is_counted() {
        let found = groups("TABLE", Some("id\tgroup\na\tF\nzz\tF\nyy\tG\n"), &["a", "b", "c"]).unwrap();
        assert_eq!((found.ungrouped, found.unknown), (2, 2));
    }

    #[test]
    fn mmseqs_names_uniprot_records_by_their_accession() {
        let pool = ["sp|P1|X_HUMAN text", "tr|Q2|Y_YEAST", "sp|P3|Z"];
        let found = groups("TABLE", Some("P1\tP1\nP1\tQ2\nP3\tP3\n"), &pool).unwrap();
        assert_eq!(names(&found), ["P1", "P1", "P3"]);
    }

    #[test]
    fn records_that_share_an_id_share_its_group() {
        assert_eq!(names(&groups("TABLE", Some("a\tF\n"), &["a", "b", "a"]).unwrap()), ["F", "-", "F"]);
    }

    #[test]
    fn a_table_that_contradicts_itself_or_knows_no_record_is_refused() {
        let message = |table: &str| groups("TABLE", Some(table), &["a", "b"]).err().unwrap().message;
        let twice = message("a\tF\nb\tF\na\tF\na\tG\n");
        assert!(twice.contains("line 1") && twice.contains("line 4"), "{twice}");
        assert!(message("x\tF\ny\tF\n").contains("none of the ids in the 2 lines"));
    }

    #[test]
    fn headers_and_files_tell_groups() {
        let pool = ["F1|a", "F1|b", "F2|c", "none"];
        assert_eq!(names(&groups(r"header:^([^|]+)\|", None, &pool).unwrap()), ["F1", "F1", "F2", "-"]);
        let by_source = groups("source", None, &pool).unwrap();
        assert!(by_source.of(0) == by_source.of(1) && by_source.of(1) != by_source.of(2));
        let message = groups(r"header:^(\d+)$", None, &pool).err().unwrap().message;
        assert!(message.contains("none of the 4 records"), "{message}");
    }
}
