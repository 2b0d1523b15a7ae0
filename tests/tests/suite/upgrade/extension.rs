//! `alter extension nebula update`: an updated installation is what a new one is.

use nebula_tests::{Previous, previous};

#[test]
fn an_updated_installation_is_what_a_new_one_is() {
    if !previous::runs_here() {
        return;
    }
    let previous = Previous::start("fsync = off");
    let said = previous.update();
    assert!(said.starts_with(&format!("extension {}", env!("CARGO_PKG_VERSION"))), "{said}");
    previous.assert_like_new();
    assert!(previous.migrate().contains("nothing to apply"));
}
