use super::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name)
}

fn tiny() -> Tokenizer {
    Tokenizer::open(&golden("tiny-bert"), "BertTokenizer", false).unwrap()
}

#[test]
fn ids_of_training_texts_equal_the_reference() {
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("train_tiny.json")).unwrap()).unwrap();
    let tokenizer = tiny();
    let mut compared = 0;
    for step in golden["steps"].as_array().unwrap() {
        for (texts, ids) in step["columns"].as_array().unwrap().iter().zip(step["ids"].as_array().unwrap()) {
            for (text, ids) in texts.as_array().unwrap().iter().zip(ids.as_array().unwrap()) {
                let ours = tokenizer.encode(&[text.as_str().unwrap()], 128).unwrap();
                let expected: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
                assert_eq!(ours.ids, expected, "{text}");
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 320);
}

#[test]
fn long_texts_are_truncated_and_keep_their_special_tokens() {
    let tokenizer = tiny();
    let batch = tokenizer.encode(&["the house ".repeat(300).as_str(), "", "the"], 16).unwrap();
    assert_eq!((batch.length(0), batch.length(1), batch.length(2)), (16, 2, 3));
    assert_eq!((batch.sequence(0)[0], batch.sequence(0)[15]), (2, 3), "[CLS] and [SEP] of the tiny vocabulary");
}

#[test]
fn batches_have_no_padding() {
    let mut description: serde_json::Value = serde_json::from_slice(tiny().file_bytes()).unwrap();
    description["padding"] = serde_json::json!({
        "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), description.to_string()).unwrap();
    let padding = Tokenizer::open(folder.path(), "", false).unwrap();
    let texts = ["the king", "the old king lived in the house", ""];
    let batch = padding.encode(&texts, 128).unwrap();
    assert_eq!(batch, tiny().encode(&texts, 128).unwrap());
    assert_eq!((batch.length(2), *batch.offsets.last().unwrap()), (2, batch.tokens()));
}

#[test]
fn a_limit_without_room_for_a_text_is_refused() {
    let error = tiny().encode(&["the"], 2).unwrap_err();
    assert!(error.to_string().contains("use 3 or more"), "{error}");
}

#[test]
fn a_missing_or_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Tokenizer::open(folder.path(), "BertTokenizer", false).err().unwrap().to_string();
    assert!(missing.contains("tokenizer.json") && missing.contains("save_pretrained"), "{missing}");
    for damaged in ["", "{", "[]", "{\"model\": {\"type\": \"Strange\"}}", "{\"version\": \"1.0\"}"] {
        std::fs::write(folder.path().join("tokenizer.json"), damaged).unwrap();
        let error = Tokenizer::open(folder.path(), "BertTokenizer", false).err().unwrap().to_string();
        assert!(error.contains("tokenizer.json") && error.contains("damaged"), "{error}");
    }
}

#[test]
fn lowercasing_is_added_only_if_the_file_has_none() {
    let mut description: serde_json::Value = serde_json::from_slice(tiny().file_bytes()).unwrap();
    description["normalizer"]["lowercase"] = false.into();
    let cased = serde_json::to_vec(&description).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ids = |bytes: &[u8], lower| {
        std::fs::write(folder.path().join("tokenizer.json"), bytes).unwrap();
        Tokenizer::open(folder.path(), "", lower).unwrap().encode(&["The HOUSE"], 16).unwrap().ids
    };
    let expected = tiny().encode(&["the house"], 16).unwrap().ids;
    assert_ne!(ids(&cased, false), expected);
    assert_eq!(ids(&cased, true), expected);
    assert_eq!(ids(tiny().file_bytes(), true), expected);
}

#[test]
fn the_length_of_a_prompt_excludes_the_closing_token() {
    assert_eq!(tiny().prompt_length("the house").unwrap(), 3);
}

#[test]
fn an_overlong_text_is_truncated_or_refused() {
    let tokenizer = tiny();
    let cut = |text: &str, overlong| {
        let mut batch = TokenBatch::new();
        tokenizer.append(&mut batch, text, 6, overlong).map(|truncated| (batch.ids, truncated))
    };
    let ids = |text: &str| tokenizer.encode(&[text], 99).unwrap().ids;
    let text = "the house of a river";
    assert_eq!(cut(text, Overlong::CutEnd).unwrap(), (ids("the house of a"), 1));
    assert_eq!(cut(text, Overlong::CutBeginning).unwrap(), (ids("house of a river"), 1));
    let error = cut(text, Overlong::Refuse).unwrap_err().to_string();
    assert!(error.contains("7 tokens, but the limit is 6"), "{error}");
    assert_eq!(cut("the house", Overlong::Refuse).unwrap(), (ids("the house"), 0));
}

#[test]
fn token_ids_are_accepted_with_or_without_special_tokens() {
    let tokenizer = tiny();
    let expected = tokenizer.encode(&["the house"], 99).unwrap();
    let append = |prompt: &str, ids: &[u32]| {
        let mut batch = TokenBatch::new();
        tokenizer.append_ids(&mut batch, prompt, ids, 99, Overlong::CutEnd).map(|_| batch)
    };
    assert_eq!(append("", &expected.ids).unwrap(), expected);
    assert_eq!(append("", &expected.ids[1..3]).unwrap(), expected);
    assert_eq!(append("the ", &expected.ids[2..3]).unwrap(), expected);
    let error = append("", &[4_000_000_000]).unwrap_err().to_string();
    assert!(error.contains("no token 4000000000; ids go from 0 to"), "{error}");
    assert_eq!(tokenizer.decode(&expected.ids, true).unwrap(), "the house");
    assert!(tokenizer.decode(&[4_000_000_000], true).is_err());
}

/// Special tokens and segments of classes in transformers.
#[test]
fn classes_have_the_special_tokens_of_transformers() {
    let of = |class: &str| {
        let tokenizer = Tokenizer::open(&golden("cross/modernbert"), class, false).unwrap();
        let tokens: Vec<&str> = tokenizer.class_tokens().map(|(_, token)| token).collect();
        (tokens.join(" "), tokenizer.returns_segments())
    };
    // The folder names a class that has none.
    assert_eq!(of("BertTokenizer"), (String::new(), false));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), tiny().file_bytes()).unwrap();
    let of = |class: &str| {
        let tokenizer = Tokenizer::open(folder.path(), class, false).unwrap();
        let tokens: Vec<String> = tokenizer.class_tokens().map(|(field, token)| format!("{field} {token}")).collect();
        (tokens.join(", "), tokenizer.returns_segments())
    };
    let bert = "unk_token [UNK], sep_token [SEP], pad_token [PAD], cls_token [CLS], mask_token [MASK]";
    assert_eq!(of("BertTokenizerFast"), (bert.into(), true));
    assert_eq!(of("DistilBertTokenizer"), (bert.into(), false));
    let mpnet = "bos_token <s>, eos_token </s>, unk_token [UNK], sep_token </s>, pad_token <pad>, cls_token <s>, \
                 mask_token <mask>";
    assert_eq!(of("MPNetTokenizer"), (mpnet.into(), false));
    assert_eq!(of("RobertaTokenizer"), (mpnet.replace("[UNK]", "<unk>"), false));
    assert_eq!(of("PreTrainedTokenizerFast"), (String::new(), false));
}

#[test]
fn tokens_are_explained_by_their_characters() {
    let tokens = tiny().explain("The \u{e9}house", true).unwrap();
    assert_eq!((tokens[0].special, tokens[0].span), (true, None));
    assert_eq!((tokens[1].text.as_str(), tokens[1].span), ("The", Some((0, 3))));
    let rest: String = tokens[2..tokens.len() - 1].iter().map(|token| token.text.as_str()).collect();
    assert_eq!(rest, "\u{e9}house");
}

#[test]
fn a_megabyte_of_text_is_truncated() {
    let tokenizer = tiny();
    for text in ["a".repeat(1 << 20), "the ".repeat(1 << 18)] {
        assert!(tokenizer.encode(&[text.as_str()], 128).unwrap().tokens() <= 128);
    }
}

#[test]
fn ids_follow_the_class_that_the_folder_names() {
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("models.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for case in golden["tokenizers"].as_array().unwrap() {
        for (file, field) in [("tokenizer.json", "description"), ("tokenizer_config.json", "config")] {
            std::fs::write(folder.path().join(file), case[field].to_string()).unwrap();
        }
        let tokenizer = Tokenizer::open(folder.path(), "", false).unwrap();
        for (text, ids) in case["texts"].as_array().unwrap().iter().zip(case["ids"].as_array().unwrap()) {
            let expected: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
            let ours = tokenizer.encode(&[text.as_str().unwrap()], 99).unwrap().ids;
            assert_eq!(ours, expected, "{}: {text}", case["name"]);
        }
    }
}

/// Texts with their ids.
type Ids = Vec<(String, Vec<u32>)>;

/// Opens the tokenizers of ModernBERT and its descendants with the texts and ids of each.
fn of_modern_bert() -> Vec<(String, Tokenizer, Ids)> {
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden("modern_bert.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = |case: &serde_json::Value| {
        for (file, field) in [("tokenizer.json", "description"), ("tokenizer_config.json", "config")] {
            std::fs::write(folder.path().join(file), case[field].to_string()).unwrap();
        }
        let tokenizer = Tokenizer::open(folder.path(), "TokenizersBackend", false).unwrap();
        let texts: Vec<String> = serde_json::from_value(case["texts"].clone()).unwrap();
        let ids: Vec<Vec<u32>> = serde_json::from_value(case["ids"].clone()).unwrap();
        (case["name"].to_string(), tokenizer, texts.into_iter().zip(ids).collect())
    };
    golden["tokenizers"].as_array().unwrap().iter().map(open).collect()
}

/// With the fields of mmBERT's configuration changed one by one: sides, special tokens, class.
#[test]
fn byte_level_and_gemma_tokenizers_give_the_ids_of_the_reference() {
    let mut compared = 0;
    for (name, tokenizer, texts) in of_modern_bert() {
        for (text, expected) in texts.iter().filter(|(_, expected)| !expected.is_empty()) {
            assert_eq!(tokenizer.encode(&[text], 999).unwrap().ids, *expected, "{name}: {text:?}");
            compared += 1;
        }
    }
    assert!(compared >= 100, "{compared}");
}

#[test]
fn a_text_without_tokens_is_an_error_and_leaves_the_batch_unchanged() {
    let mut description: serde_json::Value = serde_json::from_slice(tiny().file_bytes()).unwrap();
    description["post_processor"] = serde_json::Value::Null;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), description.to_string()).unwrap();
    let tokenizer = Tokenizer::open(folder.path(), "PreTrainedTokenizerFast", false).unwrap();
    let mut batch = tokenizer.encode(&["the house"], 9).unwrap();
    let error = tokenizer.append(&mut batch, "", 9, Overlong::CutEnd).unwrap_err();
    assert!(error.to_string().starts_with("text 1: it has no tokens"), "{error}");
    assert_eq!((batch.sequences(), batch.tokens()), (1, 2));
}

fn golden_tokenizers() -> Vec<Tokenizer> {
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("models.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut tokenizers = vec![tiny(), Tokenizer::open_bare(&self::golden("tiny-bert")).unwrap()];
    for case in golden["tokenizers"].as_array().unwrap() {
        for (file, field) in [("tokenizer.json", "description"), ("tokenizer_config.json", "config")] {
            std::fs::write(folder.path().join(file), case[field].to_string()).unwrap();
        }
        tokenizers.push(Tokenizer::open(folder.path(), "", false).unwrap());
        tokenizers.push(Tokenizer::open_bare(folder.path()).unwrap());
    }
    tokenizers.extend(of_modern_bert().into_iter().take(2).map(|(_, tokenizer, _)| tokenizer));
    tokenizers
}

const PIECES: [&str; 28] = [
    "habari",
    " yako",
    "  ",
    " ",
    "\n",
    "\t x",
    "the house's",
    " The HOUSE",
    "e\u{301}",
    " \u{301}x",
    "\u{e9}cole",
    "日本語",
    "[MASK]",
    " <mask>",
    "<s> ",
    "[UNK]",
    "a.b, c! ",
    "\u{a0}",
    "\u{3000}",
    "\u{200b} ",
    "\u{ad} ",
    "\u{0} ",
    "\u{fdfa} ",
    "ﬁ n ",
    "Unbelievably,don't",
    " x_1.5-Z~",
    "#",
    "\r\u{b}\u{7f}",
];

fn with_and_without_words() -> &'static [[Tokenizer; 2]] {
    static TOKENIZERS: std::sync::OnceLock<Vec<[Tokenizer; 2]>> = std::sync::OnceLock::new();
    TOKENIZERS.get_or_init(|| {
        let pairs = golden_tokenizers().into_iter().zip(golden_tokenizers());
        let pairs: Vec<_> = pairs.map(|(with, without)| [with, Tokenizer { words: None, ..without }]).collect();
        assert!(pairs.iter().filter(|[with, _]| with.words.is_some()).count() > pairs.len() / 2);
        pairs
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
    #[test]
    fn words_have_the_tokens_that_they_have_in_the_text(
        places in proptest::collection::vec(0..PIECES.len(), 0..30),
        length in 3..40usize,
    ) {
        let text: String = places.into_iter().map(|place| PIECES[place]).collect();
        for [with, without] in with_and_without_words() {
            for overlong in [Overlong::CutEnd, Overlong::CutBeginning, Overlong::Refuse] {
                let encode = |tokenizer: &Tokenizer| {
                    let mut batch = TokenBatch::new();
                    let truncated = tokenizer.append(&mut batch, &text, length, overlong);
                    truncated.map(|truncated| (batch, truncated)).map_err(|error| error.to_string())
                };
                // The second time all words are known.
                proptest::prop_assert_eq!(encode(with), encode(without), "{:?}", text);
                proptest::prop_assert_eq!(encode(with), encode(without), "{:?}", text);
                let encode_pair = |tokenizer: &Tokenizer| {
                    let mut batch = TokenBatch::new();
                    let part = tokenizer.pair_text(0, &text, length, overlong);
                    let truncated =
                        part.and_then(|part| tokenizer.append_pair(&mut batch, &part, &part, length, overlong));
                    truncated.map(|truncated| (batch, truncated)).map_err(|error| error.to_string())
                };
                proptest::prop_assert_eq!(encode_pair(with), encode_pair(without), "a pair of {:?}", text);
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]
    #[test]
    fn words_of_ascii_have_the_tokens_of_the_tokenizers_crate(text in "[ -~\t\n]{0,12}|[a-zA-Z]{1,120}") {
        let mut compared = 0;
        for [tokenizer, _] in with_and_without_words() {
            let Some(pieces) = &tokenizer.word_pieces else { continue };
            let mut ids = Vec::new();
            if pieces.append(&text, &mut ids) {
                let expected = tokenizer.inner.encode_fast(text.as_str(), false).unwrap();
                proptest::prop_assert_eq!(&ids, expected.get_ids());
            }
            compared += 1;
        }
        assert_eq!(compared, 2);
    }
}

#[test]
fn texts_of_static_embeddings_have_no_special_tokens_and_may_be_empty() {
    let bare = Tokenizer::open_bare(&golden("tiny-bert")).unwrap();
    let texts = ["the house", "", "the king"];
    let batch = bare.encode(&texts, 99).unwrap();
    let special = tiny().encode(&texts, 99).unwrap();
    for index in 0..3 {
        let inside = special.sequence(index);
        assert_eq!(batch.sequence(index), &inside[1..inside.len() - 1]);
    }
    assert_eq!((batch.length(1), bare.special_count(), bare.prompt_length("the house").unwrap()), (0, 0, 2));
    let mut description: serde_json::Value = serde_json::from_slice(bare.file_bytes()).unwrap();
    description["truncation"] =
        serde_json::json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    let bytes = serde_json::to_vec(&description).unwrap();
    let short = Tokenizer::from_bytes_bare(bytes, Path::new("tokenizer.json")).unwrap();
    assert_eq!((short.max_length(), bare.max_length()), (Some(2), None));
}

/// Compares each golden tokenizer with and without the boundary, on long texts of many kinds.
#[test]
fn long_texts_have_the_tokens_of_the_whole_text() {
    let tokenizers = golden_tokenizers().into_iter().map(|tokenizer| Tokenizer { words: None, ..tokenizer });
    let pieces = [
        "habari yako ",
        "the house's  ",
        "\n\n \t",
        "e\u{301} ",
        " \u{301}x",
        "日本語 ",
        "[MASK] <mask>  <s> ",
        "a.b, c! ",
        "   ",
    ];
    let mut texts: Vec<String> = pieces.iter().map(|piece| piece.repeat(3000)).collect();
    texts.push((0..9000).map(|place| pieces[place * place % pieces.len()]).collect());
    texts.push(format!("{}{}", "x".repeat(20_000), " the house".repeat(4000)));
    for mut tokenizer in tokenizers {
        let boundary = tokenizer.boundary;
        assert!(boundary.is_some());
        for text in &texts {
            for (length, overlong) in [(8, Overlong::CutEnd), (64, Overlong::CutEnd), (64, Overlong::CutBeginning)] {
                let mut encode = |bounded: bool| {
                    tokenizer.boundary = boundary.filter(|_| bounded);
                    let mut batch = TokenBatch::new();
                    tokenizer.append(&mut batch, text, length, overlong).map(|_| batch).unwrap()
                };
                assert_eq!(
                    encode(true),
                    encode(false),
                    "{overlong:?} {:?}…",
                    &text.chars().take(20).collect::<String>()
                );
            }
        }
    }
}

#[test]
fn dropout_of_bpe_is_ignored() {
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("models.json")).unwrap()).unwrap();
    let case = golden["tokenizers"].as_array().unwrap().last().unwrap();
    let mut description = case["description"].clone();
    description["model"]["dropout"] = 0.5.into();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), description.to_string()).unwrap();
    let text = "habari ".repeat(50);
    let first = Tokenizer::open(folder.path(), "", false).unwrap().encode(&[&text], 999).unwrap();
    for _ in 0..3 {
        assert_eq!(Tokenizer::open(folder.path(), "", false).unwrap().encode(&[&text], 999).unwrap(), first);
    }
}
