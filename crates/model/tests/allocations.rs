//! No memory is taken in the steady state, with dropout or without: what a pass works in is taken
//! before the first, for the budget of tokens, or, in training, for the largest batch that there
//! can be.

mod support;

use maana_kernels::{Context, Precision};
use maana_model::{Activations, DropoutSeed, PassLimit, Trainable, TrainingModel};
use maana_text::TokenBatch;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use std::alloc::System;
use support::{copy_folder, golden, read_json, write_small};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn batch(lengths: &[usize]) -> TokenBatch {
    let mut batch = TokenBatch::new();
    for length in lengths {
        batch.ids.extend((0..*length as u32).map(|token| 5 + token % 90));
        batch.type_ids.extend(std::iter::repeat_n(0, *length));
        batch.offsets.push(batch.ids.len());
    }
    batch
}

/// Both tests in one, as they count for the whole process.
#[test]
fn passes_take_no_memory() {
    let context = Context::new(2);
    let large = batch(&[32, 8, 19, 29, 2, 25]);
    let small = batch(&[9, 31, 3]);
    // The golden model has no dropout.
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("tiny-bert"), folder.path());
    let mut config = read_json(&folder.path().join("config.json"));
    for probability in ["hidden_dropout_prob", "attention_probs_dropout_prob"] {
        config[probability] = 0.1.into();
    }
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let with_dropout = folder.path().to_owned();
    let mpnet = tempfile::tempdir().unwrap();
    write_small(mpnet.path(), "mpnet", "");
    let modern_bert = tempfile::tempdir().unwrap();
    write_small(modern_bert.path(), "modernbert", "");
    let folders = [golden("tiny-bert"), with_dropout, mpnet.path().to_owned(), modern_bert.path().to_owned()];
    let two = PassLimit { sequences: 2, ..PassLimit::default() };
    let passes = [(PassLimit::default(), false), (PassLimit::default(), true), (two, false), (two, true)];
    for (precision, folder, (limit, recompute)) in [Precision::F32, Precision::Bf16]
        .into_iter()
        .flat_map(|precision| folders.iter().map(move |folder| (precision, folder)))
        .flat_map(|(precision, folder)| passes.map(|passes| (precision, folder, passes)))
    {
        let mut model = maana_model::open_for_training(folder, &context, precision).unwrap().model;
        model.set_gradient_checkpointing(recompute);
        let parts = |batch: &TokenBatch| -> Vec<TokenBatch> {
            let parts = limit.parts(&batch.offsets, model.part_multiple());
            parts.into_iter().map(|sequences| batch.part(sequences)).collect()
        };
        let (small_parts, large_parts) = (parts(&small), parts(&large));
        let step = |model: &mut TrainingModel, parts: &[TokenBatch], keep: &mut Activations| {
            let noise = DropoutSeed::On { seed: 1, pass: 0, first_token: 0, first_sequence: 0 };
            for part in parts {
                let embeddings = model.forward(&context, part, noise, keep);
                model.backward_part(&context, part, noise, keep, embeddings.view());
            }
            model.finish_parts(&context, keep);
        };
        // Each thread takes its own for attention and for packing.
        (0..3).for_each(|_| step(&mut model, &large_parts, &mut Activations::default()));
        let embeddings = 4 * (large.sequences() + small.sequences()) * 2 * model.dimension();
        let passed = 2 * small_parts.len() + large_parts.len();
        let what = format!("{}, {precision:?}, {limit:?}, {recompute}", folder.display());
        settles(&format!("training, {what}"), passed * 10, 12 * embeddings, || {
            let mut keep = Activations::default();
            model.reserve(large.sequences(), limit, &mut keep);
            let region = Region::new(ALLOCATOR);
            step(&mut model, &small_parts, &mut keep);
            step(&mut model, &large_parts, &mut keep);
            step(&mut model, &small_parts, &mut keep);
            region.change()
        });
        let model = model.inference();
        model.embed(&context, &large, &mut Activations::default());
        // The embeddings, which the caller keeps: a matrix for pooling and for each module behind
        // it, and the list of them.
        settles(&format!("encoding, {what}"), 4 * 4, 6 * embeddings, || {
            let mut keep = Activations::default();
            model.reserve(large.tokens(), &mut keep);
            let region = Region::new(ALLOCATOR);
            for batch in [&small, &large, &small, &large] {
                model.embed(&context, batch, &mut keep);
            }
            region.change()
        });
    }
}

/// Checks that passes take at most so much memory. A thread that got no task before takes its own
/// memory in the first pass that gives it one, so that passes may be repeated.
fn settles(what: &str, allocations: usize, bytes: usize, mut passes: impl FnMut() -> Stats) {
    let mut taken = Vec::new();
    for _ in 0..5 {
        let change = passes();
        if change.allocations <= allocations && change.bytes_allocated < bytes {
            return;
        }
        taken.push(change);
    }
    panic!("{what}: more than {allocations} allocations or {bytes} bytes: {taken:?}");
}
