//! HTTP/1.1 on one connection, until it is idle when the server ends, breaks, or gives way.

use crate::connections::{Connection, Phase};
use crate::reply_body::{Broken, ReplyBody};
use crate::settings::Times;
use crate::system::System;
use crate::timed_stream::{Stream, TimedStream};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, Version, server::conn::http1};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::watch;

/// Serves the requests of a connection by `answer`. When `closing` becomes true, the connection
/// ends after the current answer.
pub(crate) async fn serve<F: Future<Output = Response<ReplyBody>>>(
    connection: &Arc<Connection>,
    stream: Box<dyn Stream>,
    mut closing: watch::Receiver<bool>,
    times: Times,
    system: Arc<dyn System>,
    answer: impl Fn(Request<Incoming>) -> F,
) {
    let service = service_fn(|request: Request<Incoming>| {
        connection.body_begins(request.version() >= Version::HTTP_11);
        if hyper::body::Body::is_end_stream(request.body()) {
            connection.request_is_complete();
        }
        let answer = answer(request);
        async {
            let response = answer.await;
            connection.reply_begins();
            let sent = |body| Sent { body, connection: Arc::clone(connection) };
            Ok::<_, Infallible>(response.map(sent))
        }
    });
    let io = TokioIo::new(TimedStream::new(stream, Arc::clone(connection), times, system));
    let mut builder = http1::Builder::new();
    // The stream has the limits on time.
    builder.header_read_timeout(None).max_buf_size(64 << 10);
    let mut served = pin!(builder.serve_connection(io, service));
    tokio::select! {
        biased;
        // A connection that breaks concerns its client only.
        _ = served.as_mut() => return,
        () = is_true(&mut closing) => served.as_mut().graceful_shutdown(),
        () = connection.place_is_needed() => {
            if matches!(connection.phase(), Phase::Idle | Phase::Head | Phase::Body) {
                return;
            }
            served.as_mut().graceful_shutdown();
        }
    }
    let _ = served.await;
}

/// Waits until a flag is true, or nobody is left who could set it.
pub(crate) async fn is_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}

/// The body of an answer; when it is dropped, the connection has all of the answer.
struct Sent {
    body: ReplyBody,
    connection: Arc<Connection>,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.connection.reply_is_complete();
    }
}
