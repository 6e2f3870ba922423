//! The endpoints that tell which models have a name.

use super::Service;
use super::problem::problems;
use crate::error::Code;
use crate::jobs::Problem;
use crate::model::ModelInfo;
use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

/// The models that have a name
#[derive(Serialize, ToSchema)]
struct ModelList {
    models: Vec<ModelInfo>,
}

/// Lists the models that have a name.
#[utoipa::path(
    tag = "models",
    operation_id = "list_models",
    responses((status = 200, description = "The models", body = ModelList), Listed),
    security(("bearer" = []), ())
)]
#[get("/v1/models")]
pub(super) async fn list(service: web::Data<Service>) -> HttpResponse {
    HttpResponse::Ok().json(ModelList { models: service.models.clone() })
}

/// Shows a model: its architecture, size, licence and digest.
#[utoipa::path(
    tag = "models",
    operation_id = "show_model",
    params(("name" = String, Path, description = "The model's name", example = "rna-nano")),
    responses((status = 200, description = "The model", body = ModelInfo), Shown),
    security(("bearer" = []), ())
)]
#[get("/v1/models/{name}")]
pub(super) async fn show(
    name: web::Path<String>,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let model = service.models.iter().find(|model| model.name == *name);
    model.map(|model| HttpResponse::Ok().json(model)).ok_or_else(|| {
        let detail = format!("there is no model {name:?}; known are {}", service.model_names());
        Problem::new(Code::ResourceNotFound, detail)
    })
}

problems!(Listed: Unauthorized);

problems!(Shown: Unauthorized, ResourceNotFound);
