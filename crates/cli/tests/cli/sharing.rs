//! Recipes from cards, and pushing models.

use crate::support::{fail, golden, maana, succeed};
use std::path::Path;

fn card() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../maana/src/from_card/cards/matryoshka-3.0.1.md");
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_recipe_is_made_of_a_card() {
    let folder = tempfile::tempdir().unwrap();
    let printed = succeed(maana().args(["train", "--from-card", &card()]));
    assert!(printed.contains("base = \"BAAI/bge-base-en-v1.5\"") && printed.contains("batch_size = 32"), "{printed}");
    let file = folder.path().join("recipe.toml");
    let written = ["train", "--from-card", &card(), "--out-recipe", file.to_str().unwrap()];
    assert_eq!(succeed(maana().args(written)), "");
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim_end(), printed.trim_end());
    let said = fail(maana().args(written), 1);
    assert!(said.contains("recipe.toml: exists"), "{said}");
    // Without the data the recipe is complete, but does not run.
    let said = fail(maana().args(["train", file.to_str().unwrap(), "--dry-run"]), 1);
    assert!(said.contains("train.jsonl"), "{said}");
    let readme = golden("../README.md");
    let said = fail(maana().args(["train", "--from-card", readme.to_str().unwrap()]), 1);
    assert!(said.contains("README.md") && said.contains("Training Details"), "{said}");
    fail(maana().args(["train"]), 2);
    fail(maana().args(["train", "--from-card", &card(), "--resume"]), 2);
}

#[test]
fn a_push_that_cannot_begin_says_why() {
    let model = golden("tiny-bert");
    let model = model.to_str().unwrap();
    let said = fail(maana().args(["push", model, "org/name"]), 1);
    assert!(said.contains("HF_HUB_OFFLINE turns the network off"), "{said}");
    let said = fail(maana().args(["push", model, "name"]), 1);
    assert!(said.contains("organisation/model"), "{said}");
    let online = |folder: &str| {
        let mut command = maana();
        command.args(["push", folder, "org/name", "--dry-run"]).env_remove("HF_HUB_OFFLINE");
        // A home without a token.
        command.env("HF_HOME", "/nonexistent").env_remove("HF_TOKEN_PATH").env_remove("HUGGING_FACE_HUB_TOKEN");
        command
    };
    let said = fail(&mut online(model), 1);
    assert!(said.contains("HF_TOKEN") && said.contains("write access"), "{said}");
    let said = fail(&mut online(golden("st301").to_str().unwrap()), 1);
    assert!(said.contains("neither modules.json nor config.json"), "{said}");
}
