//! What is counted and measured, and how it is told: as the text that Prometheus reads.

use crate::reply::Effort;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Bounds of seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Bounds of texts and of tokens in a batch.
const SIZES: [f64; 13] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

/// What is counted while the server runs.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    texts: AtomicU64,
    tokens: AtomicU64,
    panics: AtomicU64,
    request_seconds: Histogram<14>,
    tokenization_seconds: Histogram<14>,
    queue_seconds: Histogram<14>,
    inference_seconds: Histogram<14>,
    batch_seconds: Histogram<14>,
    between_batches_seconds: Histogram<14>,
    batch_texts: Histogram<13>,
    batch_tokens: Histogram<13>,
}

/// What is as it is at the moment of telling.
pub(crate) struct Now {
    pub(crate) waiting: [usize; 2],
    pub(crate) held_tokens: [usize; 2],
    pub(crate) held_requests: usize,
    pub(crate) tokens_per_second: f64,
    pub(crate) connections: usize,
    pub(crate) models: usize,
    pub(crate) model_bytes: u64,
    pub(crate) ready: bool,
}

impl Metrics {
    /// A request that was answered.
    pub(crate) fn request(&self, route: &'static str, status: u16, time: Duration, effort: Option<&Effort>) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_insert(0) += 1;
        drop(requests);
        self.request_seconds.observe(SECONDS, time.as_secs_f64());
        if let Some(effort) = effort {
            self.texts.fetch_add(effort.texts as u64, Ordering::Relaxed);
            self.tokens.fetch_add(effort.tokens as u64, Ordering::Relaxed);
            self.tokenization_seconds.observe(SECONDS, effort.tokenization.as_secs_f64());
            self.queue_seconds.observe(SECONDS, effort.queue.as_secs_f64());
            self.inference_seconds.observe(SECONDS, effort.inference.as_secs_f64());
        }
    }

    /// A batch that was computed.
    pub(crate) fn batch(&self, texts: usize, tokens: usize, time: Duration) {
        self.batch_texts.observe(SIZES, texts as f64);
        self.batch_tokens.observe(SIZES, tokens as f64);
        self.batch_seconds.observe(SECONDS, time.as_secs_f64());
    }

    /// The time from the end of a batch to the next one, which texts were waiting for.
    pub(crate) fn between_batches(&self, time: Duration) {
        self.between_batches_seconds.observe(SECONDS, time.as_secs_f64());
    }

    /// A batch that panicked.
    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Everything in Prometheus' text format.
    pub(crate) fn told(&self, now: &Now) -> String {
        let mut page = Page::default();
        page.head("maana_requests_total", "counter", "Requests by route and status.");
        for ((route, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            page.value(&format!("maana_requests_total{{route=\"{route}\",status=\"{status}\"}}"), *count as f64);
        }
        let counters = [
            ("maana_texts_total", &self.texts, "Texts that were embedded."),
            ("maana_tokens_total", &self.tokens, "Tokens of texts that were embedded."),
            ("maana_panics_total", &self.panics, "Batches whose computing panicked."),
        ];
        for (name, counter, help) in counters {
            page.head(name, "counter", help);
            page.value(name, counter.load(Ordering::Relaxed) as f64);
        }
        page.by_class("maana_queue_texts", "Texts that wait.", now.waiting);
        page.by_class("maana_held_tokens", "Tokens that wait or are computed.", now.held_tokens);
        let gauges = [
            ("maana_held_requests", now.held_requests as f64, "Requests that wait or are computed."),
            ("maana_tokens_per_second", now.tokens_per_second, "How fast large batches were computed of late."),
            ("maana_connections", now.connections as f64, "Open connections."),
            ("maana_models", now.models as f64, "Models in memory."),
            ("maana_model_bytes", now.model_bytes as f64, "Bytes of the weights in memory."),
            ("maana_ready", f64::from(u8::from(now.ready)), "1 while requests are answered."),
        ];
        for (name, value, help) in gauges {
            page.head(name, "gauge", help);
            page.value(name, value);
        }
        if let Some(bytes) = resident_bytes() {
            page.head("process_resident_memory_bytes", "gauge", "Memory that the process holds.");
            page.value("process_resident_memory_bytes", bytes as f64);
        }
        let seconds = [
            ("maana_request_seconds", &self.request_seconds, "From a request's head to its answer."),
            ("maana_tokenization_seconds", &self.tokenization_seconds, "Tokenising a request."),
            ("maana_queue_seconds", &self.queue_seconds, "Waiting of a request for its batches."),
            ("maana_inference_seconds", &self.inference_seconds, "Computing the batches of a request."),
            ("maana_batch_seconds", &self.batch_seconds, "Computing a batch."),
            (
                "maana_between_batches_seconds",
                &self.between_batches_seconds,
                "From a batch to the next one while texts wait: handing out its answers, and choosing.",
            ),
        ];
        for (name, histogram, help) in seconds {
            page.histogram(name, help, SECONDS, histogram);
        }
        page.histogram("maana_batch_texts", "Texts of a batch.", SIZES, &self.batch_texts);
        page.histogram("maana_batch_tokens", "Tokens of a batch.", SIZES, &self.batch_tokens);
        page.0
    }
}

/// Counts by upper bound; what exceeds all bounds is in the count alone.
struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    count: AtomicU64,
    /// In millionths.
    sum: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), count: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }
}

impl<const N: usize> Histogram<N> {
    fn observe(&self, bounds: [f64; N], value: f64) {
        if let Some(bucket) = bounds.iter().position(|bound| value <= *bound) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, value: f64) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn by_class(&mut self, name: &str, help: &str, [interactive, bulk]: [usize; 2]) {
        self.head(name, "gauge", help);
        self.value(&format!("{name}{{class=\"interactive\"}}"), interactive as f64);
        self.value(&format!("{name}{{class=\"bulk\"}}"), bulk as f64);
    }

    fn histogram<const N: usize>(&mut self, name: &str, help: &str, bounds: [f64; N], histogram: &Histogram<N>) {
        self.head(name, "histogram", help);
        let mut below = 0;
        for (bound, bucket) in bounds.iter().zip(&histogram.buckets) {
            below += bucket.load(Ordering::Relaxed);
            self.value(&format!("{name}_bucket{{le=\"{bound}\"}}"), below as f64);
        }
        let count = histogram.count.load(Ordering::Relaxed).max(below);
        self.value(&format!("{name}_bucket{{le=\"+Inf\"}}"), count as f64);
        self.value(&format!("{name}_sum"), histogram.sum.load(Ordering::Relaxed) as f64 / 1e6);
        self.value(&format!("{name}_count"), count as f64);
    }
}

/// Memory that the process holds, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = maana::files::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}
