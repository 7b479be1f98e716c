//! Answers a second of each server at each number of clients, the better peer being 1.

use super::report::{Cell, Table};
use crate::bars::{self, Group, Words};

const WORDS: Words = Words {
    description: "Answers a second of each server; the better peer at each load is 1",
    heading: "Answers a second; the better peer at each load is 1",
    aside: "",
};

/// The chart of all loads that have numbers.
pub(crate) fn draw(tables: &[Table]) -> String {
    bars::draw(&WORDS, &tables.iter().flat_map(groups).collect::<Vec<_>>())
}

/// One group for each kind of texts and number of clients.
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
