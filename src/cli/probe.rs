//! `probe`: the findings in words.

use super::summary::{Row, Summary};
use crate::pipeline::ProbeSummary;
use crate::report::quantity::{grouped, span};

impl Summary for ProbeSummary {
    fn rows(&self) -> Vec<Row> {
        let records = format!("trained on {}, measured on {}", grouped(self.train), grouped(self.test));
        let mut rows = vec![("model", self.model.clone()), ("records", records)];
        rows.extend(self.findings.iter().map(|finding| ("finding", finding.clone())));
        rows.push(("time", span(self.seconds)));
        rows.push(("results", self.output.clone()));
        rows
    }
}
