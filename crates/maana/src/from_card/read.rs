//! Reads a card that Sentence Transformers wrote: its front matter, and the sections that describe
//! the training. Also reads the text of a card that was copied from its page, without indentation.

use super::error::FromCardError;
use maana_train::Inputs;
use serde_json::{Map, Value};

/// A card.
#[derive(Debug, Default)]
pub(super) struct SourceCard {
    /// Inputs of the model: texts, or pairs of a cross-encoder.
    pub(super) inputs: Inputs,
    /// Number of labels of a cross-encoder.
    pub(super) labels: Option<usize>,
    pub(super) title: Option<String>,
    pub(super) base: Option<String>,
    /// Commit of the base model.
    pub(super) base_revision: Option<String>,
    pub(super) languages: Vec<String>,
    pub(super) license: Option<String>,
    pub(super) max_seq_length: Option<usize>,
    /// The model is a table of static embeddings.
    pub(super) is_static: bool,
    /// Dimensions of an embedding.
    pub(super) dimension: Option<usize>,
    /// Adapters that were trained, as this program's own cards describe them.
    pub(super) adapters: Option<String>,
    /// The parameters were blended with those of the base after the training.
    pub(super) is_blend: bool,
    pub(super) datasets: Vec<CardDataset>,
    /// The loss was measured on an evaluation set.
    pub(super) has_dev_loss: bool,
    pub(super) evaluators: Vec<CardEvaluator>,
    /// Values as Python prints them.
    pub(super) hyperparameters: Vec<(String, String)>,
    /// Cells of the table of the training log, with its head.
    pub(super) log: Vec<Vec<String>>,
    /// Version of Sentence Transformers.
    pub(super) version: Option<String>,
}

/// A training data set of a card.
#[derive(Debug, Default)]
pub(super) struct CardDataset {
    pub(super) name: Option<String>,
    /// Number of rows as the card prints it.
    pub(super) rows: Option<String>,
    pub(super) columns: Vec<String>,
    /// Class of the loss, and its parameters.
    pub(super) loss: Option<(String, Map<String, Value>)>,
}

/// An evaluator of a card.
#[derive(Debug, Default)]
pub(super) struct CardEvaluator {
    pub(super) names: Vec<String>,
    pub(super) class: String,
    pub(super) truncate_dim: Option<usize>,
    /// Candidates up to which measures of reranking count.
    pub(super) at_k: Option<usize>,
}

/// Place in the card.
#[derive(Clone, Copy, PartialEq)]
enum Section {
    Other,
    Datasets,
    DevLoss,
    Metrics,
    Hyperparameters,
    Log,
    Versions,
}

impl SourceCard {
    /// Reads a card.
    pub(super) fn read(text: &str) -> Result<Self, FromCardError> {
        let mut card = Self::default();
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let body = card.read_front_matter(&lines);
        refuse_other_cards(text, &lines[body..])?;
        if has_tag(text, "cross-encoder") {
            card.inputs = Inputs::Pairs;
        }
        card.is_static = text.contains("(0): StaticEmbedding(");
        let mut section = Section::Other;
        let mut number = body;
        while number < lines.len() {
            let line = lines[number].trim();
            number += 1;
            // Blocks of code contain lines that look like titles.
            if line.starts_with("```") {
                let end = (number..lines.len()).find(|&end| lines[end].trim() == "```");
                let end = end.ok_or(FromCardError::Cut { line: number, what: "a block of code" })?;
                if line == "```json" {
                    card.read_parameters(&lines[number..end], section, number)?;
                }
                number = end + 1;
                continue;
            }
            if let Some(title) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()) {
                section = card.enter(section, line, title);
                continue;
            }
            card.read_line(section, line);
        }
        if card.datasets.iter().all(|dataset| dataset.loss.is_none()) {
            return Err(FromCardError::Missing("a loss in the section `Training Dataset`"));
        }
        if card.hyperparameters.is_empty() {
            return Err(FromCardError::Missing("the section `Training Hyperparameters`"));
        }
        Ok(card)
    }

    /// Reads the front matter. Returns the number of the first line after it.
    fn read_front_matter(&mut self, lines: &[&str]) -> usize {
        /// A copied page begins with a few lines of its own.
        const LINES_BEFORE: usize = 20;
        let Some(start) = lines.iter().take(LINES_BEFORE).position(|line| *line == "---") else { return 0 };
        let Some(length) = lines[start + 1..].iter().position(|line| *line == "---") else { return 0 };
        let mut key = "";
        for line in &lines[start + 1..start + 1 + length] {
            let mut value = line.trim();
            match (value.strip_prefix("- "), line.split_once(':')) {
                (Some(item), _) => value = item,
                (None, Some((name, rest))) if !line.starts_with(' ') => (key, value) = (name, rest.trim()),
                _ => {}
            }
            let value = value.trim_matches(['"', '\'']);
            if value.is_empty() || value == "[]" {
                continue;
            }
            match key {
                "base_model" if self.base.is_none() => self.base = Some(value.into()),
                "license" if self.license.is_none() => self.license = Some(value.into()),
                "language" => {
                    let codes = value.trim_matches(['[', ']']).split(',').map(|code| code.trim().to_owned());
                    self.languages.extend(codes);
                }
                _ => {}
            }
        }
        start + length + 2
    }

    /// Enters the section of a title.
    fn enter(&mut self, section: Section, line: &str, title: &str) -> Section {
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        match title {
            _ if level == 1 && self.title.is_none() => {
                self.title = Some(title.into());
                Section::Other
            }
            "Training Dataset" | "Training Datasets" => Section::Datasets,
            "Evaluation Dataset" | "Evaluation Datasets" => {
                self.has_dev_loss = true;
                Section::DevLoss
            }
            "Metrics" => Section::Metrics,
            "Blend with the Base Model" => {
                self.is_blend = true;
                Section::Other
            }
            "Training Logs" => Section::Log,
            "Framework Versions" => Section::Versions,
            _ if title.ends_with("Hyperparameters") => Section::Hyperparameters,
            _ if level <= 3 => Section::Other,
            _ => {
                if section == Section::Datasets {
                    let name = (title != "Unnamed Dataset").then(|| title.to_owned());
                    self.datasets.push(CardDataset { name, ..CardDataset::default() });
                }
                section
            }
        }
    }

    fn read_line(&mut self, section: Section, line: &str) {
        match section {
            Section::Other => self.read_description(line),
            Section::Datasets => self.read_dataset(line),
            Section::Metrics => self.read_evaluator(line),
            Section::Hyperparameters => {
                if let Some((name, value)) = setting(line) {
                    let value = value.trim().to_owned();
                    match self.hyperparameters.iter_mut().find(|(known, _)| known == name) {
                        Some((_, known)) => *known = value,
                        None => self.hyperparameters.push((name.into(), value)),
                    }
                }
            }
            Section::Log => {
                if let Some(cells) = line.strip_prefix('|') {
                    let cells = cells.trim_end_matches('|').split('|').map(|cell| cell.trim().replace('*', ""));
                    self.log.push(cells.collect());
                }
            }
            Section::Versions => {
                if let Some(version) = line.strip_prefix("- Sentence Transformers: ") {
                    self.version = Some(version.trim().into());
                }
            }
            Section::DevLoss => {}
        }
    }

    fn read_description(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("- **Base model:**") {
            if let Some((_, revision)) = rest.split_once("at revision ") {
                let code = codes(revision).into_iter().next();
                let word = || revision.split_whitespace().next().map(String::from);
                self.base_revision = code.or_else(word);
            }
            let linked = rest.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            let named = linked.map(|(name, _)| name.to_owned()).or_else(|| codes(rest).into_iter().next());
            self.base = self.base.take().or(named);
        }
        let number = |rest: &str| rest.split_whitespace().next()?.replace(',', "").parse().ok();
        // This program's own cards write these names in small letters.
        let Some((name, rest)) = line.strip_prefix("- **").and_then(|line| line.split_once(":**")) else { return };
        match &*name.to_ascii_lowercase() {
            "maximum sequence length" => self.max_seq_length = number(rest),
            "output dimensionality" => self.dimension = number(rest),
            "number of output labels" => self.labels = number(rest),
            "adapters" => self.adapters = Some(adapters(rest)),
            _ => {}
        }
    }

    fn read_dataset(&mut self, line: &str) {
        if self.datasets.is_empty() && line.starts_with("* ") {
            self.datasets.push(CardDataset::default());
        }
        let Some(dataset) = self.datasets.last_mut() else { return };
        if let Some(rest) = line.strip_prefix("* Size: ") {
            dataset.rows = rest.split_whitespace().next().map(String::from);
        } else if let Some(rest) = line.strip_prefix("* Columns: ") {
            dataset.columns = codes(rest);
        } else if let Some(rest) = line.strip_prefix("* Loss: ") {
            let class = codes(rest).into_iter().next();
            dataset.loss = class.map(|class| (class.rsplit('.').next().unwrap_or(&class).to_owned(), Map::new()));
        }
    }

    fn read_evaluator(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("* Dataset: ").or_else(|| line.strip_prefix("* Datasets: ")) {
            let quoted = rest.split('`').skip(1).step_by(2).map(String::from);
            let names = codes(rest).into_iter().chain(quoted).collect();
            self.evaluators.push(CardEvaluator { names, ..CardEvaluator::default() });
        } else if let Some(rest) = line.strip_prefix("* Evaluated ") {
            let class = codes(rest).into_iter().next().unwrap_or_default();
            let class = class.rsplit('.').next().unwrap_or_default().to_owned();
            // An evaluator without a name has no line for its data set.
            match self.evaluators.last_mut().filter(|evaluator| evaluator.class.is_empty()) {
                Some(evaluator) => evaluator.class = class,
                None => self.evaluators.push(CardEvaluator { class, ..CardEvaluator::default() }),
            }
        }
    }

    /// Reads a block of JSON: parameters of the last loss or evaluator.
    fn read_parameters(&mut self, lines: &[&str], section: Section, line: usize) -> Result<(), FromCardError> {
        let parameters: Map<String, Value> = serde_json::from_str(&lines.join("\n"))
            .map_err(|error| FromCardError::Json { line: line + error.line(), reason: error.to_string() })?;
        match section {
            Section::Datasets => {
                if let Some((_, known)) = self.datasets.last_mut().and_then(|dataset| dataset.loss.as_mut()) {
                    *known = parameters;
                }
            }
            Section::Metrics => {
                let number = |name: &str| usize::try_from(parameters.get(name)?.as_u64()?).ok();
                if let Some(evaluator) = self.evaluators.last_mut() {
                    evaluator.truncate_dim = number("truncate_dim").or(evaluator.truncate_dim);
                    evaluator.at_k = number("at_k").or(evaluator.at_k);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns the description of adapters: their settings, and the names of their layers.
fn adapters(text: &str) -> String {
    let (settings, _) = text.split_once(['<', ';']).unwrap_or((text, ""));
    let settings = settings.trim().trim_end_matches(" on");
    match codes(text) {
        layers if layers.is_empty() => settings.to_owned(),
        layers => format!("{settings} on {}", layers.join(", ")),
    }
}

/// Returns whether the front matter of a card has a tag.
fn has_tag(text: &str, tag: &str) -> bool {
    let front = text.split("\n# ").next().unwrap_or_default();
    front.lines().any(|line| line.trim().strip_prefix("- ") == Some(tag))
}

/// Refuses cards that describe no training of a sentence encoder or a cross-encoder by the trainer.
fn refuse_other_cards(text: &str, body: &[&str]) -> Result<(), FromCardError> {
    if has_tag(text, "sparse-encoder") {
        return Err(FromCardError::OtherModel("a sparse encoder"));
    }
    if text.contains("The model was trained with the parameters:") {
        return Err(FromCardError::OldCard);
    }
    if !body.iter().any(|line| line.trim() == "## Training Details") {
        return Err(FromCardError::Missing("the section `Training Details`"));
    }
    Ok(())
}

/// Returns name and value of a line of hyperparameters. This program's own cards have HTML in place
/// of backquotes.
fn setting(line: &str) -> Option<(&str, &str)> {
    let quoted = || line.strip_prefix("- `")?.split_once("`:");
    quoted().or_else(|| line.strip_prefix("- <code>")?.split_once("</code>:"))
}

/// Returns the texts between `<code>` and `</code>`.
fn codes(text: &str) -> Vec<String> {
    let parts = text.split("<code>").skip(1);
    parts.filter_map(|part| part.split_once("</code>")).map(|(code, _)| code.to_owned()).collect()
}
