//! Writes scores as tab-separated text: a metadata line, a heading, the rows, and a line of counts that ends the file.

use super::metadata::{Counts, ScoresMetadata};
use super::parquet_schema::COLUMNS;
use super::{ScoreRow, fetch::carried};
use crate::error::{Error, Result};
use flate2::write::GzEncoder;
use serde::Serialize;
use std::borrow::Cow;
use std::io::{BufWriter, Write};

pub(super) const METADATA_PREFIX: &str = "#bioprune\t";
pub(super) const COUNTS_PREFIX: &str = "#counts\t";

pub(super) fn heading() -> String {
    COLUMNS.map(|(name, _)| name).join("\t")
}

/// The text's bytes, as they are or through gzip. The gzip header holds no time and no name.
pub(super) enum Sink<W: Write> {
    Plain(BufWriter<W>),
    Gzip(Box<GzEncoder<BufWriter<W>>>),
}

pub(super) struct TsvScores<W: Write> {
    sink: Sink<W>,
    line: Vec<u8>,
}

impl<W: Write> TsvScores<W> {
    pub fn create(sink: W, gzip: bool, metadata: &ScoresMetadata) -> Result<Self> {
        let sink = BufWriter::with_capacity(1 << 18, sink);
        let sink = match gzip {
            false => Sink::Plain(sink),
            true => Sink::Gzip(Box::new(GzEncoder::new(sink, flate2::Compression::default()))),
        };
        let mut scores = TsvScores { sink, line: Vec::new() };
        scores.write_json(METADATA_PREFIX, metadata)?;
        scores.write_line(&format!("{}\n", heading()))?;
        Ok(scores)
    }

    pub fn write(&mut self, row: &ScoreRow) -> Result<()> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        // `{:?}` is the shortest text that reads back as the same float. Writing to a Vec cannot fail.
        let _ = writeln!(
            line,
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{:?}\t{:?}\t{:?}",
            row.source,
            row.position,
            escaped(&row.id),
            row.record_hash,
            row.residues,
            row.tokens,
            row.truncated,
            row.loss,
            row.grad_norm,
            row.influence,
        );
        let written = self.write_bytes(&line);
        self.line = line;
        written
    }

    fn write_json(&mut self, prefix: &str, value: &impl Serialize) -> Result<()> {
        let json = serde_json::to_string(value)
            .map_err(|e| Error::internal("metadata of the scores").caused_by(e))?;
        self.write_line(&format!("{prefix}{json}\n"))
    }

    fn write_line(&mut self, line: &str) -> Result<()> {
        self.write_bytes(line.as_bytes())
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.sink {
            Sink::Plain(sink) => sink.write_all(bytes),
            Sink::Gzip(sink) => sink.write_all(bytes),
        }
        .map_err(write_failed)
    }

    pub fn finish(mut self, counts: &Counts) -> Result<W> {
        self.write_json(COUNTS_PREFIX, counts)?;
        let sink = match self.sink {
            Sink::Plain(sink) => sink,
            Sink::Gzip(sink) => sink.finish().map_err(write_failed)?,
        };
        sink.into_inner().map_err(|e| write_failed(e.into_error()))
    }
}

fn write_failed(error: std::io::Error) -> Error {
    carried(error, || Error::storage("write of the scores"))
}

/// An id as one field of one line: tab, line ends and backslash as two characters.
fn escaped(id: &str) -> Cow<'_, str> {
    if !id.contains(['\t', '\n', '\r', '\\']) {
        return Cow::Borrowed(id);
    }
    let mut text = String::with_capacity(id.len() + 8);
    for c in id.chars() {
        match c {
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\\' => text.push_str("\\\\"),
            other => text.push(other),
        }
    }
    Cow::Owned(text)
}

/// The id that [`escaped`] wrote; none where it wrote no such text.
pub(super) fn unescaped(field: &str) -> Option<String> {
    let mut id = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        id.push(match c {
            '\\' => match chars.next()? {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                _ => return None,
            },
            other => other,
        });
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stays_one_field() {
        for id in ["", "RF00001;5S", "a\tb", "a\\tb", "\\", "x\r\ny"] {
            let field = escaped(id);
            assert!(!field.contains(['\t', '\n', '\r']), "{field}");
            assert_eq!(unescaped(&field).as_deref(), Some(id));
        }
        assert_eq!(unescaped("a\\x"), None);
        assert_eq!(unescaped("a\\"), None);
    }
}
