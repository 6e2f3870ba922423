//! Secondary structure in dot-bracket notation, pseudoknots as further kinds of brackets.

/// What opens and what closes; letters too, as in WUSS (`A…a`).
const BRACKETS: [(u8, u8); 4] = [(b'(', b')'), (b'[', b']'), (b'{', b'}'), (b'<', b'>')];
const UNPAIRED: &[u8] = b".,:_-~";

/// For each residue, where the one that it is paired with stands, from 0. An error says what is wrong where.
pub(super) fn partners(text: &[u8]) -> Result<Vec<Option<u32>>, String> {
    let mut partners = vec![None; text.len()];
    // one stack for each kind of bracket, by what closes it
    let mut open: [Vec<usize>; 256] = std::array::from_fn(|_| Vec::new());
    for (at, &letter) in text.iter().enumerate() {
        let closing = match BRACKETS.iter().find(|(opening, _)| *opening == letter) {
            Some((_, closing)) => Some(*closing),
            None => letter.is_ascii_uppercase().then(|| letter.to_ascii_lowercase()),
        };
        let closes = letter.is_ascii_lowercase() || BRACKETS.iter().any(|(_, closing)| *closing == letter);
        match closing {
            Some(closing) => open[closing as usize].push(at),
            None if closes => {
                let opening = open[letter as usize].pop().ok_or_else(|| {
                    format!("position {} is {:?}, and nothing opens it", at + 1, letter as char)
                })?;
                (partners[opening], partners[at]) = (Some(at as u32), Some(opening as u32));
            }
            None if UNPAIRED.contains(&letter) => {}
            None => {
                return Err(format!(
                    "position {} is {:?}; allowed are dots and brackets as in ((..)), and letters as in A..a",
                    at + 1,
                    letter as char
                ));
            }
        }
    }
    match open.iter().flatten().min() {
        None => Ok(partners),
        Some(at) => Err(format!("position {} is {:?}, and nothing closes it", at + 1, text[*at] as char)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_of_a_kind_nest_and_kinds_may_cross() {
        let none = None::<u32>;
        assert_eq!(partners(b"(.)").unwrap(), [Some(2), none, Some(0)]);
        assert_eq!(partners(b"([)]").unwrap(), [Some(2), Some(3), Some(0), Some(1)]);
        assert_eq!(partners(b"<A>a,_").unwrap(), [Some(2), Some(3), Some(0), Some(1), none, none]);
        assert_eq!(partners(b"(())").unwrap(), [Some(3), Some(2), Some(1), Some(0)]);
    }

    #[test]
    fn what_does_not_balance_is_told_with_its_position() {
        for (text, expected) in [
            (&b"(.))"[..], "position 4 is ')', and nothing opens it"),
            (b"..(.", "position 3 is '(', and nothing closes it"),
            (b"(]", "position 2 is ']', and nothing opens it"),
            (b".*", "position 2 is '*'; allowed"),
        ] {
            let message = partners(text).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
