//! The OpenAPI document: collected from the routes, then made easy for client generators.

use super::{examples, routes};
use crate::jobs::JobKind;
use crate::pipeline::{CurvatureRequest, PruneRequest, ScoreRequest, SelectRequest};
use actix_web::App;
use clap::{Args, Command};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use utoipa::OpenApi;
use utoipa_actix_web::AppExt;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "bioprune",
        description = "Scores RNA and protein sequences by their self-influence under a reference model and selects \
                       a coreset. A request creates a job; follow it by its `Location`.",
    ),
    components(schemas(crate::jobs::Problem, crate::jobs::Job, crate::jobs::JobProgress)),
    tags(
        (name = "jobs", description = "Work: created, followed, canceled"),
        (name = "models", description = "Reference models that have a name"),
        (name = "service", description = "The service itself")
    )
)]
struct Document;

static DOCUMENT: LazyLock<Value> = LazyLock::new(build);

/// The document as it is served and committed, with a newline at its end.
pub fn openapi_json() -> String {
    format!("{:#}\n", *DOCUMENT)
}

pub(super) fn document() -> &'static Value {
    &DOCUMENT
}

/// What a field of a request may hold, in words.
pub(super) fn allowed(kind: JobKind, field: &str) -> Option<String> {
    let schema = &DOCUMENT["components"]["schemas"][schema_name(kind)]["properties"][field];
    let range = match (&schema["minimum"], &schema["maximum"]) {
        (Value::Null, _) => String::new(),
        (least, Value::Null) => format!(" of at least {least}"),
        (least, most) => format!(" from {least} to {most}"),
    };
    let name = match schema.get("type")? {
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => return None,
    };
    match schema["example"].as_str() {
        Some(example) if name.starts_with("string") => Some(format!("{name} such as {example:?}")),
        _ => Some(format!("{name}{range}")),
    }
}

const fn schema_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Prune => "PruneRequest",
        JobKind::Curvature => "CurvatureRequest",
        JobKind::Score => "ScoreRequest",
        JobKind::Select => "SelectRequest",
    }
}

fn build() -> Value {
    let app = App::new().into_utoipa_app().openapi(Document::openapi()).configure(routes::configure);
    let (_, collected) = app.split_for_parts();
    // the types are utoipa's own, which always fit into JSON
    let mut document = serde_json::to_value(&collected).unwrap_or_default();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["components"]["securitySchemes"] = json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "Needed where the service was started with tokens"}
    });
    document["servers"] = json!([{"url": "/", "description": "The service that served this document"}]);
    document["info"]["contact"] = json!({"name": "The authors of bioprune"});
    plain_parameters(&mut document["paths"]);
    if let Value::Object(schemas) = &mut document["components"]["schemas"] {
        flatten(schemas, schema_name(JobKind::Prune), &defaults::<PruneRequest>());
        flatten(schemas, schema_name(JobKind::Curvature), &defaults::<CurvatureRequest>());
        flatten(schemas, schema_name(JobKind::Score), &defaults::<ScoreRequest>());
        flatten(schemas, schema_name(JobKind::Select), &defaults::<SelectRequest>());
    }
    drop_unused_schemas(&mut document);
    describe_optional(&mut document["components"]["schemas"]);
    examples::add(&mut document);
    document
}

/// The fields' defaults, from the flags: as text, by the field's name.
fn defaults<R: Args>() -> Vec<(String, String)> {
    R::augment_args(Command::new("defaults"))
        .get_arguments()
        .filter_map(|argument| {
            let default = argument.get_default_values().first()?.to_str()?.to_string();
            Some((argument.get_long()?.replace('-', "_"), default))
        })
        .collect()
}

/// Makes one object of a request's schema: flattened options are an `allOf` of references, which can neither refuse
/// other fields nor be read well.
fn flatten(schemas: &mut Map<String, Value>, name: &str, defaults: &[(String, String)]) {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let parts = schemas[name]["allOf"].as_array().cloned().unwrap_or_default();
    for part in &parts {
        let part = match part["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            Some(referred) => &schemas[referred],
            None => part,
        };
        if let Some(fields) = part["properties"].as_object() {
            properties.extend(fields.clone());
        }
        if let Some(fields) = part["required"].as_array() {
            required.extend(fields.iter().cloned());
        }
    }
    for (field, property) in &mut properties {
        match defaults.iter().find(|(name, _)| name == field) {
            Some((_, default)) => set_default(property, default),
            // a flag without a value
            None if property["type"] == "boolean" => property["default"] = json!(false),
            // utoipa took it from `Default`: null says nothing
            None => {
                property.as_object_mut().and_then(|property| property.remove("default"));
            }
        }
    }
    let description = schemas[name]["description"].clone();
    schemas[name] = json!({
        "type": "object",
        "description": description,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
}

fn set_default(property: &mut Value, default: &str) {
    let value = match property["type"].as_str() {
        Some("integer" | "number" | "boolean") => serde_json::from_str(default).unwrap_or(Value::Null),
        _ => json!(default),
    };
    match property.get("$ref").cloned() {
        // `allOf` keeps the default beside the reference in the eyes of generators that read OpenAPI 3.0
        Some(reference) => {
            let description = property["description"].clone();
            *property = json!({"allOf": [{"$ref": reference}], "description": description, "default": value});
        }
        None => property["default"] = value,
    }
}

/// Moves the description of an optional field from the reference, beside which most readers do not see it, to the field.
fn describe_optional(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let choice = fields.get_mut("oneOf").and_then(|choices| choices.get_mut(0)?.as_object_mut());
            if let Some(choice) = choice
                && choice.contains_key("$ref")
                && let Some(description) = choice.remove("description")
            {
                fields.insert("description".to_string(), description);
            }
            fields.values_mut().for_each(describe_optional);
        }
        Value::Array(values) => values.iter_mut().for_each(describe_optional),
        _ => {}
    }
}

/// A parameter that may be left out is not one that may be null.
fn plain_parameters(value: &mut Value) {
    match value {
        Value::Object(fields) if fields.contains_key("in") => {
            let kind = fields.get_mut("schema").and_then(|schema| schema.get_mut("type"));
            if let Some(kind) = kind
                && let Some([name, Value::String(null)]) = kind.as_array().map(Vec::as_slice)
                && null == "null"
            {
                *kind = name.clone();
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(plain_parameters),
        Value::Array(values) => values.iter_mut().for_each(plain_parameters),
        _ => {}
    }
}

/// Drops the schemas that nothing refers to, directly or through another.
fn drop_unused_schemas(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut found = references(&document["paths"]);
    while let Some(name) = found.pop() {
        found.extend(references(&document["components"]["schemas"][&name]));
        if !used.insert(name) {
            found.retain(|name| !used.contains(name));
        }
    }
    if let Value::Object(schemas) = &mut document["components"]["schemas"] {
        schemas.retain(|name, _| used.contains(name));
    }
}

fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(reference)) => {
                    reference.rsplit('/').next().map(str::to_string).into_iter().collect()
                }
                _ => references(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two types of one name would be one schema, of either of them.
    #[test]
    fn a_field_with_a_list_of_values_has_those_of_its_flag() {
        fn check<R: Args>(kind: JobKind) {
            let schemas = &DOCUMENT["components"]["schemas"];
            for argument in R::augment_args(Command::new("check")).get_arguments() {
                let flag = argument.get_possible_values();
                let Some(field) = argument.get_long() else { continue };
                let property = &schemas[schema_name(kind)]["properties"][field.replace('-', "_")];
                if flag.is_empty() || property["type"] == "boolean" {
                    continue;
                }
                let referred = references(property);
                let [schema] = referred.as_slice() else { panic!("{field}: {property}") };
                let values: Vec<_> = flag.iter().map(|value| json!(value.get_name())).collect();
                assert_eq!(schemas[schema]["enum"], json!(values), "{} --{field}", kind.name());
            }
        }
        check::<PruneRequest>(JobKind::Prune);
        check::<CurvatureRequest>(JobKind::Curvature);
        check::<ScoreRequest>(JobKind::Score);
        check::<SelectRequest>(JobKind::Select);
    }
}
