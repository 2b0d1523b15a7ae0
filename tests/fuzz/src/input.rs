//! How a target's bytes are divided, so that a person can read and write a corpus file.

/// The bytes as text, divided at the first line feeds into `N` fields; the last holds the rest. `None` where they are no UTF-8 or too few.
pub fn lines<const N: usize>(data: &[u8]) -> Option<[&str; N]> {
    let fields = std::str::from_utf8(data).ok()?.splitn(N, '\n').collect::<Vec<_>>();
    fields.try_into().ok()
}

/// A position and a byte: how a text is to be altered.
pub fn altered(text: &str, how: &str) -> Option<String> {
    let (at, with) = how.split_once(' ')?;
    let at = at.parse::<usize>().ok()?.checked_rem(text.len())?;
    let with = with.chars().next()?;
    let changed = text.char_indices().map(|(index, old)| if index == at { with } else { old }).collect::<String>();
    (changed != text).then_some(changed)
}
