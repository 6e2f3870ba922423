//! Which bytes of which sources make a shard.

use super::{Shard, Source};
use std::ops::Range;

/// The bytes `range` of source number `source`, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub source: usize,
    pub range: Range<u64>,
}

/// The parts of a shard, in order. The stored bytes of all sources, one after the other, are cut in `count` equal
/// ranges. A source that can only be read from its start goes whole to the shard that holds its middle byte.
pub(super) fn parts(sources: &[Source], shard: Option<Shard>) -> Vec<Part> {
    let total: u64 = sources.iter().map(|source| source.size).sum();
    let mine = shard.map_or(0..total, |shard| cut(total, shard));
    let mut start = 0;
    let mut parts = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let range = if source.is_splittable() {
            let clip = |offset: u64| offset.saturating_sub(start).min(source.size);
            clip(mine.start)..clip(mine.end)
        } else if mine.contains(&(start + source.size / 2)) {
            0..source.size
        } else {
            0..0
        };
        if !range.is_empty() {
            parts.push(Part { source: index, range });
        }
        start += source.size;
    }
    parts
}

fn cut(total: u64, shard: Shard) -> Range<u64> {
    let bound = |index: u32| (u128::from(total) * u128::from(index) / u128::from(shard.count)) as u64;
    bound(shard.index - 1)..bound(shard.index)
}

#[cfg(test)]
mod tests {
    use super::super::{Compression, Format};
    use super::*;

    fn source(size: u64, compression: Compression) -> Source {
        let uri = "a".parse().unwrap();
        Source { uri, size, etag: None, fingerprint: None, format: Format::Fasta, compression }
    }

    #[test]
    fn shards_tile_what_can_be_split_and_place_the_rest_once() {
        let sources = [
            source(10, Compression::None),
            source(7, Compression::Gzip),
            source(1, Compression::Zstd),
            source(100, Compression::Bgzf),
        ];
        for count in [1, 2, 3, 7, 118, 500] {
            let all: Vec<Part> =
                (1..=count).flat_map(|index| parts(&sources, Some(Shard { index, count }))).collect();
            assert!(all.is_sorted_by_key(|part| (part.source, part.range.start)), "{count}");
            for (index, source) in sources.iter().enumerate() {
                let mut end = 0;
                for part in all.iter().filter(|part| part.source == index) {
                    assert_eq!(part.range.start, end, "{count}");
                    end = part.range.end;
                }
                assert_eq!(end, source.size, "{count}");
            }
        }
        assert_eq!(parts(&sources, None).len(), 4);
    }
}
