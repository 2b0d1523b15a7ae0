//! The file of the audit log's heads.

use nebula_edge::fuzzing::Heads;

pub fn heads(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(heads) = Heads::parse(text) else { return };
    let written = heads.to_lines().unwrap();
    assert_eq!(Heads::parse(&written).unwrap(), heads);
    // What is cut anywhere but at the last line feed is no file of heads.
    if let Some((cut, _)) = written.trim_end().char_indices().last()
        && cut > 0
    {
        assert!(Heads::parse(&written[..cut]).is_err(), "{:?}", &written[..cut]);
    }
    // Every line is an object: nothing else is read as one.
    assert!(text.lines().all(|line| line.trim_start().starts_with('{')), "{text:?}");
}
