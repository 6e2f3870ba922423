//! Mutations of requests: whatever the body, a request that reads back as itself, or a problem that says what is allowed.

use super::{body, openapi};
use crate::error::Code;
use crate::fuzz::{mutate, run};
use crate::jobs::{JobKind, JobRequest};
use crate::storage::Location;
use serde_json::{Value, json};

/// Parts of bodies, and values at the edges of what is allowed.
const WORDS: [&[u8]; 24] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"0.0000001%",
    b"1/4294967295",
    b"../",
    b"s3://",
    b"http://[::1]/",
    b"header:(((((a+)+)+)+)+)",
    b"\xff",
    b"[[[[[[[[[[[[[[[[",
];

/// The document's own example of a body of that kind with every default spelled out, and values that it names for fields.
fn example(kind: JobKind) -> (Value, Vec<(&'static String, Value)>) {
    let document = openapi::document();
    let operation = &document["paths"][format!("/v1/{}", kind.name())]["post"];
    let mut body = operation["requestBody"]["content"]["application/json"]["example"].clone();
    let fields = &document["components"]["schemas"][format!("{kind:?}Request")]["properties"];
    let mut values = Vec::new();
    for (field, schema) in fields.as_object().unwrap() {
        if let (Some(default), None) = (schema.get("default"), body.get(field)) {
            body[field] = default.clone();
        }
        values.push((field, schema.get("example").cloned().unwrap_or_default()));
    }
    (body, values)
}

#[test]
fn a_mutated_body_ends_in_a_request_or_a_problem() {
    let values = [
        json!(null),
        json!(0),
        json!(-1.5),
        json!("x"),
        json!([]),
        json!({"a": [1]}),
        json!(u64::MAX),
        json!(true),
    ];
    let bodies = JobKind::ALL.map(|kind| (kind, example(kind)));
    for (kind, (body, fields)) in &bodies {
        assert!(fields.len() > 10 && body.as_object().unwrap().len() > 5, "{body}");
        body::parse(*kind, body.to_string().as_bytes(), &[]).unwrap_or_else(|problem| panic!("{problem:?}"));
    }
    run("JSON requests", |random| {
        let (kind, (body, fields)) = &bodies[random.below(bodies.len())];
        let mut changed = body.clone();
        for _ in 0..random.below(4) {
            let (field, example) = &fields[random.below(fields.len())];
            let odd = &values[random.below(values.len())];
            changed[*field] = if random.below(2) == 0 { example.clone() } else { odd.clone() };
        }
        let mut bytes = changed.to_string().into_bytes();
        if random.below(4) > 0 {
            mutate(random, &mut bytes, &WORDS);
        }
        match body::parse(*kind, &bytes, &[("threads", json!(2))]) {
            Ok(read) => {
                let json = read.request.to_json().unwrap();
                let again = JobRequest::from_json(*kind, serde_json::from_str(&json).unwrap()).unwrap();
                assert_eq!(again.to_json().unwrap(), json);
                for (field, _, location) in read.request.locations() {
                    if let Err(error) = location.parse::<Location>() {
                        assert!(!error.message.is_empty(), "{field}");
                    }
                }
                true
            }
            Err(problem) => {
                let codes =
                    [Code::MalformedJson, Code::InvalidRequest, Code::Usage].map(|code| code.info().name);
                assert!(codes.contains(&problem.code.as_str()), "{problem:?}");
                let named =
                    problem.field.as_ref().is_none_or(|field| problem.detail.contains(field.as_str()));
                assert!(named, "{problem:?}");
                false
            }
        }
    });
}
