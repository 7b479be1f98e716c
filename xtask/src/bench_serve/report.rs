//! Results of one model's servers, and their tables in Markdown.

use super::workshop::Setting;
use crate::serving::load::Summary;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Target of answers per second, relative to the better peer.
const FASTER: f64 = 3.0;
/// Target of the latency with one client, relative to the better peer.
const SINGLE: f64 = 0.5;

/// One server's turn. Times are milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) answers: usize,
    pub(crate) p50: Option<f64>,
    pub(crate) p90: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) max: Option<f64>,
    /// Answers other than 200 by status; status 0 for requests without a complete answer.
    pub(crate) errors: BTreeMap<u16, usize>,
}

impl Round {
    pub(crate) fn of(summary: &Summary) -> Self {
        let quantile = |share| summary.right.quantile_ms(share);
        let mut errors = summary.statuses.clone();
        if !summary.lost.is_empty() {
            errors.insert(0, summary.lost.len());
        }
        Self {
            per_second: summary.per_second,
            answers: summary.right.count(),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: quantile(1.0),
            errors,
        }
    }

    pub(crate) fn line(&self) -> String {
        let Self { per_second, answers, p50, p99, errors, .. } = self;
        let errors = if errors.is_empty() { String::new() } else { format!(", errors {errors:?}") };
        let [p50, p99] = [*p50, *p99].map(milliseconds);
        format!("{per_second:.1}/s, p50 {p50}, p99 {p99}, {answers} answers{errors}")
    }
}

/// One server's rounds at one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) lengths: String,
    /// Number of clients in a closed loop; `None` in the open loop.
    pub(crate) clients: Option<usize>,
    /// Requests per second in the open loop.
    pub(crate) rate: Option<f64>,
    pub(crate) name: String,
    pub(crate) ours: bool,
    pub(crate) rounds: Vec<Round>,
}

impl Cell {
    /// Returns the median of a figure over the rounds that have it.
    fn median(&self, figure: fn(&Round) -> Option<f64>) -> Option<f64> {
        let mut figures: Vec<f64> = self.rounds.iter().filter_map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        match figures.len() {
            0 => None,
            even if even % 2 == 0 => Some(f64::midpoint(figures[middle - 1], figures[middle])),
            _ => Some(figures[middle]),
        }
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.median(|round| Some(round.per_second)).unwrap_or_default()
    }

    /// Returns half the range of the rounds' answers per second, as a share of the median.
    fn spread(&self) -> Option<f64> {
        let all = || self.rounds.iter().map(|round| round.per_second);
        share((all().fold(0.0, f64::max) - all().fold(f64::INFINITY, f64::min)) / 2.0, self.per_second())
    }

    fn errors(&self) -> String {
        let mut all = BTreeMap::new();
        for (status, count) in self.rounds.iter().flat_map(|round| &round.errors) {
            *all.entry(*status).or_insert(0) += count;
        }
        let described = |(status, count): (u16, usize)| match status {
            0 => format!("{count} without an answer"),
            status => format!("{count} × {status}"),
        };
        all.into_iter().map(described).collect::<Vec<_>>().join(", ")
    }
}

/// Time to start a server, and its memory after all requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    name: String,
    ours: bool,
    pub(super) command: String,
    pub(crate) seconds: Vec<f64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) peak_bytes: Option<u64>,
    /// Share of the time in which texts waited and nothing was computed.
    #[serde(default)]
    pub(crate) idle_share: Option<f64>,
}

impl Started {
    pub(crate) fn of(setting: &Setting) -> Self {
        let (name, command, seconds) = (setting.name.clone(), setting.line(), Vec::new());
        Self { name, ours: setting.ours, command, seconds, resident_bytes: None, peak_bytes: None, idle_share: None }
    }
}

/// All servers of one model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) model: String,
    date: String,
    commit: String,
    load_before: f64,
    rounds: usize,
    threads: usize,
    pub(crate) started: Vec<Started>,
    pub(crate) cells: Vec<Cell>,
}

impl Table {
    pub(crate) fn new(model: &str, about: (String, String, f64), rounds: usize, threads: usize) -> Self {
        let (date, commit, load_before) = about;
        let (started, cells) = (Vec::new(), Vec::new());
        Self { model: model.to_owned(), date, commit, load_before, rounds, threads, started, cells }
    }

    pub(crate) fn put(&mut self, lengths: &str, clients: usize, setting: &Setting, round: Round) {
        self.cell(lengths, Some(clients), None, setting).rounds.push(round);
    }

    pub(crate) fn put_open(&mut self, lengths: &str, rate: f64, setting: &Setting, round: Round) {
        self.cell(lengths, None, Some(rate), setting).rounds.push(round);
    }

    fn cell(&mut self, lengths: &str, clients: Option<usize>, rate: Option<f64>, setting: &Setting) -> &mut Cell {
        let same = |cell: &Cell| cell.lengths == lengths && cell.clients == clients && cell.name == setting.name;
        let index = self.cells.iter().position(same).unwrap_or(self.cells.len());
        if index == self.cells.len() {
            let (lengths, name, ours) = (lengths.to_owned(), setting.name.clone(), setting.ours);
            self.cells.push(Cell { lengths, clients, rate, name, ours, rounds: Vec::new() });
        }
        &mut self.cells[index]
    }

    /// Returns the cells of one load, in the order of the servers.
    pub(crate) fn of_load<'a>(&'a self, lengths: &'a str, clients: Option<usize>) -> impl Iterator<Item = &'a Cell> {
        self.cells.iter().filter(move |cell| cell.lengths == lengths && cell.clients == clients)
    }

    /// Returns the peer with the most answers per second, if any has answered.
    pub(crate) fn better_peer<'a>(&'a self, lengths: &'a str, clients: Option<usize>) -> Option<&'a Cell> {
        let peers = self.of_load(lengths, clients).filter(|cell| !cell.ours && cell.per_second() > 0.0);
        peers.max_by(|a, b| a.per_second().total_cmp(&b.per_second()))
    }

    fn ours<'a>(&'a self, lengths: &'a str, clients: Option<usize>) -> Option<&'a Cell> {
        self.of_load(lengths, clients).find(|cell| cell.name == "Maana")
    }

    /// Returns the greatest number of answers per second of a peer, at any number of clients.
    pub(crate) fn best_peer_rate(&self, lengths: &str) -> Option<f64> {
        let peers = self.cells.iter().filter(|cell| !cell.ours && cell.clients.is_some() && cell.lengths == lengths);
        peers.map(Cell::per_second).max_by(f64::total_cmp)
    }

    /// Returns the loads in the order of the table: closed loops by clients, then the open loop.
    pub(crate) fn loads(&self, lengths: &str) -> Vec<Option<usize>> {
        let closed: BTreeSet<usize> =
            self.cells.iter().filter(|cell| cell.lengths == lengths).filter_map(|cell| cell.clients).collect();
        let open = self.of_load(lengths, None).next().map(|_| None);
        closed.into_iter().map(Some).chain(open).collect()
    }

    /// Returns the kinds of texts in the order of measurement.
    pub(crate) fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = Vec::new();
        for cell in &self.cells {
            if !kinds.contains(&cell.lengths.as_str()) {
                kinds.push(&cell.lengths);
            }
        }
        kinds
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for lengths in self.kinds() {
            let _ = writeln!(text, "### {}, {lengths} texts\n", self.model);
            text +=
                "| load | server | answers/s | ± | against the better peer | p50 | p90 | p99 | largest | errors |\n";
            text += "|---|---|--:|--:|--:|--:|--:|--:|--:|---|\n";
            for clients in self.loads(lengths) {
                let best = self.better_peer(lengths, clients).map(Cell::per_second);
                for cell in self.of_load(lengths, clients) {
                    text += &row(cell, best);
                }
            }
            text.push('\n');
        }
        let _ = writeln!(text, "### {}, from start to first answer, and memory\n", self.model);
        text += "| server | start | resident after all loads | largest | between batches |\n|---|--:|--:|--:|--:|\n";
        for started in &self.started {
            text += &started.row();
        }
        let Self { rounds, threads, date, commit, load_before, .. } = self;
        let _ = writeln!(
            text,
            "\n{rounds} rounds, {threads} threads, {date}, commit {commit}; load of the minute before {load_before:.2}."
        );
        text
    }

    /// Returns the rows of the table of targets.
    pub(super) fn targets(&self) -> String {
        let mut text = String::new();
        for lengths in self.kinds() {
            for clients in self.loads(lengths).into_iter().flatten() {
                let cells = self.ours(lengths, Some(clients)).zip(self.better_peer(lengths, Some(clients)));
                let Some((ours, peer)) = cells else { continue };
                let about = format!("{}, {lengths} texts, {}", self.model, plural(clients));
                let ratio = |figure: fn(&Round) -> Option<f64>| share(ours.median(figure)?, peer.median(figure)?);
                if clients == 1 {
                    let (target, result) =
                        (format!("p50 at most {SINGLE}× the better peer's"), ratio(|round| round.p50));
                    let verdict = yes(result.map(|result| result <= SINGLE));
                    let _ = writeln!(text, "| {about} | {target} | {} | {verdict} |", times(result));
                }
                let (speed, late) = (share(ours.per_second(), peer.per_second()), ratio(|round| round.p99));
                let verdict = yes(speed.zip(late).map(|(speed, late)| speed >= FASTER && late <= 1.0));
                let target = format!("at least {FASTER}× the better peer's answers/s, p99 not above the peer's");
                let _ = writeln!(text, "| {about} | {target} | {}, p99 {} | {verdict} |", times(speed), times(late));
            }
        }
        text
    }
}

impl Started {
    fn row(&self) -> String {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let start = seconds.get(seconds.len() / 2).map(|median| format!("{median:.2} s")).unwrap_or_default();
        let size = |bytes: Option<u64>| bytes.map(|bytes| format!("{:.2} GB", bytes as f64 / 1e9)).unwrap_or_default();
        let (resident, peak) = (size(self.resident_bytes), size(self.peak_bytes));
        let idle = self.idle_share.map(|share| format!("{:.1} %", 100.0 * share)).unwrap_or_default();
        format!("| {} | {start} | {resident} | {peak} | {idle} |\n", bold(&self.name, self.ours))
    }
}

fn row(cell: &Cell, best: Option<f64>) -> String {
    let load = match (cell.clients, cell.rate) {
        (Some(clients), _) => plural(clients),
        (None, rate) => format!("open, {:.1}/s", rate.unwrap_or_default()),
    };
    let against = times(best.and_then(|best| share(cell.per_second(), best)));
    let quantiles = [cell.median(|r| r.p50), cell.median(|r| r.p90), cell.median(|r| r.p99), cell.median(|r| r.max)];
    let quantiles = quantiles.map(milliseconds).join(" | ");
    let (name, speed) = (bold(&cell.name, cell.ours), cell.per_second());
    let spread = cell.spread().map(|spread| format!("{:.0} %", spread * 100.0)).unwrap_or_default();
    format!("| {load} | {name} | {speed:.1} | {spread} | {against} | {quantiles} | {} |\n", cell.errors())
}

/// Returns the quotient, or `None` for a divisor of 0.
fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn times(ratio: Option<f64>) -> String {
    ratio.map(|ratio| format!("{ratio:.2}×")).unwrap_or_default()
}

fn plural(clients: usize) -> String {
    if clients == 1 { "1 client".to_owned() } else { format!("{clients} clients") }
}

fn bold(name: &str, ours: bool) -> String {
    if ours { format!("**{name}**") } else { name.to_owned() }
}

fn milliseconds(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value < 100.0 => format!("{value:.1} ms"),
        Some(value) if value < 10_000.0 => format!("{value:.0} ms"),
        Some(value) => format!("{:.1} s", value / 1e3),
    }
}

fn yes(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not measured",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(per_second: f64, p50: f64) -> Round {
        let [p50, p99, max] = [p50, p50 * 2.0, p50 * 3.0].map(Some);
        Round { per_second, answers: 10, p50, p90: p50, p99, max, errors: BTreeMap::new() }
    }

    fn cell(name: &str, clients: Option<usize>, rounds: &[(f64, f64)]) -> Cell {
        let (lengths, rate) = ("short".to_owned(), clients.is_none().then_some(7.0));
        let rounds = rounds.iter().map(|&(speed, p50)| round(speed, p50)).collect();
        Cell { lengths, clients, rate, name: name.to_owned(), ours: name == "Maana", rounds }
    }

    fn table() -> Table {
        let mut table = Table::new("A model", ("2026-01-01".to_owned(), "abc".to_owned(), 0.1), 3, 2);
        table.cells = vec![
            cell("A", Some(1), &[(10.0, 100.0), (12.0, 90.0), (11.0, 95.0)]),
            cell("B", Some(1), &[(20.0, 50.0)]),
            cell("Maana", Some(1), &[(70.0, 10.0), (80.0, 30.0)]),
            cell("A", None, &[(7.0, 100.0)]),
            cell("A", Some(8), &[(0.0, 100.0)]),
            cell("Maana", Some(8), &[(90.0, 10.0)]),
        ];
        table
    }

    #[test]
    fn targets_compare_with_the_better_peer() {
        let targets = table().targets();
        let rows: Vec<&str> = targets.lines().collect();
        assert_eq!(rows.len(), 2, "no peer has answered with 8 clients");
        assert!(rows[0].contains("p50 at most 0.5×") && rows[0].ends_with("| 0.40× | yes |"), "{}", rows[0]);
        assert!(rows[1].ends_with("| 3.75×, p99 0.40× | yes |"), "{}", rows[1]);
    }

    #[test]
    fn tables_show_medians_and_every_load() {
        let text = table().markdown();
        assert!(
            text.contains("| 1 client | A | 11.0 | 9 % | 0.55× | 95.0 ms | 95.0 ms | 190 ms | 285 ms |  |"),
            "{text}"
        );
        assert!(text.contains("| 8 clients | **Maana** | 90.0 |"));
        assert!(text.contains("| open, 7.0/s | A |"));
    }
}
