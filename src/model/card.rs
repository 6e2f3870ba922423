//! The model card of Hugging Face: a README whose head, between two lines of `---`, holds fields.

/// The licence that a card states; the name of its own where that is given.
pub(super) fn licence(card: &str) -> Option<String> {
    let head = card.trim_start_matches('\u{feff}').strip_prefix("---")?.split("\n---").next()?;
    let field = |name: &str| {
        let value = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?.trim();
        let value = value.trim_matches(['"', '\'']);
        (!value.is_empty()).then(|| value.to_string())
    };
    field("license_name").or_else(|| field("license"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_is_read_off_the_head_of_a_card() {
        for (card, expected) in [
            ("---\nlanguage: rna\nlicense: agpl-3.0\n---\n# RNA-FM", Some("agpl-3.0")),
            ("---\r\nlicense: 'mit'\r\n---\r\n", Some("mit")),
            ("---\nlicense: other\nlicense_name: cambrian-open\n---\n", Some("cambrian-open")),
            ("---\ntags: x\n---\nlicense: mit\n", None),
            ("# No head\nlicense: mit\n", None),
            ("---\nlicense:\n---\n", None),
        ] {
            assert_eq!(licence(card).as_deref(), expected, "{card}");
        }
    }
}
