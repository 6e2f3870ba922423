//! The token ids of RNA-FM's vocabulary that training needs.

pub const CLS: u32 = 0;
pub const EOS: u32 = 2;
pub const UNKNOWN: u32 = 3;
pub const MASK: u32 = 24;
/// A, C, G, U: the residues that are masked and predicted.
pub const RESIDUES: std::ops::Range<u32> = 4..8;
const CODES: &[u8] = b"ACGURYKMSWBDHVN-";

/// `<cls> sequence <eos>`, cut to `max_tokens`: lower case reads as upper, T as U, anything unknown as `<unk>`.
pub fn encode(sequence: &[u8], max_tokens: usize) -> Vec<u32> {
    let residues = sequence.iter().take(max_tokens.saturating_sub(2)).map(|byte| {
        let code = if byte.eq_ignore_ascii_case(&b'T') { b'U' } else { byte.to_ascii_uppercase() };
        CODES.iter().position(|&c| c == code).map_or(UNKNOWN, |i| RESIDUES.start + i as u32)
    });
    std::iter::once(CLS).chain(residues).chain(std::iter::once(EOS)).collect()
}
