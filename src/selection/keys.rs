//! The orders that records are picked in, as integer keys: a priority, then the place in the input. No two records
//! of a pool share a key, so "the first k" is always one exact set.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Lower is picked earlier: the priority above, the record's ordinal in the lower [`ORDINAL_BITS`].
pub(super) type Key = u128;

/// Room for the ordinals of a pool of 10^12 records.
pub(super) const ORDINAL_BITS: u32 = 40;

/// Bits of a priority made of an influence.
pub(super) const INFLUENCE_BITS: u32 = 32;

/// Bits of a priority made of a hash.
pub(super) const DRAW_BITS: u32 = 64;

/// Bits of a turn, which stands above the widest priority.
pub(super) const TURN_BITS: u32 = 23;

/// Sets the draws of a selection apart from every other random choice that is made of the same seed and record hash,
/// such as that of the curvature sample.
const DRAW: [u8; 8] = *b"bp-draw1";
/// The same for the groups' first turns.
const OFFSET: [u8; 8] = *b"bp-group";

pub(super) fn key(priority: u64, ordinal: u64) -> Key {
    Key::from(priority) << ORDINAL_BITS | Key::from(ordinal)
}

/// The key after all keys of earlier turns; turns from the last one on are one.
pub(super) fn in_turn(turn: u64, key: Key) -> Key {
    Key::from(turn.min((1 << TURN_BITS) - 1)) << (DRAW_BITS + ORDINAL_BITS) | key
}

/// The ordinal of the record that a key is of.
pub(super) fn ordinal_of(key: Key) -> u64 {
    key as u64 & ((1 << ORDINAL_BITS) - 1)
}

/// The influence as an integer of the same order. `-0.0` and `0.0` are one value.
fn ordered(influence: f32) -> u32 {
    let bits = (influence + 0.0).to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// Picks the lowest influence first.
pub(super) fn ascending(influence: f32) -> u64 {
    u64::from(ordered(influence))
}

/// Picks the highest influence first.
pub(super) fn descending(influence: f32) -> u64 {
    u64::from(!ordered(influence))
}

/// The influence that a key of [`descending`] priority was made of.
pub(super) fn influence_of(key: Key) -> f32 {
    let ordered = !((key >> ORDINAL_BITS) as u32);
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

/// Picks in random order: XXH3 (64 bits, seeded) of the record hash.
pub(super) fn draw(seed: u64, record_hash: u64) -> u64 {
    hashed(seed, record_hash, DRAW)
}

/// Where in its first turn a group begins, as a share of 2^64: by hash of its number.
pub(super) fn offset(seed: u64, group: u64) -> u64 {
    hashed(seed, group, OFFSET)
}

fn hashed(seed: u64, number: u64, purpose: [u8; 8]) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..].copy_from_slice(&purpose);
    xxh3_64_with_seed(&bytes, seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_order_as_influence_does(a in any::<f32>(), b in any::<f32>()) {
            prop_assume!(a.is_finite() && b.is_finite());
            prop_assert_eq!(ascending(a).cmp(&ascending(b)), a.partial_cmp(&b).unwrap());
            prop_assert_eq!(descending(a).cmp(&descending(b)), b.partial_cmp(&a).unwrap());
            prop_assert_eq!(influence_of(key(descending(a), 77)), a);
        }
    }

    #[test]
    fn both_zeros_are_one_value() {
        assert_eq!(ascending(-0.0), ascending(0.0));
        assert_eq!(descending(-0.0), descending(0.0));
    }

    #[test]
    fn ties_go_by_the_place_in_the_input() {
        assert!(key(5, 1) < key(5, 2) && key(5, (1 << ORDINAL_BITS) - 1) < key(6, 0));
    }

    #[test]
    fn draws_are_the_same_in_every_version() {
        assert_eq!(draw(0, 0), DRAW_OF_ZERO);
        assert_ne!(draw(1, 0), DRAW_OF_ZERO);
        assert_ne!(draw(0, 1), DRAW_OF_ZERO);
    }

    /// Fixed: another value would change every selection that was ever drawn.
    const DRAW_OF_ZERO: u64 = 2_222_362_522_521_351_475;
}
