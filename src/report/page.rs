//! The page: sections in the order in which a reader asks for them.

use super::confounds::confounds;
use super::findings::findings;
use super::plot::Plot;
use super::quantity::{grouped, share, span};
use super::tables::{self, Escaped};
use super::{InputFile, Manifest, ReportData};

/// Colours, light and dark, and the print layout.
const STYLE: &str = include_str!("style.css");

/// The page as one HTML document that loads nothing and runs nothing.
pub fn render(data: &ReportData) -> String {
    let manifest = &data.manifest;
    let mut page = String::new();
    page.push_str(&headline(manifest));
    let findings = findings(data);
    if !findings.is_empty() {
        let items: String = findings.iter().map(|text| format!("<li>{}</li>", Escaped(text))).collect();
        page.push_str(&format!(
            "<section class=\"findings\"><h2>Look at this first</h2><ul>{items}</ul></section>\n"
        ));
    }
    let influence = Plot {
        id: "influence",
        title: "Influence of the pool and of the kept records",
        axis: "influence (larger is more influential)",
        histogram: &data.influence,
    };
    let length = Plot {
        id: "length",
        title: "Lengths of the pool and of the kept records",
        axis: "length (residues)",
        histogram: &data.length,
    };
    section(&mut page, "Scores", &influence.render());
    section(&mut page, "Lengths before and after", &length.render());
    section(&mut page, "What explains the scores", &confounds(&manifest.confounds));
    section(&mut page, "Strata", &tables::strata(&manifest.selection));
    section(&mut page, "What was asked", &tables::parameters(&manifest.parameters));
    section(&mut page, "How records were scored", &tables::scoring(manifest));
    let tables_of_groups = manifest.groups.iter().flat_map(|groups| &groups.sources);
    let read: Vec<InputFile> = manifest.inputs.iter().chain(tables_of_groups).cloned().collect();
    section(&mut page, "What was read", &(tables::counts(manifest) + &tables::inputs(&read)));
    section(&mut page, "What was written", &tables::outputs(&manifest.outputs));
    let footer = format!(
        "{} {} · {} threads · {} to {} · seed {} · every fact of this page is in manifest.json",
        manifest.tool.name,
        manifest.tool.version,
        manifest.threads,
        manifest.started,
        manifest.finished,
        manifest.seed
    );
    document(&title(manifest), &subtitle(manifest), &page, &footer)
}

/// The frame of every page. `main` is markup, the rest is text.
pub(super) fn document(title: &str, subtitle: &str, main: &str, footer: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{0}</title><style>{STYLE}</style></head>\n<body>\
         <header><h1>{0}</h1><p>{1}</p></header>\n<main>{main}</main>\n<footer>{2}</footer></body></html>\n",
        Escaped(title),
        Escaped(subtitle),
        Escaped(footer)
    )
}

/// Adds a section, where it has content.
pub(super) fn section(page: &mut String, title: &str, content: &str) {
    if !content.is_empty() {
        page.push_str(&format!("<section><h2>{title}</h2>{content}</section>\n"));
    }
}

/// The coreset by the name of what it was taken from.
fn title(manifest: &Manifest) -> String {
    let name = |uri: &str| uri.trim_end_matches('/').rsplit('/').next().unwrap_or(uri).to_string();
    match &manifest.inputs[..] {
        [] => "Coreset".to_string(),
        [only] => format!("Coreset of {}", name(&only.uri)),
        [first, rest @ ..] => format!("Coreset of {} and {} more", name(&first.uri), rest.len()),
    }
}

fn subtitle(manifest: &Manifest) -> String {
    let selection = &manifest.selection;
    format!("{} of the pool by {}, scored under {}", selection.keep, selection.strategy, manifest.model.name)
}

/// The four numbers that matter most.
fn headline(manifest: &Manifest) -> String {
    let selection = &manifest.selection;
    let skipped: u64 = manifest.counts.skipped.values().sum();
    let tiles = [
        ("records read", grouped(manifest.counts.records), format!("{} left out", grouped(skipped))),
        (
            "records kept",
            grouped(selection.kept.records),
            format!("{} of the pool", share(selection.kept.records, selection.pool.records)),
        ),
        (
            "residues kept",
            grouped(selection.kept.residues),
            format!("{} of the pool", share(selection.kept.residues, selection.pool.residues)),
        ),
        ("time", span(manifest.seconds), format!("{} threads", manifest.threads)),
    ];
    let tiles: String = tiles
        .iter()
        .map(|(name, value, note)| {
            format!("<div><dt>{name}</dt><dd>{}<small>{}</small></dd></div>", Escaped(value), Escaped(note))
        })
        .collect();
    format!("<dl class=\"headline\">{tiles}</dl>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_page_tells_what_was_asked_read_kept_and_written() {
        let page = render(&fixture::report(|i| 50 + i % 100, |i| i % 10 == 0));
        for part in [
            "<title>Coreset of rna.fa.gz</title>",
            "10% of the pool by coverage, scored under rna-nano",
            "<dd>100<small>10.0% of the pool</small>",
            "<th scope=\"row\">strata</th><td>50</td>",
            "<code>sha256 ab</code>",
            "<code>out/selected.tsv</code></td><td>1.23 kB</td><td><code>cd</code>",
            "<h2>Strata</h2>",
        ] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert!(!page.contains("Look at this first"));
    }

    #[test]
    fn the_page_loads_and_runs_nothing() {
        let page = render(&fixture::report(|i| 50 + i % 100, |i| i % 10 == 0));
        for part in ["<script", "<link", "<img", "http://", "https://", "url(", "@import", " onload"] {
            assert!(!page.contains(part), "{part}");
        }
    }

    #[test]
    fn names_from_outside_are_not_taken_for_markup() {
        let mut data = fixture::report(|_| 100, |_| true);
        data.manifest.inputs[0].uri = "x/<script>alert(1)</script>".to_string();
        data.manifest.parameters["inputs"] = serde_json::json!(["<script>"]);
        data.manifest.selection.strata[0].name = "<script>".to_string();
        data.manifest.model.name = "<script>".to_string();
        assert!(!render(&data).contains("<script"));
    }
}
