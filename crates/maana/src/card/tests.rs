use super::blend_facts::tests::blend;
use super::*;
use maana_data::{ColumnSummary, DataSummary};
use maana_eval::{Kind, Scores};
use maana_model::{ModelSummary, ModuleSummary, Similarity};
use maana_train::{LogRow, Times, TrainingRecord};
use serde_json::json;

const KEYS: [&str; 15] = [
    "cosine_accuracy@1",
    "cosine_accuracy@3",
    "cosine_accuracy@5",
    "cosine_accuracy@10",
    "cosine_precision@1",
    "cosine_precision@3",
    "cosine_precision@5",
    "cosine_precision@10",
    "cosine_recall@1",
    "cosine_recall@3",
    "cosine_recall@5",
    "cosine_recall@10",
    "cosine_ndcg@10",
    "cosine_mrr@10",
    "cosine_map@100",
];
const DIMS: [usize; 5] = [768, 512, 256, 128, 64];

fn scores(dimension: usize, level: f64) -> Scores {
    let value = |index: usize| level * (0.7 + 0.02 * index as f64) / 1.1;
    Scores {
        kind: Kind::Retrieval,
        name: format!("dim_{dimension}"),
        dimension,
        values: KEYS.iter().enumerate().map(|(index, key)| (key.to_string(), value(index))).collect(),
        primary: "cosine_ndcg@10".into(),
        precision: None,
        items: Vec::new(),
    }
}

/// A run in the manner of a real one: noisy losses, a better model after each epoch, the third
/// kept.
fn record() -> TrainingRecord {
    let mut rows = Vec::new();
    let steps = 220u64;
    for step in (10..=steps).step_by(10) {
        let part = step as f64 / steps as f64;
        let noise = ((step * 7919) % 101) as f64 / 101.0 - 0.5;
        rows.push(LogRow::Training {
            step,
            epoch: part * 4.0,
            loss: 1.7 + 8.0 * (-6.0 * part).exp() + 0.25 * noise,
            set_losses: Vec::new(),
            learning_rate: if step < 22 { 2e-5 * step as f64 / 22.0 } else { 1e-5 * (1.0 + (3.0 * part).cos()) },
            gradient_norm: 3.0 + 20.0 * (-5.0 * part).exp() + 2.0 * noise,
            tokens_per_second: 2500.0 + 100.0 * noise,
            seconds: 3.0 * step as f64,
        });
        if step % 55 == 0 || step == 50 {
            let quality = [0.29, 0.31, 0.335, 0.33][(4.0 * part) as usize - usize::from(part == 1.0)];
            let scores = DIMS.iter().map(|&dim| {
                let value = quality * (1.0 - 0.12 * (768.0 / dim as f64).log2() / 3.58);
                (format!("dim_{dim}_cosine_ndcg@10"), value)
            });
            rows.push(LogRow::Evaluation {
                step,
                epoch: part * 4.0,
                scores: scores.collect(),
                seconds: 4.0,
                precision: None,
            });
        }
    }
    TrainingRecord {
        rows,
        best_step: Some(110),
        best_metric: Some("dim_128_cosine_ndcg@10".into()),
        stopped_early: false,
        best_value: Some(0.3060),
        steps,
        seconds: 700.0,
        times: Times { computing: 660.0, waiting: 0.5, evaluating: 36.0, saving: 3.5 },
        tokens: 1_700_000,
        threads: 2,
        peak_memory_bytes: Some(1_530_000_000),
    }
}

fn column(name: &str, min: usize, spread: usize) -> ColumnSummary {
    let mut histogram = vec![0; min + spread];
    for (length, texts) in histogram.iter_mut().enumerate().skip(min) {
        let at = (length - min) as f64 / spread as f64;
        *texts = (220.0 * (at * 9.0) * (-at * 9.0).exp()) as usize + usize::from(length == min);
    }
    histogram[min + spread - 1] = 1;
    let texts: usize = histogram.iter().sum();
    let tokens: usize = histogram.iter().enumerate().map(|(length, count)| length * count).sum();
    let mean_tokens = tokens as f64 / texts as f64;
    ColumnSummary { name: name.into(), min_tokens: min, mean_tokens, max_tokens: min + spread - 1, histogram }
}

/// Facts such as a real run gives.
pub(crate) fn facts() -> CardFacts {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect::<Vec<_>>();
    let module = |kind: &str, settings: &[(&str, &str)], architecture: Option<&str>| ModuleSummary {
        kind: kind.into(),
        settings: pairs(settings),
        architecture: architecture.map(String::from),
        routes: Vec::new(),
    };
    let pooling = [("word_embedding_dimension", "768"), ("pooling_mode_cls_token", "True"), ("include_prompt", "True")];
    CardFacts {
        name: "BGE base Swahili Matryoshka".into(),
        hub_id: Some("maana/bge-base-swahili".into()),
        languages: vec!["sw".into()],
        licence: Some("apache-2.0".into()),
        base_model: Some(BaseModel {
            name: "BAAI/bge-base-en-v1.5".into(),
            revision: Some("a5beb1e3e68b9ab74eb54cfd186867f64f240e1a".into()),
            hub_id: Some("BAAI/bge-base-en-v1.5".into()),
        }),
        model: ModelSummary {
            model_type: "bert".into(),
            modules: vec![
                module("Transformer", &[("max_seq_length", "512"), ("do_lower_case", "True")], Some("BertModel")),
                module("Pooling", &pooling, None),
                module("Normalize", &[], None),
            ],
            max_seq_length: 512,
            dimension: 768,
            labels: Vec::new(),
            activation: None,
            similarity: Similarity::Cosine,
            parameters: 109_482_240,
            layers: 12,
            hidden_size: 768,
            heads: 12,
            vocabulary: 30_522,
            prompts: Vec::new(),
            default_prompt_name: None,
        },
        data: vec![DataSummary {
            name: None,
            rows: 282_883,
            columns: vec![column("positive", 5, 74), column("anchor", 6, 179)],
            label: None,
            sampled: 1000,
            samples: vec![
                vec![
                    "Alingoja mtu huyo mwingine arudi.".into(),
                    "Ca'daan alingoja hadi alasiri yote mtu huyo atoke tena.".into(),
                ],
                vec![
                    "Mbwa anakimbia na kuruka nje.".into(),
                    "Mbwa mwenye rangi ya kahawia anaruka na kukimbia shambani.".into(),
                ],
            ],
        }],
        losses: vec![LossFacts {
            classes: vec!["MatryoshkaLoss".into(), "MultipleNegativesRankingLoss".into()],
            parameters: serde_json::from_value(json!({
                "loss": "MultipleNegativesRankingLoss",
                "matryoshka_dims": DIMS,
                "matryoshka_weights": [1, 1, 1, 1, 1],
                "n_dims_per_step": -1
            }))
            .unwrap(),
        }],
        changed_hyperparameters: pairs(&[("learning_rate", "2e-05"), ("batch_sampler", "no_duplicates")]),
        hyperparameters: pairs(&[
            ("epochs", "4"),
            ("batch_size", "32"),
            ("gradient_accumulation_steps", "16"),
            ("learning_rate", "2e-05"),
            ("schedule", "cosine"),
            ("warmup_ratio", "0.1"),
            ("weight_decay", "0.0"),
            ("max_gradient_norm", "1.0"),
            ("batch_sampler", "no_duplicates"),
            ("precision", "f32"),
            ("seed", "42"),
        ]),
        before: DIMS.iter().map(|&dim| scores(dim, 0.21 - 0.05 * (768.0 / dim as f64).log2() / 3.58)).collect(),
        after: DIMS.iter().map(|&dim| scores(dim, 0.346 - 0.056 * (768.0 / dim as f64).log2() / 3.58)).collect(),
        blend: None,
        adapters: None,
        evaluation_sets: vec!["dev".into()],
        record: record(),
        examples: vec![
            "Kuna masuala ya sera.".into(),
            "Masuala ya sera ya mbinu nyingi na maombi.".into(),
            "Ca'daan alingoja hadi alasiri yote mtu huyo atoke tena.".into(),
        ],
        example_pairs: Vec::new(),
        example_similarities: Some(vec![vec![1.0, 0.8123, 0.1], vec![0.8123, 1.0, 0.05], vec![0.1, 0.05, 1.0]]),
        widget: vec![WidgetExample {
            source: "Mwanamke anashona.".into(),
            sentences: vec!["Mwanamke akishona blanketi pamoja.".into(), "Lakini Sir James alimkatiza.".into()],
        }],
        versions: pairs(&[("Maana", "0.1.0"), ("Rust", "1.95")]),
        hardware: Hardware {
            processor: Some("A processor of two cores".into()),
            cores: 2,
            threads: 2,
            seconds: 734.0,
            peak_memory_bytes: Some(1_530_000_000),
        },
        pipeline_tag: "sentence-similarity".into(),
        reproduce_301: false,
    }
}

const HOSTILE: &str = "---\na | b `c` <script>alert(1)</script> \"q\" 'r' \\ {{ x }} {% raw %} # h ```\n- [x](y) & ñ \u{0} \u{85}: *z* !t %d @e 🇹🇿";

/// The same facts with a hostile text in every place that takes one.
pub(crate) fn hostile() -> CardFacts {
    let bad = || HOSTILE.to_string();
    let mut facts = facts();
    facts.name = bad();
    facts.hub_id = Some(bad());
    facts.languages = vec![bad()];
    facts.licence = Some(bad());
    facts.base_model = Some(BaseModel { name: bad(), revision: Some(bad()), hub_id: Some(bad()) });
    facts.data[0].name = Some(bad());
    facts.data[0].columns[0].name = bad();
    facts.data[0].samples = vec![vec![bad(), bad()], vec![bad()]];
    facts.losses[0].classes.push(bad());
    facts.losses[0].parameters.insert(bad(), json!(bad()));
    facts.hyperparameters.push((bad(), bad()));
    facts.changed_hyperparameters.push((bad(), bad()));
    for scores in facts.before.iter_mut().chain(&mut facts.after) {
        scores.name = format!("{HOSTILE}_dim_{}", scores.dimension);
        scores.values.push((bad(), f64::NAN));
    }
    let mut blend = blend();
    (blend.metric, blend.guards[0].name, blend.guards[0].metric) = (bad(), bad(), bad());
    facts.blend = Some(blend);
    facts.evaluation_sets = vec![bad()];
    facts.record.best_metric = Some(bad());
    facts.examples = vec![bad(), bad()];
    facts.widget = vec![WidgetExample { source: bad(), sentences: vec![bad(), String::new()] }];
    facts.versions.push((bad(), bad()));
    facts.hardware.processor = Some(bad());
    facts.pipeline_tag = bad();
    facts
}

/// Facts of a run that was stopped before its first log row, without data or evaluation.
pub(crate) fn bare() -> CardFacts {
    let CardFacts { name, model, .. } = facts();
    CardFacts::untrained(name, model)
}

fn front_matter_of(card: &str) -> serde_json::Value {
    let rest = card.strip_prefix("---\n").expect("the card begins with front matter");
    let end = rest.find("\n---\n").expect("the front matter ends");
    serde_saphyr::from_str(&rest[..end]).expect("the front matter is YAML")
}

#[test]
fn the_card_of_a_run() {
    insta::assert_snapshot!("card", render(&facts()));
}

#[test]
fn the_card_in_the_manner_of_3_0_1() {
    let mut facts = facts();
    facts.reproduce_301 = true;
    facts.after.iter_mut().for_each(|scores| scores.primary = "cosine_map@100".into());
    for row in &mut facts.record.rows {
        if let LogRow::Evaluation { scores, .. } = row {
            scores.iter_mut().for_each(|(key, _)| *key = key.replace("ndcg@10", "map@100"));
        }
    }
    let card = render(&facts);
    assert_eq!(card.matches("#### Information Retrieval").count(), 5, "a table for each evaluator");
    assert_eq!(card.matches("**cosine_map@100**").count(), 5, "its primary measure in bold");
    let header = card.lines().find(|line| line.contains("Training Loss")).unwrap();
    let columns: Vec<&str> = header.split('|').map(str::trim).filter(|cell| cell.ends_with("map@100")).collect();
    let expected = [128, 256, 512, 64, 768].map(|dim| format!("dim_{dim}_cosine_map@100"));
    assert_eq!(columns, expected, "columns in the order of the alphabet");
    assert!(card.contains("| **2.0000** | **110** |"), "the kept step is bold:\n{card}");
}

/// The card that Sentence Transformers 3.0.1 wrote of a run of its own.
#[test]
fn every_section_and_field_of_a_card_of_the_reference_is_there() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/st301/model/README.md");
    let reference = std::fs::read_to_string(path).unwrap();
    let ours = render(&facts());
    let headings = |card: &str| -> Vec<String> {
        let body = card.split_once("\n---\n").unwrap().1;
        body.lines().filter(|line| line.starts_with("##")).map(String::from).collect()
    };
    for heading in headings(&reference) {
        assert!(headings(&ours).contains(&heading), "{heading} is missing");
    }
    let (theirs, ours) = (front_matter_of(&reference), front_matter_of(&ours));
    for (field, value) in theirs.as_object().unwrap() {
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        assert!(is_empty || ours.get(field).is_some(), "{field} is missing");
    }
}

#[test]
fn every_measure_comes_back_from_the_front_matter_in_full_precision() {
    let facts = facts();
    let yaml = front_matter_of(&render(&facts));
    let results = yaml["model-index"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), facts.after.len());
    for (result, scores) in results.iter().zip(&facts.after) {
        assert_eq!(result["dataset"]["type"], scores.name.as_str());
        assert_eq!(result["dataset"]["name"], scores.name.replace('_', " "));
        let metrics = result["metrics"].as_array().unwrap();
        let read: Vec<(String, f64)> = metrics
            .iter()
            .map(|metric| (metric["type"].as_str().unwrap().to_string(), metric["value"].as_f64().unwrap()))
            .collect();
        assert_eq!(read, scores.values);
    }
    assert_eq!(yaml["metrics"].as_array().unwrap().len(), 15);
    assert_eq!(yaml["tags"][4], "dataset_size:282883");
    assert_eq!(yaml["tags"][5], "loss:MatryoshkaLoss");
    assert_eq!(yaml["base_model"], "BAAI/bge-base-en-v1.5");
    assert_eq!(yaml["widget"][0]["sentences"][1], "Lakini Sir James alimkatiza.");
}

#[test]
fn hostile_texts_come_back_whole_from_the_front_matter_and_break_nothing_below() {
    let facts = hostile();
    let card = render(&facts);
    let yaml = front_matter_of(&card);
    assert_eq!(yaml["model-index"][0]["name"], HOSTILE);
    assert_eq!(yaml["license"], HOSTILE);
    assert_eq!(yaml["language"][0], HOSTILE);
    assert_eq!(yaml["widget"][0]["source_sentence"], HOSTILE);
    assert_eq!(yaml["widget"][0]["sentences"][1], "");

    let body = card.split_once("\n---\n").unwrap().1;
    assert!(!body.contains('\u{0}') && !body.contains('\u{85}'), "no control characters");
    let (mut fence, mut columns) = (None::<String>, None);
    for line in body.lines() {
        let ticks: String = line.chars().take_while(|&letter| letter == '`').collect();
        match &fence {
            Some(open) => {
                if ticks.len() >= open.len() && line == ticks {
                    fence = None;
                }
                continue;
            }
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {}
        }
        assert!(!line.contains("<script>"), "no markup gets through: {line}");
        assert!(line != "---" && !line.starts_with("- [x]"), "no line of its own: {line}");
        let bars = line.matches('|').count();
        if line.starts_with('|') {
            assert_eq!(*columns.get_or_insert(bars), bars, "a row of another width: {line}");
        } else {
            columns = None;
        }
    }
    assert_eq!(fence, None, "every block of code ends");
}

#[test]
fn a_blend_is_described_with_its_table_and_curve() {
    let card = render(&CardFacts { blend: Some(blend()), ..facts() });
    let section = card.split("### Blend with the Base Model").nth(1).expect("the card has the section");
    assert!(section.contains("with α = 0.5."), "{section}");
    assert!(section.contains("**WIN: dim_384_cosine_map@100 0.1211 → 0.3189"), "{section}");
    let chosen = section.lines().find(|line| line.contains("**0.5**")).expect("the chosen row is bold");
    assert!(["**0.3189**", "**0.2546**", "**0.3445**"].iter().all(|value| chosen.contains(value)), "{section}");
    assert!(section.contains("0 (base)") && section.contains("![Metrics by α](blend.svg)"), "{section}");

    let base = BlendFacts { chosen: 0, verdict: Verdict::Marginal, ..blend() };
    let card = render(&CardFacts { blend: Some(base), ..facts() });
    let section = card.split("### Blend with the Base Model").nth(1).expect("the card has the section");
    assert!(section.contains("This model is the base itself:") && !section.contains("with α = 0"), "{section}");
}

#[test]
fn a_run_that_left_nothing_has_a_card_too() {
    let card = render(&bare());
    let yaml = front_matter_of(&card);
    assert!(yaml.get("model-index").is_none() && yaml.get("language").is_none() && yaml.get("widget").is_none());
    assert_eq!(yaml["library_name"], "sentence-transformers");
    assert!(!card.contains("## Evaluation") && !card.contains("### Training Logs"));
}

#[test]
fn several_evaluation_sets_have_a_table_each() {
    let mut facts = facts();
    let named = |set: &str, scores: &Scores| Scores { name: format!("{set}_{}", scores.name), ..scores.clone() };
    facts.after = ["habari", "afya"]
        .iter()
        .flat_map(|set| facts.after.iter().map(|s| named(set, s)).collect::<Vec<_>>())
        .collect();
    facts.before.clear();
    let card = render(&facts);
    assert_eq!(card.matches("#### Information Retrieval").count(), 2);
    assert!(card.contains("* Datasets: <code>afya_dim_768</code>, <code>afya_dim_512</code>"));
    assert!(!card.contains("#### Before and After"));
}

#[test]
fn each_kind_has_the_table_of_its_evaluator_and_the_loss_is_in_the_log() {
    let mut facts = facts();
    for (kind, name, key, value) in [
        (Kind::Similarity, "sts", "spearman_cosine", 0.8),
        (Kind::Labels, "topic_dim_64", "accuracy", 0.7),
        (Kind::Loss, "", "loss", 1.25),
    ] {
        let scores = Scores {
            kind,
            name: name.into(),
            dimension: 64,
            values: vec![(key.into(), value)],
            primary: key.into(),
            precision: None,
            items: Vec::new(),
        };
        facts.before.push(Scores { values: vec![(key.into(), 0.5)], ..scores.clone() });
        facts.after.push(scores);
    }
    if let Some(LogRow::Evaluation { scores, .. }) = facts.record.rows.last_mut() {
        scores.push(("loss".into(), 1.25));
    }
    facts.record.stopped_early = true;
    let card = render(&facts);
    for part in [
        "#### Semantic Similarity\n\n* Dataset: <code>sts</code>\n* Evaluated as by [<code>EmbeddingSimilarityEvaluator",
        "#### Label Accuracy\n\n* Dataset: <code>topic_dim_64</code>",
        "#### Before and After: sts",
        "#### Before and After: dev loss",
        "      type: semantic-similarity\n      name: Semantic Similarity\n    dataset:\n      name: sts\n",
        "- cosine_map@100\n- spearman_cosine\n- accuracy\n",
        "| Validation Loss |",
        "The run ended early, at step",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    assert!(!card.contains("#### Loss"), "as in the reference, losses have no table");
    let report = crate::report::render(&facts);
    assert!(report.contains("Metrics of topic") && report.contains("Quality by epoch: dev loss"), "{report}");
}

#[test]
fn a_long_log_is_folded() {
    let mut facts = facts();
    assert!(render(&facts).contains("### Training Logs\n\n| "), "a short one is not");
    let more = facts.record.rows.iter().cloned().map(|mut row| {
        let (LogRow::Training { step, .. } | LogRow::Evaluation { step, .. }) = &mut row;
        *step += 1000;
        row
    });
    let more: Vec<LogRow> = more.collect();
    facts.record.rows.extend(more);
    assert!(render(&facts).contains("### Training Logs\n\n<details><summary>Click to expand</summary>\n\n| "));
}

#[test]
fn a_base_that_is_not_on_the_hub_is_named_with_what_it_was_made_from() {
    let base =
        |hub_id: Option<&str>| BaseModel { name: "Mine".into(), hub_id: hub_id.map(String::from), revision: None };
    let card = render(&CardFacts { base_model: Some(base(Some("BAAI/bge-base-en-v1.5"))), ..facts() });
    assert!(card.contains("\nbase_model: BAAI/bge-base-en-v1.5\n"), "{card}");
    let line = "- **Base model:** <code>Mine</code>, made from [BAAI/bge-base-en-v1.5](https://huggingface.co/BAAI/bge-base-en-v1.5)\n";
    assert!(card.contains(line), "{card}");
    let card = render(&CardFacts { base_model: Some(base(None)), ..facts() });
    assert!(card.contains("- **Base model:** <code>Mine</code>\n") && !card.contains("base_model:"), "{card}");
}
