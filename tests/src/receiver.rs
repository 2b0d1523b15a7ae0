//! Somebody who is told of events: a real HTTP server on the loopback address that writes down what it gets, and can misbehave.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Answered with this status and these further header lines, which end with CR LF.
    Answer(u16, String),
    /// Answered with this status, over a connection that serves further requests.
    Keep(u16),
    /// Answered with this status, after a time.
    Late(Duration, u16),
    /// Never answered; the connection stays open.
    Hang,
    /// 200, and a body without an end.
    Endless,
    /// A head without an end.
    EndlessHead,
    /// What is no HTTP.
    Garbage,
    /// Closed without an answer.
    Close,
}

impl Behaviour {
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer(status, String::new())
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// The same, for what is no text.
    pub bytes: Vec<u8>,
}

struct Shared {
    usual: Mutex<Behaviour>,
    next: Mutex<VecDeque<Behaviour>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    is_over: AtomicBool,
}

/// A running receiver; it takes no more connections when it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Answers 200 until it is told otherwise.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let shared = Arc::new(Shared {
            usual: Mutex::new(Behaviour::status(200)),
            next: Mutex::default(),
            received: Mutex::default(),
            connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let receiver = Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), shared) = (stream, Arc::clone(&shared)) else { continue };
                thread::spawn(move || {
                    shared.connections.fetch_add(1, Ordering::SeqCst);
                    shared.open.fetch_add(1, Ordering::SeqCst);
                    let _ = shared.serve(&stream);
                    let _ = stream.shutdown(Shutdown::Both);
                    shared.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        receiver
    }

    /// Where it listens, by address.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The same by name: another host, as far as bounds count.
    #[must_use]
    pub fn url_by_name(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.address.port())
    }

    /// What it does from now on.
    pub fn usually(&self, behaviour: Behaviour) {
        *self.shared.usual.lock().unwrap() = behaviour;
    }

    /// What it does with the next requests.
    pub fn next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.next.lock().unwrap().extend(behaviours);
    }

    /// The requests so far.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        while self.serve_one(&mut reader, stream)? {}
        Ok(())
    }

    /// Whether the connection serves another request.
    fn serve_one(&self, reader: &mut BufReader<&TcpStream>, stream: &TcpStream) -> std::io::Result<bool> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(false) };
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        // Taken before the request is seen: whoever waits for it may tell what comes next.
        let behaviour = self.next.lock().unwrap().pop_front().unwrap_or_else(|| self.usual.lock().unwrap().clone());
        self.received.lock().unwrap().push(Received {
            method,
            path,
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
            bytes: body,
        });
        self.behave(&behaviour, stream)?;
        Ok(matches!(behaviour, Behaviour::Keep(_)))
    }

    fn behave(&self, behaviour: &Behaviour, mut stream: &TcpStream) -> std::io::Result<()> {
        let chunk = [b'a'; 16 << 10];
        match behaviour {
            Behaviour::Answer(status, headers) => {
                write!(stream, "HTTP/1.1 {status} Said\r\n{headers}content-length: 2\r\nconnection: close\r\n\r\nok")
            }
            Behaviour::Keep(status) => write!(stream, "HTTP/1.1 {status} Said\r\ncontent-length: 2\r\n\r\nok"),
            Behaviour::Late(wait, status) => {
                thread::sleep(*wait);
                self.behave(&Behaviour::status(*status), stream)
            }
            // Until the other side has had enough.
            Behaviour::Hang => stream.read(&mut [0]).map(|_| ()),
            Behaviour::Endless => {
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")?;
                loop {
                    stream.write_all(&chunk)?;
                }
            }
            Behaviour::EndlessHead => {
                write!(stream, "HTTP/1.1 200 OK\r\nx-long: ")?;
                loop {
                    stream.write_all(&chunk)?;
                }
            }
            Behaviour::Garbage => write!(stream, "SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            Behaviour::Close => Ok(()),
        }
    }
}
