//! The endpoints that tell which models have a name.

use super::Service;
use super::problem::{blocking, problems};
use crate::error::Code;
use crate::jobs::Problem;
use crate::model::{self, ModelInfo, ModelSummary};
use crate::storage::Policy;
use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

/// The models that have a name
#[derive(Serialize, ToSchema)]
struct ModelList {
    /// Those of the program first
    models: Vec<ModelSummary>,
}

/// Lists the models that requests may name.
///
/// Those of the program come first, then those of the Hugging Face Hub that the service fetches. `max_tokens` counts tokens,
/// the special ones included; `parameters` counts weights.
#[utoipa::path(
    tag = "models",
    operation_id = "list_models",
    responses((status = 200, description = "The models", body = ModelList), Listed),
    security(("bearer" = []), ())
)]
#[get("/v1/models")]
pub(super) async fn list(service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    let models = blocking(move || {
        let on_hub = model::on_hub().into_iter();
        let allowed = on_hub.filter(|model| service.allow.check_model(&model.name).is_ok());
        Ok::<Vec<ModelSummary>, Problem>(
            service.models.iter().map(ModelSummary::from).chain(allowed).collect(),
        )
    });
    Ok(HttpResponse::Ok().json(ModelList { models: models.await? }))
}

/// Shows a model: its architecture, size, licence and digest.
///
/// `max_tokens` counts tokens, the special ones included; `parameters` counts weights.
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

problems!(Listed: Unauthorized, NotReady);

problems!(Shown: Unauthorized, ResourceNotFound);
