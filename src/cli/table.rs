//! Text in columns.

/// Rows of equal length as left-aligned columns two spaces apart; the last column ends where its text does.
pub(super) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Names and values, one a line, the values aligned.
pub(super) fn fields(rows: &[(&str, String)]) -> String {
    let rows: Vec<[String; 2]> =
        rows.iter().map(|(name, value)| [(*name).to_string(), value.clone()]).collect();
    columns(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_do_not_trail() {
        let rows = [["NAME", "SIZE"], ["rna-nano", "1"], ["é", "12"]].map(|row| row.map(str::to_string));
        assert_eq!(columns(&rows), "NAME      SIZE\nrna-nano  1\né         12\n");
    }
}
