//! What deliveries of webhooks are measured with (tests/bench/webhooks.sh): a receiver that does next to nothing, and a plain client that sends the same signed requests.
//!
//! `loopback receive PORT` answers 200 to every signed POST; `GET /measured` says how many there were since the last `GET /measured`, and the seconds between the first
//! and the last; `GET /body` the last body. `loopback send PORT COUNT CONCURRENCY [once]` sends so many requests with the body of standard input over so many connections, each kept
//! open (or with `once` opened for one request), and signs each anew.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, Mac};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1 as client, server::conn::http1 as server, service::service_fn};
use hyper_util::rt::TokioIo;
use sha2::Sha256;
use std::{
    env,
    error::Error,
    io::{Read, stdin},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What was received since the last question.
#[derive(Default)]
struct Received {
    count: u64,
    first: Option<Instant>,
    last: Option<Instant>,
    body: Bytes,
}

// One thread: what it uses is missing to what is measured, and one is enough.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = env::args().skip(1).collect::<Vec<_>>();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["receive", port] => receive(address(port)?).await,
        ["send", port, count, concurrency] => send(address(port)?, count.parse()?, concurrency.parse()?, usize::MAX).await,
        ["send", port, count, concurrency, "once"] => send(address(port)?, count.parse()?, concurrency.parse()?, 1).await,
        _ => Err("usage: loopback receive PORT | send PORT COUNT CONCURRENCY [once]".into()),
    }
}

fn address(port: &str) -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)))
}

async fn receive(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let received = Arc::new(Mutex::new(Received::default()));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let received = Arc::clone(&received);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(Arc::clone(&received), request));
            // A client that goes away is none of the receiver's trouble.
            let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(received: Arc<Mutex<Received>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    let said = match (&head.method, head.uri.path()) {
        (&Method::GET, "/measured") => {
            let seconds = received.first.zip(received.last).map_or(0.0, |(first, last)| (last - first).as_secs_f64());
            let said = format!("{} {seconds}\n", received.count).into();
            *received = Received { body: received.body.clone(), ..Received::default() };
            said
        }
        (&Method::GET, "/body") => received.body.clone(),
        (&Method::POST, _) if head.headers.contains_key("webhook-signature") => {
            let now = Instant::now();
            received.count += 1;
            received.first.get_or_insert(now);
            received.last = Some(now);
            received.body = body;
            Bytes::new()
        }
        _ => return Ok(Response::builder().status(StatusCode::BAD_REQUEST).body(Full::default())?),
    };
    Ok(Response::new(Full::new(said)))
}

/// `each` is how many requests a connection serves.
async fn send(address: SocketAddr, count: usize, concurrency: usize, each: usize) -> Result<()> {
    let mut body = Vec::new();
    stdin().read_to_end(&mut body)?;
    let body = Bytes::from(body);
    let mut clients = JoinSet::new();
    for number in 0..concurrency {
        // The remainder goes to the first ones.
        let share = count / concurrency + usize::from(number < count % concurrency);
        let body = body.clone();
        clients.spawn(async move {
            let mut left = share;
            while left > 0 {
                send_some(address, body.clone(), left.min(each)).await?;
                left = left.saturating_sub(each);
            }
            Result::Ok(())
        });
    }
    while let Some(sent) = clients.join_next().await {
        sent??;
    }
    Ok(())
}

async fn send_some(address: SocketAddr, body: Bytes, count: usize) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = client::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    for _ in 0..count {
        sender.ready().await?;
        let response = sender.send_request(signed(address, body.clone())?).await?;
        if response.status() != StatusCode::OK {
            return Err(response.status().to_string().into());
        }
        response.into_body().collect().await?;
    }
    Ok(())
}

/// A delivery by Standard Webhooks, as the worker makes it.
fn signed(address: SocketAddr, body: Bytes) -> Result<Request<Full<Bytes>>> {
    let id = Uuid::now_v7();
    let timestamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32])?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(&body);
    Ok(Request::post("/hook")
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .header("webhook-id", id.to_string())
        .header("webhook-timestamp", timestamp)
        .header("webhook-signature", format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        .body(Full::new(body))?)
}
