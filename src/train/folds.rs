//! Splits rows into folds for cross-validation: each fold has its share of both kinds, and rows of
//! one group are never parted. The same seed gives the same folds everywhere.

/// A generator of random numbers (SplitMix64), good enough to shuffle.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = ((u128::from(self.next()) * (last as u128 + 1)) >> 64) as usize;
            items.swap(last, other);
        }
    }
}

/// The fold of each row, 0 to `folds - 1`. `groups` has the group of each row.
pub(super) fn folds(groups: &[usize], attacks: &[bool], folds: usize, seed: u64) -> Vec<usize> {
    let mut random = Random(seed);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.len()];
    for (row, group) in groups.iter().enumerate() {
        members[*group].push(row);
    }
    members.retain(|rows| !rows.is_empty());
    random.shuffle(&mut members);
    // Large groups first: the small ones level out what they left uneven.
    members.sort_by_key(|rows| std::cmp::Reverse(rows.len()));
    let mut taken = vec![[0_usize; 2]; folds];
    let mut fold_of = vec![0; groups.len()];
    for rows in members {
        let kind = usize::from(rows.iter().filter(|row| attacks[**row]).count() * 2 > rows.len());
        let fold = (0..folds)
            .min_by_key(|fold| (taken[*fold][kind], taken[*fold][1 - kind]))
            .unwrap_or(0);
        for row in rows {
            taken[fold][usize::from(attacks[row])] += 1;
            fold_of[row] = fold;
        }
    }
    fold_of
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn groups_stay_together_and_folds_are_level(
            rows in prop::collection::vec((0_usize..40, any::<bool>()), 50..200),
            seed: u64,
        ) {
            let groups: Vec<usize> = rows.iter().map(|row| row.0).collect();
            let attacks: Vec<bool> = rows.iter().map(|row| row.1).collect();
            let fold_of = folds(&groups, &attacks, 5, seed);
            prop_assert_eq!(&fold_of, &folds(&groups, &attacks, 5, seed));
            for a in 0..rows.len() {
                for b in 0..a {
                    prop_assert!(groups[a] != groups[b] || fold_of[a] == fold_of[b]);
                }
            }
            let alone: Vec<usize> = (0..rows.len()).collect();
            let fold_of = folds(&alone, &attacks, 5, seed);
            for kind in [false, true] {
                let sizes: Vec<usize> = (0..5).map(|fold| {
                    (0..rows.len()).filter(|row| fold_of[*row] == fold && attacks[*row] == kind).count()
                }).collect();
                prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
            }
        }
    }
}
