//! All endpoints: each is routed and documented by one call.

use super::{docs, follow, health, info, jobs, metrics, models, submit};
use crate::error::Code;
use crate::jobs::Problem;
use actix_web::dev::ResourceDef;
use actix_web::http::header::ALLOW;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use serde_json::Value;
use utoipa_actix_web::service_config::ServiceConfig;

pub(super) fn configure(endpoints: &mut ServiceConfig<'_>) {
    endpoints
        .service(submit::prune)
        .service(submit::curvature)
        .service(submit::score)
        .service(submit::select)
        .service(jobs::list)
        .service(jobs::show)
        .service(follow::events)
        .service(jobs::cancel)
        .service(models::list)
        .service(models::show)
        .service(info::info)
        .service(health::healthz)
        .service(health::readyz)
        .service(metrics::scrape)
        .service(docs::openapi)
        // pages for people are not part of the API
        .map(|pages| pages.service(docs::docs).service(docs::docs_file));
}

/// The documented paths with their methods, to tell a wrong method from a wrong path.
pub(super) struct Paths(Vec<(ResourceDef, String)>);

impl Paths {
    pub fn read(document: &Value) -> Paths {
        let paths = document["paths"].as_object().into_iter().flatten();
        let methods = |item: &Value| {
            let methods = item.as_object().into_iter().flatten().map(|(method, _)| method.to_uppercase());
            methods.collect::<Vec<_>>().join(", ")
        };
        Paths(paths.map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item))).collect())
    }

    /// What a request gets that no endpoint took.
    pub fn refuse(&self, http: &HttpRequest) -> HttpResponse {
        let (method, path) = (http.method(), http.path());
        match self.0.iter().find(|(pattern, _)| pattern.is_match(path)) {
            Some((_, allowed)) => {
                let detail = format!("{method} {path}: allowed is {allowed}");
                let mut response = Problem::new(Code::MethodNotAllowed, detail).error_response();
                if let Ok(allowed) = allowed.parse() {
                    response.headers_mut().insert(ALLOW, allowed);
                }
                response
            }
            None => {
                let detail = format!("{path}: there is nothing here; GET /openapi.json tells what there is");
                Problem::new(Code::ResourceNotFound, detail).error_response()
            }
        }
    }
}
