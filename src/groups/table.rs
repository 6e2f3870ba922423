//! Tables of groups, line by line: tab-separated columns, or CD-HIT's clusters.

use super::options::{ColumnName, Columns};
use crate::error::{Code, Error, Result};
use crate::sequence::{Dataset, Format, InputFormat, InputOptions, Records, Source};
use crate::storage::Storage;
use std::collections::VecDeque;

/// How CD-HIT begins a cluster.
const CLUSTER: &[u8] = b">Cluster";

/// A table that is read once, from its first line to its last.
pub struct Table {
    dataset: Dataset,
    records: Records,
    /// Lines of the record that was read last, in a file that is read as FASTA
    pending: VecDeque<Vec<u8>>,
    /// Number of the line that was handed on last
    number: u64,
    form: Form,
}

enum Form {
    /// Not a line was read
    Unread(Option<Columns>),
    /// The places of the id and of the group
    Columns(usize, usize),
    /// Two columns of which either may hold the id
    Either,
    /// CD-HIT's; the name of the cluster that is read
    Clusters(Vec<u8>),
}

/// A line that says of which group an id is.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1
    pub number: u64,
    pub id: Vec<u8>,
    pub group: Vec<u8>,
}

impl Table {
    /// Opens a table in any compression.
    pub fn open(storage: &Storage, location: &str, columns: Option<&Columns>) -> Result<Table> {
        let open = |input_format| {
            let options = InputOptions { input_format, ..InputOptions::default() };
            Dataset::open(storage, &[location.to_string()], &options)
        };
        // To the reader of sequences, clusters of CD-HIT look like FASTA.
        let dataset = match open(InputFormat::Text) {
            Err(error) if error.code == Code::BadInput => open(InputFormat::Fasta).or(Err(error)),
            opened => opened,
        }?;
        let records = dataset.records(None);
        let form = Form::Unread(columns.cloned());
        Ok(Table { dataset, records, pending: VecDeque::new(), number: 0, form })
    }

    /// The file, in the version that is read.
    pub fn sources(&self) -> &[Source] {
        self.dataset.sources()
    }

    /// Whether the table itself does not tell which of its two columns is the id.
    pub fn either(&self) -> bool {
        matches!(self.form, Form::Either)
    }

    /// The next line that gives an id a group. Lines without a group in their cell are passed over.
    pub fn next(&mut self) -> Result<Option<Line>> {
        while let Some(line) = self.line()? {
            let parsed = self.form.parse(&line).map_err(|what| {
                let uri = self.sources().first().map(|source| source.uri.to_string());
                Error::bad_input(format!("{}, line {}: {what}", uri.unwrap_or_default(), self.number))
            })?;
            if let Some((id, group)) = parsed.filter(|(_, group)| !group.is_empty()) {
                return Ok(Some(Line { number: self.number, id, group }));
            }
        }
        Ok(None)
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.pending.pop_front() {
                self.number += 1;
                if !line.is_empty() {
                    return Ok(Some(line));
                }
                continue;
            }
            let Some(record) = self.records.next().transpose()? else { return Ok(None) };
            if self.sources().iter().all(|source| source.format == Format::Text) {
                // The reader of text numbers its lines.
                self.number = String::from_utf8_lossy(record.header()).parse().unwrap_or_default();
                return Ok(Some(record.sequence().to_vec()));
            }
            self.pending = record
                .raw()
                .split(|byte| *byte == b'\n')
                .map(|line| line.trim_ascii_end().to_vec())
                .collect();
        }
    }
}

type Pair = (Vec<u8>, Vec<u8>);

impl Form {
    /// The id and the group of a line; none in a heading. An error says what is wrong.
    fn parse(&mut self, line: &[u8]) -> Result<Option<Pair>, String> {
        if let Form::Unread(columns) = self {
            let (form, heading) = Form::of(columns.as_ref(), line)?;
            *self = form;
            if heading {
                return Ok(None);
            }
        }
        let text = || String::from_utf8_lossy(line);
        let (id, group) = match self {
            Form::Clusters(cluster) if line.starts_with(CLUSTER) => {
                *cluster = line[1..].to_vec();
                return Ok(None);
            }
            Form::Clusters(cluster) => {
                let id = member(line).ok_or_else(|| {
                    format!("{:?} is no member of a cluster as CD-HIT writes it (0\\t76nt, >id... *)", text())
                })?;
                return Ok(Some((id.to_vec(), cluster.clone())));
            }
            Form::Columns(id, group) => (*id, *group),
            Form::Unread(_) | Form::Either => (0, 1),
        };
        let cell = |place: usize| line.split(|byte| *byte == b'\t').nth(place).map(<[u8]>::trim_ascii);
        match (cell(id), cell(group)) {
            (Some(id), Some(group)) => Ok(Some((id.to_vec(), group.to_vec()))),
            // An empty last cell goes with the space at the line's end.
            (Some(_), None)
                if cell(group.saturating_sub(1)).is_some() && matches!(self, Form::Columns(..)) =>
            {
                Ok(None)
            }
            _ => Err(format!(
                "{:?} has no column {}; allowed are tab-separated columns",
                text(),
                id.max(group) + 1
            )),
        }
    }

    /// The form of a table by its first line, and whether that line is a heading. An error says what is wrong.
    fn of(columns: Option<&Columns>, first: &[u8]) -> Result<(Form, bool), String> {
        let Some(columns) = columns else {
            let clusters = first.starts_with(CLUSTER);
            return Ok((if clusters { Form::Clusters(Vec::new()) } else { Form::Either }, false));
        };
        let place = |column: &ColumnName| match column {
            ColumnName::Place(place) => Ok((*place, false)),
            ColumnName::Named(name) => first
                .split(|byte| *byte == b'\t')
                .position(|cell| cell.trim_ascii() == name.as_bytes())
                .map(|place| (place, true))
                .ok_or_else(|| format!("no column {name:?} in {:?}", String::from_utf8_lossy(first))),
        };
        let ((id, id_named), (group, group_named)) = (place(&columns.id)?, place(&columns.group)?);
        Ok((Form::Columns(id, group), id_named || group_named))
    }
}

/// The id in a member's line of CD-HIT: `0<TAB>76nt, >id... at +/98.68%`.
fn member(line: &[u8]) -> Option<&[u8]> {
    let start = line.windows(3).position(|window| window == b", >")? + 3;
    let end = line.windows(3).rposition(|window| window == b"...").filter(|end| *end >= start)?;
    line[start..end].split(u8::is_ascii_whitespace).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, columns: Option<&str>) -> Result<Vec<(u64, String, String)>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("g.tsv");
        std::fs::write(&path, text).unwrap();
        let columns = columns.map(|columns| columns.parse().unwrap());
        let storage = Storage::from_env().unwrap();
        let mut table = Table::open(&storage, path.to_str().unwrap(), columns.as_ref())?;
        let mut found = Vec::new();
        while let Some(line) = table.next()? {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            found.push((line.number, text(line.id), text(line.group)));
        }
        Ok(found)
    }

    fn line(number: u64, id: &str, group: &str) -> (u64, String, String) {
        (number, id.to_string(), group.to_string())
    }

    #[test]
    fn columns_are_taken_by_number_by_name_or_the_first_two() {
        let table = "id\tat50\tat30\r\nP1\ta\tb\r\nP2\tc\t\r\n";
        let first = lines("r1\tg1\n\nr2\tg1\textra\n", None).unwrap();
        assert_eq!(first, [line(1, "r1", "g1"), line(3, "r2", "g1")]);
        assert_eq!(lines(table, Some("id,at50")).unwrap(), [line(2, "P1", "a"), line(3, "P2", "c")]);
        assert_eq!(lines("a\tb\tx\nc\td\ty\n", Some("3,1")).unwrap(), [line(1, "x", "a"), line(2, "y", "c")]);
    }

    #[test]
    fn clusters_of_cd_hit_are_read() {
        let clusters = ">Cluster 0\n0\t76nt, >tRNA|1... *\n1\t75nt, >t...RNA2... at +/98.68%\n>Cluster 1\n0\t9aa, >p... *\n";
        let expected =
            [line(2, "tRNA|1", "Cluster 0"), line(3, "t...RNA2", "Cluster 0"), line(5, "p", "Cluster 1")];
        assert_eq!(lines(clusters, None).unwrap(), expected);
    }

    #[test]
    fn what_is_not_there_is_named() {
        for (text, columns, expected) in [
            ("a\tb\n", Some("id,family"), "no column \"id\""),
            ("lonely\n", None, "\"lonely\" has no column 2"),
            ("a\tb\na\n", None, "line 2"),
            ("a\tb\n", Some("1,7"), "no column 7"),
            (">Cluster 0\nnonsense\n", None, "no member of a cluster"),
        ] {
            let message = lines(text, columns).unwrap_err().message;
            assert!(message.contains(expected) && message.contains("g.tsv"), "{message}");
        }
    }
}
