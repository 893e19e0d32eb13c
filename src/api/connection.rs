use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::{StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{io::AsyncWrite as _, net::TcpStream, sync::watch, time::timeout};

use super::{
    request_handler::RequestHandler, stream_socket::AdmittedSocket, worded_errors::WordedErrors,
    write_deadline::WriteDeadline,
};

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
    let peer = stream.peer_addr().ok().map(|address| address.ip());
    let stream = WriteDeadline::new(stream, limits.write_time);
    let io = TokioIo::new(WordedErrors::new(stream, handler.clone()));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(BUFFER_BYTES_MIN));
    let for_requests = handler.clone();
    // Who gets the connection once the answer that says so is written.
    let handed_to = Arc::new(Mutex::new(None::<AdmittedSocket>));
    let hand_to = handed_to.clone();
    let service = service_fn(move |request| {
        let (handler, hand_to) = (for_requests.clone(), hand_to.clone());
        async move {
            let mut response = handler.handle(request, peer).await;
            if let Some(socket) = response.extensions_mut().remove() {
                *hand_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = builder.serve_connection(io, service);
    let served = tokio::select! {
        served = &mut connection => Some(served),
        () = async { let _ = stop.wait_for(|stop| *stop).await; } => None,
    };
    let served = match served {
        Some(served) => served,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let Err(error) = served else {
        let socket = handed_to.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(socket) = socket {
            let parts = connection.into_parts();
            socket.serve(parts.io.into_inner().into_inner(), &parts.read_buf).await;
        }
        return;
    };
    tracing::debug!(%error, "a connection ended early");
    let parts = connection.into_parts();
    let stream = parts.io.into_inner().into_inner().into_inner();
    if error.is_timeout() && !parts.read_buf.is_empty() {
        // It began to ask, and did not come to an end.
        end(stream, &handler.unreadable(StatusCode::REQUEST_TIMEOUT)).await;
    } else if error.is_parse() {
        end(stream, b"").await;
    }
}

/// Tells a client for whom there is no room that there is none.
pub(super) async fn refuse(stream: TcpStream, handler: &RequestHandler) {
    end(stream, &handler.no_room()).await;
}

/// Writes a few last words, and sees to it that the client gets them.
async fn end(mut stream: TcpStream, words: &[u8]) {
    let telling = async {
        if !words.is_empty() {
            // So few bytes fit into any empty buffer at once.
            stream.writable().await?;
            stream.try_write(words)?;
        }
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
    let _ = timeout(END_TIME, telling).await;
}

/// For a client to take the last words.
const END_TIME: Duration = Duration::from_secs(1);

/// Smaller ones hyper refuses.
const BUFFER_BYTES_MIN: usize = 8192;
