//! Shares a budget of records out over strata.
//!
//! Every way here gives exactly one stratum exactly one record more when the budget grows by one. So a smaller
//! budget's share is never larger anywhere, which is what makes selections nested.

/// How a budget is shared out over strata.
#[derive(Clone, Debug)]
pub(super) enum Allot {
    /// Smallest stratum first, `min(size, remaining / strata left)`, as in Coverage-Centric Selection.
    SmallestFirst,
    /// The same to each stratum that holds a record. Where one is too small, its neighbours stand in.
    Equal,
    /// In proportion to the sizes.
    Proportional,
    /// In proportion to these weights, one for each stratum. Where a stratum is too small, its neighbours stand in.
    Like(Vec<u64>),
}

impl Allot {
    /// Records of each stratum, for strata of the given sizes; `records` is at most the sum of these, and is the sum
    /// of what is returned.
    pub fn shares(&self, sizes: &[u64], records: u64) -> Vec<u64> {
        let like = |weights: &[u64]| {
            let mut shares = vec![0; sizes.len()];
            like(weights, sizes, records, &mut shares);
            shares
        };
        match self {
            Allot::SmallestFirst => smallest_first(sizes, records),
            Allot::Equal => like(&sizes.iter().map(|size| u64::from(*size > 0)).collect::<Vec<_>>()),
            Allot::Proportional => like(sizes),
            Allot::Like(weights) => like(weights),
        }
    }
}

fn smallest_first(sizes: &[u64], records: u64) -> Vec<u64> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|stratum| sizes[*stratum]);
    let mut shares = vec![0; sizes.len()];
    let mut remaining = records;
    for (done, stratum) in order.into_iter().enumerate() {
        let left = (sizes.len() - done) as u64;
        shares[stratum] = sizes[stratum].min(remaining / left);
        remaining -= shares[stratum];
    }
    shares
}

/// Halves the strata, and shares the records out between the halves by weight as far as their sizes allow, down to
/// single strata: what one cannot give, the nearest does.
fn like(weights: &[u64], sizes: &[u64], records: u64, shares: &mut [u64]) {
    if let [share] = shares {
        *share = records;
        return;
    }
    if records == 0 {
        return;
    }
    let middle = shares.len() / 2;
    let sum = |values: &[u64]| values.iter().sum::<u64>();
    let (left_size, right_size) = (sum(&sizes[..middle]), sum(&sizes[middle..]));
    let (left_weight, right_weight) = match (sum(&weights[..middle]), sum(&weights[middle..])) {
        (0, 0) => (left_size, right_size),
        known => known,
    };
    // Rounded to the nearest; as the records grow by one, this grows by one or not at all.
    let total = u128::from(left_weight) + u128::from(right_weight);
    let wanted = (2 * u128::from(records) * u128::from(left_weight) + total) / (2 * total);
    let left = (wanted as u64).max(records.saturating_sub(right_size)).min(left_size);
    let (left_shares, right_shares) = shares.split_at_mut(middle);
    like(&weights[..middle], &sizes[..middle], left, left_shares);
    like(&weights[middle..], &sizes[middle..], records - left, right_shares);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_smallest_strata_are_served_first() {
        let cases: [(&[u64], u64, &[u64]); 5] = [
            (&[9, 3, 3], 10, &[4, 3, 3]),
            (&[9, 3, 3], 4, &[2, 1, 1]),
            (&[0, 100, 0, 2], 50, &[0, 48, 0, 2]),
            (&[5, 5], 10, &[5, 5]),
            (&[7], 3, &[3]),
        ];
        for (sizes, records, expected) in cases {
            assert_eq!(Allot::SmallestFirst.shares(sizes, records), expected);
        }
    }

    #[test]
    fn a_like_share_is_the_pattern_itself_where_sizes_allow_it() {
        let weights = vec![3, 0, 5, 2, 0];
        let shares = |sizes: &[u64], records| Allot::Like(weights.clone()).shares(sizes, records);
        assert_eq!(shares(&[9, 9, 9, 9, 9], 10), weights);
        assert_eq!(shares(&[90, 90, 90, 90, 90], 100), [30, 0, 50, 20, 0]);
        // The third stratum has 1 of its 5: the fourth, its nearest, stands in.
        assert_eq!(shares(&[9, 9, 1, 9, 9], 10), [3, 0, 1, 6, 0]);
    }

    #[test]
    fn equal_shares_skip_empty_strata_and_proportional_ones_follow_the_sizes() {
        assert_eq!(Allot::Equal.shares(&[9, 0, 9, 9], 6), [2, 0, 2, 2]);
        // The first stratum has 1 of its 4: the second, its nearest, stands in.
        assert_eq!(Allot::Equal.shares(&[1, 90, 90, 90], 16), [1, 7, 4, 4]);
        assert_eq!(Allot::Proportional.shares(&[10, 30, 0, 60], 10), [1, 3, 0, 6]);
    }

    fn allotments() -> impl Strategy<Value = (Allot, Vec<u64>)> {
        (1..12_usize).prop_flat_map(|strata| {
            let sizes = prop::collection::vec(0..9_u64, strata);
            let allot = prop_oneof![
                Just(Allot::SmallestFirst),
                Just(Allot::Equal),
                Just(Allot::Proportional),
                prop::collection::vec(0..5_u64, strata).prop_map(Allot::Like),
            ];
            (allot, sizes)
        })
    }

    proptest! {
        #[test]
        fn one_record_more_goes_to_one_stratum((allot, sizes) in allotments()) {
            let mut before = vec![0; sizes.len()];
            for records in 0..=sizes.iter().sum() {
                let shares = allot.shares(&sizes, records);
                prop_assert_eq!(shares.iter().sum::<u64>(), records);
                for ((share, before), size) in shares.iter().zip(&before).zip(&sizes) {
                    prop_assert!(before <= share && share <= size, "{:?} after {:?}", shares, before);
                }
                before = shares;
            }
        }
    }
}
