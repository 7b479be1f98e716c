//! Trains with a loss of one's own: pulls pairs together and pushes other texts apart. Run
//! with `cargo run --example own_loss [MODEL]`.

use maana::data::{Dataset, ReadOptions};
use maana::hub::HubOptions;
use maana::kernels::{Context, Matrix, Precision};
use maana::model::TrainingModel;
use maana::train::loss::{Embedded, Labels, Loss, LossSummary, Needs};
use maana::train::{Arguments, Failure, Interval, LogRow, Observer, Outcome, Run, TrainingSet};

/// `mean_i (|a_i − b_i|² + max(0, margin − |a_i − b_{i+1}|²))`: the document of the next row is the
/// negative.
struct Contrast {
    margin: f32,
}

impl Loss for Contrast {
    fn loss(&self, _context: &Context, embedded: &Embedded<'_>, weight: f32, d_columns: &mut [Matrix]) -> f32 {
        let [a, b] = embedded.columns else { panic!("needs() requires two columns") };
        let (rows, mut total) = (a.rows(), 0.0);
        let scale = weight / rows as f32;
        for i in 0..rows {
            for (j, is_pair) in [(i, true), ((i + 1) % rows, false)] {
                let difference: Vec<f32> = a.row(i).iter().zip(b.row(j)).map(|(a, b)| a - b).collect();
                let distance: f32 = difference.iter().map(|value| value * value).sum();
                if is_pair || distance < self.margin {
                    total += scale * if is_pair { distance } else { self.margin - distance };
                    let slope = if is_pair { 2.0 * scale } else { -2.0 * scale };
                    for (column, value) in difference.iter().enumerate() {
                        d_columns[0].row_mut(i)[column] += slope * value;
                        d_columns[1].row_mut(j)[column] -= slope * value;
                    }
                }
            }
        }
        total
    }

    fn needs(&self) -> Needs {
        Needs { columns: 2..=2, labels: Labels::Unused, columns_alone: 2 }
    }

    fn describe(&self) -> LossSummary {
        let parameters = vec![("margin".into(), self.margin.into())];
        LossSummary { name: "contrast".into(), class: "Contrast".into(), parameters, inner: None }
    }
}

/// An observer that measures nothing.
struct Quiet;

impl Observer<TrainingModel> for Quiet {
    fn evaluate(&mut self, _model: &TrainingModel, _step: u64, _epoch: f64) -> Result<Vec<(String, f64)>, Failure> {
        Ok(Vec::new())
    }

    fn save_model(&mut self, model: &TrainingModel, folder: &std::path::Path) -> Result<(), Failure> {
        Ok(model.write_into(folder, &[])?)
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or("golden/tiny-bert".into());
    let (context, hub) = (Context::available(), HubOptions::from_environment());
    let mut model = maana::open::open_for_training(&name, &context, Precision::F32, &hub, &mut |_| {})?.model;
    let options = ReadOptions { limit: Some(64), ..ReadOptions::default() };
    let source = &Dataset::open(&["recipes/demo/train.jsonl"], options)?;
    let arguments = &Arguments { batch_size: 16, log_every: Interval::Updates(4), ..Arguments::default() };
    let (tokenizer, longest) = (model.spec().tokenizer(), model.spec().settings().max_seq_length);
    let (tokenize, loss) = (|texts: &[&str]| tokenizer.encode(texts, longest), &Contrast { margin: 1.0 });
    let sets = [TrainingSet::new(source, loss)];
    let run = Run::new(&context, &sets, tokenize, arguments);
    let (Outcome::Finished(record) | Outcome::Interrupted { record, .. }) = run.train(&mut model, &mut Quiet)?;
    for row in &record.rows {
        if let LogRow::Training { step, loss, .. } = row {
            println!("step {step}: loss {loss:.4}");
        }
    }
    Ok(())
}
