//! The names that Hugging Face's BERT-like models give their tensors, into fairseq's.

/// Fairseq's name of a tensor of `EsmForMaskedLM`, `BertForMaskedLM` or multimolecule's `RnaFmForMaskedLM`; `None`
/// where it has no part in the language model or has fairseq's name already.
pub fn fairseq_name(name: &str) -> Option<String> {
    let name =
        ["esm.", "bert.", "rnafm.", "model."].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name);
    let (part, kind) = name.rsplit_once('.')?;
    // TensorFlow's names of a LayerNorm's weight and bias, in older files.
    let kind = match kind {
        "gamma" => "weight",
        "beta" => "bias",
        other => other,
    };
    let part = match part {
        "embeddings.word_embeddings" => "embed_tokens".into(),
        "embeddings.position_embeddings" => "embed_positions".into(),
        "embeddings.token_type_embeddings" => "embed_types".into(),
        "embeddings.layer_norm" | "embeddings.LayerNorm" => "emb_layer_norm_before".into(),
        "encoder.layer_norm" | "encoder.emb_layer_norm_after" => "emb_layer_norm_after".into(),
        "lm_head.transform.dense" | "cls.predictions.transform.dense" => "lm_head.dense".into(),
        "lm_head.transform.layer_norm" | "cls.predictions.transform.LayerNorm" => "lm_head.layer_norm".into(),
        // The decoder's own bias is a copy of the head's where both are stored.
        "cls.predictions" => "lm_head".into(),
        "cls.predictions.decoder" | "lm_head.decoder" if kind == "weight" => "lm_head".into(),
        _ => layer(part)?,
    };
    Some(format!("{part}.{kind}"))
}

fn layer(part: &str) -> Option<String> {
    let (index, part) = part.strip_prefix("encoder.layer.")?.split_once('.')?;
    let part = match part {
        "attention.self.query" => "self_attn.q_proj",
        "attention.self.key" => "self_attn.k_proj",
        "attention.self.value" => "self_attn.v_proj",
        "attention.output.dense" => "self_attn.out_proj",
        // Before the attention in ESM and RNA-FM, after it in BERT: the same tensor either way.
        "attention.LayerNorm" | "attention.layer_norm" | "attention.output.LayerNorm" => {
            "self_attn_layer_norm"
        }
        "LayerNorm" | "layer_norm" | "output.LayerNorm" => "final_layer_norm",
        "intermediate.dense" => "fc1",
        "output.dense" => "fc2",
        _ => return None,
    };
    Some(format!("layers.{index}.{part}"))
}
