//! Metrics in the text format of Prometheus.

use crate::reply::Usage;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets for seconds.
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

/// Upper bounds of the buckets for texts and tokens of a batch.
const SIZES: [f64; 13] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];

/// Counters and histograms of a server.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    texts: AtomicU64,
    pairs: AtomicU64,
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

/// Current values of gauges.
pub(crate) struct Gauges {
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
    /// Records an answered request.
    pub(crate) fn request(&self, route: &'static str, status: u16, time: Duration, usage: Option<&Usage>) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status)).or_insert(0) += 1;
        drop(requests);
        self.request_seconds.observe(SECONDS, time.as_secs_f64());
        if let Some(usage) = usage {
            self.texts.fetch_add(usage.texts as u64, Ordering::Relaxed);
            self.pairs.fetch_add(usage.pairs as u64, Ordering::Relaxed);
            self.tokens.fetch_add(usage.tokens as u64, Ordering::Relaxed);
            self.tokenization_seconds.observe(SECONDS, usage.tokenization.as_secs_f64());
            self.queue_seconds.observe(SECONDS, usage.queue.as_secs_f64());
            self.inference_seconds.observe(SECONDS, usage.inference.as_secs_f64());
        }
    }

    /// Records a computed batch.
    pub(crate) fn batch(&self, texts: usize, tokens: usize, time: Duration) {
        self.batch_texts.observe(SIZES, texts as f64);
        self.batch_tokens.observe(SIZES, tokens as f64);
        self.batch_seconds.observe(SECONDS, time.as_secs_f64());
    }

    /// Records the time from the end of a batch to the next one, while texts were waiting.
    pub(crate) fn between_batches(&self, time: Duration) {
        self.between_batches_seconds.observe(SECONDS, time.as_secs_f64());
    }

    /// Records a batch that panicked.
    pub(crate) fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Formats everything for Prometheus.
    pub(crate) fn to_text(&self, gauges: &Gauges) -> String {
        let mut page = Page::default();
        page.head("maana_requests_total", "counter", "Requests by route and status.");
        for ((route, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            page.value(&format!("maana_requests_total{{route=\"{route}\",status=\"{status}\"}}"), *count as f64);
        }
        let counters = [
            ("maana_texts_total", &self.texts, "Embedded texts."),
            ("maana_pairs_total", &self.pairs, "Scored pairs."),
            ("maana_tokens_total", &self.tokens, "Tokens of embedded texts and scored pairs."),
            ("maana_panics_total", &self.panics, "Batches that panicked."),
        ];
        for (name, counter, help) in counters {
            page.head(name, "counter", help);
            page.value(name, counter.load(Ordering::Relaxed) as f64);
        }
        page.by_class("maana_queue_texts", "Waiting texts and pairs.", gauges.waiting);
        page.by_class("maana_held_tokens", "Tokens that wait or are being computed.", gauges.held_tokens);
        let gauges = [
            ("maana_held_requests", gauges.held_requests as f64, "Requests that wait or are being computed."),
            ("maana_tokens_per_second", gauges.tokens_per_second, "Recent speed of large batches."),
            ("maana_connections", gauges.connections as f64, "Open connections."),
            ("maana_models", gauges.models as f64, "Models in memory."),
            ("maana_model_bytes", gauges.model_bytes as f64, "Bytes of weights in memory."),
            ("maana_ready", f64::from(u8::from(gauges.ready)), "1 while the server takes requests."),
        ];
        for (name, value, help) in gauges {
            page.head(name, "gauge", help);
            page.value(name, value);
        }
        if let Some(bytes) = resident_bytes() {
            page.head("process_resident_memory_bytes", "gauge", "Resident memory of the process.");
            page.value("process_resident_memory_bytes", bytes as f64);
        }
        let seconds = [
            ("maana_request_seconds", &self.request_seconds, "Time from a request's head to the start of its answer."),
            ("maana_tokenization_seconds", &self.tokenization_seconds, "Time to tokenise a request."),
            ("maana_queue_seconds", &self.queue_seconds, "Time that a request waits in the queue."),
            ("maana_inference_seconds", &self.inference_seconds, "Time to compute the batches of a request."),
            ("maana_batch_seconds", &self.batch_seconds, "Time to compute a batch."),
            (
                "maana_between_batches_seconds",
                &self.between_batches_seconds,
                "Time from a batch to the next one while texts wait.",
            ),
        ];
        for (name, histogram, help) in seconds {
            page.histogram(name, help, SECONDS, histogram);
        }
        page.histogram("maana_batch_texts", "Texts and pairs of a batch.", SIZES, &self.batch_texts);
        page.histogram("maana_batch_tokens", "Tokens of a batch.", SIZES, &self.batch_tokens);
        page.0
    }
}

/// Counts by upper bound; values above all bounds are only in the total.
struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    count: AtomicU64,
    /// Sum in millionths.
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

/// Resident memory of the process, on systems that report it.
fn resident_bytes() -> Option<u64> {
    let status = maana::files::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}
