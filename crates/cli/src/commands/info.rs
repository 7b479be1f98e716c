//! `maana info`

use crate::precision::Choice;
use anyhow::Result;
use maana::kernels::Context;
use maana::model::{CrossEncoder, Task, TextEncoder, WeightStorage};
use std::sync::Arc;

/// Show a model's architecture, dimensions, prompts, parameters and size.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  maana info sentence-transformers/all-MiniLM-L6-v2
  maana info MODEL --fingerprint         (on two machines: the same lines)")]
pub(crate) struct Info {
    /// Model: a folder, a name on the hub, or name@revision
    model: String,
    #[command(flatten)]
    precision: crate::precision::PrecisionArgument,
    /// Embed fixed texts and print the SHA-256 of their embeddings, in f32 and in int8: the same on
    /// every machine. Of a cross-encoder, the logits of pairs of these texts
    #[arg(long, conflicts_with = "precision")]
    fingerprint: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Info {
    pub(crate) fn run(self, context: &Context) -> Result<()> {
        if self.fingerprint {
            return self.print_fingerprint(context);
        }
        let opened = crate::terminal::open_any(WeightStorage::Mapped, &self.model, context, self.precision.precision)?;
        let model = Arc::new(opened.model);
        model.check_weights(context)?;
        let (summary, fingerprint) = match model.spec().task() {
            Task::Embed => {
                let encoder = TextEncoder::new(Arc::clone(&model), context)?;
                (encoder.summary(), encoder.fingerprint())
            }
            Task::Score(_) => (model.spec().summary(), model.fingerprint(context)),
        };
        let fingerprint = maana::files::hex(&fingerprint);
        if self.json {
            let mut json = serde_json::to_value(&summary)?;
            json["folder"] = opened.resolved.folder.display().to_string().into();
            json["revision"] = opened.resolved.revision.clone().into();
            json["precision"] = model.precision().name().into();
            json["instructions"] = maana::kernels::InstructionSet::active().name().into();
            json["fingerprint"] = fingerprint.into();
            outln!("{}", serde_json::to_string_pretty(&json)?)?;
            return Ok(());
        }
        let mut rows = vec![
            ("folder", opened.resolved.folder.display().to_string()),
            ("architecture", summary.model_type.clone()),
            ("modules", summary.module_names()),
            ("max_seq_length", summary.text_length()),
            ("layers × hidden × heads", format!("{} × {} × {}", summary.layers, summary.hidden_size, summary.heads)),
            ("vocabulary", summary.vocabulary.to_string()),
            ("parameters", format!("{:.1} million", summary.parameters as f64 / 1e6)),
            ("size in f32", format!("{:.0} MB", summary.parameters as f64 * 4.0 / 1e6)),
        ];
        let of_task = match &summary.activation {
            None => [
                ("dimension", summary.dimension.to_string()),
                ("similarity", format!("{:?}", summary.similarity).to_lowercase()),
            ],
            Some(activation) => [
                ("labels of a pair", summary.labels.join(", ")),
                ("activation", activation.rsplit('.').next().unwrap_or_default().to_owned()),
            ],
        };
        rows.splice(3..3, of_task);
        if let Some(revision) = &opened.resolved.revision {
            rows.insert(1, ("revision", revision.clone()));
        }
        for (name, prompt) in &summary.prompts {
            rows.push(("prompt", format!("{name}: {prompt:?}")));
        }
        if let Some(name) = &summary.default_prompt_name {
            rows.push(("default prompt", name.clone()));
        }
        rows.push((
            "computes in",
            format!(
                "{}, {} threads, {}",
                model.precision().name(),
                context.threads(),
                maana::kernels::InstructionSet::active().name()
            ),
        ));
        rows.push(("fingerprint", fingerprint));
        for (name, value) in rows {
            outln!("{name:<24} {value}")?;
        }
        Ok(())
    }

    fn print_fingerprint(&self, context: &Context) -> Result<()> {
        let mut hashes = serde_json::Map::new();
        let (mut fingerprint, mut computed) = (String::new(), "");
        for choice in [Choice::F32, Choice::Int8] {
            let model = crate::terminal::open_any(WeightStorage::Mapped, &self.model, context, Some(choice))?.model;
            let bytes;
            let hash = match model.spec().task() {
                Task::Embed => {
                    let encoder = TextEncoder::new(model, context)?;
                    (bytes, computed) = (encoder.fingerprint(), "embeddings");
                    maana::fingerprint::of_embeddings(&encoder)?
                }
                Task::Score(_) => {
                    let encoder = CrossEncoder::new(model, context)?;
                    (bytes, computed) = (encoder.fingerprint(), "logits");
                    maana::fingerprint::of_logits(&encoder)?
                }
            };
            hashes.insert(choice.precision().name().into(), hash.into());
            fingerprint = maana::files::hex(&bytes);
        }
        let instructions = maana::kernels::InstructionSet::active().name();
        if self.json {
            let json = serde_json::json!({
                "fingerprint": fingerprint, computed: hashes, "instructions": instructions,
            });
            return outln!("{json:#}");
        }
        outln!("{:<24} {fingerprint}", "model")?;
        for (precision, hash) in &hashes {
            outln!("{:<24} {}", format!("{computed} in {precision}"), hash.as_str().unwrap_or_default())?;
        }
        outln!("{:<24} {instructions}", "computed by")
    }
}
