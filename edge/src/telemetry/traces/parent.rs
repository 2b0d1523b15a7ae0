//! `traceparent` and `tracestate` of a request (W3C Trace Context, level 1). A malformed one is ignored, as that asks for: the trace then begins here.

use http::{HeaderMap, HeaderName};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// What must be passed on at least (section 3.3.1.5); longer ones are dropped.
const MAX_STATE_BYTES: usize = 512;

/// Whose part the request is.
#[must_use]
pub fn of(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (trace, span, flags) = parse(values.next()?.to_str().ok()?)?;
    // Several are malformed together.
    values.next().is_none().then(|| SpanContext::new(trace, span, flags, true, state(headers)))
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case; a later version may say more after that.
fn parse(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let is_hex = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    let mut parts = text.splitn(5, '-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_well_formed = is_hex(version, 2) && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2);
    if !is_well_formed || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some((trace, span, flags))
}

fn state(headers: &HeaderMap) -> TraceState {
    let texts = headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect::<Option<Vec<_>>>();
    let text = texts.unwrap_or_default().join(",");
    if text.len() > MAX_STATE_BYTES { TraceState::default() } else { text.parse().unwrap_or_default() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn parent(values: &[&str]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, value.parse().unwrap());
        }
        of(&headers)
    }

    #[test]
    fn a_well_formed_parent_is_taken_with_its_decision() {
        let parent_of = parent(&[GOOD]).unwrap();
        assert_eq!(parent_of.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent_of.span_id().to_string(), "b7ad6b7169203331");
        assert!(parent_of.is_sampled() && parent_of.is_remote());
        assert!(!parent(&[&GOOD.replace("-01", "-00")]).unwrap().is_sampled());
        // Flags that level 1 doesn't know are dropped.
        assert_eq!(parent(&[&GOOD.replace("-01", "-ff")]).unwrap().trace_flags(), TraceFlags::SAMPLED);
        // A later version may say more.
        assert!(parent(&[&format!("{}-what-comes", GOOD.replace("00-0", "01-0"))]).is_some());
    }

    #[test]
    fn a_malformed_parent_is_none() {
        let upper = GOOD.to_uppercase();
        let sign = GOOD.replace("0af7651916cd43dd8448eb211c80319c", "+af7651916cd43dd8448eb211c80319c");
        for text in [
            "",
            "00",
            &upper,
            &sign,
            &GOOD.replace("00-0", "ff-0"),
            &format!("{GOOD}-more"),
            &format!("{GOOD}0"),
            &GOOD.replace('-', "_"),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("b7ad6b7169203331", "b7ad6b716920333"),
        ] {
            assert!(parent(&[text]).is_none(), "{text}");
        }
        assert!(parent(&[GOOD, GOOD]).is_none());
        assert!(parent(&[]).is_none());
    }

    #[test]
    fn a_state_is_passed_on_if_it_is_short_and_well_formed() {
        let state_of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, GOOD.parse().unwrap());
            headers.insert(TRACESTATE, text.parse().unwrap());
            of(&headers).unwrap().trace_state().header()
        };
        assert_eq!(state_of("a=1,b=2"), "a=1,b=2");
        assert_eq!(state_of("junk"), "");
        assert_eq!(state_of(&format!("a={}", "x".repeat(600))), "");
    }
}
