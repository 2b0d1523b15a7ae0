//! Rate limits: a sliding window of a minute, counted in slots of five seconds.
//!
//! Never more than the limit in any 60 seconds, and a burst is admitted up to exactly the limit: a slot counts until the last of its seconds is a
//! minute old, so that a refusal may last up to five seconds longer than it had to.

/// A window's length in seconds, as clients see it.
pub const WINDOW_SECONDS: u32 = 60;
/// Seconds of one slot.
const SLOT_SECONDS: i64 = 5;
/// A minute's slots and the one that is being filled.
const SLOTS: usize = 13;

/// What was admitted lately under one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Window {
    /// The newest slot that was counted in, as seconds since the epoch divided by a slot's.
    newest: u32,
    /// By slot number modulo their count.
    counts: [u32; SLOTS],
}

/// What a request was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub is_admitted: bool,
    /// Requests that would still be admitted now.
    pub remaining: u32,
    /// Seconds until something that was used up comes back; at least 1.
    pub reset_seconds: u32,
}

impl Window {
    /// Nothing was counted yet.
    pub const EMPTY: Self = Self { newest: 0, counts: [0; SLOTS] };

    /// Reads a stored window; bytes of another length are an empty one.
    #[must_use]
    pub fn from_parts(newest: u32, bytes: &[u8]) -> Self {
        let mut counts = [0; SLOTS];
        if bytes.len() == SLOTS * 4 {
            for (count, bytes) in counts.iter_mut().zip(bytes.as_chunks::<4>().0) {
                *count = u32::from_be_bytes(*bytes);
            }
        }
        Self { newest, counts }
    }

    /// The newest slot and the counts as bytes, to be stored.
    #[must_use]
    pub fn parts(&self) -> (u32, Vec<u8>) {
        (self.newest, self.counts.iter().flat_map(|count| count.to_be_bytes()).collect())
    }

    /// The number of the slot of this moment, in seconds since the epoch.
    #[must_use]
    pub fn slot(now_seconds: i64) -> u32 {
        u32::try_from(now_seconds.max(0) / SLOT_SECONDS).unwrap_or(u32::MAX)
    }

    /// Counts a request unless the limit is reached. A refused one is not counted: who keeps trying is not kept out by it.
    pub fn hit(&mut self, now_seconds: i64, limit: u32) -> Verdict {
        self.advance(now_seconds);
        let used = self.used();
        let is_admitted = used < limit;
        if is_admitted && let Some(count) = self.counts.get_mut(index(self.newest)) {
            *count = count.saturating_add(1);
        }
        let remaining = limit.saturating_sub(self.used());
        Verdict { is_admitted, remaining, reset_seconds: self.reset(now_seconds) }
    }

    /// The verdict on a request that would come now, without counting it.
    #[must_use]
    pub fn peek(mut self, now_seconds: i64, limit: u32) -> Verdict {
        self.advance(now_seconds);
        let remaining = limit.saturating_sub(self.used());
        Verdict { is_admitted: remaining > 0, remaining, reset_seconds: self.reset(now_seconds) }
    }

    /// Whether nothing in it counts any more.
    #[must_use]
    pub fn is_over(&self, now_seconds: i64) -> bool {
        Self::slot(now_seconds).saturating_sub(self.newest) as usize >= SLOTS
    }

    /// Empties the slots that have become too old. A clock that goes back changes nothing.
    fn advance(&mut self, now_seconds: i64) {
        let now = Self::slot(now_seconds);
        let steps = now.saturating_sub(self.newest).min(u32::try_from(SLOTS).unwrap_or(u32::MAX));
        for step in 0..steps {
            if let Some(count) = self.counts.get_mut(index(now - step)) {
                *count = 0;
            }
        }
        self.newest = self.newest.max(now);
    }

    fn used(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn reset(&self, now_seconds: i64) -> u32 {
        let slots = u32::try_from(SLOTS).unwrap_or(u32::MAX);
        let oldest = (0..slots).rev().map(|age| self.newest.saturating_sub(age)).find(|slot| self.counts.get(index(*slot)) > Some(&0));
        let ends = (i64::from(oldest.unwrap_or(self.newest)) + i64::from(slots)) * SLOT_SECONDS;
        u32::try_from(ends - now_seconds).unwrap_or(0).max(1)
    }
}

fn index(slot: u32) -> usize {
    slot as usize % SLOTS
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn admitted(window: &mut Window, now: i64, limit: u32, requests: u32) -> u32 {
        (0..requests).map(|_| u32::from(window.hit(now, limit).is_admitted)).sum()
    }

    #[test]
    fn a_burst_is_admitted_up_to_exactly_the_limit() {
        let mut window = Window::default();
        assert_eq!(admitted(&mut window, NOW, 10, 1000), 10);
        let verdict = window.hit(NOW + 1, 10);
        assert_eq!((verdict.is_admitted, verdict.remaining), (false, 0));
        assert_eq!(verdict, window.peek(NOW + 1, 10));
    }

    #[test]
    fn no_sixty_seconds_hold_more_than_the_limit_whenever_requests_come() {
        for step in 1..17 {
            let (mut window, mut times) = (Window::default(), Vec::new());
            for now in (NOW..NOW + 600).step_by(step) {
                times.extend(std::iter::repeat_n(now, usize::try_from(admitted(&mut window, now, 7, 5)).unwrap()));
            }
            for start in NOW..NOW + 600 {
                assert!(times.iter().filter(|at| (start..start + 60).contains(*at)).count() <= 7, "step {step}");
            }
        }
    }

    #[test]
    fn who_waits_for_the_reset_is_admitted_again() {
        let mut window = Window::default();
        assert_eq!(admitted(&mut window, NOW, 3, 9), 3);
        let wait = i64::from(window.peek(NOW, 3).reset_seconds);
        assert!((60..=65).contains(&wait));
        assert!(!window.peek(NOW + wait - 1, 3).is_admitted);
        assert_eq!(admitted(&mut window, NOW + wait, 3, 9), 3);
        assert!(window.is_over(NOW + 200) && !window.is_over(NOW + wait));
    }

    #[test]
    fn a_clock_that_goes_back_admits_nothing_more() {
        let mut window = Window::default();
        assert_eq!(admitted(&mut window, NOW, 3, 3), 3);
        assert_eq!(admitted(&mut window, NOW - 3600, 3, 3), 0);
    }

    #[test]
    fn a_window_is_stored_and_read_back() {
        let mut window = Window::default();
        window.hit(NOW, 5);
        let (newest, counts) = window.parts();
        assert_eq!(Window::from_parts(newest, &counts), window);
        assert_eq!(Window::from_parts(0, &[1]), Window::EMPTY);
    }
}
