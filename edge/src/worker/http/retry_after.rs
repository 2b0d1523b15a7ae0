//! `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.

use std::time::{Duration, SystemTime};

/// Whoever wants to be left alone for longer is asked after a day all the same.
const LONGEST: Duration = Duration::from_secs(86_400);

/// How long from `now`; `None` for what is neither, or over.
pub fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        httpdate::parse_http_date(value).ok()?.duration_since(now).ok()?
    };
    Some(wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_taken_up_to_a_day() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let date = |seconds| httpdate::fmt_http_date(now + Duration::from_secs(seconds));
        for (value, seconds) in [
            ("120".to_owned(), Some(120)),
            ("0".to_owned(), Some(0)),
            ("86401".to_owned(), Some(86_400)),
            ("99999999999999999999999".to_owned(), Some(86_400)),
            (date(90), Some(90)),
            (date(1_000_000), Some(86_400)),
            ("Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), None),
            ("-1".to_owned(), None),
            ("1.5".to_owned(), None),
            ("soon".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(parse(&value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }
}
