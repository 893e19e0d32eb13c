use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

use super::{
    Backend, connection,
    request_handler::{INSPECTIONS_MAX, RequestHandler},
    video_api::ENCODERS_MAX,
};
use crate::config::ServerConfig;

/// A server that answers until it is stopped or dropped.
///
/// It has two threads of its own, and at most as many more as calls are allowed, and a few to
/// look into things.
pub struct HttpServer {
    address: SocketAddr,
    /// Gone once it was stopped.
    runtime: Option<Runtime>,
    stop: watch::Sender<bool>,
    connections: Arc<Semaphore>,
    connections_max: usize,
}

/// How a server came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because their answer took too long.
    pub cut_off: usize,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Another program, or another Keepsight, listens there.
    #[error(
        "{address} is taken: stop what listens there, or choose another with --listen \
         ADDRESS:PORT or server.listen"
    )]
    AddressTaken {
        /// The address.
        address: SocketAddr,
    },
    /// The system gives this port to some users only.
    #[error("this user may not listen on {address}: choose a port from 1024 on")]
    NotPermitted {
        /// The address.
        address: SocketAddr,
    },
    /// None of this machine's interfaces has that address.
    #[error(
        "this machine has no address {}: choose 127.0.0.1, 0.0.0.0 or one of its own",
        address.ip()
    )]
    NoSuchAddress {
        /// The address.
        address: SocketAddr,
    },
    /// Anything else the system refuses.
    #[error("cannot serve {address}")]
    System {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl HttpServer {
    /// Binds the configured address (port 0 chooses one) and begins to answer.
    ///
    /// # Errors
    /// [`ServeError`], which says what to do about it.
    pub fn start(config: &ServerConfig, backend: Arc<dyn Backend>) -> Result<Self, ServeError> {
        let refused = |error| refused(config.listen, error);
        let listener = StdListener::bind(config.listen).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(
                config.limits.calls + INSPECTIONS_MAX + ENCODERS_MAX + config.limits.sockets,
            )
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(refused)?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener).map_err(refused)?
        };
        let connections_max = config.limits.connections;
        let connections = Arc::new(Semaphore::new(connections_max));
        let (stop, stopping) = watch::channel(false);
        let handler = Arc::new(RequestHandler::new(config, backend, stopping.clone()));
        runtime.spawn(accept(listener, handler, connections.clone(), stopping));
        tracing::info!(%address, "serving");
        Ok(Self { address, runtime: Some(runtime), stop, connections, connections_max })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, gives the answers under way within `grace`, and ends.
    pub fn stop(mut self, grace: Duration) -> Drained {
        let Some(runtime) = self.runtime.take() else { return Drained { cut_off: 0 } };
        self.stop.send_replace(true);
        let all = u32::try_from(self.connections_max).unwrap_or(u32::MAX);
        let closed = runtime
            .block_on(async { timeout(grace, self.connections.acquire_many(all)).await.is_ok() });
        let open = self.connections_max.saturating_sub(self.connections.available_permits());
        let cut_off = if closed { 0 } else { open };
        // A call that hangs keeps its thread; it is not waited for.
        runtime.shutdown_timeout(if closed { JOIN_TIME } else { Duration::ZERO });
        tracing::info!(cut_off, "the server has ended");
        Drained { cut_off }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(
    listener: TcpListener,
    handler: Arc<RequestHandler>,
    connections: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: to try at once would only burn time.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Ok(permit) = connections.clone().try_acquire_owned() {
            let (handler, stop) = (handler.clone(), stop.clone());
            tokio::spawn(async move {
                connection::serve(stream, handler, stop).await;
                drop(permit);
            });
        } else if let Ok(permit) = refusals.clone().try_acquire_owned() {
            let handler = handler.clone();
            tokio::spawn(async move {
                connection::refuse(stream, &handler).await;
                drop(permit);
            });
        }
    }
}

fn refused(address: SocketAddr, source: io::Error) -> ServeError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressTaken { address },
        io::ErrorKind::PermissionDenied => ServeError::NotPermitted { address },
        io::ErrorKind::AddrNotAvailable => ServeError::NoSuchAddress { address },
        _ => ServeError::System { address, source },
    }
}

/// Clients being told that there is no room; those beyond are cut off without a word.
const REFUSALS_MAX: usize = 16;

/// Before accepting again after a failure.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// For threads whose work is done to end.
const JOIN_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: io::ErrorKind, expected: &str) {
        let error = refused("192.0.2.1:80".parse().unwrap(), kind.into());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_the_system_refuses_is_told_with_a_remedy() {
        check(
            io::ErrorKind::AddrInUse,
            "192.0.2.1:80 is taken: stop what listens there, or choose another with --listen \
             ADDRESS:PORT or server.listen",
        );
        check(
            io::ErrorKind::PermissionDenied,
            "this user may not listen on 192.0.2.1:80: choose a port from 1024 on",
        );
        check(
            io::ErrorKind::AddrNotAvailable,
            "this machine has no address 192.0.2.1: choose 127.0.0.1, 0.0.0.0 or one of its own",
        );
        check(io::ErrorKind::Other, "cannot serve 192.0.2.1:80");
    }
}
