//! A balancer as simple as they come: it passes connections on to whichever edge says that it is ready, and looks into no byte of them.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// How often each edge is asked whether it is ready.
const INTERVAL: Duration = Duration::from_millis(50);

struct Target {
    address: SocketAddr,
    is_ready: AtomicBool,
}

struct Shared {
    targets: Vec<Target>,
    turn: AtomicUsize,
    /// Connections for which no edge was there.
    refused: AtomicUsize,
    is_over: AtomicBool,
}

/// A running balancer; it takes no more connections when it is dropped.
pub struct Balancer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Balancer {
    /// In front of the edges at these addresses, which may come and go.
    #[must_use]
    pub fn start(addresses: &[SocketAddr]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let targets = addresses.iter().map(|address| Target { address: *address, is_ready: AtomicBool::new(is_ready(*address)) });
        let shared = Arc::new(Shared {
            targets: targets.collect(),
            turn: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let balancer = Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        let watched = Arc::clone(&shared);
        thread::spawn(move || {
            while !watched.is_over.load(Ordering::SeqCst) {
                for target in &watched.targets {
                    target.is_ready.store(is_ready(target.address), Ordering::SeqCst);
                }
                thread::sleep(INTERVAL);
            }
        });
        thread::spawn(move || {
            for client in listener.incoming() {
                if shared.is_over.load(Ordering::SeqCst) {
                    return;
                }
                if let (Ok(client), shared) = (client, Arc::clone(&shared)) {
                    thread::spawn(move || shared.pass_on(&client));
                }
            }
        });
        balancer
    }

    /// Whether it would send a connection there now.
    #[must_use]
    pub fn chooses(&self, address: SocketAddr) -> bool {
        self.shared.targets.iter().any(|target| target.address == address && target.is_ready.load(Ordering::SeqCst))
    }

    /// How many connections found no edge.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn pass_on(&self, client: &TcpStream) {
        let first = self.turn.fetch_add(1, Ordering::SeqCst);
        let count = self.targets.len();
        let ready = (0..count)
            .filter_map(|offset| self.targets.get((first + offset) % count))
            .filter(|target| target.is_ready.load(Ordering::SeqCst));
        let Some(edge) = ready.into_iter().find_map(|target| TcpStream::connect(target.address).ok()) else {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return;
        };
        thread::scope(|scope| {
            scope.spawn(|| copy(client, &edge));
            copy(&edge, client);
        });
    }
}

/// Until the one side says no more, which the other side is told.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /health/ready HTTP/1.1\r\nhost: balancer\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200 "))
    };
    ask().unwrap_or(false)
}
