//! What a job can be asked to do: the requests that need an engine, under one type.

use crate::error::{Code, Error, Result};
use crate::hub::ModelId;
use crate::pipeline::{CurvatureRequest, InvalidField, PruneRequest, ScoreRequest, SelectRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// The kind of a job: the command that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// The whole job: curvature, scores, selection and the coreset
    Prune,
    /// The curvature alone
    Curvature,
    /// Scores
    Score,
    /// A coreset from scores
    Select,
}

impl JobKind {
    pub const ALL: [JobKind; 4] = [JobKind::Prune, JobKind::Curvature, JobKind::Score, JobKind::Select];

    /// As in JSON, in ids and in the endpoint's path.
    pub const fn name(self) -> &'static str {
        match self {
            JobKind::Prune => "prune",
            JobKind::Curvature => "curvature",
            JobKind::Score => "score",
            JobKind::Select => "select",
        }
    }
}

impl FromStr for JobKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        JobKind::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let known: Vec<_> = JobKind::ALL.iter().map(|kind| kind.name()).collect();
            Error::new(Code::InvalidRequest, format!("kind {text:?}: allowed are {}", known.join(", ")))
        })
    }
}

/// A request of one of the four kinds. In JSON it is that request's own body; the kind is told beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum JobRequest {
    Prune(PruneRequest),
    Curvature(CurvatureRequest),
    Score(ScoreRequest),
    Select(SelectRequest),
}

/// What a field's location is to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Input,
    Output,
}

impl JobRequest {
    /// Reads the body of a request of that kind. Does not refuse unknown fields: that is the edge's business.
    pub fn from_json(kind: JobKind, body: Value) -> serde_json::Result<JobRequest> {
        Ok(match kind {
            JobKind::Prune => JobRequest::Prune(serde_json::from_value(body)?),
            JobKind::Curvature => JobRequest::Curvature(serde_json::from_value(body)?),
            JobKind::Score => JobRequest::Score(serde_json::from_value(body)?),
            JobKind::Select => JobRequest::Select(serde_json::from_value(body)?),
        })
    }

    /// The body with every default written out, always in the same order.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|error| Error::internal("a request does not fit into JSON").caused_by(error))
    }

    pub fn kind(&self) -> JobKind {
        match self {
            JobRequest::Prune(_) => JobKind::Prune,
            JobRequest::Curvature(_) => JobKind::Curvature,
            JobRequest::Score(_) => JobKind::Score,
            JobRequest::Select(_) => JobKind::Select,
        }
    }

    /// Whether each field has an allowed value, and the fields go together.
    pub fn validate(&self) -> Result<(), InvalidField> {
        match self {
            JobRequest::Prune(request) => request.validate(),
            JobRequest::Curvature(request) => request.validate(),
            JobRequest::Score(request) => request.validate(),
            JobRequest::Select(request) => request.validate(),
        }
    }

    /// The name of the model, or its location.
    pub fn model(&self) -> Option<&str> {
        match self {
            JobRequest::Prune(request) => Some(&request.model.model),
            JobRequest::Curvature(request) => Some(&request.model.model),
            JobRequest::Score(request) => Some(&request.model.model),
            JobRequest::Select(_) => None,
        }
    }

    /// Every location that the job reads or writes, with its field. A model is among them unless it has a name.
    pub fn locations(&self) -> Vec<(&'static str, Role, String)> {
        let mut found = Vec::new();
        self.clone().each_location(|field, role, location| found.push((field, role, location.clone())));
        found
    }

    /// The same request with each relative local path below `directory`: a server has a directory of its own.
    pub fn with_absolute_paths(mut self, directory: &Path) -> JobRequest {
        self.each_location(|_, _, location| {
            if !location.contains("://") {
                *location = absolute(directory, location);
            }
        });
        self
    }

    /// Where the results are once the job is complete; the last one is written last.
    pub fn outputs(&self) -> Vec<String> {
        let within = |folder: &str, names: &[&str]| {
            let folder = folder.trim_end_matches('/');
            names.iter().map(|name| format!("{folder}/{name}")).collect()
        };
        match self {
            JobRequest::Prune(request) => within(
                &request.output,
                &[
                    "curvature.safetensors",
                    "scores.parquet",
                    "selected.tsv",
                    "coreset.fa.gz",
                    "confounds.tsv",
                    "report.html",
                    "manifest.json",
                ],
            ),
            JobRequest::Select(request) => within(
                &request.output,
                &["selected.tsv", "coreset.fa.gz", "confounds.tsv", "report.html", "manifest.json"],
            ),
            JobRequest::Curvature(request) => vec![request.output.clone()],
            JobRequest::Score(request) => vec![request.output.clone()],
        }
    }

    /// Where the lease on the output lies: in its folder, or beside its file.
    pub fn lease(&self) -> String {
        let (folder, name) = match self {
            JobRequest::Prune(request) => (request.output.trim_end_matches('/'), ""),
            JobRequest::Select(request) => (request.output.trim_end_matches('/'), ""),
            JobRequest::Curvature(CurvatureRequest { output, .. })
            | JobRequest::Score(ScoreRequest { output, .. }) => {
                output.rsplit_once('/').unwrap_or(("", output))
            }
        };
        format!("{folder}/_{name}.lease")
    }

    fn each_location(&mut self, mut visit: impl FnMut(&'static str, Role, &mut String)) {
        use Role::{Input, Output};
        let (model, matched) = match self {
            JobRequest::Prune(request) => {
                request.inputs.iter_mut().for_each(|input| visit("inputs", Input, input));
                request.groups.table_mut().into_iter().for_each(|table| visit("groups", Input, table));
                visit("output", Output, &mut request.output);
                (Some(&mut request.model.model), request.strategy.match_selection.as_mut())
            }
            JobRequest::Curvature(request) => {
                request.inputs.iter_mut().for_each(|input| visit("inputs", Input, input));
                visit("output", Output, &mut request.output);
                (Some(&mut request.model.model), None)
            }
            JobRequest::Score(request) => {
                request.inputs.iter_mut().for_each(|input| visit("inputs", Input, input));
                request.curvature.iter_mut().for_each(|curvature| visit("curvature", Input, curvature));
                visit("output", Output, &mut request.output);
                (Some(&mut request.model.model), None)
            }
            JobRequest::Select(request) => {
                request.scores.iter_mut().for_each(|scores| visit("scores", Input, scores));
                request.sequences.iter_mut().for_each(|sequences| visit("sequences", Input, sequences));
                request.groups.table_mut().into_iter().for_each(|table| visit("groups", Input, table));
                visit("output", Output, &mut request.output);
                (None, request.strategy.match_selection.as_mut())
            }
        };
        model
            .into_iter()
            .filter(|model| !is_model_name(model))
            .for_each(|model| visit("model", Input, model));
        matched.into_iter().for_each(|selection| visit("match", Input, selection));
    }
}

/// Whether a model is told by its name in the registry or on the hub, and not by the place of its weights. Among
/// requests `owner/name` is always the hub's: the one who reads it has another directory.
pub fn is_model_name(model: &str) -> bool {
    if model.parse::<ModelId>().is_ok() {
        return true;
    }
    const WEIGHTS: [&str; 3] = [".safetensors", ".pth", ".pt"];
    !model.contains(['/', '\\']) && !model.starts_with('.') && !WEIGHTS.iter().any(|end| model.ends_with(end))
}

/// `path` below `directory`, without `.` and `..`; a slash at its end stays, for it says that a folder is meant.
fn absolute(directory: &Path, path: &str) -> String {
    let mut absolute = PathBuf::new();
    for component in directory.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                absolute.pop();
            }
            part => absolute.push(part),
        }
    }
    let mut text = absolute.to_string_lossy().into_owned();
    if path.ends_with('/') && !text.ends_with('/') {
        text.push('/');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn score(body: Value) -> JobRequest {
        JobRequest::from_json(JobKind::Score, body).unwrap()
    }

    #[test]
    fn relative_paths_become_absolute_and_uris_stay() {
        let request = score(json!({
            "inputs": ["rna.fa", "../more/*.fa", "/data/a.fa", "s3://b/./rna.fa", "here/"],
            "output": "./out/scores.tsv", "model": "rna-nano", "curvature": "c.safetensors",
        }));
        let absolute: Vec<_> = request
            .with_absolute_paths(Path::new("/home/me"))
            .locations()
            .into_iter()
            .map(|(_, _, location)| location)
            .collect();
        assert_eq!(
            absolute,
            [
                "/home/me/rna.fa",
                "/home/more/*.fa",
                "/data/a.fa",
                "s3://b/./rna.fa",
                "/home/me/here/",
                "/home/me/c.safetensors",
                "/home/me/out/scores.tsv"
            ]
        );
    }

    #[test]
    fn a_model_is_a_location_unless_it_has_a_name() {
        for (model, is_name) in [
            ("auto", true),
            ("rna-nano", true),
            ("m.safetensors", false),
            ("./m", false),
            ("s3://b/m", false),
            ("/m", false),
            ("facebook/esm2_t6_8M_UR50D", true),
            ("a/b@v1", true),
            ("./a/b", false),
            ("a/b.pth", false),
        ] {
            let request = score(json!({"inputs": ["a.fa"], "output": "s.tsv", "model": model}));
            let is_location = request.locations().iter().any(|(field, ..)| *field == "model");
            assert_eq!(is_location, !is_name, "{model}");
        }
    }

    #[test]
    fn the_results_of_a_folder_end_with_its_manifest() {
        let body = json!({"scores": ["s.parquet"], "output": "s3://b/out/", "keep": "1%"});
        let request = JobRequest::from_json(JobKind::Select, body).unwrap();
        assert_eq!(request.outputs().last().unwrap(), "s3://b/out/manifest.json");
    }

    #[test]
    fn kinds_are_read_by_name() {
        for kind in JobKind::ALL {
            assert_eq!(kind.name().parse::<JobKind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert!("merge".parse::<JobKind>().is_err());
    }
}
