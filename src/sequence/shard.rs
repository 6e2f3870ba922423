//! Which bytes of which sources make a shard.

use super::{Shard, Source};
use std::cmp::Ordering::{Equal, Greater, Less};
use std::ops::Range;
use std::sync::Arc;

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

/// How far a reading of a shard, or of all, is by the bytes of its sources as they are stored.
pub struct Extent {
    sources: Arc<[Source]>,
    parts: Vec<Part>,
}

impl Extent {
    pub(super) fn new(sources: &Arc<[Source]>, shard: Option<Shard>) -> Extent {
        Extent { sources: sources.clone(), parts: parts(sources, shard) }
    }

    /// The share that lies before the record at that (source, position). A source whose positions are no places in it counts
    /// once it is behind.
    pub fn before(&self, source: u32, position: u64) -> f64 {
        let length = |part: &Part| part.range.end - part.range.start;
        let passed = |part: &Part| match part.source.cmp(&(source as usize)) {
            Less => length(part),
            Equal => {
                let place = self.sources[part.source].stored_place(position).unwrap_or(part.range.start);
                place.clamp(part.range.start, part.range.end) - part.range.start
            }
            Greater => 0,
        };
        let (before, all) =
            self.parts.iter().fold((0, 0), |(before, all), part| (before + passed(part), all + length(part)));
        before as f64 / all.max(1) as f64
    }
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

    #[test]
    fn a_reading_is_as_far_as_the_bytes_of_its_shard_that_lie_behind() {
        let sources: Arc<[Source]> = Arc::new([
            source(100, Compression::None),
            source(60, Compression::Gzip),
            source(40, Compression::Bgzf),
        ]);
        let all = Extent::new(&sources, None);
        for (place, expected) in [
            ((0, 0), 0.0),
            ((0, 50), 0.25),
            ((1, 0), 0.5),
            // decompressed, so nobody knows
            ((1, 1 << 40), 0.5),
            ((2, 0), 0.8),
            ((2, 20 << 16 | 77), 0.9),
            ((2, 90 << 16), 1.0),
        ] {
            assert_eq!(all.before(place.0, place.1), expected, "{place:?}");
        }
        let half = Extent::new(&sources, Some(Shard { index: 1, count: 2 }));
        assert_eq!((half.before(0, 25), half.before(0, 99), half.before(1, 0)), (0.25, 0.99, 1.0));
        let none: Arc<[Source]> = Arc::new([]);
        assert_eq!(Extent::new(&none, None).before(0, 0), 0.0);
    }
}
