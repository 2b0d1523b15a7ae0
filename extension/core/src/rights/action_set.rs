//! A set of actions of one catalog, in as few bytes as hold it: groups and packages of every tenant are made of these.

use crate::weight::allocated;

/// Where an action stands in its catalog.
pub type Index = u32;

const BITS: u32 = u64::BITS;

/// Few actions of a large catalog as sorted indexes, many as one bit each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ActionSet {
    Few(Box<[Index]>),
    Many(Box<[u64]>),
}

impl ActionSet {
    #[inline]
    #[must_use]
    pub fn contains(&self, action: Index) -> bool {
        match self {
            ActionSet::Few(actions) => actions.binary_search(&action).is_ok(),
            ActionSet::Many(words) => words.get((action / BITS) as usize).is_some_and(|word| word >> (action % BITS) & 1 == 1),
        }
    }

    /// Bytes of the heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        allocated(match self {
            ActionSet::Few(actions) => size_of_val::<[Index]>(actions),
            ActionSet::Many(words) => size_of_val::<[u64]>(words),
        })
    }
}

impl FromIterator<Index> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Index>>(actions: I) -> Self {
        let mut actions = actions.into_iter().collect::<Vec<_>>();
        actions.sort_unstable();
        actions.dedup();
        let word_count = actions.last().map_or(0, |last| (last / BITS) as usize + 1);
        if size_of_val::<[Index]>(&actions) <= word_count * size_of::<u64>() {
            return ActionSet::Few(actions.into());
        }
        let mut words = vec![0_u64; word_count];
        for action in actions {
            if let Some(word) = words.get_mut((action / BITS) as usize) {
                *word |= 1 << (action % BITS);
            }
        }
        ActionSet::Many(words.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_it_was_made_of_and_nothing_else() {
        for members in [vec![], vec![0], vec![63, 64, 3, 3], vec![5_000], (0..200).filter(|n| n % 3 == 0).collect(), (0..1_000).collect()] {
            let set = members.iter().copied().collect::<ActionSet>();
            for action in 0..5_100 {
                assert_eq!(set.contains(action), members.contains(&action), "{action} of {members:?}");
            }
        }
    }

    #[test]
    fn a_set_takes_the_smaller_form() {
        assert!(matches!([5_000, 1].into_iter().collect(), ActionSet::Few(_)));
        assert!(matches!((0..100).collect(), ActionSet::Many(_)));
        assert_eq!(std::iter::empty().collect::<ActionSet>().bytes(), 0);
    }
}
