//! The table that a model is trained on: a row for each host and day, a bit for each command that
//! was run, and whether an intruder ran them. Reads CSV text; never trains.

use std::collections::BTreeMap;

/// A training table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The commands, in the order of their bits.
    pub commands: Vec<String>,
    /// Which commands each row has, a bit each.
    pub sets: Vec<u64>,
    /// Whether each row is an intruder's.
    pub attacks: Vec<bool>,
}

/// What a table cannot be better learnt than.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Shape {
    /// Rows.
    pub rows: usize,
    /// Rows of intruders.
    pub attacks: usize,
    /// Different sets of commands.
    pub distinct: usize,
    /// Sets that stand there both as an intruder's and as not.
    pub contradictory: usize,
    /// F1 of whoever knows for each set what most of its rows say: none can be better.
    pub ceiling: f64,
    /// Rows of the second half that differ from the row in the same place of the first half in at
    /// most one command: the table was doubled by changing one command of each row.
    pub derived: usize,
}

impl Table {
    /// Reads a table: a head with the names of the commands and `attack`, and rows of 0 and 1.
    ///
    /// # Errors
    /// The text is no such table; the sentence names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().enumerate();
        let head = lines.next().map_or("", |(_, line)| line);
        let mut commands: Vec<String> =
            head.split(',').map(|name| name.trim().to_owned()).collect();
        if commands.pop().as_deref() != Some("attack") || commands.is_empty() || commands.len() > 64
        {
            return Err("line 1: expected 1 to 64 commands and then `attack`".to_owned());
        }
        let mut table = Self {
            commands,
            sets: Vec::new(),
            attacks: Vec::new(),
        };
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = || {
                let columns = table.commands.len() + 1;
                format!("line {}: expected {columns} times 0 or 1", number + 1)
            };
            let bits: Option<Vec<bool>> = line
                .split(',')
                .map(|cell| match cell.trim() {
                    "0" => Some(false),
                    "1" => Some(true),
                    _ => None,
                })
                .collect();
            let mut bits = bits.ok_or_else(wrong)?;
            let attack = bits.pop().ok_or_else(wrong)?;
            if bits.len() != table.commands.len() {
                return Err(wrong());
            }
            let set = bits
                .iter()
                .rev()
                .fold(0, |set, bit| set << 1 | u64::from(*bit));
            table.sets.push(set);
            table.attacks.push(attack);
        }
        let both = |wanted: bool| {
            table
                .attacks
                .iter()
                .filter(|attack| **attack == wanted)
                .count()
        };
        if both(true) < 10 || both(false) < 10 {
            return Err("needs at least 10 rows of each kind".to_owned());
        }
        Ok(table)
    }

    /// Rows with the same commands have the same group.
    pub fn equal_rows(&self) -> Vec<usize> {
        let mut groups = BTreeMap::new();
        self.sets
            .iter()
            .map(|set| {
                let next = groups.len();
                *groups.entry(*set).or_insert(next)
            })
            .collect()
    }

    /// Like [`Table::equal_rows`], but a row and the one that was derived from it (see
    /// [`Shape::derived`]) are in one group too.
    pub fn derived_rows(&self) -> Vec<usize> {
        let mut groups = self.equal_rows();
        let half = self.sets.len() / 2;
        for row in 0..half {
            if self.is_derived(row) {
                let (keep, drop) = (groups[row], groups[row + half]);
                for group in groups.iter_mut().filter(|group| **group == drop) {
                    *group = keep;
                }
            }
        }
        groups
    }

    fn is_derived(&self, row: usize) -> bool {
        let half = self.sets.len() / 2;
        (self.sets[row] ^ self.sets[row + half]).count_ones() <= 1
            && self.attacks[row] == self.attacks[row + half]
    }

    /// Its numbers.
    pub fn shape(&self) -> Shape {
        let mut sets: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        for (set, attack) in self.sets.iter().zip(&self.attacks) {
            let counts = sets.entry(*set).or_default();
            *(if *attack {
                &mut counts.0
            } else {
                &mut counts.1
            }) += 1;
        }
        let (mut right, mut wrong) = (0, 0);
        for (attacks, others) in sets.values() {
            if attacks >= others {
                right += attacks;
                wrong += others;
            } else {
                wrong += attacks;
            }
        }
        let rows = self.sets.len();
        Shape {
            rows,
            attacks: self.attacks.iter().filter(|attack| **attack).count(),
            distinct: sets.len(),
            contradictory: sets.values().filter(|(a, b)| *a > 0 && *b > 0).count(),
            ceiling: 2.0 * right as f64 / (2 * right + wrong) as f64,
            derived: (0..rows / 2).filter(|row| self.is_derived(*row)).count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_named() {
        let head = "a,b,attack\n";
        assert!(Table::parse("a,b\n").unwrap_err().starts_with("line 1"));
        for bad in ["1,0\n", "1,0,1,1\n", "1,2,1\n", "x\n"] {
            let text = format!("{head}1,0,1\n{bad}");
            assert_eq!(
                Table::parse(&text).unwrap_err(),
                "line 3: expected 3 times 0 or 1"
            );
        }
    }
}
