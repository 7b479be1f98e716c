//! Links between the nodes of a graph, in memory or in a file.

/// No link.
pub(super) const NONE: u32 = u32::MAX;

/// Links between rows while they are made, on the ground and on higher levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) links: usize,
    /// The highest level of each row.
    pub(super) levels: Vec<u8>,
    /// `(rows, 2 · links)`, filled up with `NONE`.
    pub(super) ground: Vec<u32>,
    /// Where the higher links of a row begin in `higher`, in units of `links`; `NONE` for a row of
    /// the ground.
    pub(super) places: Vec<u32>,
    /// `(…, links)`: of each row with higher levels, level 1 first.
    pub(super) higher: Vec<u32>,
    /// Where every walk begins; `NONE` of no rows.
    pub(super) entry: u32,
}

impl Links {
    pub(super) fn view(&self) -> LinksView<'_> {
        LinksView {
            links: self.links,
            levels: &self.levels,
            ground: &self.ground,
            places: &self.places,
            higher: &self.higher,
            entry: self.entry,
        }
    }

    pub(super) fn set(&mut self, row: u32, level: usize, new: &[u32]) {
        let range = self.view().range(row, level);
        let links = if level == 0 { &mut self.ground[range] } else { &mut self.higher[range] };
        links.fill(NONE);
        links[..new.len()].copy_from_slice(new);
    }
}

/// Links as they are followed, in memory or on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinksView<'a> {
    pub(super) links: usize,
    pub(super) levels: &'a [u8],
    pub(super) ground: &'a [u32],
    pub(super) places: &'a [u32],
    pub(super) higher: &'a [u32],
    pub(super) entry: u32,
}

impl<'a> LinksView<'a> {
    /// The places of a row's links on a level.
    pub(super) fn range(self, row: u32, level: usize) -> std::ops::Range<usize> {
        let start = match level {
            0 => row as usize * 2 * self.links,
            _ => (self.places[row as usize] as usize + level - 1) * self.links,
        };
        start..start + if level == 0 { 2 * self.links } else { self.links }
    }

    /// Checks that the links are those of a graph: the higher links of the rows lie one behind the
    /// other, walks begin on the highest level, and every link leads to a row of its level, with no
    /// gaps between them.
    pub(super) fn check(self) -> Result<(), &'static str> {
        let mut units = 0;
        for (level, place) in self.levels.iter().zip(self.places) {
            let expected = if *level == 0 { NONE } else { units };
            if *place != expected {
                return Err("the places of higher links do not fit the levels");
            }
            units += u32::from(*level);
        }
        if Some(self.higher.len()) != (units as usize).checked_mul(self.links) {
            return Err("there are more or fewer higher links than the levels say");
        }
        let highest = self.levels.iter().max().copied().unwrap_or(0);
        if self.levels.get(self.entry as usize).is_some_and(|level| *level != highest) {
            return Err("its walks do not begin on the highest level");
        }
        let rows = self.levels.len() as u32;
        if !self.ground.chunks(2 * self.links.max(1)).all(|links| are_rows(links, rows)) {
            return Err("a link leads to no row");
        }
        for (level, place) in self.levels.iter().zip(self.places).filter(|(level, _)| **level > 0) {
            for on in 1..=usize::from(*level) {
                let start = (*place as usize + on - 1) * self.links;
                let links = &self.higher[start..start + self.links];
                let is_on_level =
                    |link: &u32| self.levels.get(*link as usize).is_some_and(|level| usize::from(*level) >= on);
                if !are_rows(links, rows) || !links.iter().take_while(|link| **link != NONE).all(is_on_level) {
                    return Err("a link leads to no row of its level");
                }
            }
        }
        Ok(())
    }

    /// Where the links of a row are, to be fetched.
    pub(super) fn places_of(self, row: u32, level: usize) -> &'a [u32] {
        let links = if level == 0 { self.ground } else { self.higher };
        links.get(self.range(row, level)).unwrap_or_default()
    }

    /// The rows that a row is linked to. Whatever a file says, they are rows: a walk never leaves
    /// the graph.
    pub(super) fn of(self, row: u32, level: usize) -> &'a [u32] {
        let (links, rows) = (self.places_of(row, level), self.levels.len());
        &links[..links.iter().position(|link| *link as usize >= rows).unwrap_or(links.len())]
    }
}

/// Returns whether links are rows, then nothing. Without branches, so that it runs at the speed of
/// memory.
fn are_rows(links: &[u32], rows: u32) -> bool {
    let (mut wrong, mut ended) = (false, false);
    for link in links {
        let none = *link == NONE;
        wrong |= !none & (ended | (*link >= rows));
        ended |= none;
    }
    !wrong
}
