//! Indexes a file of documents in a folder and searches them.
//!
//! cargo run --example search [MODEL] [CORPUS]

use maana::kernels::{Context, Precision};
use maana::model::WeightStorage;
use maana::open::open;
use maana::search::{Fields, SearchOptions, StoreLocation, index, search};
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or("golden/tiny-bert".into());
    let corpus = PathBuf::from(arguments.next().unwrap_or("recipes/demo/dev/corpus.jsonl".into()));
    let context = Context::available();
    let encoder = open(WeightStorage::Packed, &name, &context, Precision::F32, &mut |note| eprintln!("{note}"))?.model;

    // An address such as postgres://me@localhost/texts?store=news works as well.
    let folder = tempfile::tempdir()?;
    let location = StoreLocation::parse(&folder.path().join("store"))?;
    let mut writer = location.begin(&encoder, &name, false)?;
    let indexed = index(&encoder, writer.as_mut(), &corpus, &Fields::default(), &mut |_| {})?;
    writer.finish()?;
    drop(writer);
    println!("{} documents indexed", indexed.added.new);

    let store = location.read()?;
    let queries = ["Dereva alipata huduma ya afya mjini Kilifi.", "Watu walikata mimea mwaka jana."];
    let options = SearchOptions { k: 3, hybrid: true, ..SearchOptions::default() };
    let answers = search(store.as_ref(), &encoder, &context, &queries, &options)?;
    for (query, hits) in queries.iter().zip(&answers.hits) {
        println!("{query}");
        for hit in hits {
            println!("  {:.4} {} {}", hit.score, hit.id, hit.content.text);
        }
    }
    Ok(())
}
