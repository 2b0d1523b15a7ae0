//! An address where an issuer publishes its keys, on the loopback address, that counts who asks.

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

/// What is answered: status line, further header lines, body.
#[derive(Clone)]
struct Answer {
    status: String,
    headers: String,
    body: String,
}

struct Shared {
    answer: Mutex<Answer>,
    requests: Mutex<Vec<String>>,
    count: AtomicUsize,
    is_over: AtomicBool,
}

/// A running server; it ends with the value.
pub struct JwksServer {
    pub url: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl JwksServer {
    /// Starts without a key.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let answer = Answer { status: String::new(), headers: String::new(), body: String::new() };
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer),
            requests: Mutex::default(),
            count: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let server = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if server.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let server = Arc::clone(&server);
                thread::spawn(move || server.serve(&stream.unwrap()));
            }
        });
        let server = Self { url, shared, thread: Some(thread) };
        server.publish(&[]);
        server
    }

    /// Publishes these keys from now on.
    pub fn publish(&self, keys: &[Value]) {
        self.answer("200 OK", "content-type: application/json\r\n", &json!({ "keys": keys }).to_string());
    }

    /// Answers this from now on. Header lines end with CR LF.
    pub fn answer(&self, status: &str, headers: &str, body: &str) {
        *self.shared.answer.lock().unwrap() = Answer { status: status.into(), headers: headers.into(), body: body.into() };
    }

    /// How often it was asked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// The heads of the requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) {
        let lines = BufReader::new(stream).lines();
        let head = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        if head.is_empty() {
            return;
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        self.requests.lock().unwrap().push(head);
        let Answer { status, headers, body } = self.answer.lock().unwrap().clone();
        let mut stream = stream;
        // Whoever asked may have gone: a body that is too large isn't read to its end.
        let _ = write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    }
}

impl Drop for JwksServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches("/jwks.json"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
