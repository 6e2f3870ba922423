//! From a body's bytes to a request, or to a problem that names the field at fault and what is allowed.

use super::{Service, openapi};
use crate::error::{Code, Error};
use crate::jobs::{JobKind, JobRequest, Problem};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

/// A request, and the body that it was read from, in one form whatever its spaces and its order of fields.
pub(super) struct Body {
    pub request: JobRequest,
    pub canonical: String,
}

/// Reads and checks the body of a request of that kind.
pub(super) async fn read(
    kind: JobKind,
    http: &HttpRequest,
    payload: web::Payload,
    service: &Service,
) -> Result<Body, Problem> {
    is_json(http)?;
    let limit = service.max_body;
    let patience = service.request_timeout;
    let bytes = timeout(patience, payload.to_bytes_limited(limit))
        .await
        .map_err(|_| {
            let detail = format!("the body was not there within {} seconds", patience.as_secs());
            Problem::new(Code::RequestTimeout, detail)
        })?
        .map_err(|_| Problem::new(Code::BodyTooLarge, format!("a body has at most {limit} bytes")))?
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body ended early: {error}")))?;
    parse(kind, &bytes, &service.defaults)
}

/// Reads and checks a request of that kind; `defaults` are the fields that it takes where it does not have them.
pub(super) fn parse(
    kind: JobKind,
    bytes: &[u8],
    defaults: &[(&'static str, Value)],
) -> Result<Body, Problem> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("the body is not JSON: {error}")))?;
    let Value::Object(mut fields) = value else {
        return Err(Problem::new(Code::InvalidRequest, "the body must be a JSON object"));
    };
    let canonical = format!("{} {}", kind.name(), Value::Object(fields.clone()));
    let known = known_fields(kind)?;
    if let Some(unknown) = fields.keys().find(|field| !known.contains_key(*field)) {
        let known: Vec<_> = known.keys().map(String::as_str).collect();
        let detail = format!("{unknown}: there is no such field; allowed are {}", known.join(", "));
        return Err(Problem::new(Code::InvalidRequest, detail).with_field(unknown));
    }
    for (field, default) in defaults.iter().filter(|(field, _)| known.contains_key(*field)) {
        // 0 threads are those that this service grants
        let given = fields.get(*field).filter(|value| !(*field == "threads" && **value == 0));
        if given.is_none() {
            fields.insert(field.to_string(), default.clone());
        }
    }
    let request = JobRequest::from_json(kind, Value::Object(fields.clone()))
        .map_err(|error| mistyped(kind, &fields, error))?;
    request.validate().map_err(|invalid| {
        let field = invalid.field;
        Problem::from(Error::from(invalid)).with_field(field)
    })?;
    Ok(Body { request, canonical })
}

fn is_json(http: &HttpRequest) -> Result<(), Problem> {
    let given = http.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = given.split(';').next().unwrap_or("").trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = format!("Content-Type {given:?}: allowed is application/json");
    Err(Problem::new(Code::UnsupportedMediaType, detail).with_field("Content-Type"))
}

/// A body that is valid for each kind, as far as its fields are its own.
fn example() -> Map<String, Value> {
    let fields =
        json!({"inputs": ["s3://b/a.fa"], "scores": ["s3://b/a.tsv"], "output": "s3://b/a", "keep": "1"});
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Flattened options cannot refuse unknown fields while they are read, so the fields of what is written are compared.
fn known_fields(kind: JobKind) -> Result<Map<String, Value>, Problem> {
    let request = JobRequest::from_json(kind, Value::Object(example()));
    match request.and_then(serde_json::to_value) {
        Ok(Value::Object(fields)) => Ok(fields),
        _ => Err(Problem::new(Code::Internal, "a request without options cannot be read")),
    }
}

/// Names the field whose value is of the wrong type, by trying each alone: flattened options hide it in the error.
fn mistyped(kind: JobKind, fields: &Map<String, Value>, error: serde_json::Error) -> Problem {
    for (field, value) in fields {
        let mut alone = example();
        alone.insert(field.clone(), value.clone());
        if let Err(error) = JobRequest::from_json(kind, Value::Object(alone)) {
            let allowed = openapi::allowed(kind, field).map(|allowed| format!("; allowed is {allowed}"));
            let detail = format!("{field}: {error}{}", allowed.unwrap_or_default());
            return Problem::new(Code::InvalidRequest, detail).with_field(field);
        }
    }
    Problem::new(Code::InvalidRequest, error.to_string())
}
