//! The servers that a connection string names, and connecting to the one of them that is wanted: the primary, wherever it is now.

use super::tls;
use crate::{config::DatabaseUrl, error::Error};
use deadpool_postgres::Connect;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep,
};
use tokio_postgres::{
    Client, Config, Socket,
    config::{Host, SslMode, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A connection before somebody polls it.
pub type Connection = tokio_postgres::Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// The driver's own default, which a connection string that names no other has.
const DRIVERS_KEEPALIVES_IDLE: Duration = Duration::from_secs(2 * 60 * 60);
/// How long a server that says nothing may keep us from asking the next one as well.
const STAGGER: Duration = Duration::from_millis(300);

/// Servers in the order of the connection string.
pub struct Servers {
    /// How to connect to each: a host a piece.
    each: Vec<Config>,
    tls: MakeRustlsConnect,
    /// Who answered last: is asked first.
    last: AtomicUsize,
}

impl Servers {
    /// Reads what a connection string says; connects to nothing.
    pub fn of(url: &DatabaseUrl, application_name: &str) -> Result<Self, Error> {
        let whole = url.postgres();
        let each = (0..whole.get_hosts().len().max(whole.get_hostaddrs().len())).map(|index| one(whole, index, application_name));
        let each = each.collect::<Option<Vec<_>>>().ok_or(Error::Missing("as many ports as hosts, or one, in the connection string"))?;
        if each.is_empty() {
            return Err(Error::Missing("a host in the connection string"));
        }
        Ok(Self { each, tls: tls::connector(url.tls())?, last: AtomicUsize::new(0) })
    }

    /// How to connect to each of them.
    pub fn each(&self) -> &[Config] {
        &self.each
    }

    pub fn tls(&self) -> MakeRustlsConnect {
        self.tls.clone()
    }

    /// Whether a server that takes no writes is refused, so that a new connection leads to another one.
    pub fn is_primary_wanted(&self) -> bool {
        self.each.iter().any(|config| config.get_target_session_attrs() == TargetSessionAttrs::ReadWrite)
    }

    /// Connects to the first that suits. All are asked, one a moment after the other: one that is gone without a word costs no more than that moment.
    pub async fn connect(&self) -> Result<(Client, Connection), tokio_postgres::Error> {
        let first = self.last.load(Ordering::Relaxed);
        let mut waiting = self.each.iter().cloned().enumerate().cycle().skip(first).take(self.each.len());
        let mut attempts = JoinSet::new();
        let mut failed = None;
        loop {
            let is_more = waiting.next().is_some_and(|(index, config)| {
                let tls = self.tls.clone();
                attempts.spawn(async move { (index, config.connect(tls).await) });
                true
            });
            tokio::select! {
                ended = attempts.join_next() => match ended {
                    Some(Ok((index, Ok(connected)))) => {
                        if self.last.swap(index, Ordering::Relaxed) != index {
                            tracing::info!("the database's server is now number {} of {}", index + 1, self.each.len());
                        }
                        return Ok(connected);
                    }
                    Some(Ok((_, Err(error)))) => failed = Some(error),
                    Some(Err(_)) => {}
                    None => break,
                },
                () = sleep(STAGGER), if is_more => {}
            }
        }
        match (failed, self.each.first()) {
            (None, Some(config)) => config.connect(self.tls.clone()).await,
            (Some(error), _) => Err(error),
            // Not with what `of` lets pass; the driver has the words for it.
            (None, None) => Config::new().connect(self.tls.clone()).await,
        }
    }
}

/// The part of a connection string that is about one of its hosts; `None` if it doesn't say which port.
fn one(whole: &Config, index: usize, application_name: &str) -> Option<Config> {
    let mut config = Config::new();
    match (whole.get_hosts().get(index), whole.get_hostaddrs().get(index)) {
        (Some(Host::Tcp(host)), address) => {
            config.host(host);
            address.map(|address| config.hostaddr(*address));
        }
        (Some(Host::Unix(folder)), _) => {
            config.host_path(folder);
        }
        // The name that a certificate is held against.
        (None, Some(address)) => {
            config.host(address.to_string());
        }
        (None, None) => return None,
    }
    match whole.get_ports() {
        [] => {}
        [port] => {
            config.port(*port);
        }
        ports => {
            config.port(*ports.get(index)?);
        }
    }
    whole.get_user().map(|user| config.user(user));
    whole.get_password().map(|password| config.password(password));
    whole.get_dbname().map(|name| config.dbname(name));
    whole.get_options().map(|options| config.options(options));
    config.application_name(whole.get_application_name().unwrap_or(application_name));
    // As libpq: what doesn't leave the machine isn't encrypted, and has no name to be checked.
    let is_local = matches!(whole.get_hosts().get(index), Some(Host::Unix(_)));
    config.ssl_mode(if is_local { SslMode::Disable } else { whole.get_ssl_mode() });
    config.ssl_negotiation(whole.get_ssl_negotiation()).channel_binding(whole.get_channel_binding());
    config.load_balance_hosts(whole.get_load_balance_hosts());
    // Of several servers one takes writes, and everything here writes.
    let is_primary_wanted = whole.get_hosts().len().max(whole.get_hostaddrs().len()) > 1;
    config.target_session_attrs(match whole.get_target_session_attrs() {
        TargetSessionAttrs::Any if is_primary_wanted => TargetSessionAttrs::ReadWrite,
        named => named,
    });
    bound_silence(&mut config, whole);
    Some(config)
}

/// A server may be gone without a word: then nobody waits for it longer than seconds.
fn bound_silence(config: &mut Config, whole: &Config) {
    config.connect_timeout(whole.get_connect_timeout().copied().unwrap_or(Duration::from_secs(3)));
    config.tcp_user_timeout(whole.get_tcp_user_timeout().copied().unwrap_or(Duration::from_secs(5)));
    config.keepalives(whole.get_keepalives());
    let idle = whole.get_keepalives_idle();
    config.keepalives_idle(if idle == DRIVERS_KEEPALIVES_IDLE { Duration::from_secs(10) } else { idle });
    config.keepalives_interval(whole.get_keepalives_interval().unwrap_or(Duration::from_secs(5)));
    config.keepalives_retries(whole.get_keepalives_retries().unwrap_or(3));
}

/// Connects for a pool.
pub struct ForPool(pub Arc<Servers>);

impl Connect for ForPool {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + '_>> {
        Box::pin(async move {
            let (client, connection) = self.0.connect().await?;
            // Its end is told to whoever uses the client.
            let task = tokio::spawn(async move { drop(connection.await) });
            Ok((client, task))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn servers(url: &str) -> Result<Servers, Error> {
        Servers::of(&url.parse().unwrap(), "nebula-test")
    }

    #[test]
    fn each_host_has_its_port_and_the_primary_is_wanted_where_there_are_several() {
        let both = servers("postgresql://e:p@a:1,b:2/d?keepalives_idle=7").unwrap();
        let ports = both.each().iter().map(|config| config.get_ports().to_vec()).collect::<Vec<_>>();
        assert_eq!(ports, [[1], [2]]);
        assert_eq!(both.each()[1].get_hosts(), [Host::Tcp("b".to_owned())]);
        assert_eq!(both.each()[1].get_keepalives_idle(), Duration::from_secs(7));
        assert!(both.is_primary_wanted());
        let mixed = servers("host=/run/postgresql,b sslmode=require").unwrap();
        let modes = mixed.each().iter().map(Config::get_ssl_mode).collect::<Vec<_>>();
        assert_eq!(modes, [SslMode::Disable, SslMode::Require]);
        assert!(servers("host=a,b port=5433 target_session_attrs=any").unwrap().is_primary_wanted());
        assert!(!servers("postgresql://a/d").unwrap().is_primary_wanted());
        assert!(servers("postgresql://a/d?target_session_attrs=read-write").unwrap().is_primary_wanted());
    }

    #[test]
    fn ports_that_fit_no_host_and_files_that_are_missing_are_refused() {
        assert!(servers("host=a,b,c port=1,2").is_err());
        assert!(servers("dbname=d").is_err());
        assert!(matches!(servers("postgresql://a/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"), Err(Error::Tls(_))));
    }
}
