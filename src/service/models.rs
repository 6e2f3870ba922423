//! The endpoints that tell which models have a name.

use super::problem::problems;
use crate::error::Code;
use crate::jobs::Problem;
use crate::model::{self, ModelInfo};
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
pub(super) async fn list() -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(ModelList { models: model::list()? }))
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
pub(super) async fn show(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let info = model::show(&name).map_err(|error| Problem::new(Code::ResourceNotFound, error.to_string()))?;
    Ok(HttpResponse::Ok().json(info))
}

problems!(Listed: Unauthorized);

problems!(Shown: Unauthorized, ResourceNotFound);
