//! Failures and panics as Sentry's envelopes: the protocol's types are Sentry's, what is put into them is the list in `event`, and our HTTP client sends them. Sentry's own
//! client gathers context, which is what must not leave (docs/decisions/0029-traces-and-errors.md).

mod event;

pub use event::Failed;

use super::{Program, client::Client};
use crate::{config::Config, error::Error};
use bytes::Bytes;
use event::Sender;
use http::{HeaderMap, Request, Response, header::RETRY_AFTER};
use sentry_types::{
    Dsn,
    protocol::v7::{Envelope, Event},
};
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::{
        Mutex,
        mpsc::{self, Receiver},
    },
    task::JoinHandle,
    time::Instant,
};

/// So many may wait to be sent: a storm of failures says nothing new.
const QUEUE: usize = 64;
/// So many are sent in each [`WINDOW`], for the same reason: whoever receives counts what it is sent.
const MOST: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);
/// Where the receiver wants to be left alone and doesn't say for how long.
const PAUSE: Duration = Duration::from_secs(60);

/// For the panic hook, which knows nobody.
static OF_PROCESS: OnceLock<Sentry> = OnceLock::new();

/// A report, or nothing for the end: the panic hook holds on to the queue, which therefore never closes.
type Queued = Option<Box<Event<'static>>>;

/// Takes reports; cheap to clone, and never waits.
#[derive(Clone)]
pub struct Sentry {
    queue: mpsc::Sender<Queued>,
    sender: Arc<Sender>,
    sending: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// A panic has happened at this place of the source.
pub fn panicked(place: &str) {
    if let Some(sentry) = OF_PROCESS.get() {
        sentry.put(sentry.sender.panicked(place));
    }
}

impl Sentry {
    /// `None` where no setting holds a DSN. Within a runtime.
    pub fn start(program: Program, config: &Config) -> Result<Option<Self>, Error> {
        let Some(dsn) = &config.sentry_dsn else { return Ok(None) };
        // The parser's message may repeat a piece of it.
        let dsn: Dsn = dsn
            .reveal()
            .trim()
            .parse()
            .map_err(|_| Error::Telemetry("sentry_dsn is no DSN (https://<key>@<host>/<project>)".to_owned()))?;
        let (queue, reports) = mpsc::channel(QUEUE);
        let sending = tokio::spawn(send_all(Client::new("Sentry")?, dsn, reports));
        let sender = Arc::new(Sender { program, environment: config.environment.clone() });
        let sentry = Self { queue, sender, sending: Arc::new(Mutex::new(Some(sending))) };
        // A second one of this process (tests) leaves the panics to the first.
        let _ = OF_PROCESS.set(sentry.clone());
        Ok(Some(sentry))
    }

    /// Reports a request that failed. What finds no place is dropped: the log has it.
    pub fn failed(&self, failed: &Failed<'_>) {
        self.put(self.sender.failed(failed));
    }

    fn put(&self, event: Event<'static>) {
        let _ = self.queue.try_send(Some(Box::new(event)));
    }

    /// Waits until what is in the queue is sent.
    pub async fn stop(self) {
        let _ = self.queue.send(None).await;
        if let Some(sending) = self.sending.lock().await.take() {
            let _ = sending.await;
        }
    }
}

async fn send_all(client: Client, dsn: Dsn, mut reports: Receiver<Queued>) {
    let mut pace = Pace::new(Instant::now());
    while let Some(Some(report)) = reports.recv().await {
        if !pace.allows(Instant::now()) {
            continue;
        }
        let Some(request) = request(&dsn, *report) else { continue };
        if let Ok(response) = client.send(request).await {
            pace.heed(&response, Instant::now());
        }
    }
}

fn request(dsn: &Dsn, report: Event<'static>) -> Option<Request<Bytes>> {
    let mut body = Vec::new();
    Envelope::from(report).to_writer(&mut body).ok()?;
    let agent = concat!("nebula/", env!("CARGO_PKG_VERSION"));
    Request::post(dsn.envelope_api_url().as_str())
        .header("content-type", "application/x-sentry-envelope")
        .header("user-agent", agent)
        .header("x-sentry-auth", dsn.to_auth(Some(agent)).to_string())
        .body(Bytes::from(body))
        .ok()
}

/// When to send, and when to be silent.
struct Pace {
    window: Instant,
    sent: u32,
    silent_until: Option<Instant>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { window: now, sent: 0, silent_until: None }
    }

    fn allows(&mut self, now: Instant) -> bool {
        if now.duration_since(self.window) >= WINDOW {
            (self.window, self.sent) = (now, 0);
        }
        let is_allowed = self.sent < MOST && self.silent_until.is_none_or(|end| now >= end);
        self.sent += u32::from(is_allowed);
        is_allowed
    }

    /// 429, and limits that are announced with another answer.
    fn heed(&mut self, response: &Response<Bytes>, now: Instant) {
        let asked = limit(response.headers());
        if response.status().as_u16() == 429 || asked.is_some() {
            self.silent_until = Some(now + asked.unwrap_or(PAUSE));
        }
    }
}

/// `X-Sentry-Rate-Limits: 60:error;default:…, …` where it is about all or about errors; `Retry-After` in seconds. A day at most.
fn limit(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let of_limits = text("x-sentry-rate-limits").into_iter().flat_map(|limits| limits.split(',')).filter_map(|limit| {
        let mut parts = limit.trim().split(':');
        let seconds = parts.next()?.parse::<u64>().ok()?;
        let categories = parts.next().unwrap_or_default();
        (categories.is_empty() || categories.split(';').any(|category| category == "error")).then_some(seconds)
    });
    let retry_after = text(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok());
    of_limits.chain(retry_after).max().map(|seconds| Duration::from_secs(seconds.min(86_400)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::{super::log::report_panics, *};
    use crate::config::Settings;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    #[tokio::test]
    async fn a_panic_is_reported_by_its_place_and_without_its_message() {
        let sink = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let dsn = format!("http://public@{}/42", sink.local_addr().unwrap());
        let settings = Settings { sentry_dsn: Some(dsn.into()), ..Settings::default() };
        let _sentry = Sentry::start(Program::Worker, &Config::of(settings)).unwrap().unwrap();
        report_panics();
        let panicked = tokio::spawn(async { panic!("ana@acme.example") }).await;
        // What panics after this is a test that fails.
        let _ = std::panic::take_hook();
        assert!(panicked.is_err());
        let (mut stream, _) = sink.accept().await.unwrap();
        let mut sent = String::new();
        while !sent.contains("panic at ") {
            let mut piece = [0; 4096];
            let length = stream.read(&mut piece).await.unwrap();
            assert!(length > 0, "{sent}");
            sent.push_str(&String::from_utf8_lossy(piece.get(..length).unwrap_or_default()));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        assert!(sent.contains(concat!("panic at ", file!(), ":")) && sent.contains("nebula-worker"), "{sent}");
        assert!(!sent.contains("ana@acme"), "{sent}");
    }

    fn limit_of(pairs: &[(&'static str, &str)]) -> Option<u64> {
        limit(&pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()).map(|limit| limit.as_secs())
    }

    #[test]
    fn a_receivers_limits_are_heeded() {
        assert_eq!(limit_of(&[]), None);
        assert_eq!(limit_of(&[("retry-after", "7")]), Some(7));
        assert_eq!(limit_of(&[("x-sentry-rate-limits", "60:error;transaction:key, 2700:session:org")]), Some(60));
        assert_eq!(limit_of(&[("x-sentry-rate-limits", "99999999::org")]), Some(86_400));
        assert_eq!(limit_of(&[("x-sentry-rate-limits", "60:transaction"), ("retry-after", "junk")]), None);
    }

    #[test]
    fn a_storm_is_cut_and_a_new_minute_begins_anew() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        assert_eq!((0..100).filter(|_| pace.allows(begin)).count(), 60);
        let later = begin + WINDOW;
        assert!(pace.allows(later));
        pace.heed(&Response::builder().status(429).body(Bytes::new()).unwrap(), later);
        assert!(!pace.allows(later) && pace.allows(later + PAUSE));
    }
}
