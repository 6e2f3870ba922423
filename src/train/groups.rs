//! A table that tells each record's group, for data whose headers do not.

use crate::error::{Error, Result};
use std::collections::HashMap;

/// Groups by record id.
#[derive(Debug)]
pub struct Groups {
    /// Where they were read, for messages
    name: String,
    by_id: HashMap<Vec<u8>, Vec<u8>>,
}

impl Groups {
    /// From the lines of a tab-separated table whose first column is the id. The group is the column that the first
    /// line calls `column`, or else the second.
    pub fn read(
        name: &str,
        column: Option<&str>,
        mut lines: impl Iterator<Item = Result<Vec<u8>>>,
    ) -> Result<Self> {
        let mut by_id = HashMap::new();
        let index = match column {
            None => 1,
            Some(column) => {
                let heading = lines.next().transpose()?.unwrap_or_default();
                let named = fields(&heading).position(|field| field == column.as_bytes());
                named.ok_or_else(|| {
                    let heading = String::from_utf8_lossy(&heading);
                    Error::bad_input(format!(
                        "{name} has no column {column:?}; its first line is {heading:?}"
                    ))
                })?
            }
        };
        for line in lines {
            let line = line?;
            let (id, group) = (fields(&line).next().unwrap_or_default(), fields(&line).nth(index));
            let group = group.ok_or_else(|| {
                let line = String::from_utf8_lossy(&line);
                Error::bad_input(format!("{name}: line {line:?} has no column {}", index + 1))
            })?;
            by_id.insert(id.to_vec(), group.to_vec());
        }
        Ok(Groups { name: name.to_string(), by_id })
    }

    /// The group of the record with this header.
    pub(super) fn of(&self, header: &[u8]) -> Result<&[u8]> {
        let id = header.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let group = self.by_id.get(id).ok_or_else(|| {
            let id = String::from_utf8_lossy(id);
            Error::bad_input(format!("record `{id}` has no line in {}", self.name))
        })?;
        Ok(group)
    }
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.trim_ascii_end().split(|&byte| byte == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(column: Option<&str>, table: &str) -> Result<Groups> {
        Groups::read("g.tsv", column, table.lines().map(|line| Ok(line.as_bytes().to_vec())))
    }

    #[test]
    fn the_group_is_the_named_column_or_the_second() {
        let table = "id\tat50\tat30\nP1\ta\tb\r\nP2\tc\td\n";
        for (column, of_p1, of_p2) in
            [(None, b"a", b"c"), (Some("at50"), b"a", b"c"), (Some("at30"), b"b", b"d")]
        {
            let groups = groups(column, table).unwrap();
            assert_eq!((groups.of(b"P1 x=y").unwrap(), groups.of(b"P2").unwrap()), (&of_p1[..], &of_p2[..]));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = |column, table| groups(column, table).unwrap_err().message;
        assert!(message(Some("at90"), "id\tat50\n").contains("at90"));
        assert!(message(None, "P1\n").contains("P1"));
        let error = groups(None, "P1\ta\n").unwrap().of(b"P7 text").unwrap_err().message;
        assert!(error.contains("`P7`") && error.contains("g.tsv"), "{error}");
    }
}
