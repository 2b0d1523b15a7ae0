//! The known name that somebody probably meant.

/// The name nearest to `word`, if it is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = word.len().div_ceil(4).max(2);
    let distance = |name: &str| strsim::damerau_levenshtein(word, name);
    known.into_iter().map(|name| (distance(name), name)).filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_pen_is_understood_and_another_word_is_not() {
        let known = ["pool_size", "pool_wait_ms", "drain_seconds"];
        assert_eq!(nearest("pool_sise", known), Some("pool_size"));
        assert_eq!(nearest("poolsize", known), Some("pool_size"));
        assert_eq!(nearest("drain_secs", known), Some("drain_seconds"));
        assert_eq!(nearest("colour", known), None);
    }
}
