//! Versions of releases: the library's, the extension's in a database, the edge's.

use std::fmt;

/// `major.minor.patch`; the later one is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Release {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl Release {
    /// The first: what doesn't say which release it is, is of this one.
    pub const FIRST: Self = Self { major: 0, minor: 1, patch: 0 };

    /// Reads three numbers; nothing else is a version of a release.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // One spelling a release: `+1` and `01` are numbers to the parser.
        let is_plain = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
        let mut numbers = text.split('.').map(|number| if is_plain(number) { number.parse().ok() } else { None });
        let (major, minor, patch) = (numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(Self { major, minor, patch })
    }

    /// Without the patch: releases that differ in nothing else understand each other both ways.
    #[must_use]
    pub fn line(self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Release;

    #[test]
    fn releases_are_compared_by_number() {
        let [old, new] = ["0.9.12", "0.10.0"].map(Release::parse);
        assert!(old < new);
        assert!(Some(Release::FIRST) < old);
        assert_eq!(new.map(|release| release.to_string()).as_deref(), Some("0.10.0"));
        assert_eq!(old.map(Release::line), Some((0, 9)));
    }

    #[test]
    fn whatever_is_no_version_is_none() {
        for text in
            ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.-3", "1.2.+3", "01.2.3", "1.2.00", "v1.2.3", "1.2.3-rc1", "1..3", "99999999999.0.0"]
        {
            assert_eq!(Release::parse(text), None, "{text}");
        }
    }
}
