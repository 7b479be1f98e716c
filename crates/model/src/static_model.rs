//! Static models that are made of a table: drawn at random to be trained, or computed elsewhere.

use crate::activations::Passes;
use crate::blocks::{Pooling, SentenceModule};
use crate::encoders::Network;
use crate::random::draw_normal;
use crate::spec::{Folders, ModelSpec, Origin};
use crate::task::Task;
use crate::training_model::TrainingModel;
use crate::weights::{ParameterArena, Scope};
use crate::{EncoderConfig, ModelError, Settings};
use maana_kernels::{Matrix, PoolingMode, Precision};
use maana_text::Tokenizer;
use serde_json::Value;
use std::sync::Arc;

/// The widest table.
const MOST_COLUMNS: usize = 1 << 16;

impl TrainingModel {
    /// Returns a static model of a table with a row for each token. Embeddings have length 1 if
    /// `normalize`.
    ///
    /// # Errors
    /// Returns an error if the table has fewer rows than the tokenizer has tokens.
    pub fn of_table(tokenizer: Tokenizer, table: Matrix, normalize: bool) -> Result<Self, ModelError> {
        let (rows, columns) = (table.rows(), table.columns());
        if rows < tokenizer.vocabulary_size() || !(1..=MOST_COLUMNS).contains(&columns) {
            return Err(ModelError::Request(format!(
                "a table of {rows} rows and {columns} columns for {} tokens; expected a row for each token and 1 to \
                 {MOST_COLUMNS} columns",
                tokenizer.vocabulary_size()
            )));
        }
        let config = EncoderConfig::of_static(rows, columns);
        let layout = Network::new(&config, Scope::All, Passes::Inference).parameters;
        let max_seq_length = tokenizer.max_length().map_or(config.longest(), |tokens| tokens.min(config.longest()));
        let spec = ModelSpec {
            config,
            tokenizer: Arc::new(tokenizer),
            task: Task::Embed,
            pooling: Pooling { modes: vec![PoolingMode::Mean], include_prompt: true },
            modules: if normalize { vec![SentenceModule::Normalize] } else { Vec::new() },
            settings: Settings { max_seq_length, ..Settings::default() },
            parameters: layout.elements,
            origin: Origin::without_files(Value::Null, Folders::plain(normalize.then_some("Normalize").into_iter())),
        };
        let arena = ParameterArena::new(layout.tensors, table.into_vec());
        Ok(Self::new(vec![(spec, 0)], None, arena, Precision::F32))
    }

    /// Returns a static model to be trained from scratch: its table has normally distributed
    /// numbers, as that of `StaticEmbedding(tokenizer, embedding_dim=columns)`.
    ///
    /// # Errors
    /// Returns an error unless there are 1 to 65,536 columns.
    pub fn random_static(tokenizer: Tokenizer, columns: usize, seed: u64) -> Result<Self, ModelError> {
        if columns > MOST_COLUMNS {
            return Err(ModelError::Request(format!("{columns} columns; expected 1 to {MOST_COLUMNS}")));
        }
        let mut table = Matrix::zeros(tokenizer.vocabulary_size(), columns);
        draw_normal(table.data_mut(), 1.0, seed);
        Self::of_table(tokenizer, table, false)
    }
}
