//! `models list` and `models show`.

use super::ModelsCommand;
use super::console::Console;
use crate::error::Result;
use crate::model::{self, ModelInfo, ModelSummary, Placement};
use crate::pipeline::{self, Speed};
use crate::report::quantity::{grouped, short};
use crate::storage::Storage;
use serde::Serialize;

pub(super) fn run(command: &ModelsCommand, console: &Console) -> Result<()> {
    match command {
        ModelsCommand::List => {
            let bundled = model::bundled()?;
            let models: Vec<ModelSummary> =
                bundled.iter().map(ModelSummary::from).chain(model::on_hub()).collect();
            console.listing(&models, || list(&models))
        }
        ModelsCommand::Show { model, measure } => {
            let loaded = model::load(model, &Storage::from_env()?, &Placement::Cpu)?;
            let speed = measure.then(|| pipeline::measure(&loaded)).transpose()?;
            let shown = Shown { info: &loaded.info, speed };
            console.listing(&shown, || show(&shown))
        }
    }
}

/// What is known of a model, and how fast it is here.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    info: &'a ModelInfo,
    #[serde(flatten)]
    speed: Option<Speed>,
}

fn list(models: &[ModelSummary]) -> String {
    let columns = ["NAME", "FAMILY", "WEIGHTS", "MAX TOKENS", "FROM", "LICENCE", "DESCRIPTION"];
    let mut rows = vec![columns.map(str::to_string)];
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_string());
    rows.extend(models.iter().map(|model| {
        [
            model.name.clone(),
            text(&model.family),
            text(&model.parameters.map(|number| short(number as f64))),
            text(&model.max_tokens.map(|number| grouped(number.into()))),
            model.status.name().to_string(),
            text(&model.licence),
            text(&model.description),
        ]
    }));
    super::table::columns(&rows)
}

fn show(Shown { info, speed }: &Shown) -> String {
    let mut rows = vec![
        ("name", info.name.clone()),
        ("family", info.family.clone()),
        ("description", info.description.clone()),
        ("weights", grouped(info.parameters)),
        ("layers", info.layers.to_string()),
        ("hidden size", info.hidden_size.to_string()),
        ("heads", info.attention_heads.to_string()),
        ("vocabulary", info.vocabulary.to_string()),
        ("max tokens", grouped(u64::from(info.max_tokens))),
        ("from", info.status.name().to_string()),
        ("licence", info.licence.clone()),
        ("digest", info.digest.clone()),
    ];
    if let Some(speed) = speed {
        let per_second =
            format!("{} tokens/s on {} threads", grouped(speed.tokens_per_second), speed.threads);
        rows.push(("speed", per_second));
    }
    super::table::fields(&rows)
}
