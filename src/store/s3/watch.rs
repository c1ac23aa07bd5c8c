//! Watches the bytes of one call move, both ways, and ends it when they no longer do (T17).
//!
//! A limit on the whole call would end a large part on a slow line (D05); a limit on silence
//! alone would never end one byte a second. So a window of time must move some bytes.

use crate::store::Cause;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// What a body is cut into on its way out, without copying.
const SLICE_LEN: usize = 64 << 10;
/// What a window has to move.
const WINDOW_LEN_MIN: u64 = 16 << 10;

/// How long to wait for a server, and how often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a connection may take to come about.
    pub connect_ms: u64,
    /// A time in which 16 KiB have to move, or all that is left.
    pub stall_ms: u64,
    /// How long an answer may take after the last byte was sent. Joining the parts of a large
    /// object takes the server a while.
    pub answer_ms: u64,
    /// How often a call is tried, at least once.
    pub attempt_count_max: u32,
    /// How long to wait before the second attempt; doubled for each later one.
    pub pause_first_ms: u64,
    /// Longest wait before an attempt that the server does not ask for.
    pub pause_ms_max: u64,
    /// Longest wait that the server may ask for (T02); it is cut to this.
    pub retry_after_ms_max: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect_ms: 10_000,
            stall_ms: 60_000,
            answer_ms: 300_000,
            attempt_count_max: 8,
            pause_first_ms: 200,
            pause_ms_max: 5_000,
            retry_after_ms_max: 30_000,
        }
    }
}

/// The watch over one attempt of one call.
#[derive(Clone, Debug)]
pub(super) struct Watch(Arc<State>);

#[derive(Debug)]
struct State {
    /// What is sent, if anything.
    body: Option<Bytes>,
    /// Longest answer that is read; what follows is an error.
    answer_len_max: u64,
    moved_len: AtomicU64,
    sent: AtomicBool,
    answering: AtomicBool,
}

impl Watch {
    pub(super) fn new(body: Option<Bytes>, answer_len_max: u64) -> Watch {
        let sent = AtomicBool::new(body.is_none());
        let answering = AtomicBool::new(false);
        Watch(Arc::new(State { body, answer_len_max, moved_len: AtomicU64::new(0), sent, answering }))
    }

    /// Runs `call` to its end, or until its bytes stand still.
    pub(super) async fn over<T>(&self, patience: &Patience, call: impl Future<Output = T>) -> Result<T, Cause> {
        let mut call = pin!(call);
        let window = Duration::from_millis(patience.stall_ms);
        let mut moved_len = 0;
        let mut silent_ms = 0;
        loop {
            if let Ok(outcome) = tokio::time::timeout(window, &mut call).await {
                return Ok(outcome);
            }
            let now_len = self.0.moved_len.load(Ordering::Relaxed);
            let waits_for_answer = self.0.sent.load(Ordering::Relaxed) && !self.0.answering.load(Ordering::Relaxed);
            if now_len - moved_len >= WINDOW_LEN_MIN {
                silent_ms = 0;
            } else if waits_for_answer {
                silent_ms += patience.stall_ms;
                if silent_ms >= patience.answer_ms {
                    return Err(Cause::NoAnswer { waited_ms: silent_ms });
                }
            } else {
                return Err(Cause::Stalled { waited_ms: patience.stall_ms });
            }
            moved_len = now_len;
        }
    }

    fn moved(&self, len: usize) {
        self.0.moved_len.fetch_add(len as u64, Ordering::Relaxed);
    }
}

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // After signing, which needs the body in one piece.
        if let Some(body) = &self.0.body {
            let outgoing = Outgoing { left: body.clone(), watch: self.clone() };
            *context.request_mut().body_mut() = SdkBody::from_body_1_x(outgoing);
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.answering.store(true, Ordering::Relaxed);
        let body = context.response_mut().body_mut();
        let inner = Box::pin(std::mem::replace(body, SdkBody::taken()));
        let incoming = Incoming { inner, left_len: self.0.answer_len_max, watch: self.clone() };
        *body = SdkBody::from_body_1_x(incoming);
        Ok(())
    }
}

/// A body on its way out.
struct Outgoing {
    left: Bytes,
    watch: Watch,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left.is_empty() {
            self.watch.0.sent.store(true, Ordering::Relaxed);
            return Poll::Ready(None);
        }
        let len = self.left.len().min(SLICE_LEN);
        let slice = self.left.split_to(len);
        self.watch.moved(len);
        if self.left.is_empty() {
            self.watch.0.sent.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        // Whoever takes no more of it has sent what it will send.
        self.watch.0.sent.store(true, Ordering::Relaxed);
    }
}

/// An answer on its way in.
struct Incoming {
    inner: Pin<Box<SdkBody>>,
    left_len: u64,
    watch: Watch,
}

/// The answer is longer than the call allows.
#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than the call allows")]
struct TooMuch;

impl Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = self.inner.as_mut().poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let len = frame.data_ref().map_or(0, Bytes::len);
            self.watch.moved(len);
            match self.left_len.checked_sub(len as u64) {
                Some(left_len) => self.left_len = left_len,
                None => return Poll::Ready(Some(Err(TooMuch.into()))),
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&*self.inner)
    }
}
