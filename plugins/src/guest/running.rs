//! Runs a guest's future with a bound on its own running time. A guest yields every one to two milliseconds (epochs); what
//! counts is the time that its slices were on a core, so a machine that is busy elsewhere fails nobody.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::thread_time;

/// The guest was on a core for longer than its limit.
#[derive(Debug)]
pub(crate) struct Overrun;

/// A guest's future with its account. The first slice is free: most calls end in it, and so pay for no clock.
struct Running<'a, F> {
    guest: Pin<&'a mut F>,
    left: Duration,
    first: bool,
}

/// Polls `guest` until it ends or has been on a core for `limit`. Dropping the guest's future then unwinds its stack;
/// its store must not be used again.
pub(crate) async fn run<F: Future>(guest: F, limit: Duration) -> Result<F::Output, Overrun> {
    let guest = std::pin::pin!(guest);
    Running { guest, left: limit, first: true }.await
}

impl<F: Future> Future for Running<'_, F> {
    type Output = Result<F::Output, Overrun>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.first) {
            return self.guest.as_mut().poll(cx).map(Ok);
        }
        // The guest's host calls run on this thread too and are counted.
        let before = thread_time();
        let polled = self.guest.as_mut().poll(cx);
        if polled.is_ready() {
            return polled.map(Ok);
        }
        let used = thread_time().saturating_sub(before);
        self.left = self.left.saturating_sub(used);
        if self.left.is_zero() { Poll::Ready(Err(Overrun)) } else { Poll::Pending }
    }
}
