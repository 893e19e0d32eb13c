use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::mpsc;

/// The body of an answer.
pub(super) enum AnswerBody {
    /// All of it, once.
    Whole(Option<Bytes>),
    /// As it comes, without an end that is known.
    Lasting(Lasting),
}

/// A body that goes on as something happens, written by a task of its own.
pub(super) struct Lasting {
    content_type: &'static str,
    pieces: mpsc::Receiver<Bytes>,
}

impl Lasting {
    pub(super) fn new(content_type: &'static str, pieces: mpsc::Receiver<Bytes>) -> Self {
        Self { content_type, pieces }
    }

    pub(super) fn content_type(&self) -> &'static str {
        self.content_type
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Lasting(lasting) => {
                lasting.pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Lasting(_) => SizeHint::default(),
        }
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole((!bytes.is_empty()).then_some(bytes))
    }
}
