//! How many bytes a thread's caches hold: what is cached weighs itself, and stops when it is dropped, whoever held it last.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
};

thread_local! {
    static HELD_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Part of what [`held_bytes`] counts, as long as it lives.
#[derive(Debug)]
pub struct Weight(usize);

impl Weight {
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        HELD_BYTES.set(HELD_BYTES.get().saturating_add(bytes));
        Self(bytes)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        HELD_BYTES.set(HELD_BYTES.get().saturating_sub(self.0));
    }
}

/// Two things that differ in weight alone are the same.
impl PartialEq for Weight {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Weight {}

impl Hash for Weight {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// The sum of this thread's weights.
#[must_use]
pub fn held_bytes() -> usize {
    HELD_BYTES.get()
}

/// About what an allocation of so many bytes takes of the heap; nothing is allocated for none.
#[must_use]
pub fn allocated(bytes: usize) -> usize {
    const HEADER: usize = 8;
    const GRAIN: usize = 16;
    if bytes == 0 { 0 } else { (bytes + HEADER).next_multiple_of(GRAIN).max(2 * GRAIN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_weighs_nothing() {
        let before = held_bytes();
        let (one, two) = (Weight::of(10), Weight::of(5));
        assert_eq!(held_bytes(), before + 15);
        drop(one);
        assert_eq!(held_bytes(), before + 5);
        drop(two);
        assert_eq!(held_bytes(), before);
    }
}
