//! The run: micro-batches, updates, log, evaluations and checkpoints. `step` has the computation,
//! `plan` the order, `checkpoint` the files.

use crate::batches::{AHEAD, Batch, Batches, PairTokenizer};
use crate::best_parameters::BestParameters;
use crate::checkpoint::{Checkpoints, Found, Identity, Name, State, Window, with_average};
use crate::error::{Failure, RowsOfSet};
use crate::groups::ResolvedGroups;
use crate::loss_layers::LossLayers;
use crate::memory::peak_memory_bytes;
use crate::observer::{Event, Observer, Progress};
use crate::plan::Position;
use crate::rows::most_pairs;
use crate::schedule::{Plateau, Schedule};
use crate::step::Step;
use crate::summary::RunSummary;
use crate::{Arguments, Evaluate, KeepBest, LogRow, Plan, TrainError, TrainingRecord, TrainingSet, Version};
use maana_data::{SetSampler, Source};
use maana_kernels::Context;
use maana_model::Trainable;
use maana_text::TokenBatch;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

/// A training run, without the model and the observer.
#[derive(Clone, Copy)]
pub struct Run<'a, T> {
    /// Threads of the computation. Their number changes no bit of the result.
    pub context: &'a Context,
    /// The data sets, at least one, each with its loss.
    pub sets: &'a [TrainingSet<'a>],
    /// Order of the batches of several sets.
    pub sampler: SetSampler,
    /// Converts texts to tokens, one sequence for each text. Called on another thread.
    pub tokenize: T,
    /// Converts pairs of texts to tokens, for losses of cross-encoders.
    pub tokenize_pairs: Option<&'a PairTokenizer<'a>>,
    /// The settings.
    pub arguments: &'a Arguments,
    /// Fingerprint of the model before training, if it is known: a run resumes only from the same
    /// model.
    pub base: Option<&'a str>,
    /// Folder of checkpoints and `record.jsonl`. Without it nothing is written.
    pub folder: Option<&'a Path>,
    /// Continues from the newest checkpoint of the folder, if it has one.
    pub resume: bool,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All updates are complete. The model has the last parameters, or the best ones if the run
    /// selects the best.
    Finished(TrainingRecord),
    /// The observer requested a stop.
    Interrupted {
        /// The log so far.
        record: TrainingRecord,
        /// The checkpoint from which to continue, if the run has a folder.
        checkpoint: Option<PathBuf>,
    },
}

impl<'a, T> Run<'a, T> {
    /// Creates a run of texts that writes no folder.
    pub fn new(context: &'a Context, sets: &'a [TrainingSet<'a>], tokenize: T, arguments: &'a Arguments) -> Self {
        Self {
            context,
            sets,
            sampler: SetSampler::default(),
            tokenize,
            tokenize_pairs: None,
            arguments,
            base: None,
            folder: None,
            resume: false,
        }
    }
}

impl<T, E> Run<'_, T>
where
    T: Fn(&[&str]) -> Result<TokenBatch, E> + Sync,
    E: Into<Failure>,
{
    /// Trains the model. The result is a function of model, data, loss and arguments only: threads,
    /// stops and resumptions change no bit of it.
    ///
    /// # Errors
    /// See [`TrainError`]; the model then has the parameters of the last update, unless a
    /// checkpoint could not be loaded.
    pub fn train<M: Trainable>(&self, model: &mut M, observer: &mut dyn Observer<M>) -> Result<Outcome, TrainError> {
        TrainingSet::check_all(self.sets)?;
        let sources: Vec<&dyn Source> = self.sets.iter().map(|set| set.source).collect();
        let plan = Plan::of(&sources, self.sampler, self.arguments)?;
        let mut training = Training::begin(self, &plan, model, observer)?;
        training.tell(&Event::Started { plan: &plan });
        let start = training.state.position;
        if training.state.evaluation_due && training.pause(true)? {
            return training.interrupt();
        }
        if !training.is_over() {
            let batches = Batches {
                sets: self.sets,
                sampler: self.sampler,
                tokenize: &self.tokenize,
                tokenize_pairs: self.tokenize_pairs,
                arguments: self.arguments,
                pace: plan.pace(),
                epochs: plan.epochs,
            };
            let stopped = std::thread::scope(|scope| {
                let (sender, receiver) = sync_channel(AHEAD);
                let produce = move || batches.produce(start, &sender);
                std::thread::Builder::new().spawn_scoped(scope, produce).map_err(TrainError::Thread)?;
                training.walk(receiver)
            })?;
            if stopped {
                return training.interrupt();
            }
        }
        training.finish()
    }
}

/// The state of a run.
struct Training<'a, M: Trainable> {
    context: &'a Context,
    sets: &'a [TrainingSet<'a>],
    arguments: &'a Arguments,
    plan: &'a Plan,
    model: &'a mut M,
    losses: LossLayers<'a>,
    observer: &'a mut dyn Observer<M>,
    identity: Identity,
    checkpoints: Option<Checkpoints>,
    /// The newest checkpoint and its position.
    saved: Option<(PathBuf, Position)>,
    state: State,
    step: Step<M>,
    /// Rows of the micro-batches since the last update.
    open_rows: Vec<RowsOfSet>,
    /// The best parameters, if there is no folder for them.
    best_parameters: Option<BestParameters>,
    began: Instant,
    /// Seconds of the run before this call.
    earlier_seconds: f64,
    /// Micro-batches of this call, and their seconds.
    pace: (u64, f64),
}

impl<'a, M: Trainable> Training<'a, M> {
    /// Creates or opens the folder, and loads the state of an interrupted run.
    fn begin<T>(
        run: &Run<'a, T>,
        plan: &'a Plan,
        model: &'a mut M,
        observer: &'a mut dyn Observer<M>,
    ) -> Result<Self, TrainError> {
        let identity = Identity::of(run.arguments, run.sets, run.sampler, run.base, model);
        model.set_update_plan(ResolvedGroups::new(run.arguments, model.tensors())?.plan);
        let sequences = |set: &TrainingSet<'_>| {
            let rows = run.arguments.batch_size.min(set.source.len());
            match set.loss.pairs() {
                None => rows * set.source.columns().len(),
                Some(pairs) => most_pairs(set.source, pairs, rows),
            }
        };
        let sequences = run.sets.iter().map(sequences).max().expect("a set");
        let towers = run.sets.iter().map(TrainingSet::tower_count).max().expect("a set");
        let step = Step::new(model, sequences, run.arguments.pass_limit(), towers);
        let mut training = Self {
            context: run.context,
            sets: run.sets,
            arguments: run.arguments,
            plan,
            model,
            losses: LossLayers::new(run.sets, run.arguments)?,
            observer,
            identity,
            checkpoints: None,
            saved: None,
            state: State {
                position: Position::default(),
                window: Window::default(),
                record: TrainingRecord {
                    best_metric: run.arguments.keep_best.as_ref().map(KeepBest::to_string),
                    ..TrainingRecord::default()
                },
                best_checkpoint: None,
                evaluations_without_gain: 0,
                evaluation_due: false,
                plateau: None,
                loss_updates: Vec::new(),
            },
            step,
            open_rows: Vec::new(),
            best_parameters: None,
            began: Instant::now(),
            earlier_seconds: 0.0,
            pace: (0, 0.0),
        };
        match run.folder {
            Some(folder) if run.resume => training.resume(folder)?,
            Some(folder) => training.checkpoints = Some(Checkpoints::start(folder, run.arguments)?),
            None => {}
        }
        Ok(training)
    }

    fn resume(&mut self, folder: &Path) -> Result<(), TrainError> {
        let (checkpoints, found) = Checkpoints::resume(folder, &self.identity, self.model, &self.losses)?;
        self.checkpoints = Some(checkpoints);
        let Some(Found { checkpoint, state, unusable }) = found else { return Ok(()) };
        for (checkpoint, reason) in &unusable {
            self.tell(&Event::Unusable { checkpoint, reason });
        }
        let Position { step, shown_epoch, .. } = state.position;
        self.tell(&Event::Resumed { checkpoint: &checkpoint, step, epoch: shown_epoch });
        self.saved = Some((checkpoint, state.position));
        self.earlier_seconds = state.record.seconds;
        self.state = state;
        Ok(())
    }

    /// Processes the batches. Returns true if the observer requested a stop.
    fn walk(&mut self, batches: Receiver<Result<Batch, TrainError>>) -> Result<bool, TrainError> {
        while !self.is_over() {
            if self.observer.stop_requested() {
                return Ok(true);
            }
            let began = Instant::now();
            let Ok(batch) = batches.recv() else { break };
            let batch = batch?;
            let waited = began.elapsed().as_secs_f64();
            if batch.left_out > 0 && self.state.position.batch == 0 {
                self.tell(&Event::LeftOut { epoch: self.state.position.epoch, batches: batch.left_out });
            }
            let loss = self.micro_step(&batch)?;
            let learning_rate = self.learning_rate();
            let updated = self.plan.pace().advance(&mut self.state.position, batch.of);
            let norm = if updated { Some(self.update(learning_rate)?) } else { None };
            let tokens = batch.columns.iter().map(TokenBatch::tokens).sum();
            let seconds = began.elapsed().as_secs_f64();
            self.state.record.times.waiting += waited;
            self.state.record.times.computing += seconds - waited;
            self.count(tokens, seconds, batch.of, loss, learning_rate);
            if let Some(norm) = norm.filter(|_| self.plan.logs_at(self.state.position.step, self.arguments)) {
                self.log_training(learning_rate, norm)?;
            }
            if self.pause(updated)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Processes one micro-batch forward and backward. Returns its loss.
    fn micro_step(&mut self, batch: &Batch) -> Result<f64, TrainError> {
        let position = self.state.position;
        let divisor = self.plan.pace().divisor(&position, batch.of) as f32;
        let set = &self.sets[batch.set];
        self.open_rows.push(RowsOfSet { set: set.name.into(), rows: batch.rows.clone() });
        let (seed, pass) = (self.arguments.seed, position.micro_step);
        let weight = set.weight as f32 / divisor;
        let weighted = self.step.run(self.model, self.context, set.loss, batch, (seed, pass), weight);
        if !weighted.is_finite() {
            let rows = self.open_rows.split_off(self.open_rows.len() - 1);
            return Err(self.not_a_number("loss", weighted.into(), position.step + 1, rows));
        }
        self.state.window.loss += f64::from(weighted);
        let loss = f64::from(weighted) * f64::from(divisor);
        if self.sets.len() > 1 {
            self.state.window.sets.resize(self.sets.len(), (0.0, 0));
            let (sum, batches) = &mut self.state.window.sets[batch.set];
            (*sum, *batches) = (*sum + loss / set.weight, *batches + 1);
        }
        Ok(loss)
    }

    /// Returns the learning rate of the next update.
    fn learning_rate(&self) -> f64 {
        match self.state.plateau {
            Some(plateau) => plateau.learning_rate,
            None => self.plan.learning_rate(self.state.position.step, self.arguments),
        }
    }

    /// Completes a group of micro-batches with an update by clipped gradients. Returns the norm
    /// before clipping.
    fn update(&mut self, learning_rate: f64) -> Result<f64, TrainError> {
        let step = self.state.position.step;
        let norm = self.model.gradient_norm(self.context);
        if !(norm.is_finite() && self.losses.are_finite(self.context)) {
            let rows = std::mem::take(&mut self.open_rows);
            return Err(self.not_a_number("gradient norm", norm, step, rows));
        }
        let scale = clip_factor(norm, self.arguments.max_grad_norm);
        self.model.update(self.context, step, learning_rate, scale);
        self.losses.update(self.context, learning_rate, &mut self.state.loss_updates);
        if let Some(decay) = self.arguments.ema_decay {
            self.model.update_average(self.context, decay, step);
            self.losses.update_average(self.context, decay, step);
        }
        self.open_rows.clear();
        Ok(norm)
    }

    /// Counts tokens and time, and reports the progress.
    fn count(&mut self, tokens: usize, seconds: f64, batches: u64, loss: f64, learning_rate: f64) {
        let position = self.state.position;
        self.state.window.tokens += tokens as u64;
        self.state.window.seconds += seconds;
        self.state.record.tokens += tokens as u64;
        self.pace = (self.pace.0 + 1, self.pace.1 + seconds);
        let left = self.plan.micro_batches.saturating_sub(position.micro_step) as f64;
        let progress = Progress {
            micro_step: position.micro_step,
            micro_batches: self.plan.micro_batches,
            step: position.step,
            updates: self.plan.updates,
            epoch: position.epoch as f64 + position.batch as f64 / batches as f64,
            loss,
            learning_rate,
            tokens_per_second: tokens as f64 / seconds.max(f64::MIN_POSITIVE),
            seconds_left: left * self.pace.1 / self.pace.0 as f64,
        };
        self.tell(&Event::Progress(progress));
    }

    /// Adds a row of training to the log.
    fn log_training(&mut self, used: f64, gradient_norm: f64) -> Result<(), TrainError> {
        let position = self.state.position;
        let window =
            std::mem::replace(&mut self.state.window, Window { from_step: position.step, ..Window::default() });
        // transformers 4.41 reads the learning rate after setting it for the next update.
        let learning_rate = match self.arguments.reproduce {
            Some(Version::V3_0_1) => self.learning_rate(),
            None => used,
        };
        let of_set = |(set, (sum, batches)): (&TrainingSet<'_>, &(f64, u64))| {
            (*batches > 0).then(|| (set.name.to_owned(), sum / *batches as f64))
        };
        self.log(LogRow::Training {
            step: position.step,
            epoch: position.shown_epoch,
            loss: window.loss / (position.step - window.from_step) as f64,
            set_losses: self.sets.iter().zip(&window.sets).filter_map(of_set).collect(),
            learning_rate,
            gradient_norm,
            tokens_per_second: window.tokens as f64 / window.seconds.max(f64::MIN_POSITIVE),
            seconds: self.seconds(),
        })
    }

    fn log(&mut self, row: LogRow) -> Result<(), TrainError> {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.log(&row)?;
        }
        self.tell(&Event::Logged(&row));
        self.state.record.rows.push(row);
        Ok(())
    }

    /// Evaluates the model and writes checkpoints when they are due. Returns true if the observer
    /// stopped an evaluation.
    fn pause(&mut self, updated: bool) -> Result<bool, TrainError> {
        let position = self.state.position;
        let over = self.plan.is_over(&position);
        let evaluates = self.plan.evaluates_at(&position, updated, self.arguments);
        // Without evaluations, checkpoints are kept at the ends of epochs.
        let keeps = evaluates || over || (self.arguments.evaluate == Evaluate::Never && position.batch == 0);
        if evaluates {
            self.state.evaluation_due = true;
            if let Err(fault) = self.evaluate() {
                // The training is not lost: the run can be resumed, and begins with this
                // evaluation.
                self.save(Name::passing(&position))?;
                return if self.observer.stop_requested() { Ok(true) } else { Err(fault) };
            }
            self.state.evaluation_due = false;
        }
        if keeps {
            self.save(Name::kept(&position))?;
        } else if updated && self.plan.saves_at(position.step) {
            self.save(Name::passing(&position))?;
        }
        Ok(false)
    }

    fn evaluate(&mut self) -> Result<(), TrainError> {
        let Position { step, shown_epoch: epoch, .. } = self.state.position;
        self.tell(&Event::Evaluating { step });
        let began = Instant::now();
        let averaged = self.is_averaged();
        let scores =
            with_average(self.model, &self.losses, averaged, |model| self.observer.evaluate(model, step, epoch))
                .map_err(|source| TrainError::Evaluation { step, source })?;
        let seconds = began.elapsed().as_secs_f64();
        self.state.record.times.evaluating += seconds;
        let precision = Some(self.arguments.precision);
        self.log(LogRow::Evaluation { step, epoch, scores: scores.clone(), seconds, precision })?;
        self.compare_with_best(&scores)
    }

    /// Remembers the update if it is the best, and counts evaluations without gain.
    fn compare_with_best(&mut self, scores: &[(String, f64)]) -> Result<(), TrainError> {
        let Some(keep_best) = &self.arguments.keep_best else { return Ok(()) };
        let step = self.state.position.step;
        let value = keep_best.value(scores).map_err(|missing| TrainError::NoSuchMetric {
            metric: missing.to_owned(),
            measured: scores.iter().map(|(name, _)| name.clone()).collect(),
        })?;
        if let Schedule::ReduceLrOnPlateau(settings) = &self.arguments.schedule {
            let plateau = self.state.plateau.get_or_insert(Plateau::new(self.arguments.learning_rate));
            plateau.observe(settings, value, keep_best.greater_is_better());
        }
        let best = self.state.record.best_value;
        let is_better = best.map_or(!value.is_nan(), |best| keep_best.is_better(value, best));
        let threshold = self.arguments.early_stopping_threshold;
        let is_gain = best.is_none_or(|best| is_better && (value - best).abs() > threshold);
        self.state.evaluations_without_gain = if is_gain { 0 } else { self.state.evaluations_without_gain + 1 };
        if is_better {
            self.state.record.best_step = Some(step);
            self.state.record.best_value = Some(value);
            self.state.best_checkpoint = Some(Name::kept(&self.state.position).to_string());
            if self.checkpoints.is_none() {
                let averaged = self.is_averaged();
                let losses = &self.losses;
                let best = |model: &M| BestParameters::of(model, losses);
                self.best_parameters = Some(with_average(self.model, losses, averaged, best));
            }
            self.tell(&Event::Best { step, metric: &keep_best.to_string(), value });
        }
        if self.has_stopped_early() && !self.plan.is_over(&self.state.position) {
            self.state.record.stopped_early = true;
            self.tell(&Event::StoppedEarly { step, evaluations: self.state.evaluations_without_gain });
        }
        Ok(())
    }

    /// Returns true if the run is complete or has stopped early.
    fn is_over(&self) -> bool {
        self.plan.is_over(&self.state.position) || self.has_stopped_early()
    }

    /// Returns true if as many evaluations in a row as allowed were without gain.
    fn has_stopped_early(&self) -> bool {
        self.arguments.early_stopping_patience.is_some_and(|patience| self.state.evaluations_without_gain >= patience)
    }

    fn save(&mut self, name: Name) -> Result<(), TrainError> {
        self.state.record.seconds = self.seconds();
        self.state.record.peak_memory_bytes = self.peak_memory_bytes();
        self.state.record.steps = self.state.position.step;
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let began = Instant::now();
        let save_model = |model: &M, folder: &Path| self.observer.save_model(model, folder);
        let folder = checkpoints.save(name, &self.state, &self.identity, (self.model, &self.losses), save_model)?;
        let best = self.state.best_checkpoint.as_deref();
        let removed = checkpoints.prune(name, best, self.arguments.save_total_limit)?;
        self.state.record.times.saving += began.elapsed().as_secs_f64();
        self.tell(&Event::Saved { checkpoint: &folder });
        self.saved = Some((folder, self.state.position));
        for checkpoint in &removed {
            self.tell(&Event::Removed { checkpoint });
        }
        Ok(())
    }

    fn interrupt(mut self) -> Result<Outcome, TrainError> {
        let position = self.state.position;
        if self.saved.as_ref().is_none_or(|(_, saved)| *saved != position) {
            self.save(Name::passing(&position))?;
        }
        let checkpoint = self.saved.take().map(|(folder, _)| folder);
        Ok(Outcome::Interrupted { record: self.record(), checkpoint })
    }

    fn finish(mut self) -> Result<Outcome, TrainError> {
        let State { position, window, record, .. } = &self.state;
        let summary = RunSummary::of(position, window.loss, &record.rows, self.seconds(), self.plan, self.arguments);
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.log_summary(&summary)?;
        }
        if let Some(step) = self.state.record.best_step.filter(|step| *step != self.state.position.step) {
            match (&self.checkpoints, &self.state.best_checkpoint, &self.best_parameters) {
                (Some(checkpoints), Some(best), _) => {
                    checkpoints.load_parameters(best, self.model, &self.losses)?;
                }
                (_, _, Some(best)) => best.restore(self.model, &self.losses),
                _ => unreachable!("the best parameters lie in a checkpoint or in memory"),
            }
            self.tell(&Event::Restored { step });
        } else if self.is_averaged() {
            self.model.swap_average();
            self.losses.swap_average();
        }
        Ok(Outcome::Finished(self.record()))
    }

    /// Returns the current record.
    fn record(&self) -> TrainingRecord {
        TrainingRecord {
            steps: self.state.position.step,
            seconds: self.seconds(),
            threads: self.context.threads(),
            peak_memory_bytes: self.peak_memory_bytes(),
            ..self.state.record.clone()
        }
    }

    /// Returns whether the run keeps an average of the parameters, and it has begun.
    fn is_averaged(&self) -> bool {
        self.arguments.ema_decay.is_some() && self.state.position.step > 0
    }

    fn not_a_number(&self, what: &'static str, value: f64, update: u64, rows: Vec<RowsOfSet>) -> TrainError {
        let last_checkpoint = self.saved.as_ref().map(|(folder, _)| folder.clone());
        TrainError::NotANumber { what, value, update, epoch: self.state.position.shown_epoch, rows, last_checkpoint }
    }

    fn seconds(&self) -> f64 {
        self.earlier_seconds + self.began.elapsed().as_secs_f64()
    }

    /// Returns the peak memory of all processes of this run that wrote a checkpoint or reached the
    /// end.
    fn peak_memory_bytes(&self) -> Option<u64> {
        self.state.record.peak_memory_bytes.max(peak_memory_bytes())
    }

    fn tell(&mut self, event: &Event<'_>) {
        self.observer.event(event);
    }
}

/// Returns the factor that reduces a gradient of norm `norm` to at most `max_norm` (0: never), as
/// in PyTorch.
fn clip_factor(norm: f64, max_norm: f64) -> f32 {
    let factor = max_norm / (norm + 1e-6);
    if max_norm > 0.0 && factor < 1.0 { factor as f32 } else { 1.0 }
}
