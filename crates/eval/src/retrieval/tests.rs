use super::*;
use maana_model::ModelError;
use std::cell::RefCell;
use std::collections::HashMap;

/// An encoder of known texts that records the sizes of its batches.
struct Lookup {
    rows: HashMap<String, Vec<f32>>,
    dimension: usize,
    similarity: Similarity,
    requests: RefCell<Vec<(Role, usize)>>,
}

impl Lookup {
    fn encode(&self, texts: &[&str], role: Role) -> Result<Matrix, ModelError> {
        self.requests.borrow_mut().push((role, texts.len()));
        let values = texts.iter().flat_map(|text| self.rows[*text].clone()).collect();
        Ok(Matrix::from_vec(texts.len(), self.dimension, values))
    }
}

fn evaluate(
    context: &Context,
    lookup: &Lookup,
    set: &RetrievalSet,
    dims: &[usize],
    options: &RetrievalOptions,
) -> Result<Vec<Scores>, EvalError> {
    let Lookup { dimension, similarity, .. } = *lookup;
    let encode = |texts: &[&str], role| lookup.encode(texts, role);
    evaluate_function(context, &EncoderFunction { dimension, similarity, encode: &encode }, set, dims, options)
}

fn named(rows: &[(&str, Vec<f32>)]) -> Vec<(String, Vec<f32>)> {
    rows.iter().map(|(name, row)| (name.to_string(), row.clone())).collect()
}

/// Returns an encoder of these rows, and a set in which each text is its id.
fn task(queries: &[(String, Vec<f32>)], corpus: &[(String, Vec<f32>)], relevant: &[&[&str]]) -> (Lookup, RetrievalSet) {
    let rows: HashMap<String, Vec<f32>> = queries
        .iter()
        .map(|(id, row)| (format!("query {id}"), row.clone()))
        .chain(corpus.iter().map(|(id, row)| (format!("document {id}"), row.clone())))
        .collect();
    let index = |id: &&&str| corpus.iter().position(|(other, _)| other == **id);
    let of = |ids: &&[&str]| {
        let mut documents: Vec<usize> = ids.iter().filter_map(|id| index(&id)).collect();
        documents.sort_unstable();
        Relevant { absent: ids.len() - documents.len(), documents }
    };
    let set = RetrievalSet {
        name: "made up".into(),
        queries: queries.iter().map(|(id, _)| (id.clone(), format!("query {id}"))).collect(),
        corpus: corpus.iter().map(|(id, _)| (id.clone(), format!("document {id}"))).collect(),
        relevant: relevant.iter().map(of).collect(),
        unknown_queries: 0,
    };
    let dimension = corpus[0].1.len();
    (Lookup { rows, dimension, similarity: Similarity::Cosine, requests: RefCell::default() }, set)
}

fn golden() -> (Lookup, RetrievalSet, Vec<(String, f64)>) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/retrieval.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let rows = |key: &str| -> Vec<(String, Vec<f32>)> {
        let row =
            |value: &serde_json::Value| value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        golden[key].as_object().unwrap().iter().map(|(id, value)| (id.clone(), row(value))).collect()
    };
    let (queries, corpus) = (rows("queries"), rows("documents"));
    let ids = |query: &str| -> Vec<&str> {
        golden["relevant"][query].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect()
    };
    let relevant: Vec<Vec<&str>> = queries.iter().map(|(id, _)| ids(id)).collect();
    let relevant: Vec<&[&str]> = relevant.iter().map(Vec::as_slice).collect();
    let (encoder, set) = task(&queries, &corpus, &relevant);
    let metrics = golden["metrics"].as_object().unwrap();
    let metrics = metrics.iter().map(|(key, value)| (key.replace("fixed_", ""), value.as_f64().unwrap())).collect();
    (encoder, set, metrics)
}

fn chunked(corpus_chunk: usize) -> RetrievalOptions {
    RetrievalOptions { corpus_chunk, ..RetrievalOptions::default() }
}

#[test]
fn the_golden_task_has_the_results_of_the_reference() {
    let (encoder, set, metrics) = golden();
    for threads in [1, 2, 3] {
        for chunk in [1, 7, 59, 60, 10_000] {
            let scores = evaluate(&Context::new(threads), &encoder, &set, &[8], &chunked(chunk)).unwrap();
            let keys: Vec<&String> = scores[0].values.iter().map(|(key, _)| key).collect();
            assert_eq!(keys, metrics.iter().map(|(key, _)| key).collect::<Vec<_>>(), "keys and their order");
            for ((key, value), (_, expected)) in scores[0].values.iter().zip(&metrics) {
                assert!(
                    (value - expected).abs() < 1e-9,
                    "{key}: {value} for {expected}, {threads} threads, chunks of {chunk}"
                );
            }
            assert_eq!((scores[0].name.as_str(), scores[0].primary.as_str()), ("dim_8", "cosine_ndcg@10"));
        }
    }
}

/// Returns rows of small whole numbers, many with equal directions.
fn many(count: usize, dimension: usize, seed: u64) -> Matrix {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % 5) as f32 - 2.0
    };
    let mut rows = Matrix::from_vec(count, dimension, (0..count * dimension).map(|_| next()).collect());
    for row in (0..count).step_by(3).skip(1) {
        let copy = rows.row(row / 2).to_vec();
        rows.row_mut(row).copy_from_slice(&copy);
    }
    rows
}

#[test]
fn chunks_and_threads_change_no_bit() {
    let (queries, corpus) = (many(300, 24, 1), many(701, 24, 2));
    let names: Vec<String> = (0..701).map(|n| format!("d{n}")).collect();
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let relevant: Vec<Relevant> = (0..300)
        .map(|query| Relevant { documents: vec![query, query + 100, query + 400], absent: query % 2 })
        .collect();
    let embedded = Embedded { queries: queries.view(), corpus: corpus.view(), corpus_ids: &ids, relevant: &relevant };
    let dims = [24, 16, 8, 3];
    let whole = evaluate_embeddings(&Context::new(1), embedded, &dims, &chunked(701)).unwrap();
    for (threads, chunk) in [(1, 1), (2, 13), (3, 64), (2, 700), (2, 5000)] {
        let other = evaluate_embeddings(&Context::new(threads), embedded, &dims, &chunked(chunk)).unwrap();
        assert_eq!(other, whole, "{threads} threads, chunks of {chunk}");
    }
}

#[test]
fn each_dimension_equals_an_evaluation_of_truncated_embeddings() {
    let (queries, corpus) = (many(40, 12, 3), many(90, 12, 4));
    let names: Vec<String> = (0..90).map(|n| format!("d{n}")).collect();
    let ids: Vec<&str> = names.iter().map(String::as_str).collect();
    let relevant: Vec<Relevant> =
        (0..40).map(|query| Relevant { documents: vec![query, query + 50], absent: 0 }).collect();
    let embedded = Embedded { queries: queries.view(), corpus: corpus.view(), corpus_ids: &ids, relevant: &relevant };
    for similarity in [Similarity::Cosine, Similarity::Dot] {
        let options = RetrievalOptions { similarity: Some(similarity), ..RetrievalOptions::default() };
        let context = Context::new(2);
        let together = evaluate_embeddings(&context, embedded, &[5, 12, 1], &options).unwrap();
        for scores in &together {
            let cut = |rows: &Matrix| rows.view().prefix(scores.dimension).to_matrix();
            let (queries, corpus) = (cut(&queries), cut(&corpus));
            let single = Embedded { queries: queries.view(), corpus: corpus.view(), ..embedded };
            let single = evaluate_embeddings(&context, single, &[scores.dimension], &options).unwrap();
            assert_eq!(&single[0], scores);
        }
        assert_eq!(
            together.iter().map(|scores| scores.dimension).collect::<Vec<_>>(),
            [5, 12, 1],
            "in the requested order"
        );
    }
}

#[test]
fn equal_scores_are_ordered_by_id() {
    let row = vec![1.0, 0.0];
    let corpus = named(&[("d9", row.clone()), ("d10", row.clone()), ("d2", row.clone()), ("far", vec![0.0, 1.0])]);
    let queries = named(&[("q", row)]);
    for (best, expected) in [("d10", 1.0), ("d2", 0.5), ("d9", 1.0 / 3.0), ("far", 0.25)] {
        let (encoder, set) = task(&queries, &corpus, &[&[best]]);
        for chunk in 1..5 {
            let scores = evaluate(&Context::new(1), &encoder, &set, &[2], &chunked(chunk)).unwrap();
            assert_eq!(scores[0].get("cosine_mrr@10"), Some(expected), "{best} in chunks of {chunk}");
        }
    }
}

#[test]
fn queries_without_relevant_documents_are_neither_encoded_nor_counted() {
    let (x, y) = (vec![1.0, 0.0], vec![0.0, 1.0]);
    let queries = named(&[("none", x.clone()), ("x", x.clone()), ("nor here", y.clone())]);
    let corpus = named(&[("a", x), ("b", y)]);
    let (encoder, set) = task(&queries, &corpus, &[&[], &["a"], &[]]);
    let scores = evaluate(&Context::new(1), &encoder, &set, &[2], &chunked(1)).unwrap();
    assert_eq!(scores[0].get("cosine_accuracy@1"), Some(1.0));
    let requests = encoder.requests.into_inner();
    assert_eq!(requests, [(Role::Query, 1), (Role::Document, 1), (Role::Document, 1)], "one encoding, in chunks");
}

#[test]
fn several_dimensions_need_one_encoding() {
    let (encoder, set, _) = golden();
    evaluate(&Context::new(1), &encoder, &set, &[8, 4, 2], &chunked(60)).unwrap();
    assert_eq!(encoder.requests.into_inner(), [(Role::Query, 17), (Role::Document, 60)]);
}

#[test]
fn absent_relevant_documents_count_against_recall() {
    let x = vec![1.0, 0.0];
    let (encoder, set) = task(&named(&[("q", x.clone())]), &named(&[("a", x)]), &[&["a", "gone"]]);
    let scores = &evaluate(&Context::new(1), &encoder, &set, &[2], &chunked(1)).unwrap()[0];
    assert_eq!(scores.get("cosine_recall@10"), Some(0.5));
    assert_eq!(scores.get("cosine_precision@10"), Some(0.1), "k is not cut to the size of the corpus");
    assert_eq!(scores.get("cosine_map@100"), Some(0.5));
}

#[test]
fn options_of_3_0_1_names_and_dot() {
    let (encoder, set, _) = golden();
    let encoder = Lookup { similarity: Similarity::Dot, ..encoder };
    let options =
        RetrievalOptions { primary: Primary::Map, name: Some("habari".into()), ..RetrievalOptions::default() };
    let scores = &evaluate(&Context::new(1), &encoder, &set, &[4], &options).unwrap()[0];
    assert_eq!((scores.name.as_str(), scores.primary.as_str()), ("habari_dim_4", "dot_map@100"));
    assert!(scores.get("dot_ndcg@10").is_some());
    assert_eq!(scores.set(), Some("habari"));
}

#[test]
fn invalid_dimensions_are_named() {
    let (encoder, set, _) = golden();
    let error = |dims: &[usize]| {
        evaluate(&Context::new(1), &encoder, &set, dims, &RetrievalOptions::default()).unwrap_err().to_string()
    };
    for (dims, words) in [
        (&[8, 9][..], "dimension 9: more than"),
        (&[0], "dimension 0"),
        (&[4, 8, 4], "dimension 4: it occurs twice"),
        (&[], "dims"),
    ] {
        assert!(error(dims).contains(words), "{dims:?}: {}", error(dims));
    }
    assert!(encoder.requests.borrow().is_empty(), "an error before encoding");
}

#[test]
fn invalid_settings_are_named() {
    let (encoder, set, _) = golden();
    let error =
        |options: RetrievalOptions| evaluate(&Context::new(1), &encoder, &set, &[8], &options).unwrap_err().to_string();
    assert!(error(chunked(0)).contains("corpus_chunk"));
    assert!(
        error(RetrievalOptions { similarity: Some(Similarity::Manhattan), ..chunked(1) }).contains("cosine or dot")
    );
    let cutoffs = Cutoffs { ndcg: vec![], ..Cutoffs::default() };
    assert!(error(RetrievalOptions { cutoffs, ..chunked(1) }).contains("primary"));
    let nothing = RetrievalSet { relevant: vec![Relevant::default(); set.queries.len()], ..set.clone() };
    let error = evaluate(&Context::new(1), &encoder, &nothing, &[8], &chunked(1)).unwrap_err().to_string();
    assert!(error.contains("made up"), "{error}");
}

#[test]
fn the_text_of_an_embedding_that_is_not_finite_is_named() {
    for bad in [f32::NAN, f32::INFINITY] {
        let (x, broken) = (vec![1.0, 0.0], vec![0.0, bad]);
        let (encoder, set) =
            task(&named(&[("q", x.clone())]), &named(&[("a", x.clone()), ("b", broken.clone())]), &[&["a"]]);
        let error = evaluate(&Context::new(1), &encoder, &set, &[1], &chunked(1)).unwrap_err().to_string();
        assert!(error.contains("document \"b\"") && error.contains("document b"), "{error}");
        let (encoder, set) = task(&named(&[("q", broken)]), &named(&[("a", x)]), &[&["a"]]);
        let error = evaluate(&Context::new(1), &encoder, &set, &[2], &chunked(1)).unwrap_err().to_string();
        assert!(error.contains("query \"q\""), "{error}");
    }
}

#[test]
fn zero_rows_are_ranked_last() {
    let (zero, x) = (vec![0.0, 0.0], vec![1.0, 0.0]);
    let queries = named(&[("q", zero.clone()), ("x", x.clone())]);
    let corpus = named(&[("a", zero), ("b", x), ("c", vec![-1.0, 0.0])]);
    let (encoder, set) = task(&queries, &corpus, &[&["b"], &["b"]]);
    let scores = &evaluate(&Context::new(1), &encoder, &set, &[2], &chunked(2)).unwrap()[0];
    assert_eq!(scores.get("cosine_mrr@10"), Some((0.5 + 1.0) / 2.0), "all documents tie for a query of zeros");
}
