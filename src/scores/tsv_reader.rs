//! Reads scores from tab-separated text, plain or gzip.

use super::fetch::{FrontToBack, RandomRead, carried};
use super::metadata::{Counts, ScoresMetadata};
use super::tsv_writer::{COUNTS_PREFIX, METADATA_PREFIX, heading, unescaped};
use super::{ScoreRow, parquet_schema::COLUMNS};
use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::io::{BufRead, BufReader, Read};
use std::str::FromStr;
use std::sync::Arc;

/// Rows that are handed over at a time.
const BATCH_ROWS: usize = 4096;

/// An opened text file of scores.
pub(super) struct TsvFile {
    name: String,
    content: Arc<dyn RandomRead>,
    gzip: bool,
}

impl TsvFile {
    pub fn open(name: &str, content: Arc<dyn RandomRead>, gzip: bool) -> Result<(Self, ScoresMetadata)> {
        let file = TsvFile { name: name.to_string(), content, gzip };
        let (_, metadata) = file.lines()?;
        Ok((file, metadata))
    }

    /// Hands over all rows in file order; returns the counts that end the file.
    pub fn read(&self, visit: &mut dyn FnMut(&[ScoreRow]) -> Result<()>) -> Result<Counts> {
        let (mut lines, _) = self.lines()?;
        let mut rows = Vec::with_capacity(BATCH_ROWS);
        loop {
            let Some(line) = lines.next()? else {
                return Err(Error::bad_input(format!(
                    "{} is cut short after line {}: the line of counts is missing",
                    self.name, lines.number
                )));
            };
            if let Some(json) = line.strip_prefix(COUNTS_PREFIX) {
                let counts =
                    serde_json::from_str(json).map_err(|e| lines.wrong("the counts").caused_by(e))?;
                visit(&rows)?;
                return match lines.next()? {
                    None => Ok(counts),
                    Some(_) => Err(lines.wrong("allowed after the counts is nothing")),
                };
            }
            let row = parse_row(line).map_err(|message| lines.wrong(&message))?;
            rows.push(row);
            if rows.len() == BATCH_ROWS {
                visit(&rows)?;
                rows.clear();
            }
        }
    }

    /// The lines after the heading, and the metadata before it.
    fn lines(&self) -> Result<(Lines<'_>, ScoresMetadata)> {
        let content = FrontToBack::new(self.content.clone())?;
        let content: Box<dyn Read> = if self.gzip {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 18, content)))
        } else {
            Box::new(content)
        };
        let mut lines = Lines {
            name: &self.name,
            content: BufReader::with_capacity(1 << 18, content),
            line: String::new(),
            number: 0,
        };
        let json = lines.next()?.and_then(|line| line.strip_prefix(METADATA_PREFIX));
        let metadata = match json {
            Some(json) => ScoresMetadata::from_json(&self.name, json)?,
            None => {
                return Err(Error::bad_input(format!(
                    "{} is not scores of bioprune: the first line begins with \"#bioprune\" and a tab in those",
                    self.name
                )));
            }
        };
        match lines.next()? {
            Some(line) if line == heading() => Ok((lines, metadata)),
            _ => Err(lines.wrong(&format!("the heading must be {}", heading().replace('\t', ", ")))),
        }
    }
}

struct Lines<'a> {
    name: &'a str,
    content: BufReader<Box<dyn Read>>,
    line: String,
    number: u64,
}

impl Lines<'_> {
    /// The next line without its end.
    fn next(&mut self) -> Result<Option<&str>> {
        self.line.clear();
        self.number += 1;
        let read = self.content.read_line(&mut self.line);
        let read = read.map_err(|e| carried(e, || self.wrong("not readable")))?;
        if read == 0 {
            return Ok(None);
        }
        let line = self.line.strip_suffix('\n').unwrap_or(&self.line);
        Ok(Some(line.strip_suffix('\r').unwrap_or(line)))
    }

    fn wrong(&self, message: &str) -> Error {
        Error::bad_input(format!("{} line {}: {message}", self.name, self.number))
    }
}

fn parse_row(line: &str) -> Result<ScoreRow, String> {
    let found = line.split('\t').count();
    if found != COLUMNS.len() {
        return Err(format!("{found} columns; scores have {}", COLUMNS.len()));
    }
    let mut fields = Fields { fields: line.split('\t'), column: 0 };
    Ok(ScoreRow {
        source: fields.parse()?,
        position: fields.parse()?,
        id: fields.id()?.into(),
        record_hash: fields.parse()?,
        residues: fields.parse()?,
        tokens: fields.parse()?,
        truncated: fields.parse()?,
        loss: fields.parse()?,
        grad_norm: fields.parse()?,
        influence: fields.parse()?,
    })
}

/// The fields of a row from left to right.
struct Fields<'a> {
    fields: std::str::Split<'a, char>,
    column: usize,
}

impl<'a> Fields<'a> {
    fn next(&mut self) -> &'a str {
        self.column += 1;
        self.fields.next().unwrap_or_default()
    }

    fn parse<T: FromStr>(&mut self) -> Result<T, String> {
        let field = self.next();
        field.parse().map_err(|_| self.wrong(field))
    }

    fn id(&mut self) -> Result<String, String> {
        let field = self.next();
        unescaped(field).ok_or_else(|| self.wrong(field))
    }

    fn wrong(&self, field: &str) -> String {
        let (name, data_type) = &COLUMNS[self.column - 1];
        format!("column {name} is {field:?}, which is not a {data_type}")
    }
}
