//! The tables of the page.

use super::manifest::{InputFile, Manifest, OutputFile, Selection, Stratum};
use super::plot::{bar, number};
use super::quantity::{bytes, grouped, share};
use serde_json::Value;
use std::fmt;

/// Text as HTML shows it: no character of it is taken for markup.
pub(super) struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// Names and values, one pair a row.
pub(super) fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: String = rows
        .into_iter()
        .map(|(name, value)| {
            format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", Escaped(name), Escaped(&value))
        })
        .collect();
    format!("<table class=\"pairs\">{rows}</table>")
}

pub(super) fn table(head: &[&str], class: &str, rows: impl Iterator<Item = Vec<String>>) -> String {
    let head: String = head.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    let rows: String = rows
        .map(|cells| {
            let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
            format!("<tr>{cells}</tr>")
        })
        .collect();
    format!(
        "<div class=\"wide\"><table class=\"{class}\"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// A table of numbers after each row's name.
pub(super) fn numbers(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let escaped = |cells: Vec<String>| cells.iter().map(|cell| Escaped(cell).to_string()).collect();
    table(head, "numbers", rows.into_iter().map(escaped))
}

/// What was asked: the request as it was made, unset fields left out.
pub(super) fn parameters(asked: &Value) -> String {
    let empty = serde_json::Map::new();
    let fields = asked.as_object().unwrap_or(&empty);
    pairs(fields.iter().filter_map(|(name, value)| Some((name.as_str(), parameter(value)?))))
}

fn parameter(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(items.iter().filter_map(parameter).collect::<Vec<_>>().join(", ")),
        other => Some(other.to_string()),
    }
}

/// How the scores were made, and under which versions.
pub(super) fn scoring(manifest: &Manifest) -> String {
    let scoring = &manifest.scoring;
    let name = |value: &dyn fmt::Debug, json: serde_json::Result<Value>| match json {
        Ok(Value::String(name)) => name,
        _ => format!("{value:?}"),
    };
    let curvature = format!(
        "{}, from {} records, mean {}, digest {}",
        name(&scoring.curvature.form, serde_json::to_value(scoring.curvature.form)),
        grouped(scoring.curvature.records),
        number(f64::from(scoring.curvature.mean)),
        scoring.curvature.digest
    );
    pairs([
        ("model", manifest.model.name.clone()),
        ("model digest", manifest.model.digest.clone()),
        ("computed on", scoring.engine.clone()),
        ("objective", name(&scoring.objective, serde_json::to_value(scoring.objective))),
        ("mask passes", scoring.mask_passes.to_string()),
        ("estimator", name(&scoring.estimator, serde_json::to_value(scoring.estimator))),
        ("damping", scoring.damping.to_string()),
        ("curvature", curvature),
        ("seed of the scores", scoring.seed.to_string()),
    ])
}

/// What was read, and what became of it.
pub(super) fn counts(manifest: &Manifest) -> String {
    let counts = &manifest.counts;
    let of_records = |n: u64| format!("{} ({})", grouped(n), share(n, counts.records));
    let mut rows = vec![
        ("records read".to_string(), grouped(counts.records)),
        ("residues read".to_string(), grouped(counts.residues)),
        ("records scored".to_string(), of_records(counts.scored)),
        ("scored on their first residues only".to_string(), of_records(counts.truncated)),
    ];
    rows.extend(counts.skipped.iter().map(|(reason, n)| (format!("left out: {reason}"), of_records(*n))));
    if let Some(repeated) = manifest.repeated_ids {
        rows.push(("with the id of an earlier record".to_string(), of_records(repeated)));
    }
    if let Some(groups) = &manifest.groups {
        rows.push(("without a group: each its own".to_string(), of_records(groups.ungrouped)));
        rows.push(("ids in the table of groups alone".to_string(), grouped(groups.unknown)));
    }
    pairs(rows.iter().map(|(name, value)| (name.as_str(), value.clone())))
}

/// A table longer than this is not read: neighbouring strata share a row.
const STRATA_ROWS: usize = 100;

/// The strata with what was kept of each; nothing for a strategy without strata.
pub(super) fn strata(selection: &Selection) -> String {
    let from = format!("{} from", selection.strata_of.as_deref().unwrap_or("influence"));
    let head = ["stratum", &from, "to", "pool", "kept", "share kept"];
    let joined = joined(&selection.strata);
    let rows = joined.iter().map(|stratum| {
        vec![
            Escaped(&stratum.name).to_string(),
            number(stratum.low),
            number(stratum.high),
            grouped(stratum.records),
            grouped(stratum.kept),
            bar(stratum.kept, stratum.records),
        ]
    });
    if selection.strata.is_empty() { String::new() } else { table(&head, "numbers", rows) }
}

/// Neighbours joined, as many as it takes to keep to the rows; what is excluded stays by itself.
fn joined(strata: &[Stratum]) -> Vec<Stratum> {
    let (excluded, strata): (Vec<&Stratum>, Vec<&Stratum>) =
        strata.iter().partition(|stratum| stratum.name == Stratum::EXCLUDED);
    let together = strata.len().div_ceil(STRATA_ROWS).max(1);
    let join = |group: &[&Stratum]| {
        let (first, last) = (group.first()?, group.last()?);
        let name =
            if group.len() == 1 { first.name.clone() } else { format!("{} to {}", first.name, last.name) };
        let sum = |of: fn(&Stratum) -> u64| group.iter().map(|stratum| of(stratum)).sum();
        Some(Stratum {
            name,
            low: first.low,
            high: last.high,
            records: sum(|s| s.records),
            kept: sum(|s| s.kept),
        })
    };
    strata.chunks(together).filter_map(join).chain(excluded.into_iter().cloned()).collect()
}

pub(super) fn inputs(files: &[InputFile]) -> String {
    let rows = files.iter().map(|file| {
        let pin = match (&file.sha256, &file.etag) {
            (Some(digest), _) => format!("sha256 {digest}"),
            (None, Some(etag)) => format!("etag {etag}"),
            (None, None) => "–".to_string(),
        };
        vec![code(&file.uri), bytes(file.size), code(&pin)]
    });
    table(&["source", "size", "pinned by"], "files", rows)
}

pub(super) fn outputs(files: &[OutputFile]) -> String {
    let rows = files.iter().map(|file| vec![code(&file.uri), bytes(file.size), code(&file.sha256)]);
    table(&["file", "size", "SHA-256"], "files", rows)
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", Escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_text_is_shown_and_not_obeyed() {
        assert_eq!(
            Escaped("<b a=\"1\">é & 'x'</b>").to_string(),
            "&lt;b a=&quot;1&quot;&gt;é &amp; &#39;x&#39;&lt;/b&gt;"
        );
    }

    #[test]
    fn parameters_that_were_not_set_are_left_out() {
        assert_eq!(parameter(&Value::Null), None);
        assert_eq!(parameter(&serde_json::json!([])), None);
        assert_eq!(parameter(&serde_json::json!(["a.fa", "b.fa"])).unwrap(), "a.fa, b.fa");
        assert_eq!(parameter(&serde_json::json!(0.1)).unwrap(), "0.1");
    }

    #[test]
    fn many_strata_share_rows_and_none_is_lost() {
        let stratum = |i: u64| Stratum {
            name: i.to_string(),
            low: i as f64,
            high: i as f64 + 1.0,
            records: i,
            kept: 1,
        };
        let mut strata: Vec<Stratum> = (0..250).map(stratum).collect();
        strata.push(Stratum {
            name: Stratum::EXCLUDED.to_string(),
            low: 250.0,
            high: 300.0,
            records: 9,
            kept: 0,
        });
        let rows = joined(&strata);
        assert_eq!(rows.len(), 85);
        assert_eq!(rows[0], Stratum { name: "0 to 2".to_string(), low: 0.0, high: 3.0, records: 3, kept: 3 });
        assert_eq!(rows[84].name, "excluded");
        assert_eq!(rows.iter().map(|row| row.kept).sum::<u64>(), 250);
    }
}
