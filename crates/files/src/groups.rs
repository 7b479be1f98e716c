//! Disjoint groups of numbers, which grow together.

/// Disjoint groups of the numbers below a count, at first one for each number (union–find).
pub struct Groups {
    /// For each number another one of its group; the lowest of the group has itself.
    parents: Vec<u32>,
}

impl Groups {
    /// Creates a group for each number below `count`.
    ///
    /// # Panics
    /// If `count` does not fit into 32 bits.
    pub fn new(count: usize) -> Self {
        Self { parents: (0..u32::try_from(count).expect("numbers have 32 bits")).collect() }
    }

    /// Returns the lowest number of the group of a number.
    pub fn find(&mut self, number: u32) -> u32 {
        let mut number = number as usize;
        while self.parents[number] as usize != number {
            self.parents[number] = self.parents[self.parents[number] as usize];
            number = self.parents[number] as usize;
        }
        number as u32
    }

    /// Joins the groups of two numbers. The result does not depend on the order of calls.
    pub fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.find(a), self.find(b));
        self.parents[a.max(b) as usize] = a.min(b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_named_by_their_lowest_number_in_any_order() {
        let pairs = [(5, 3), (1, 4), (3, 4), (6, 6)];
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let mut groups = Groups::new(8);
            order.iter().for_each(|&pair: &usize| groups.join(pairs[pair].0, pairs[pair].1));
            let found: Vec<u32> = (0..8).map(|number| groups.find(number)).collect();
            assert_eq!(found, [0, 1, 2, 1, 1, 1, 6, 7]);
        }
    }
}
