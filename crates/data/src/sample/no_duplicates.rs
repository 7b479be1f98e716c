//! Batches in which no text occurs twice in any column, so that no in-batch negative is a positive.
//! The batches of Sentence Transformers 6.2 and 3.0.1. Knows keys of texts, but no texts.

use std::collections::{HashMap, VecDeque};

use super::draw::Draw;
use super::{Mt19937, Order};

/// Number of further passes over shuffled rows if a pass gives fewer batches than announced.
const EXTRA_PASSES: usize = 2;

/// Batches of rows without a common text.
///
/// The reference visits the rows in order, adds a row to the batch unless it shares a text with one
/// of its rows, and when the batch is full starts again at the first remaining row. This
/// implementation gives the same batches, but visits each row once: a row joins the first batch
/// that has room and shares no text with it.
///
/// With `drop_last` short batches are dropped together with their rows. If an epoch in
/// [`Order::Shuffled`] then has fewer batches than `rows / batch_size` (but at least one), the rows
/// are shuffled again, up to two times, and batches are added until that number is reached.
/// [`Order::Dataset`] never adds batches.
///
/// Time: nearly linear in the rows, even if one text is in half of them or all rows are equal. A
/// row costs more only if the batches with each of its texts alternate; the worst case is the
/// number of open batches for each row. Memory: a few numbers for each row, and for each repeated
/// text of each open batch.
pub(crate) struct NoDuplicates<'a> {
    keys: &'a [u32],
    columns: usize,
    /// For each element of `keys`, true if another row has this text.
    repeated: Vec<bool>,
    batch_size: usize,
    drop_last: bool,
    order: Order,
    /// Number of the pass, from 1; 0 before the first batch.
    pass: usize,
    given: usize,
    /// Rows of the pass in their order.
    rows: Vec<u32>,
    /// Next index in `rows`.
    at: usize,
    open: Open,
}

/// Batches that are begun but not yet returned, in their order.
#[derive(Default)]
struct Open {
    batches: VecDeque<Vec<u32>>,
    /// Number of the first of `batches`.
    first: u32,
    /// `after[(key, b)]` exists if batch `b` contains the key, and is a later batch before which
    /// all batches contain it. The key `None` marks a full batch.
    after: HashMap<(Option<u32>, u32), u32>,
}

impl<'a> NoDuplicates<'a> {
    /// Creates the batches of one epoch. `keys` is `(rows, columns)`: two are equal if and only if
    /// the texts are.
    ///
    /// # Panics
    /// If `keys` is not a multiple of `columns`, or `batch_size` is 0.
    pub(crate) fn new(keys: &'a [u32], columns: usize, batch_size: usize, drop_last: bool, order: Order) -> Self {
        assert!(
            columns > 0 && keys.len().is_multiple_of(columns),
            "{} keys do not divide into rows of {columns}",
            keys.len()
        );
        assert!(batch_size > 0, "batches of 0 rows");
        Self {
            keys,
            columns,
            repeated: repeated(keys, columns),
            batch_size,
            drop_last,
            order,
            pass: 0,
            given: 0,
            rows: Vec::new(),
            at: 0,
            open: Open::default(),
        }
    }

    fn start_pass(&mut self, generator: &mut Mt19937) {
        self.pass += 1;
        self.rows = self.order.rows(self.keys.len() / self.columns, generator);
        self.at = 0;
        self.open = Open::default();
    }

    /// Returns true if the reference would shuffle the rows again.
    fn falls_short(&self) -> bool {
        !matches!(self.order, Order::Dataset { .. })
            && self.pass <= EXTRA_PASSES
            && self.given > 0
            && self.given < self.rows.len() / self.batch_size
    }

    /// Returns the keys of a row that other rows have as well.
    fn repeated_keys(&self, row: u32) -> impl Iterator<Item = u32> + use<'a, '_> {
        let first = row as usize * self.columns;
        (first..first + self.columns).filter(|&place| self.repeated[place]).map(|place| self.keys[place])
    }

    /// Returns the next batch of this pass.
    fn next_of_pass(&mut self) -> Option<Vec<u32>> {
        while self.at < self.rows.len() && self.open.batches.front().is_none_or(|batch| batch.len() < self.batch_size) {
            let row = self.rows[self.at];
            self.at += 1;
            let keys: Vec<u32> = self.repeated_keys(row).collect();
            self.open.join(row, &keys, self.batch_size);
        }
        loop {
            let number = self.open.first;
            let batch = self.open.batches.pop_front()?;
            let held: Vec<u32> = batch.iter().flat_map(|&row| self.repeated_keys(row)).collect();
            for key in held.into_iter().map(Some).chain([None]) {
                self.open.after.remove(&(key, number));
            }
            self.open.first += 1;
            if batch.len() == self.batch_size || !self.drop_last {
                return Some(batch);
            }
        }
    }
}

impl Draw for NoDuplicates<'_> {
    fn draw(&mut self, generator: &mut Mt19937) -> Option<Vec<u32>> {
        if self.pass == 0 {
            // Also where the generator is shared: the reference seeds it again.
            *generator = self.order.generator();
            self.start_pass(generator);
        }
        let announced = self.rows.len() / self.batch_size;
        if self.pass > 1 && self.given >= announced {
            return None;
        }
        loop {
            if let Some(batch) = self.next_of_pass() {
                self.given += 1;
                return Some(batch);
            }
            if !self.falls_short() {
                return None;
            }
            self.start_pass(generator);
        }
    }
}

impl Open {
    /// Adds a row with these keys to the first batch that has room and none of the keys.
    fn join(&mut self, row: u32, keys: &[u32], batch_size: usize) {
        let mut batch = self.first;
        loop {
            let from = batch;
            batch = self.first_without(None, batch);
            for &key in keys {
                batch = self.first_without(Some(key), batch);
            }
            if batch == from {
                break;
            }
        }
        let place = (batch - self.first) as usize;
        if place == self.batches.len() {
            self.batches.push_back(Vec::new());
        }
        self.batches[place].push(row);
        for &key in keys {
            self.after.insert((Some(key), batch), batch + 1);
        }
        if self.batches[place].len() == batch_size {
            self.after.insert((None, batch), batch + 1);
        }
    }

    /// Returns the first batch from `batch` on that does not contain `key`. Compresses the path:
    /// every step on it then leads directly to the end.
    fn first_without(&mut self, key: Option<u32>, batch: u32) -> u32 {
        let mut end = batch;
        while let Some(&after) = self.after.get(&(key, end)) {
            end = after;
        }
        let mut at = batch;
        while at != end {
            let after = self.after.get_mut(&(key, at)).expect("walked a moment ago");
            at = std::mem::replace(after, end);
        }
        end
    }
}

/// Returns true for each element of `keys` that another row has as well: only those can exclude a
/// row from a batch.
fn repeated(keys: &[u32], columns: usize) -> Vec<bool> {
    let mut last_row: HashMap<u32, (usize, bool)> = HashMap::with_capacity(keys.len());
    for (place, &key) in keys.iter().enumerate() {
        let row = place / columns;
        let entry = last_row.entry(key).or_insert((row, false));
        entry.1 |= entry.0 != row;
    }
    keys.iter().map(|key| last_row[key].1).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::super::draw::drawn;
    use super::*;

    fn batches(keys: &[u32], columns: usize, batch_size: usize, drop_last: bool, order: Order) -> Vec<Vec<u32>> {
        drawn(NoDuplicates::new(keys, columns, batch_size, drop_last, order), order)
    }

    /// The rule of the reference: visit the remaining rows, skip conflicts, start again after each
    /// batch.
    fn reference_no_duplicates(
        keys: &[u32],
        columns: usize,
        batch_size: usize,
        drop_last: bool,
        order: Order,
    ) -> Vec<Vec<u32>> {
        let rows = keys.len() / columns;
        let mut random = match order {
            Order::Shuffled { seed, epoch } => Some(Mt19937::new(seed + epoch)),
            Order::Dataset { .. } | Order::ShuffledOnce { .. } => None,
        };
        let announced = if drop_last { rows / batch_size } else { rows.div_ceil(batch_size) };
        let mut batches = Vec::new();
        for pass in 0..=if random.is_some() { EXTRA_PASSES } else { 0 } {
            if pass > 0 && (batches.is_empty() || batches.len() >= announced) {
                break;
            }
            let mut left = match &mut random {
                Some(random) => random.permutation(rows),
                None => (0..rows as u32).collect(),
            };
            while !left.is_empty() {
                let (mut batch, mut seen) = (Vec::new(), HashSet::<u32>::new());
                for &row in &left {
                    let texts = &keys[row as usize * columns..][..columns];
                    if texts.iter().all(|key| !seen.contains(key)) {
                        batch.push(row);
                        seen.extend(texts);
                        if batch.len() == batch_size {
                            break;
                        }
                    }
                }
                left.retain(|row| !batch.contains(row));
                if batch.len() == batch_size || !drop_last {
                    batches.push(batch);
                    if pass > 0 && batches.len() >= announced {
                        break;
                    }
                }
            }
        }
        batches
    }

    fn intern(rows: &serde_json::Value, columns: [&str; 2]) -> Vec<u32> {
        let mut seen = HashMap::new();
        let rows = rows.as_array().unwrap();
        let texts = rows.iter().flat_map(|row| columns.map(|column| row[column].as_str().unwrap()));
        texts
            .map(|text| {
                let next = seen.len() as u32;
                *seen.entry(text).or_insert(next)
            })
            .collect()
    }

    fn golden(name: &str) -> serde_json::Value {
        let path = format!("{}/../../golden/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn batches_equal_the_current_reference() {
        let golden = golden("sampler.json");
        let keys = intern(&golden["rows"], ["a", "b"]);
        let batch_size = golden["batch_size"].as_u64().unwrap() as usize;
        let runs = golden["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 12);
        for run in runs {
            let order = Order::Shuffled { seed: run["seed"].as_u64().unwrap(), epoch: run["epoch"].as_u64().unwrap() };
            let wanted: Vec<Vec<u32>> = serde_json::from_value(run["batches"].clone()).unwrap();
            let drop_last = run["drop_last"].as_bool().unwrap();
            let batches = batches(&keys, 2, batch_size, drop_last, order);
            assert_eq!(batches, wanted, "drop_last {drop_last}, {order:?}");
        }
    }

    #[test]
    fn batches_equal_version_3_0_1_in_dataset_order() {
        let golden = golden("st301/run.json");
        let keys = intern(&golden["rows"], ["positive", "anchor"]);
        let wanted: Vec<Vec<u32>> = serde_json::from_value(golden["batches"].clone()).unwrap();
        let epoch = batches(&keys, 2, 8, false, Order::Dataset { seed: 0 });
        let repeated: Vec<_> = epoch.iter().cycle().take(wanted.len()).cloned().collect();
        assert!(wanted.len() > 2 * epoch.len() && wanted.len() < 3 * epoch.len(), "the run stops in its third epoch");
        assert_eq!(repeated, wanted);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn batches_equal_the_plain_rule(
            columns in 1usize..4,
            texts in 1u32..40,
            values in prop::collection::vec(any::<u32>(), 0..150),
            batch_size in 1usize..9,
            drop_last: bool,
            seed in prop::option::of(0u64..1000),
        ) {
            let mut keys: Vec<u32> = values.iter().map(|v| v % texts).collect();
            keys.truncate(keys.len() / columns * columns);
            let order = seed.map_or(Order::Dataset { seed: 0 }, |seed| Order::Shuffled { seed, epoch: 1 });
            let ours = batches(&keys, columns, batch_size, drop_last, order);
            prop_assert_eq!(&ours, &reference_no_duplicates(&keys, columns, batch_size, drop_last, order));
        }
    }

    #[test]
    fn a_text_twice_in_its_own_row_excludes_no_row() {
        assert_eq!(batches(&[7, 7, 1, 2, 3, 7], 2, 2, false, Order::Dataset { seed: 0 }), [vec![0, 1], vec![2]]);
    }

    #[test]
    fn no_rows_no_batches() {
        assert!(batches(&[], 2, 4, false, Order::Dataset { seed: 0 }).is_empty());
    }

    /// Rows as in a large data set, with repetition from none to the worst case.
    #[test]
    fn large_sets_take_seconds_for_any_repetition() {
        const ROWS: u32 = 282_883;
        let mut random = Mt19937::new(1);
        let mut draw = |below: u32| random.next_u32() % below;
        let sets: [(&str, Vec<u32>); 6] = [
            ("all distinct", (0..2 * ROWS).collect()),
            ("three rows a text", (0..ROWS).flat_map(|row| [row / 3, ROWS + row]).collect()),
            (
                "one text in half of the rows",
                (0..ROWS).flat_map(|r| [if r % 2 == 0 { 0 } else { r }, ROWS + r]).collect(),
            ),
            ("all rows equal", [5, 6].repeat(ROWS as usize)),
            ("fourteen texts", (0..2 * ROWS).map(|_| draw(14)).collect()),
            ("a thousand texts", (0..2 * ROWS).map(|_| draw(1000)).collect()),
        ];
        for (name, keys) in sets {
            let begun = Instant::now();
            let order = Order::Shuffled { seed: 42, epoch: 0 };
            let mut rows = 0;
            for batch in batches(&keys, 2, 32, false, order) {
                let texts: Vec<HashSet<u32>> =
                    batch.iter().map(|&r| keys[2 * r as usize..][..2].iter().copied().collect()).collect();
                let distinct: HashSet<u32> = texts.iter().flatten().copied().collect();
                assert_eq!(distinct.len(), texts.iter().map(HashSet::len).sum::<usize>(), "{name}: {batch:?}");
                rows += batch.len();
            }
            println!("{name}: {:?}", begun.elapsed());
            assert_eq!(rows, ROWS as usize, "{name}");
            assert!(begun.elapsed() < Duration::from_secs(60), "{name}: {:?}", begun.elapsed());
        }
    }
}
