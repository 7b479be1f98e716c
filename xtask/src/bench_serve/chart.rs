//! Chart of the answers per second of each server at each number of clients, relative to the better
//! peer.

use super::report::{Cell, Table};
use maana_chart::{Group, Labels, grouped_bars};

const LABELS: Labels = Labels {
    description: "Answers per second of each server relative to the better peer",
    heading: "Answers per second relative to the better peer",
    aside: "",
};

/// Draws all loads with results.
pub(crate) fn draw(tables: &[Table]) -> String {
    grouped_bars(&LABELS, &tables.iter().flat_map(groups).collect::<Vec<_>>())
}

/// Returns one group per kind of texts and number of clients.
fn groups(table: &Table) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    for lengths in table.kinds() {
        for clients in table.loads(lengths).into_iter().flatten() {
            let Some(best) = table.better_peer(lengths, Some(clients)).map(Cell::per_second) else { continue };
            let bars = table.of_load(lengths, Some(clients));
            let bars = bars.map(|cell| (cell.name.as_str(), cell.ours, cell.per_second() / best)).collect();
            let title = format!("{}, {lengths} texts, clients: {clients}", table.model);
            groups.push(Group { title, bars, target: None });
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::super::report::Round;
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_chart_names_every_server() {
        let mut table = Table::new("A model", ("2026-01-01".to_owned(), "abc".to_owned(), 0.1), 1, 2);
        for (name, per_second) in [("A", 10.0), ("Maana", 70.0)] {
            let (p50, p90, p99, max) = (Some(1.0), Some(1.0), Some(1.0), Some(1.0));
            let round = Round { per_second, answers: 10, p50, p90, p99, max, errors: BTreeMap::new() };
            let (lengths, name, ours) = ("short".to_owned(), name.to_owned(), name == "Maana");
            table.cells.push(Cell { lengths, clients: Some(1), rate: None, name, ours, rounds: vec![round] });
        }
        let chart = draw(&[table]);
        assert!(chart.contains(">A<") && chart.contains(">Maana<") && chart.ends_with("</svg>\n"));
    }
}
