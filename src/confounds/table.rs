//! The same numbers as a table: one number a line.

use super::{By, Composition, Confounds};
use std::fmt::{self, Display, Write};

impl Confounds {
    /// Lines of quantity, what it is of, the set and the value, separated by tabs; absent numbers are left out.
    pub fn to_tsv(&self) -> String {
        let mut text = "quantity\tof\tset\tvalue\n".to_string();
        let mut line = |quantity: &str, of: &str, set: &str, value: Option<&dyn Display>| {
            if let Some(value) = value {
                // a text takes all that is written to it
                let _ = writeln!(text, "{quantity}\t{of}\t{set}\t{value}");
            }
        };
        for (of, value) in [("length", self.rank_correlation.length), ("loss", self.rank_correlation.loss)] {
            line("rank_correlation", of, "pool", value.as_ref().map(|value| value as &dyn Display));
        }
        for explained in &self.variance {
            let of = explained.by.to_string();
            line("classes", &of, "pool", Some(&explained.classes));
            for (quantity, value) in
                [("eta_squared", explained.eta_squared), ("eta_squared_adjusted", explained.adjusted)]
            {
                line(quantity, &of, "pool", value.as_ref().map(|value| value as &dyn Display));
            }
        }
        for (set, composition) in [("pool", Some(self.pool)), ("kept", self.kept)] {
            let Some(Composition { records, residues, mean_length, groups, redundant }) = composition else {
                continue;
            };
            line("records", "all", set, Some(&records));
            line("residues", "all", set, Some(&residues));
            line("mean_length", "all", set, Some(&mean_length));
            line("groups", "all", set, groups.as_ref().map(|value| value as &dyn Display));
            line("redundant_records", "all", set, redundant.as_ref().map(|value| value as &dyn Display));
        }
        for (of, parts) in [("group", &self.largest_groups), ("length", &self.length_ranges)] {
            for part in parts {
                let of = format!("{of} {}", part.name.replace(['\t', '\n', '\r'], " "));
                line("records", &of, "pool", Some(&part.pool));
                line("records", &of, "kept", self.kept.is_some().then_some(&part.kept as &dyn Display));
            }
        }
        text
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Group => "group",
            By::Source => "source",
            By::Position => "position",
            By::Length => "length",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn the_table_has_a_number_a_line_and_leaves_out_what_is_absent() {
        let composition =
            Composition { records: 4, residues: 40, mean_length: 10.0, groups: Some(2), redundant: Some(3) };
        let confounds = Confounds {
            rank_correlation: RankCorrelation { length: Some(-0.5), loss: None },
            variance: vec![Explained { by: By::Group, classes: 2, eta_squared: Some(0.25), adjusted: None }],
            pool: composition,
            kept: None,
            largest_groups: vec![Part { name: "tab\tbed".into(), pool: 3, kept: 0 }],
            length_ranges: Vec::new(),
            warnings: Vec::new(),
        };
        let expected = "quantity\tof\tset\tvalue\nrank_correlation\tlength\tpool\t-0.5\nclasses\tgroup\tpool\t2\n\
                        eta_squared\tgroup\tpool\t0.25\nrecords\tall\tpool\t4\nresidues\tall\tpool\t40\n\
                        mean_length\tall\tpool\t10\ngroups\tall\tpool\t2\nredundant_records\tall\tpool\t3\n\
                        records\tgroup tab bed\tpool\t3\n";
        assert_eq!(confounds.to_tsv(), expected);
    }
}
