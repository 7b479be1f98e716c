//! A model with towers by role: requests reach the tower that the role or the prompt names.

use crate::support::{Server, copy_folder, same_bits, tiny};
use maana::kernels::{Context, Precision};
use maana::model::{Role, TextEncoder, WeightStorage, open_for_inference};
use maana_serve::Source;
use serde_json::json;
use std::path::Path;

const TEXTS: [&str; 3] = ["the house of the king", "the sea", "a man said to the people"];

/// The golden model with a small BERT for queries and tiny-bert for documents.
fn router(folder: &Path) -> TextEncoder {
    copy_folder(&tiny().join("../router"), folder);
    copy_folder(&tiny(), &folder.join("document_0_Transformer"));
    let context = Context::new(1);
    let opened = open_for_inference(folder, &context, Precision::F32, WeightStorage::Packed);
    TextEncoder::new(opened.unwrap().model, &context).unwrap()
}

#[test]
fn each_route_uses_the_tower_of_its_role() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = router(folder.path());
    let rows = |role| -> Vec<Vec<f32>> {
        let rows = encoder.encode(&TEXTS, role).unwrap();
        (0..rows.rows()).map(|row| rows.row(row).to_vec()).collect()
    };
    let (queries, documents) = (rows(Role::Query), rows(Role::Document));
    let source = Source { name: "router".into(), place: folder.path().display().to_string() };
    let server = Server::with(|settings| settings.models = vec![source]);
    let embed = |prompt: Option<&str>| {
        server.post("/embed", &json!({"inputs": TEXTS, "prompt_name": prompt}).to_string()).rows()
    };
    same_bits(&embed(Some("query")), &queries);
    same_bits(&embed(Some("document")), &documents);
    same_bits(&embed(None), &documents);
    let ranked = server.post("/rerank", &json!({"query": TEXTS[0], "texts": TEXTS, "raw_scores": true}).to_string());
    for result in ranked.json(200).as_array().unwrap() {
        let document = &documents[result["index"].as_u64().unwrap() as usize];
        let expected: f32 = queries[0].iter().zip(document).map(|(a, b)| a * b).sum();
        assert!((result["score"].as_f64().unwrap() as f32 - expected).abs() < 1e-5, "{result}");
    }
}
