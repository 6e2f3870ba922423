//! `models list` and `models show`.

use super::ModelsCommand;
use super::console::Console;
use crate::error::Result;
use crate::model::{self, ModelInfo, ModelStatus};
use crate::report::quantity::{grouped, short};
use crate::storage::Storage;

pub(super) fn run(command: &ModelsCommand, console: &Console) -> Result<()> {
    match command {
        ModelsCommand::List => {
            let models = model::list()?;
            console.listing(&models, || list(&models))
        }
        ModelsCommand::Show { model } => {
            let info = model::describe(model, &Storage::from_env()?)?;
            console.listing(&info, || show(&info))
        }
    }
}

fn status(info: &ModelInfo) -> &'static str {
    match info.status {
        ModelStatus::Embedded => "embedded",
        ModelStatus::File => "file",
    }
}

fn list(models: &[ModelInfo]) -> String {
    let mut rows =
        vec![["NAME", "FAMILY", "WEIGHTS", "MAX TOKENS", "FROM", "DESCRIPTION"].map(str::to_string)];
    rows.extend(models.iter().map(|info| {
        [
            info.name.clone(),
            info.family.clone(),
            short(info.parameters as f64),
            grouped(u64::from(info.max_tokens)),
            status(info).to_string(),
            info.description.clone(),
        ]
    }));
    super::table::columns(&rows)
}

fn show(info: &ModelInfo) -> String {
    let rows = [
        ("name", info.name.clone()),
        ("family", info.family.clone()),
        ("description", info.description.clone()),
        ("weights", grouped(info.parameters)),
        ("layers", info.layers.to_string()),
        ("hidden size", info.hidden_size.to_string()),
        ("heads", info.attention_heads.to_string()),
        ("vocabulary", info.vocabulary.to_string()),
        ("max tokens", grouped(u64::from(info.max_tokens))),
        ("from", status(info).to_string()),
        ("licence", info.licence.clone()),
        ("digest", info.digest.clone()),
    ];
    super::table::fields(&rows)
}
