//! Encodes texts and compares them.
//!
//! cargo run --example compare [MODEL]

use maana::kernels::{Context, Precision};
use maana::model::WeightStorage;
use maana::open::open;
use maana::similarity::similarities;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or("golden/tiny-bert".into());
    let context = Context::available();
    let encoder = open(WeightStorage::Packed, &name, &context, Precision::F32, &mut |note| eprintln!("{note}"))?.model;

    let texts = ["Mwanamke anashona.", "Mwanamke mzee anashona blanketi.", "Bei ya mahindi imepanda."];
    let embeddings = encoder.embed(&texts, encoder.default_prompt())?;
    println!("{} embeddings of {} dimensions", embeddings.rows(), embeddings.columns());

    let scores = similarities(&encoder, &context, &texts)?;
    for (row, text) in texts.iter().enumerate() {
        let cells: Vec<String> = scores.row(row).iter().map(|score| format!("{score:6.3}")).collect();
        println!("{}  {text}", cells.join(" "));
    }

    // A Matryoshka model keeps most of its quality in its first columns.
    let half = encoder.clone().with_dimension(encoder.dimension() / 2)?;
    let scores = similarities(&half, &context, &texts)?;
    println!("{:6.3}  first two texts at {} dimensions", scores.row(0)[1], half.dimension());
    Ok(())
}
