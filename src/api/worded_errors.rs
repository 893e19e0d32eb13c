use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use hyper::{
    StatusCode,
    body::{Buf as _, Bytes},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::request_handler::RequestHandler;

/// A connection on which what hyper answers by itself has a body as all our errors have.
///
/// hyper answers what it cannot read as a request with a head alone, in one piece. None of our own
/// errors looks like that: each has a body, so that its length is not 0.
pub(super) struct WordedErrors<T> {
    inner: T,
    handler: Arc<RequestHandler>,
    /// Of an answer in our words, what has not been written yet.
    unwritten: Bytes,
}

impl<T> WordedErrors<T> {
    pub(super) fn new(inner: T, handler: Arc<RequestHandler>) -> Self {
        Self { inner, handler, unwritten: Bytes::new() }
    }

    pub(super) fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: AsyncWrite + Unpin> WordedErrors<T> {
    fn poll_unwritten(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unwritten.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.unwritten))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unwritten.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Takes `bytes` for written if they are hyper's own answer, and has ours written instead.
    fn replace(&mut self, bytes: &[u8]) -> bool {
        let Some(status) = bare_error(bytes) else { return false };
        self.unwritten = self.handler.unreadable(status);
        true
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for WordedErrors<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WordedErrors<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unwritten(cx))?;
        if self.replace(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_unwritten(cx))?;
        if let [only] = parts
            && self.replace(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unwritten(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unwritten(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The status, if `bytes` are the whole of an error without a body.
fn bare_error(bytes: &[u8]) -> Option<StatusCode> {
    let after_version = bytes.strip_prefix(b"HTTP/1.1 ").or(bytes.strip_prefix(b"HTTP/1.0 "))?;
    let status = after_version.get(..3).filter(|status| status[0] == b'4')?;
    let head = bytes.strip_suffix(b"\r\n\r\n")?;
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let is_bare = lines.any(|line| line.eq_ignore_ascii_case(b"content-length: 0"));
    StatusCode::from_bytes(status).ok().filter(|_| is_bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<u16>) {
        assert_eq!(bare_error(text.as_bytes()).map(|status| status.as_u16()), expected, "{text}");
    }

    #[test]
    fn only_an_error_without_a_body_is_bare() {
        let rest = "content-length: 0\r\nconnection: close\r\n\r\n";
        check(&format!("HTTP/1.1 400 Bad Request\r\n{rest}"), Some(400));
        check(&format!("HTTP/1.0 431 Too Large\r\n{rest}"), Some(431));
        check(&format!("HTTP/1.1 204 No Content\r\n{rest}"), None);
        check(&format!("HTTP/1.1 400 Bad Request\r\n{rest}{{}}"), None);
        check("HTTP/1.1 400 Bad Request\r\ncontent-length: 10\r\n\r\n", None);
        check("HTTP/1.1 400 Bad Request\r\ncontent-le", None);
        check("HTTP/1.1 4", None);
        check("", None);
    }
}
