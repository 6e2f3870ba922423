//! The API's own description: the OpenAPI document, and a page to read and try it that needs no network.

use super::Service;
use crate::error::Code;
use crate::jobs::Problem;
use actix_web::http::header::{CONTENT_ENCODING, LOCATION};
use actix_web::{HttpResponse, get, web};
use std::sync::Arc;
use utoipa_swagger_ui::Config;

/// This document.
///
/// The same bytes as `openapi/openapi.json` of the source, for client generators.
#[utoipa::path(
    tag = "service",
    operation_id = "openapi",
    responses((
        status = 200,
        description = "The OpenAPI document",
        body = serde_json::Value,
        content_type = "application/json"
    ))
)]
#[get("/openapi.json")]
pub(super) async fn openapi(service: web::Data<Service>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(service.openapi.clone())
}

/// The page's files refer to each other by relative addresses, so it must have a slash at its end.
#[get("/docs")]
pub(super) async fn docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "docs/")).finish()
}

#[get("/docs/{file:.*}")]
pub(super) async fn docs_file(file: web::Path<String>) -> Result<HttpResponse, Problem> {
    // relative, so that the page works behind a proxy that adds a prefix
    let config = Config::new(["../openapi.json"]).use_base_layout().persist_authorization(true);
    match utoipa_swagger_ui::serve(&file, Arc::new(config)) {
        Ok(Some(found)) => {
            let mut response = HttpResponse::Ok();
            if found.gzpipped {
                response.insert_header((CONTENT_ENCODING, "gzip"));
            }
            Ok(response.content_type(found.content_type).body(found.bytes.into_owned()))
        }
        Ok(None) => Err(Problem::new(
            Code::ResourceNotFound,
            format!("/docs/{file}: the documentation has no such file"),
        )),
        Err(error) => Err(Problem::new(Code::Internal, error.to_string())),
    }
}
