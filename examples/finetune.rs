//! Fine-tunes a model in code, with a dev set and an observer, and saves it.
//!
//! cargo run --example finetune [MODEL] [OUTPUT FOLDER]

use maana::data::{Dataset, ReadOptions};
use maana::eval::Scores;
use maana::evaluation::{EvaluationSet, Measuring, SetSpec};
use maana::hub::HubOptions;
use maana::kernels::{Context, Precision};
use maana::model::{TextEncoder, Trainable, TrainingModel};
use maana::train::{Arguments, Evaluate, Event, Failure, LossArguments, LossName, Observer, Outcome, Run, TrainingSet};
use std::path::{Path, PathBuf};

/// Measures the model on the dev set and reports progress.
struct Watch<'a> {
    context: &'a Context,
    dev: EvaluationSet,
}

impl Observer<TrainingModel> for Watch<'_> {
    fn evaluate(&mut self, model: &TrainingModel, step: u64, _epoch: f64) -> Result<Vec<(String, f64)>, Failure> {
        let encoder = TextEncoder::new(model.inference(), self.context)?;
        let dims = [encoder.dimension()];
        let scores = self.dev.measure(&Measuring::new(&encoder, self.context, &dims))?;
        println!("step {step}: nDCG@10 {:.4}", scores[0].get("cosine_ndcg@10").unwrap_or_default());
        Ok(scores.iter().flat_map(Scores::prefixed).collect())
    }

    fn save_model(&mut self, model: &TrainingModel, folder: &Path) -> Result<(), Failure> {
        Ok(model.write_into(folder, &[])?)
    }

    fn event(&mut self, event: &Event<'_>) {
        if let Event::Started { plan } = event {
            println!("{} updates", plan.updates);
        }
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("golden/tiny-bert".into());
    let output = arguments.next().map(PathBuf::from);
    let (context, hub) = (Context::available(), HubOptions::from_environment());
    let mut model = maana::open::open_for_training(&name, &context, Precision::F32, &hub, &mut |_| {})?.model;

    let columns = Some(vec!["positive".into(), "anchor".into()]);
    let options = ReadOptions { columns, limit: Some(512), ..ReadOptions::default() };
    let source = Dataset::open(&["recipes/demo/train.jsonl"], options)?;
    let mut watch = Watch { context: &context, dev: EvaluationSet::open(&SetSpec::of("recipes/demo/dev"))? };

    let settings = Arguments { batch_size: 32, learning_rate: 2e-4, epochs: 1.0, ..Arguments::default() };
    let settings = Arguments { evaluate: Evaluate::Steps(8.into()), ..settings };
    let dims = Some(vec![model.dimension(), model.dimension() / 2]);
    let loss = LossArguments { matryoshka_dims: dims, ..LossArguments::new(LossName::MultipleNegativesRanking) };
    let loss = loss.build(model.dimension(), settings.seed)?;

    let (tokenizer, longest) = (model.spec().tokenizer(), model.spec().settings().max_seq_length);
    let tokenize = |texts: &[&str]| tokenizer.encode(texts, longest);
    let sets = [TrainingSet::new(&source, loss.as_ref())];
    // With a folder the run writes checkpoints there, and `resume` continues from them.
    let run = Run { folder: None, resume: false, ..Run::new(&context, &sets, tokenize, &settings) };
    watch.evaluate(&model, 0, 0.0)?;
    if let Outcome::Finished(record) = run.train(&mut model, &mut watch)? {
        println!("{} updates, {} tokens", record.steps, record.tokens);
    }
    if let Some(folder) = output {
        model.save(&folder, &[])?;
        println!("saved to {}", folder.display());
    }
    Ok(())
}
