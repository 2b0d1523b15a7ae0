//! The file of `nebula up`'s environment. Fields: a name, a value; or any line.

use crate::input::lines;
use nebula_edge::fuzzing::{env_line, env_line_of};

pub fn env_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines() {
        if let Some((name, value)) = env_line(line) {
            assert_eq!(env_line(&env_line_of(&name, &value)), Some((name, value)));
        }
    }
    let Some([name, value]) = lines::<2>(data) else { return };
    if !name.contains('=') {
        assert_eq!(env_line(&env_line_of(name, value)), Some((name.to_owned(), value.to_owned())));
    }
}
