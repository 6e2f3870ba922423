//! A table that tells each record's group, for data whose headers do not.

use crate::error::{Error, Result};
use std::collections::{HashMap, HashSet};

/// Groups by record id.
#[derive(Debug)]
pub struct Groups {
    /// Where they were read, for messages
    name: String,
    by_id: HashMap<Vec<u8>, Vec<u8>>,
}

impl Groups {
    /// From the ids and groups of a table's lines. Representatives and their members, as MMseqs2 writes them, are told
    /// by that each representative is a member of itself: the member is the id then.
    pub fn read(name: &str, lines: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>)>>) -> Result<Self> {
        let lines = lines.collect::<Result<Vec<_>>>()?;
        let of_themselves: HashSet<&[u8]> =
            lines.iter().filter(|(id, group)| id == group).map(|(id, _)| &id[..]).collect();
        let representatives_first = lines.iter().all(|(first, _)| of_themselves.contains(&first[..]));
        let by_id = match representatives_first {
            true => lines.into_iter().map(|(representative, member)| (member, representative)).collect(),
            false => lines.into_iter().collect(),
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(lines: &[(&str, &str)]) -> Groups {
        let lines = lines.iter().map(|(id, group)| Ok((id.as_bytes().to_vec(), group.as_bytes().to_vec())));
        Groups::read("g.tsv", lines).unwrap()
    }

    #[test]
    fn the_id_is_first_unless_representatives_are() {
        let families = groups(&[("P1", "a"), ("P2", "c"), ("P3", "a")]);
        assert_eq!((families.of(b"P1 x=y").unwrap(), families.of(b"P2").unwrap()), (&b"a"[..], &b"c"[..]));
        let clusters = groups(&[("P2", "P2"), ("P2", "P1"), ("P3", "P3")]);
        assert_eq!((clusters.of(b"P1").unwrap(), clusters.of(b"P3").unwrap()), (&b"P2"[..], &b"P3"[..]));
        // Members first, as other clusterers write them.
        let members = groups(&[("P2", "P2"), ("P1", "P2"), ("P3", "P3")]);
        assert_eq!((members.of(b"P1").unwrap(), members.of(b"P3").unwrap()), (&b"P2"[..], &b"P3"[..]));
    }

    #[test]
    fn a_record_without_a_line_is_named() {
        let error = groups(&[("P1", "a")]).of(b"P7 text").unwrap_err().message;
        assert!(error.contains("`P7`") && error.contains("g.tsv"), "{error}");
    }
}
