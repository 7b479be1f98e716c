use super::hyperparameters::{TABLE, Treatment};
use super::*;
use crate::recipe::{self, Recipe};
use maana_eval::Kind;
use maana_train::loss::{LayerWeighting, NumberOrAll};
use maana_train::{Inputs, LossName, Precision};
use serde_json::{Value, json};

/// Cards that Sentence Transformers 6.2 wrote of short runs.
const CROSS_ENCODER: &str = include_str!("cards/cross-encoder-6.2.md");
const LISTS: &str = include_str!("cards/cross-encoder-lists-6.2.md");
const SEED_CARD: &str = include_str!("cards/matryoshka-3.0.1.md");
const SEED_RECIPE: &str = include_str!("../../../../recipes/bge-base-swahili-matryoshka.toml");
const PAGE: &str = include_str!("../../../../docs/hyperparameters.md");

fn read(card: &str) -> (Recipe, CardRecipe) {
    let made = recipe_from_text(card).unwrap_or_else(|error| panic!("{error}"));
    let recipe = recipe::parse(&made.toml, "made.toml", &[]).unwrap_or_else(|error| panic!("{error}\n{}", made.toml));
    (recipe, made)
}

fn error(card: &str) -> String {
    recipe_from_text(card).unwrap_err().to_string()
}

/// Returns a card with this description of its loss, and these hyperparameters.
fn card(loss: &str, hyperparameters: &[(&str, &str)]) -> String {
    let list: String = hyperparameters.iter().map(|(name, value)| format!("- `{name}`: {value}\n")).collect();
    format!(
        "---\nbase_model:\n- org/base\n---\n# SentenceTransformer based on org/base\n## Training Details\n\
         ### Training Dataset\n#### Unnamed Dataset\n* Size: 1,000 training samples\n\
         * Columns: <code>sentence_0</code>, <code>sentence_1</code>, and <code>label</code>\n{loss}\n\
         ### Training Hyperparameters\n#### Non-Default Hyperparameters\n{list}\
         ### Framework Versions\n- Sentence Transformers: 5.6.0\n"
    )
}

fn with_loss(class: &str, parameters: &str) -> String {
    let loss = format!(
        "* Loss: [<code>{class}</code>](https://sbert.net) with these parameters:\n  ```json\n  {parameters}\n  ```"
    );
    card(&loss, &[("seed", "42")])
}

fn with(hyperparameters: &[(&str, &str)]) -> (Recipe, CardRecipe) {
    read(&card("* Loss: [<code>CoSENTLoss</code>](https://sbert.net)", hyperparameters))
}

#[test]
fn the_card_of_the_seed_gives_its_recipe() {
    let (mut made, CardRecipe { toml, notes }) = read(SEED_CARD);
    let mut expected = recipe::parse(SEED_RECIPE, "recipe.toml", &[]).unwrap();
    // What no card shows: files, the deciding measure, the number of checkpoints; the seed's card
    // states another language than that of its data.
    for recipe in [&mut made, &mut expected] {
        recipe.data.train.clear();
        recipe.evaluation.retrieval.clear();
        recipe.training.keep_best = None;
        recipe.training.save_total_limit = None;
        recipe.card.language.clear();
    }
    assert_eq!(made, expected, "{toml}");
    assert!(toml.contains("# files with the 282,883 rows of the card"), "{toml}");
    assert!(toml.contains("keep_best = \"dim_768_cosine_map@100\""), "{toml}");
    assert!(notes.iter().any(|note| note.contains("which measure chose the best checkpoint")), "{notes:?}");
    assert!(!toml.contains("not supported"), "{toml}");
}

#[test]
fn a_copied_page_gives_the_same_recipe() {
    let flat: String =
        SEED_CARD.lines().filter(|line| !line.is_empty()).map(|line| format!("{}\n", line.trim())).collect();
    let copied = format!("A picture\nUpdate README.md\n1446a0e verified\n{flat}");
    assert_eq!(recipe_from_text(&copied).unwrap(), recipe_from_text(SEED_CARD).unwrap());
}

#[test]
fn cards_of_this_program_are_read_as_well() {
    let html = |line: &str| {
        let quoted = |start: &str, end: &str| line.strip_prefix(start).and_then(|rest| rest.split_once(end));
        match (quoted("- `", "`:"), quoted("* Dataset: `", "`")) {
            (Some((name, value)), _) => format!("- <code>{name}</code>:{value}\n"),
            (_, Some((name, _))) => format!("* Dataset: <code>{name}</code>\n"),
            _ => line.replace("Evaluated with", "Evaluated as by") + "\n",
        }
    };
    let ours: String = SEED_CARD.lines().map(html).collect();
    assert_eq!(recipe_from_text(&ours).unwrap(), recipe_from_text(SEED_CARD).unwrap());
}

#[test]
fn losses_have_their_parameters() {
    let json = |class: &str, parameters: &str| {
        let (recipe, made) = read(&with_loss(class, parameters));
        let mut loss = json!(recipe.loss);
        loss.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        (loss, recipe.training.mini_batch_size, made.notes.join("\n"))
    };
    let newest = r#"{"scale": 20.0, "similarity_fct": "cos_sim", "gather_across_devices": false,
        "directions": ["query_to_doc"], "partition_mode": "joint", "hardness_mode": null, "hardness_strength": 0.0}"#;
    let (loss, _, _) = json("MultipleNegativesRankingLoss", newest);
    let expected = json!({"name": "multiple_negatives_ranking", "scale": 20.0, "similarity": "cosine",
        "directions": ["query_to_doc"], "partition_mode": "joint"});
    assert_eq!(loss, expected);
    let (loss, mini_batch, _) = json(
        "CachedMultipleNegativesRankingLoss",
        r#"{"scale": 1, "similarity_fct": "dot_score", "mini_batch_size": 16}"#,
    );
    assert_eq!(loss, json!({"name": "multiple_negatives_ranking", "scale": 1.0, "similarity": "dot"}));
    assert_eq!(mini_batch, Some(16));
    let triplet = r#"{"distance_metric": "TripletDistanceMetric.COSINE", "triplet_margin": 0.5}"#;
    let (loss, _, _) = json("TripletLoss", triplet);
    assert_eq!(loss, json!({"name": "triplet", "distance_metric": "cosine", "margin": 0.5}));
    let contrastive = r#"{"distance_metric": "SiameseDistanceMetric.EUCLIDEAN", "margin": 0.5, "size_average": true}"#;
    let (loss, _, notes) = json("ContrastiveLoss", contrastive);
    assert_eq!(loss, json!({"name": "contrastive", "distance_metric": "euclidean", "margin": 0.5}));
    assert!(!notes.contains("size_average"), "{notes}");
    let (_, _, notes) = json("ContrastiveLoss", &contrastive.replace("true", "false"));
    assert!(notes.contains("size_average = false of the loss is not supported"), "{notes}");
    let (loss, _, _) = json("CosineSimilarityLoss", r#"{"loss_fct": "torch.nn.modules.loss.MSELoss"}"#);
    assert_eq!(loss, json!({"name": "cosine_similarity"}));
    let (_, _, notes) = json("CosineSimilarityLoss", r#"{"loss_fct": "torch.nn.modules.loss.L1Loss"}"#);
    assert!(notes.contains("L1Loss"), "{notes}");
    let (loss, _, notes) =
        json("CachedGISTEmbedLoss", r#"{"guide": "Guide()", "temperature": 0.01, "margin_strategy": "absolute"}"#);
    assert_eq!((&loss["name"], &loss["guide"]), (&json!("gist_embed"), &json!("path/to/guide")));
    assert!(notes.contains("set [loss] guide"), "{notes}");
    let (loss, _, notes) = json("MegaBatchMarginLoss", "{}");
    assert_eq!(loss["name"], "multiple_negatives_ranking");
    assert!(notes.contains("MegaBatchMarginLoss is not supported"), "{notes}");
}

#[test]
fn every_supported_loss_is_recognised_by_its_class() {
    let classes = [
        "MultipleNegativesRankingLoss",
        "MultipleNegativesSymmetricRankingLoss",
        "GISTEmbedLoss",
        "CoSENTLoss",
        "AnglELoss",
        "CosineSimilarityLoss",
        "ContrastiveLoss",
        "OnlineContrastiveLoss",
        "TripletLoss",
        "MSELoss",
        "MarginMSELoss",
        "DistillKLDivLoss",
        "BatchHardTripletLoss",
        "BatchAllTripletLoss",
        "BatchSemiHardTripletLoss",
        "BatchHardSoftMarginTripletLoss",
    ];
    let mut names: Vec<LossName> = classes.iter().map(|class| read(&with_loss(class, "{}")).0.loss.name).collect();
    let parameters = r#"{"num_labels": 3, "concatenation_sent_rep": true, "concatenation_sent_multiplication": true}"#;
    let (recipe, _) = read(&with_loss("SoftmaxLoss", parameters));
    assert_eq!((recipe.loss.num_labels, recipe.loss.concatenation_sent_multiplication), (Some(3), Some(true)));
    names.push(recipe.loss.name);
    // Cards name SimCSE as the reference does: the ranking loss over a column and itself.
    let ranking = with_loss("CachedMultipleNegativesRankingLoss", r#"{"scale": 30.0, "similarity_fct": "cos_sim"}"#);
    let columns = "<code>sentence_0</code>, <code>sentence_1</code>, and <code>label</code>";
    assert!(ranking.contains(columns));
    let (recipe, made) = read(&ranking.replace(columns, "<code>text</code> and <code>text</code>"));
    assert_eq!((recipe.loss.name, &json!(recipe.loss)["scale"]), (LossName::Simcse, &json!(30.0)), "{}", made.toml);
    assert_eq!(recipe.data.columns, Some(vec!["text".into()]));
    for name in LossName::ALL.into_iter().filter(|name| *name != LossName::Simcse && name.trains(Inputs::Texts)) {
        assert!(names.contains(&name), "{name:?}");
    }
}

#[test]
fn hyperparameters_of_any_version_are_settings() {
    let (recipe, made) = with(&[
        ("per_device_train_batch_size", "16"),
        ("num_train_epochs", "1.5"),
        ("learning_rate", "2e-05"),
        ("warmup_steps", "0.1"),
        ("lr_scheduler_type", "SchedulerType.COSINE_WITH_RESTARTS"),
        ("lr_scheduler_kwargs", "{'num_cycles': 2}"),
        ("optim", "adafactor"),
        ("bf16", "True"),
        ("activation_checkpointing", "True"),
        ("batch_sampler", "BatchSamplers.NO_DUPLICATES_HASHED"),
        ("eval_strategy", "steps"),
        ("eval_steps", "100"),
        ("max_grad_norm", "1"),
        ("warmup_ratio", "None"),
        ("tf32", "True"),
        ("max_steps", "-1"),
        ("report_to", "['tensorboard']"),
    ]);
    let training = &recipe.training;
    assert_eq!((training.batch_size, training.epochs, training.learning_rate), (16, 1.5, 2e-5));
    assert_eq!((training.warmup_ratio, training.warmup_steps), (0.1, 0));
    assert_eq!(training.precision, Precision::Bf16);
    assert!(training.gradient_checkpointing && training.tensorboard);
    let json = json!(training);
    assert_eq!(json["schedule"], json!({"name": "cosine_with_restarts", "num_cycles": 2}));
    assert_eq!((&json["batch_sampler"], &json["evaluate"]), (&json!("no_duplicates"), &json!(100)));
    assert_eq!(json["optimizer"]["name"], "adafactor");
    assert!(
        !made.toml.contains("max_grad_norm") && !made.toml.contains("max_steps"),
        "defaults are left out: {}",
        made.toml
    );
    assert_eq!(recipe.model.base, "org/base");
    assert_eq!(recipe.card.name, None, "a title that the trainer made up is no name");
}

#[test]
fn prompts_are_those_of_the_card_or_a_note() {
    let text = |python: &str, column: &str| json!(with(&[("prompts", python)]).0)["data"]["prompts"][column].clone();
    let constants = "{'a': 'True story: ', 'b': \"None of these: \"}";
    assert_eq!((text(constants, "a"), text(constants, "b")), (json!("True story: "), json!("None of these: ")));
    assert_eq!(text(r#"{'a': "it's: "}"#, "a"), "it's: ");
    assert_eq!(text(r#"{'b': 'say \'"\' \\ '}"#, "b"), r#"say '"' \ "#);
    assert_eq!(text(r"{'a': 'one\ntwo\t'}", "a"), "one\ntwo\t");
    for unreadable in ["{'a': 'it's: '}", "{'a': 'b", r"{'a': '\x00'}", "{a: 'b'}"] {
        let (recipe, made) = with(&[("prompts", unreadable)]);
        assert_eq!(recipe.data.prompts, None, "{unreadable}");
        let note = format!("prompts = {unreadable} cannot be read; set [data] prompts");
        assert!(made.notes.contains(&note), "{:?}", made.notes);
    }
    let outside = training::literal("{'a': None, 'b': [True, False, 'None']}");
    assert_eq!(outside, json!({"a": null, "b": [true, false, "None"]}));
}

#[test]
fn the_best_measure_is_named_in_any_order_and_may_have_a_direction() {
    let best = |direction: &str| {
        let arguments = [
            ("load_best_model_at_end", "True"),
            ("greater_is_better", direction),
            ("metric_for_best_model", "eval_distance"),
        ];
        let owned = arguments.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let made = super::trainer_settings(&owned);
        assert!(made.notes.is_empty(), "{:?}", made.notes);
        made.training["keep_best"].clone()
    };
    assert_eq!((best("None"), best("True")), (json!("distance"), json!("distance")));
    assert_eq!(best("False"), json!({"measures": ["distance"], "greater_is_better": false}));
    let named = |names: &str| {
        let arguments = [("load_best_model_at_end", "True"), ("metric_for_best_model", names)];
        super::trainer_settings(&arguments.map(|(name, value)| (name.to_owned(), value.to_owned()))).training
    };
    let two = named("eval_a_dim_64_cosine_ndcg@10, eval_b_dim_64_cosine_accuracy");
    assert_eq!(two["keep_best"], json!(["a_dim_64_cosine_ndcg@10", "b_dim_64_cosine_accuracy"]));
}

#[test]
fn what_only_own_cards_have_is_a_setting_or_a_note() {
    let own = card(
        "* Loss: [<code>CoSENTLoss</code>](https://sbert.net)",
        &[("ema_decay", "0.99"), ("layer_decay", "0.5"), ("lazy_embeddings", "True"), ("groups", "[{}]")],
    );
    let description = "- **Adapters:** LoRA of rank 4 with alpha 8 on <code>query</code>, <code>value</code>, merged\n\
        - **Maximum sequence length:** 64 tokens; longer texts are truncated\n\
        ### Blend with the Base Model\n## Training Details\n";
    let (recipe, made) = read(&own.replace("## Training Details\n", description));
    let training = &recipe.training;
    assert_eq!((training.ema_decay, training.layer_decay, training.lazy_embeddings), (Some(0.99), 0.5, true));
    assert_eq!(recipe.model.max_seq_length, Some(64));
    for part in [
        "adapters, LoRA of rank 4 with alpha 8 on query, value; set [model.lora]",
        "a blend with the base; set [blend]",
        "groups = [{}] is not supported: copy them into `[[training.groups]]`",
    ] {
        assert!(made.notes.iter().any(|note| note.contains(part)), "{part}: {:?}", made.notes);
    }
}

#[test]
fn what_is_refused_is_a_comment_with_its_remedy() {
    let (_, made) = with(&[
        ("fp16", "True"),
        ("neftune_noise_alpha", "5.0"),
        ("label_smoothing_factor", "0.1"),
        ("optim", "adamw_bnb_8bit"),
        ("lr_scheduler_type", "greedy"),
        ("something_new", "7"),
    ]);
    for part in [
        "fp16 = True is not supported: set `training.precision`",
        "neftune_noise_alpha = 5.0",
        "label_smoothing_factor = 0.1",
        "adamw_bnb_8bit",
        "greedy",
        "something_new = 7 is an unknown hyperparameter",
    ] {
        assert!(made.toml.lines().any(|line| line.starts_with("# - ") && line.contains(part)), "{part}: {}", made.toml);
        assert!(made.notes.iter().any(|note| note.contains(part)), "{part}");
    }
    let (_, made) =
        with(&[("fp16", "False"), ("neftune_noise_alpha", "None"), ("data_seed", "None"), ("optim_args", "")]);
    assert_eq!(made.notes.len(), 1, "{:?}", made.notes);
}

#[test]
fn evaluators_are_sets() {
    let metrics = "## Evaluation\n### Metrics\n#### Semantic Similarity\n* Datasets: `dev` and `test`\n\
        * Evaluated with [<code>EmbeddingSimilarityEvaluator</code>](https://sbert.net)\n#### Triplet\n\
        * Evaluated with [<code>TripletEvaluator</code>](https://sbert.net)\n#### Nano BEIR\n\
        * Evaluated with [<code>NanoBEIREvaluator</code>](https://sbert.net)\n## Training Details\n";
    let card = with_loss("CoSENTLoss", "{}").replace("## Training Details\n", metrics);
    let (recipe, made) = read(&card);
    let sets: Vec<_> = recipe.evaluation.sets.iter().map(|set| (set.name.clone(), set.kind.unwrap().name())).collect();
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(sets, [(name("dev"), "similarity"), (name("test"), "similarity"), (None, "triplet")]);
    assert!(made.notes.iter().any(|note| note.contains("NanoBEIREvaluator")), "{:?}", made.notes);
    let twice = card.replace("#### Triplet\n", "#### Triplet\n* Dataset: `dev`\n");
    let names: Vec<_> = read(&twice).0.evaluation.sets.into_iter().filter_map(|set| set.name).collect();
    assert_eq!(names, ["dev", "test", "dev_triplet"]);
    let truncated = "### Metrics\n#### Information Retrieval\n* Dataset: `dim_64`\n\
        * Evaluated with [<code>InformationRetrievalEvaluator</code>](https://sbert.net) with these parameters:\n\
        ```json\n{\"truncate_dim\": 64}\n```\n## Training Details\n";
    let (recipe, _) = read(&card.replace("## Training Details\n", truncated));
    assert_eq!((recipe.evaluation.retrieval.len(), recipe.evaluation.dims), (1, Some(vec![64])));
    let own = "### Metrics\n#### Information Retrieval\n\
        * Datasets: <code>a_dim_64</code>, <code>a_dim_32</code>\n\
        * Evaluated as by [<code>InformationRetrievalEvaluator</code>](https://sbert.net), on <code>dev</code>\n\
        #### Binary Classification\n* Datasets: <code>b_dim_64</code>, <code>b_dim_32</code>\n\
        * Evaluated as by [<code>BinaryClassificationEvaluator</code>](https://sbert.net)\n## Training Details\n";
    let (recipe, made) = read(&with_loss("CoSENTLoss", "{}").replace("## Training Details\n", own));
    let sets: Vec<_> = recipe.evaluation.sets.iter().map(|set| (set.name.clone(), set.kind.unwrap())).collect();
    assert_eq!(sets, [(name("a"), Kind::Retrieval), (name("b"), Kind::Binary)], "{}", made.toml);
    assert_eq!((recipe.evaluation.retrieval.len(), recipe.evaluation.dims), (0, Some(vec![64, 32])));
}

#[test]
fn several_data_sets_have_their_losses() {
    let second = "#### second\n* Dataset: [second](https://huggingface.co/datasets/a/b)\n* Size: 7 training samples\n\
        * Columns: <code>anchor</code> and <code>positive</code>\n\
        * Loss: [<code>MultipleNegativesRankingLoss</code>](https://sbert.net) with these parameters:\n\
        ```json\n{\"scale\": 30.0}\n```\n### Training Hyperparameters\n- `multi_dataset_batch_sampler`: round_robin\n";
    let card = with_loss("CoSENTLoss", "{}").replace("#### Unnamed Dataset", "#### first");
    let (recipe, made) = read(&card.replace("### Training Hyperparameters\n", second));
    let sets = json!(recipe.data)["sets"].clone();
    assert_eq!((sets[0]["name"].as_str(), sets[1]["name"].as_str()), (Some("first"), Some("second")), "{}", made.toml);
    assert_eq!((recipe.loss.name, &sets[0]["loss"]), (LossName::Cosent, &Value::Null));
    assert_eq!(
        (&sets[1]["loss"]["name"], &sets[1]["loss"]["scale"]),
        (&json!("multiple_negatives_ranking"), &json!(30.0))
    );
    assert_eq!(json!(recipe.data)["sampler"], "round_robin");
}

#[test]
fn cards_of_cross_encoders_give_their_recipes() {
    let (recipe, made) = read(CROSS_ENCODER);
    let model = json!(recipe.model);
    assert_eq!((&model["base"], &model["kind"]), (&json!("org/base"), &json!("cross_encoder")));
    assert_eq!((recipe.model.num_labels, recipe.model.max_seq_length), (None, Some(128)));
    assert_eq!(recipe.data.columns, Some(["query", "answer", "label"].map(String::from).to_vec()));
    let loss = json!(recipe.loss);
    assert_eq!(
        (&loss["name"], &loss["pos_weight"], &loss["activation"]),
        (&json!("binary_cross_entropy"), &json!(5.0), &json!("identity"))
    );
    let training = &recipe.training;
    assert_eq!((training.epochs, training.batch_size, training.seed), (2.0, 4, 12));
    let sets = &recipe.evaluation.sets;
    assert_eq!((sets.len(), sets[0].kind, sets[0].name.as_deref()), (1, Some(Kind::Reranking), Some("sw-dev")));
    assert!(recipe.evaluation.split.is_some() && recipe.evaluation.loss == Some(true));
    assert_eq!((recipe.card.name.as_deref(), &recipe.card.language[..]), (None, &["sw".to_owned()][..]));
    assert!(!made.toml.contains("not supported"), "{}", made.toml);

    let (recipe, made) = read(LISTS);
    let loss = json!(recipe.loss);
    assert_eq!((&loss["name"], &loss["weighting_scheme"]), (&json!("lambda"), &json!("ndcg_loss2pp")));
    assert_eq!((&loss["k"], &loss["reduction_log"]), (&json!(5), &json!("binary")));
    assert_eq!(recipe.evaluation.sets[0].kind, Some(Kind::Similarity));
    assert!(!made.toml.contains("not supported"), "{}", made.toml);
}

/// Descriptions of losses as version 6.2 prints them.
#[test]
fn losses_of_cross_encoders_have_their_parameters() {
    let read = |class: &str, parameters: &str, labels: &str| {
        let card = with_loss(class, parameters);
        let card = card.replace("---\nbase_model:", "---\ntags:\n- cross-encoder\nbase_model:");
        let card = card
            .replace("## Training Details", &format!("- **Number of Output Labels:** {labels}\n## Training Details"));
        let (recipe, made) = read(&card);
        let mut loss = json!(recipe.loss);
        loss.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        (loss, recipe, made.notes.join("\n"))
    };
    let identity = "torch.nn.modules.linear.Identity";
    let (loss, recipe, _) = read(
        "CachedMultipleNegativesRankingLoss",
        r#"{"scale": 10.0, "num_negatives": 3, "activation_fn": "torch.nn.modules.activation.Sigmoid", "mini_batch_size": 2}"#,
        "1 label",
    );
    let expected =
        json!({"name": "multiple_negatives_ranking", "scale": 10.0, "num_negatives": 3, "activation": "sigmoid"});
    assert_eq!((loss, recipe.training.mini_batch_size), (expected, Some(2)));
    let (loss, recipe, notes) = read("CrossEntropyLoss", "{}", "3 labels");
    assert_eq!((loss, recipe.model.num_labels), (json!({"name": "cross_entropy"}), Some(3)));
    assert!(!notes.contains("not supported"), "{notes}");
    for (class, name) in [("MSELoss", "mse"), ("MarginMSELoss", "margin_mse"), ("ListNetLoss", "list_net")] {
        let (loss, ..) = read(class, &format!(r#"{{"activation_fn": "{identity}"}}"#), "1 label");
        assert_eq!(loss, json!({"name": name, "activation": "identity"}), "{class}");
    }
    let weight = "sentence_transformers.cross_encoder.losses.plist_mle.PListMLELambdaWeight";
    let (loss, _, notes) = read(
        "PListMLELoss",
        &format!(
            r#"{{"lambda_weight": "{weight}", "activation_fn": "{identity}", "mini_batch_size": null, "respect_input_order": true}}"#
        ),
        "1 label",
    );
    assert_eq!(loss, json!({"name": "plist_mle", "activation": "identity", "respect_input_order": true}));
    assert!(!notes.contains("not supported"), "{notes}");
    for (class, name) in [("ListMLELoss", "list_mle"), ("RankNetLoss", "rank_net"), ("ADRMSELoss", "adr_mse")] {
        assert_eq!(read(class, "{}", "1 label").0["name"], name, "{class}");
    }
    let (_, _, notes) =
        read("BinaryCrossEntropyLoss", r#"{"activation_fn": "torch.nn.modules.activation.Mish"}"#, "1 label");
    assert!(notes.contains("Mish of the loss is not supported"), "{notes}");
    let (loss, _, notes) = read("CosineSimilarityLoss", "{}", "1 label");
    assert!(notes.contains("the loss CosineSimilarityLoss is not supported"), "{notes}");
    assert_eq!(loss["name"], "binary_cross_entropy");
}

#[test]
fn evaluators_of_cross_encoders_become_sets_of_their_kinds() {
    let (recipe, _) = read(&CROSS_ENCODER.replace("\"at_k\": 10", "\"at_k\": 5"));
    assert_eq!(recipe.evaluation.sets[0].at_k, Some(5));
    let classes = CROSS_ENCODER.replace("CrossEncoderRerankingEvaluator", "CrossEncoderClassificationEvaluator");
    assert_eq!(read(&classes).0.evaluation.sets[0].kind, Some(Kind::Binary));
    let classes = classes.replace("Labels:** 1 label", "Labels:** 3 labels");
    assert_eq!(read(&classes).0.evaluation.sets[0].kind, Some(Kind::Classification));
    let (_, made) = read(&CROSS_ENCODER.replace("CrossEncoderRerankingEvaluator", "CrossEncoderNanoBEIREvaluator"));
    assert!(made.notes.iter().any(|note| note.contains("CrossEncoderNanoBEIREvaluator is not supported")));
}

#[test]
fn files_that_are_no_cards_have_clear_errors() {
    assert!(error("").contains("Training Details"));
    assert!(error("# A program\n\nIt does things.\n").contains("Training Details"));
    assert!(error("\u{0}\u{1}garbage").contains("Training Details"));
    let old = "## Training\nThe model was trained with the parameters:\n\n**DataLoader**:\n";
    assert!(error(old).contains("Sentence Transformers 2"));
    let sparse = SEED_CARD.replace("- sentence-transformers\n", "- sentence-transformers\n- sparse-encoder\n");
    assert!(error(&sparse).contains("a sparse encoder"));
    let line = SEED_CARD.lines().position(|line| line.trim() == "```json").unwrap() + 1;
    let cut: String = SEED_CARD.lines().take(line + 3).map(|line| format!("{line}\n")).collect();
    assert!(error(&cut).contains(&format!("line {line}: a block of code begins here")), "{}", error(&cut));
    let cut = SEED_CARD.split("### Training Hyperparameters").next().unwrap();
    assert!(error(cut).contains("`Training Hyperparameters`"));
    let broken = SEED_CARD.replace("\"n_dims_per_step\": -1", "\"n_dims_per_step\": ");
    assert!(error(&broken).contains("the parameters are not JSON"), "{}", error(&broken));
    let invalid = SEED_CARD.replace("- `warmup_ratio`: 0.1", "- `warmup_ratio`: 7");
    assert!(error(&invalid).contains("`warmup_ratio`"), "{}", error(&invalid));
    let folder = tempfile::tempdir().unwrap();
    let huge = folder.path().join("README.md");
    std::fs::File::create(&huge).unwrap().set_len(CARD_BYTES + 1).unwrap();
    assert!(recipe_from_card(&huge).unwrap_err().to_string().contains("too many for a card"));
    assert!(recipe_from_card(&folder.path().join("none.md")).unwrap_err().to_string().contains("none.md"));
}

#[test]
fn hostile_texts_give_errors_or_valid_recipes() {
    // Cut at every line, and with quotes, brackets and line breaks in values.
    let lines: Vec<&str> = SEED_CARD.lines().collect();
    for end in 0..lines.len() {
        let _ = recipe_from_text(&lines[..end].join("\n"));
    }
    for hostile in ["\"]\n[training]\nepochs = 9", "'''", "\\", "\u{7f}\u{85}\u{2028}", "{{ x }}", "# - "] {
        let card = SEED_CARD
            .replace("BAAI/bge-base-en-v1.5", hostile)
            .replace("<code>anchor</code>", &format!("<code>{hostile}</code>"));
        if let Ok(made) = recipe_from_text(&card) {
            assert_eq!(recipe::parse(&made.toml, "made", &[]).unwrap().training.epochs, 4.0, "{hostile:?}");
        }
    }
}

/// Returns the row of the page for a hyperparameter.
fn row(name: &str, treatment: Treatment) -> String {
    let listed = |values: &[&str]| {
        let quoted = |value: &&str| if value.is_empty() { "nothing".into() } else { format!("`{value}`") };
        values.iter().map(quoted).collect::<Vec<_>>().join(", ")
    };
    match treatment {
        Treatment::Honoured(keys) => format!("| `{name}` | honoured as {} |", listed(keys)),
        Treatment::Meaningless(why) => format!("| `{name}` | meaningless here: {why} |"),
        Treatment::Refused(neutral, remedy) => format!("| `{name}` | only {}: {remedy} |", listed(neutral)),
    }
}

#[test]
fn the_page_has_every_hyperparameter() {
    for (name, treatment) in TABLE {
        let row = row(name, treatment);
        assert!(PAGE.contains(&row), "docs/hyperparameters.md lacks this row:\n{row}");
    }
    let rows = PAGE.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, TABLE.len());
    let section = SEED_CARD.split("#### All Hyperparameters").nth(1).unwrap().split("</details>").next().unwrap();
    let names: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("- `")?.split('`').next()).collect();
    assert_eq!(names.len(), 108);
    for name in names {
        assert!(TABLE.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn honoured_hyperparameters_are_keys_of_recipes() {
    let recipe: toml::Table =
        "[model]\nbase = \"x\"\n[data]\ntrain = [\"y\"]\n[loss]\nname = \"cosent\"\n".parse().unwrap();
    let keys = TABLE.iter().filter_map(|(name, treatment)| match treatment {
        Treatment::Honoured(keys) => Some((name, keys)),
        _ => None,
    });
    for (name, key) in keys.flat_map(|(name, keys)| keys.iter().map(move |key| (name, key))) {
        let (table, key) = key.split_once('.').unwrap();
        let mut recipe = recipe.clone();
        let entry = recipe.entry(table).or_insert_with(|| toml::Table::new().into());
        entry.as_table_mut().unwrap().insert(format!("{key}_"), 1.into());
        // The message for an unknown key lists the known ones.
        let error = recipe::parse(&recipe.to_string(), "x", &[]).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}`")), "{name}: [{table}] has no key {key}");
        // A value of the wrong kind is an error, not a panic.
        let _ = recipe_from_text(&card("* Loss: <code>CoSENTLoss</code>", &[(name, "something")]));
    }
}

#[test]
fn losses_over_layers_become_a_table_of_the_loss() {
    let parameters = r#"{"loss": "MultipleNegativesRankingLoss", "n_layers_per_step": -1, "last_layer_weight": 1.0,
        "prior_layers_weight": 1.0, "kl_div_weight": 1.0, "kl_temperature": 0.3, "layer_weighting": "log",
        "matryoshka_dims": [64, 32], "matryoshka_weights": [1, 1], "n_dims_per_step": 1}"#;
    let (recipe, made) = read(&with_loss("Matryoshka2dLoss", parameters));
    let layers = recipe.loss.adaptive_layers.unwrap();
    assert_eq!(layers.n_layers_per_step, NumberOrAll::All, "{}", made.toml);
    assert_eq!(layers.layer_weighting, LayerWeighting::Log);
    assert_eq!((recipe.loss.matryoshka_dims, recipe.loss.n_dims_per_step), (Some(vec![64, 32]), Some(1)));
    let (recipe, _) = read(&with_loss("AdaptiveLayerLoss", r#"{"loss": "CoSENTLoss", "n_layers_per_step": 2}"#));
    assert_eq!(recipe.loss.adaptive_layers.unwrap().n_layers_per_step, NumberOrAll::Number(2));
    let (recipe, made) = read(&with_loss("AdaptiveLayerLoss", r#"{"loss": "SoftmaxLoss"}"#));
    assert_eq!(recipe.loss.num_labels, Some(2));
    assert!(made.notes.iter().any(|note| note.contains("num_labels")), "{:?}", made.notes);
}

#[test]
fn a_static_model_without_a_base_is_a_new_table() {
    let described = "- **Maximum Sequence Length:** inf tokens\n- **Output Dimensionality:** 256 dimensions\n\n```\n\
                     SentenceTransformer(\n  (0): StaticEmbedding(\n    (embedding): EmbeddingBag(30522, 256, \
                     mode='mean')\n  )\n)\n```\n## Training Details\n";
    let text = card("* Loss: [<code>CoSENTLoss</code>](https://sbert.net)", &[("seed", "42")]);
    let text = text.replace("## Training Details\n", described);
    let (continued, made) = read(&text);
    assert_eq!((continued.model.base.as_str(), continued.model.dimension), ("org/base", None));
    assert!(made.notes.iter().any(|note| note.contains("dimension = 256")), "{:?}", made.notes);
    let (new, made) = read(&text.replace("base_model:\n- org/base\n", ""));
    assert_eq!((new.model.kind, new.model.dimension), (recipe::ModelKind::Static, Some(256)));
    assert_eq!(new.model.max_seq_length, None);
    assert!(made.notes.iter().any(|note| note.contains("for its tokenizer")), "{:?}", made.notes);
}
