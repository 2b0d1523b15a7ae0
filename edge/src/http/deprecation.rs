//! `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` to a page about both.

use crate::db::Deprecation;
use http::{HeaderMap, HeaderName, HeaderValue, header::LINK};
use std::time::{Duration, UNIX_EPOCH};

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// The first second that an HTTP date can't name: the year 10000.
const END_OF_DATES: u64 = 253_402_300_800;

/// What every answer of a deprecated operation says. A time or link that no header can hold is left out.
#[must_use]
pub fn headers(deprecation: &Deprecation) -> HeaderMap {
    let texts = [
        (DEPRECATION, Some(format!("@{}", deprecation.at))),
        (SUNSET, deprecation.sunset.and_then(http_date)),
        (LINK, deprecation.link.as_deref().filter(|link| is_uri(link)).map(|link| format!("<{link}>; rel=\"deprecation\""))),
    ];
    let values = texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text?).ok()?)));
    values.collect()
}

fn http_date(unix_seconds: i64) -> Option<String> {
    let seconds = u64::try_from(unix_seconds).ok().filter(|seconds| *seconds < END_OF_DATES)?;
    Some(httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// Whether a text can stand between angle brackets (RFC 3986, appendix A: visible ASCII without quotes and brackets).
fn is_uri(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn of(at: i64, sunset: Option<i64>, link: Option<&str>) -> HeaderMap {
        headers(&Deprecation { at, sunset, link: link.map(str::to_owned) })
    }

    #[test]
    fn the_rfcs_examples_are_written() {
        let headers = of(1_688_169_599, Some(1_719_792_000), Some("https://example.com/deprecation"));
        assert_eq!(headers["deprecation"], "@1688169599");
        assert_eq!(headers["sunset"], "Mon, 01 Jul 2024 00:00:00 GMT");
        assert_eq!(headers["link"], "<https://example.com/deprecation>; rel=\"deprecation\"");
        assert_eq!(of(0, None, None).len(), 1);
    }

    #[test]
    fn what_no_header_can_hold_is_left_out() {
        for (sunset, link) in [(Some(-1), "a b"), (Some(253_402_300_800), "a>b"), (Some(i64::MAX), "é"), (None, "a\nb")] {
            assert_eq!(of(0, sunset, Some(link)).len(), 1);
        }
        assert_eq!(of(0, Some(253_402_300_799), None)["sunset"], "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
