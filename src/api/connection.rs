use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{io::AsyncWrite as _, net::TcpStream, sync::watch, time::timeout};

use super::{request_handler::RequestHandler, write_deadline::WriteDeadline};

/// Answers the requests of one connection until it ends, or `stop` turns true and the answer
/// under way is given.
pub(super) async fn serve(
    stream: TcpStream,
    handler: Arc<RequestHandler>,
    mut stop: watch::Receiver<bool>,
) {
    let limits = handler.limits();
    // Answers are written whole; there is nothing to gather.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(WriteDeadline::new(stream, limits.write_time));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(BUFFER_BYTES_MIN));
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request).await) }
    });
    let mut connection = pin!(builder.serve_connection(io, service));
    let served = tokio::select! {
        served = connection.as_mut() => Some(served),
        () = async { let _ = stop.wait_for(|stop| *stop).await; } => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Tells a client for whom there is no room that there is none.
pub(super) async fn refuse(mut stream: TcpStream) {
    let telling = async {
        // So few bytes fit into any empty buffer at once.
        stream.writable().await?;
        stream.try_write(NO_ROOM)?;
        poll_fn(|cx| Pin::new(&mut stream).poll_shutdown(cx)).await?;
        // Closing with its request unread would take the answer away from the client.
        let mut rest = [0; 4096];
        loop {
            stream.readable().await?;
            match stream.try_read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    let _ = timeout(REFUSAL_TIME, telling).await;
}

const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
content-type: application/json\r\ncontent-length: 54\r\nretry-after: 1\r\n\
access-control-allow-origin: *\r\nconnection: close\r\n\r\n\
{\"detail\":\"as many connections as allowed are open\"}\r\n";

const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Smaller ones hyper refuses.
const BUFFER_BYTES_MIN: usize = 8192;
