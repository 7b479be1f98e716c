//! Evaluates a model on an evaluation set of any kind at several dimensions.
//!
//! cargo run --example evaluate [MODEL] [SET]

use maana::evaluation::{EvaluationSet, Measuring, SetSpec, table};
use maana::kernels::{Context, Precision};
use maana::model::WeightStorage;
use maana::open::open;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("golden/tiny-bert".into());
    let folder = arguments.next().unwrap_or("recipes/demo/dev".into());
    let context = Context::available();
    let encoder = open(WeightStorage::Packed, &name, &context, Precision::F32, &mut |note| eprintln!("{note}"))?.model;

    let set = EvaluationSet::open(&SetSpec::of(folder))?;
    println!("{}: {}", set.kind().name(), set.size());
    let dims = [encoder.dimension(), encoder.dimension() / 2];
    let scores = set.measure(&Measuring::new(&encoder, &context, &dims))?;
    print!("{}", table(&scores));

    let best = scores.iter().filter_map(|scores| scores.get(&scores.primary)).fold(0.0, f64::max);
    println!("best {}: {best:.4}", scores[0].primary);
    Ok(())
}
