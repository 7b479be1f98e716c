//! Folders without `tokenizer.json`, against the tokenizers of transformers (`old_tokenizers.json`,
//! which says what it holds in `make_golden_old_tokenizers.py`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use maana_files::SplitMix64;
use maana_text::Tokenizer;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::OnceLock;

fn golden() -> &'static Value {
    static GOLDEN: OnceLock<Value> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/old_tokenizers.json");
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    })
}

fn texts() -> Vec<&'static str> {
    golden()["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// Returns the content of a vocabulary of the golden file.
fn vocabulary(name: &str) -> Option<Vec<u8>> {
    match &golden()["vocabularies"][name] {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(fields) => Some(STANDARD.decode(fields["base64"].as_str().unwrap()).unwrap()),
        _ => None,
    }
}

/// Writes the files of a case to a folder.
fn write(case: &Value, folder: &Path) {
    for (name, content) in case["files"].as_object().unwrap() {
        let bytes = match content {
            Value::String(text) => vocabulary(text).unwrap_or_else(|| text.clone().into_bytes()),
            json => json.to_string().into_bytes(),
        };
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Returns the Python class of the tokenizer if `tokenizer_config.json` names none.
fn class(case: &Value) -> &str {
    case["config"]["tokenizer_class"].as_str().unwrap_or(match case["model_type"].as_str().unwrap() {
        "bert" | "distilbert" => "BertTokenizer",
        "mpnet" => "MPNetTokenizer",
        "roberta" => "RobertaTokenizer",
        "xlm-roberta" => "XLMRobertaTokenizer",
        "camembert" => "CamembertTokenizer",
        _ => "TokenizersBackend",
    })
}

/// Opens the tokenizer of a case and that of the same folder with the `tokenizer.json` that
/// transformers saves.
fn open(case: &Value) -> [Tokenizer; 2] {
    let folder = tempfile::tempdir().unwrap();
    write(case, folder.path());
    let ours = Tokenizer::open(folder.path(), class(case), false).unwrap_or_else(|error| panic!("{case}: {error}"));
    std::fs::write(folder.path().join("tokenizer.json"), case["twin"].to_string()).unwrap();
    [ours, Tokenizer::open(folder.path(), class(case), false).unwrap()]
}

#[test]
fn ids_equal_those_of_transformers() {
    let mut compared = 0;
    for case in golden()["cases"].as_array().unwrap() {
        for (tokenizer, which) in open(case).iter().zip(["old files", "twin"]) {
            for (text, ids) in texts().into_iter().zip(case["ids"].as_array().unwrap()) {
                let expected: Vec<u32> = serde_json::from_value(ids.clone()).unwrap();
                let ours = tokenizer.encode(&[text], 9999).unwrap().ids;
                assert_eq!(ours, expected, "{}, {which}: {text:?}", case["name"]);
                compared += 1;
            }
            for (texts, expected) in golden()["pairs"].as_array().unwrap().iter().zip(case["pairs"].as_array().unwrap())
            {
                let [first, second] = [0, 1].map(|place| texts[place].as_str().unwrap());
                let ours = tokenizer.encode_pairs(&[(first, second)], 9999).unwrap();
                let numbers = |place: usize| serde_json::from_value::<Vec<u32>>(expected[place].clone()).unwrap();
                assert_eq!(ours.ids, numbers(0), "{}, {which}: {texts}", case["name"]);
                assert_eq!(ours.type_ids, numbers(1), "{}, {which}: {texts}", case["name"]);
            }
        }
    }
    assert!(compared > 3000, "{compared}");
}

/// The description is the one that transformers saves, so that it opens everywhere with the same
/// ids.
#[test]
fn the_description_equals_the_one_that_transformers_saves() {
    for case in golden()["cases"].as_array().unwrap() {
        let [ours, twin] = open(case);
        let json: Value = serde_json::from_slice(ours.file_bytes()).unwrap();
        let keys = |json: &Value| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&json), keys(&case["twin"]));
        for key in keys(&json) {
            assert_eq!(json[&key], case["twin"][&key], "{}: {key}", case["name"]);
        }
        assert_eq!(ours.adjustments(), twin.adjustments(), "{}", case["name"]);
        assert_eq!(ours.vocabulary_size(), twin.vocabulary_size(), "{}", case["name"]);
    }
}

fn pairs_of_tokenizers() -> &'static [[Tokenizer; 2]] {
    static TOKENIZERS: OnceLock<Vec<[Tokenizer; 2]>> = OnceLock::new();
    TOKENIZERS.get_or_init(|| golden()["cases"].as_array().unwrap().iter().map(open).collect())
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]
    #[test]
    fn any_text_has_the_ids_of_the_twin(places in proptest::collection::vec(0..60usize, 0..6), other in "\\PC{0,12}") {
        let texts = texts();
        let mut text: String = places.into_iter().map(|place| texts[place % texts.len()]).collect();
        text.push_str(&other);
        for [ours, twin] in pairs_of_tokenizers() {
            let ids = |tokenizer: &Tokenizer| tokenizer.encode(&[&text], 9999).unwrap();
            proptest::prop_assert_eq!(ids(ours), ids(twin), "{:?}", text);
        }
    }
}

#[test]
fn a_folder_that_python_does_not_open_rightly_is_refused() {
    let said = [
        ("modernbert", ["tokenizer.json", "TokenizersBackend", "save_pretrained"]),
        ("fast class", ["tokenizer.json", "PreTrainedTokenizerFast", "BertTokenizer"]),
        ("a class of the Python library only", ["tokenizer.json", "BertJapaneseTokenizer", "BertTokenizer"]),
        ("no vocabulary", ["tokenizer.json", "no vocab.txt", "BertTokenizer"]),
        ("no merges", ["tokenizer.json", "no merges.txt", "RobertaTokenizer"]),
        ("pieces of another class", ["no tokenizer.model or sentencepiece.bpe.model", "XLMRobertaTokenizer", "fetch"]),
        ("pieces of BPE", ["sentencepiece.bpe.model", "SentencePiece model of BPE", "save_pretrained"]),
    ];
    let mut said = BTreeMap::from(said);
    for case in golden()["refused"].as_array().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        write(case, folder.path());
        let error = Tokenizer::open(folder.path(), class(case), false).err().unwrap().to_string();
        for part in said.remove(case["name"].as_str().unwrap()).unwrap() {
            assert!(error.contains(part), "{}: {error}", case["name"]);
        }
    }
    assert!(said.is_empty());
}

/// Opens a folder with some files.
fn open_files(class: &str, files: &[(&str, &[u8])]) -> Result<Tokenizer, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    Tokenizer::open(folder.path(), class, false).map_err(|error| error.to_string())
}

/// A message of protocol buffers with bytes in a field of a number below 16.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, bytes.len() as u8 | 0x80, (bytes.len() >> 7) as u8];
    field.extend(bytes);
    field
}

/// A piece of SentencePiece.
fn piece(text: &[u8], score: f32, kind: u8) -> Vec<u8> {
    let mut piece = field(1, text);
    piece.extend([0x15].into_iter().chain(score.to_le_bytes()).chain([0x18, kind]));
    field(1, &piece)
}

fn sentence_piece(pieces: &[Vec<u8>], charsmap: &[u8]) -> Vec<u8> {
    [pieces.concat(), field(2, &[0x18, 1]), field(3, &field(2, charsmap))].concat()
}

#[test]
fn faults_of_vocabularies_are_named_with_file_place_and_remedy() {
    let special = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    let lines = |rest: &[u8]| [special.as_bytes(), rest].concat();
    for (vocabulary, parts) in [
        (Vec::new(), ["no tokens", "fetch"]),
        (b"\n \n\n".to_vec(), ["no tokens", "fetch"]),
        (lines(b"leo\nkesho\nleo \n"), ["line 8 repeats the token `leo` of line 6", "`[unused-7]`"]),
        (lines(b"leo\n\xff\xfe\n"), ["line 7", "save the file as UTF-8"]),
        (b"[PAD]\n[CLS]\n[SEP]\nleo\n".to_vec(), ["no line is `[UNK]`", "`unk_token` in `tokenizer_config.json`"]),
    ] {
        let error = open_files("BertTokenizer", &[("vocab.txt", &vocabulary)]).err().unwrap();
        assert!(error.contains("vocab.txt: ") && parts.iter().all(|part| error.contains(part)), "{error}");
    }

    let tokens = br#"{"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6}"#;
    for (vocabulary, merges, file, parts) in [
        (&b""[..], &b""[..], "vocab.json", ["not valid JSON", "fetch"]),
        (b"{}", b"", "vocab.json", ["no tokens", "fetch"]),
        (b"[1]", b"", "vocab.json", ["not a JSON object", "tokens"]),
        (br#"{"a": -1}"#, b"", "vocab.json", ["token `a` has the id -1", "expected a number"]),
        (br#"{"a": 4000000000}"#, b"", "vocab.json", ["id 4000000000", "less than 1048576"]),
        (br#"{"a": 1, "b": 1}"#, b"", "vocab.json", ["`a` and `b` have the same id, 1", "another"]),
        (tokens, b"#version: 0.2\na b\na c\n", "merges.txt", ["line 3 is `a c`", "no token `c`"]),
        (tokens, b"#version: 0.2\nb a\n", "merges.txt", ["line 2 is `b a`", "no token `ba`"]),
        (tokens, b"a b\n\n", "merges.txt", ["line 2 is ``", "two tokens"]),
        (tokens, b"a b ab\n", "merges.txt", ["line 1 is `a b ab`", "two tokens"]),
        (tokens, b"a b\n\xff \xff\n", "merges.txt", ["line 2", "UTF-8"]),
    ] {
        let files = [("vocab.json", vocabulary), ("merges.txt", merges)];
        let error = open_files("RobertaTokenizer", &files).err().unwrap();
        assert!(error.contains(file) && parts.iter().all(|part| error.contains(part)), "{error}");
    }
    assert!(open_files("RobertaTokenizer", &[("vocab.json", tokens), ("merges.txt", b"a b\n")]).is_ok());

    let first = || vec![piece(b"<unk>", 0.0, 2), piece(b"<s>", 0.0, 3), piece(b"</s>", 0.0, 3)];
    let with = |others: &[Vec<u8>]| sentence_piece(&[first(), others.to_vec()].concat(), b"");
    let whole = with(&[piece(b"leo", -1.0, 1)]);
    let pieces = first().concat();
    for (model, part) in [
        (Vec::new(), "no pieces"),
        (b"version of a large file, which is elsewhere\n".to_vec(), "byte"),
        (whole[..pieces.len() + 3].to_vec(), "expected at byte"),
        (pieces.clone(), "ends before the settings"),
        (with(&[piece(b"leo", -1.0, 1), piece(b"leo", -2.0, 1)]), "piece 4, `leo`, occurs twice"),
        (with(&[piece(b"", -1.0, 1)]), "piece 3: it has no text"),
        (with(&[piece(b"leo", f32::NAN, 1)]), "piece 3: its score is NaN"),
        (with(&[piece(b"l\xff", -1.0, 1)]), "piece 3: the text at byte"),
        (sentence_piece(&[piece(b"<s>", 0.0, 3)], b""), "no piece for unknown words"),
        (sentence_piece(&first(), b"abc"), "precompiled_charsmap"),
        (sentence_piece(&first(), b"\xff\xff\xff\xff"), "precompiled_charsmap"),
    ] {
        let error = open_files("XLMRobertaTokenizer", &[("sentencepiece.bpe.model", &model)]).err().unwrap();
        let is_clear = error.contains("sentencepiece.bpe.model: ") && error.contains("fetch the model again");
        assert!(is_clear && error.contains(part), "{part}: {error}");
    }
    assert!(open_files("XLMRobertaTokenizer", &[("sentencepiece.bpe.model", &whole)]).is_ok());
}

#[test]
fn faults_of_companions_are_named() {
    let vocabulary = vocabulary("lower").unwrap();
    for (file, content, part) in [
        ("tokenizer_config.json", json!({"unk_token": 5}), "field `unk_token` is 5; expected a token"),
        ("special_tokens_map.json", json!({"sep_token": []}), "field `sep_token` is []; expected a token"),
        ("tokenizer_config.json", json!({"cls_token": ""}), "`cls_token`"),
        ("tokenizer_config.json", json!({"extra_special_tokens": [7]}), "`extra_special_tokens` is 7"),
        ("tokenizer_config.json", json!({"extra_special_tokens": 7}), "expected a list of tokens"),
        ("tokenizer_config.json", json!({"added_tokens_decoder": {"x": {"content": "y"}}}), "`added_tokens_decoder`"),
        ("tokenizer_config.json", json!({"added_tokens_decoder": []}), "`added_tokens_decoder`"),
        ("tokenizer_config.json", json!({"do_lower_case": "no"}), "`do_lower_case`"),
        ("added_tokens.json", json!({"leo": "x"}), "field `leo` is \"x\""),
        ("added_tokens.json", json!({"leo": 999}), "token `leo` has the id 260 here, but 999 in `added_tokens.json`"),
        (
            "tokenizer_config.json",
            json!({"added_tokens_decoder": {"7": {"content": "[CLS]"}}}),
            "token `[CLS]` has the id 2 here, but 7 in `tokenizer_config.json`",
        ),
    ] {
        let files = [("vocab.txt", vocabulary.as_slice()), (file, &content.to_string().into_bytes())];
        let error = open_files("BertTokenizer", &files).err().unwrap_or_else(|| panic!("{file} {content}"));
        assert!(error.contains(part), "{content}: {error}");
    }
}

/// Damages vocabularies at random places. Each opens or is refused; nothing panics.
#[test]
fn damaged_vocabularies_do_not_panic() {
    let cases = [
        ("BertTokenizer", "vocab.txt", "lower"),
        ("RobertaTokenizer", "vocab.json", "vocab"),
        ("RobertaTokenizer", "merges.txt", "merges"),
        ("XLMRobertaTokenizer", "sentencepiece.bpe.model", "symbols"),
        ("CamembertTokenizer", "tokenizer.model", "bytes"),
    ];
    let mut random = SplitMix64::new(9);
    let mut draw = |below: usize| (random.next_u64() % below as u64) as usize;
    let (mut opened, mut refused) = (0, 0);
    for (class, damaged, name) in cases {
        let whole = vocabulary(name).unwrap();
        for _ in 0..150 {
            let mut bytes = whole.clone();
            let place = draw(bytes.len());
            match draw(5) {
                0 => bytes.truncate(place),
                1 => bytes[place] ^= 1 << draw(8),
                2 => bytes[place] = [0, 0xff, b'\n', b' '][draw(4)],
                3 => drop(bytes.drain(place..(place + 1 + draw(40)).min(whole.len()))),
                _ => {
                    let part = bytes[place..(place + 1 + draw(40)).min(whole.len())].to_vec();
                    let at = draw(bytes.len());
                    bytes.splice(at..at, part);
                }
            }
            let (others, merges) = (vocabulary("vocab").unwrap(), vocabulary("merges").unwrap());
            let others = [("vocab.json", others.as_slice()), ("merges.txt", &merges)];
            let others = others.iter().filter(|(name, _)| class == "RobertaTokenizer" && *name != damaged).copied();
            let files: Vec<(&str, &[u8])> = others.chain([(damaged, bytes.as_slice())]).collect();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                let tokenizer = open_files(class, &files)?;
                for text in texts() {
                    let _ = tokenizer.encode(&[text], 64);
                }
                Ok::<(), String>(())
            }));
            match outcome {
                Ok(Ok(())) => opened += 1,
                Ok(Err(error)) => {
                    assert!(error.contains(damaged) || error.contains("tokenizer"), "{error}");
                    refused += 1;
                }
                Err(_) => panic!("{class} {damaged}: a panic"),
            }
        }
    }
    assert!(opened > 100 && refused > 100, "{opened} opened, {refused} refused");
}
