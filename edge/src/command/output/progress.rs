//! How far long work is: a bar on a terminal, nothing elsewhere.

use super::is_json;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// Taken away when dropped: what is done is told by the result.
pub struct Progress(ProgressBar);

impl Progress {
    /// Of work whose amount nobody knows yet.
    #[must_use]
    pub fn unknown(what: &str) -> Self {
        Self::start(ProgressBar::no_length(), what, "{spinner} {msg} {human_pos} {elapsed}")
    }

    fn start(bar: ProgressBar, what: &str, template: &str) -> Self {
        // Not on a terminal it draws nothing by itself.
        bar.set_draw_target(if is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() });
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// So much more is done.
    pub fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// So much more of so much is done.
    pub fn advance_of(&self, by: u64, total: u64) {
        if self.0.length() != Some(total) {
            self.0.set_length(total);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {human_pos}/{human_len} {eta}") {
                self.0.set_style(style);
            }
        }
        self.0.inc(by);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
