//! Evaluates a model on a retrieval set at several dimensions.
//!
//! cargo run --example evaluate [MODEL] [SET]

use maana::data::RetrievalSet;
use maana::eval::RetrievalOptions;
use maana::evaluate::{evaluate, table};
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

    let set = RetrievalSet::open(&folder)?;
    println!("{} queries, {} documents", set.queries.len(), set.corpus.len());
    let dims = [encoder.dimension(), encoder.dimension() / 2];
    let scores = evaluate(&encoder, &context, &[set], &dims, &RetrievalOptions::default())?;
    print!("{}", table(&scores));

    let best = scores.iter().filter_map(|scores| scores.get("cosine_ndcg@10")).fold(0.0, f64::max);
    println!("best nDCG@10: {best:.4}");
    Ok(())
}
