//! Problems as responses, and which of them an operation may send.

use super::examples::problem as example;
use crate::error::Code;
use crate::jobs::Problem;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError, web};
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::openapi::example::Example;
use utoipa::openapi::schema::{ObjectBuilder, Ref, Type};
use utoipa::openapi::{ContentBuilder, Header, HeaderBuilder, RefOr, Response, ResponseBuilder};

pub(super) const CONTENT_TYPE: &str = "application/problem+json";
/// Seconds after which a request that failed for the moment may be tried again.
const RETRY_AFTER: u32 = 5;

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        if self.status_code().is_server_error() && self.code != Code::NotReady.info().name {
            log::error!("{}: {}", self.code, self.detail);
        }
        let mut response = HttpResponse::build(self.status_code());
        if self.retryable {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"bioprune\""));
        }
        response.content_type(CONTENT_TYPE).body(serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Runs what may wait for the disk or for storage on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static, E: Into<Problem> + Send + 'static>(
    call: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Problem> {
    match web::block(call).await {
        Ok(result) => result.map_err(E::into),
        Err(_) => Err(Problem::new(Code::NotReady, "the service is stopping")),
    }
}

/// Declares a type that stands, in `responses(...)` of an operation, for the problems that it may answer with.
macro_rules! problems {
    ($name:ident: $($code:ident),+) => {
        struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::service::problem::responses(&[$($crate::error::Code::$code),+])
            }
        }
    };
}
pub(super) use problems;

/// The documentation of these problems: a response for each status, which names its codes.
pub(super) fn responses(codes: &[Code]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in codes {
        by_status.entry(code.info().status).or_default().push(*code);
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), response(status, &codes).into()))
        .collect()
}

fn response(status: u16, codes: &[Code]) -> Response {
    let meaning: Vec<_> =
        codes.iter().map(|code| format!("`{}`: {}", code.info().name, code.info().title)).collect();
    let examples =
        codes.iter().map(|code| (code.info().name, Example::builder().value(Some(json!(example(*code))))));
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(examples)
        .build();
    let mut response = ResponseBuilder::new().description(meaning.join("; ")).content(CONTENT_TYPE, content);
    if codes.iter().any(|code| code.info().retryable) {
        response = response.header("Retry-After", header(Type::Integer, "Seconds after which to try again"));
    }
    if status == Code::Unauthorized.info().status {
        response = response.header("WWW-Authenticate", header(Type::String, "`Bearer`"));
    }
    response.build()
}

/// The documentation of a response's header.
pub(super) fn header(kind: Type, description: &str) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(kind)))
        .description(Some(description))
        .build()
}
