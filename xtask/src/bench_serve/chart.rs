//! Bars: answers a second of each server at each number of clients, the better peer being 1.

use super::report::{Cell, Table};
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 18.0;
const HEADING: f64 = 30.0;
const TOP: f64 = 44.0;

/// The chart of all loads that have numbers.
pub(crate) fn draw(tables: &[Table]) -> String {
    let groups: Vec<Group> = tables.iter().flat_map(Group::all).collect();
    let longest = groups.iter().flat_map(|group| &group.bars).map(|bar| bar.2).fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / longest;
    let height = TOP + groups.iter().map(Group::height).sum::<f64>() + 12.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title\"><title id=\"title\">Answers a second of each server; the better peer at each \
         load is 1</title><style>{}</style><rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"12\" y=\"24\">Answers a second; the better peer at each load is 1</text>\n",
        crate::bench_peers::CHART_STYLE
    );
    let mut y = TOP;
    for group in &groups {
        group.draw(&mut svg, y, scale);
        y += group.height();
    }
    svg + "</svg>\n"
}

struct Group<'a> {
    title: String,
    /// Name, whether it is ours, answers a second as a share of the better peer's.
    bars: Vec<(&'a str, bool, f64)>,
}

impl<'a> Group<'a> {
    /// One group for each kind of texts and number of clients.
    fn all(table: &'a Table) -> Vec<Self> {
        let mut groups = Vec::new();
        for lengths in table.kinds() {
            for clients in table.loads(lengths).into_iter().flatten() {
                let Some(best) = table.better_peer(lengths, Some(clients)).map(Cell::per_second) else { continue };
                let bars = table.of_load(lengths, Some(clients));
                let bars = bars.map(|cell| (cell.name.as_str(), cell.ours, cell.per_second() / best)).collect();
                groups.push(Self { title: format!("{}, {lengths} texts, clients: {clients}", table.model), bars });
            }
        }
        groups
    }

    fn height(&self) -> f64 {
        HEADING + BAR * self.bars.len() as f64
    }

    fn draw(&self, svg: &mut String, top: f64, scale: f64) {
        let _ = writeln!(svg, "<text class=\"group\" x=\"12\" y=\"{}\">{}</text>", top + 20.0, self.title);
        for (place, (name, ours, speed)) in self.bars.iter().enumerate() {
            let y = top + HEADING + BAR * place as f64 - 4.0;
            let (class, length) = (if *ours { "ours" } else { "peer" }, speed * scale);
            let (edge, line, end) = (LEFT - 8.0, y + 12.0, LEFT + length + 6.0);
            let thick = BAR - 4.0;
            let _ = writeln!(
                svg,
                "<text x=\"{edge}\" y=\"{line}\" text-anchor=\"end\">{name}</text>\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{length:.1}\" height=\"{thick}\" rx=\"2\"/>\
                 <text x=\"{end:.1}\" y=\"{line}\">{speed:.2}×</text>"
            );
        }
    }
}
