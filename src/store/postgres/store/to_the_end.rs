//! A future that runs to its end even if nobody waits for it any more.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Runs within its caller. If the caller is dropped before it has ended, a task runs the rest;
/// without a runtime, the rest is dropped, too. A task from the start would cost a switch between
/// tasks each way.
pub(super) struct ToTheEnd<F: Future + Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future + Send + 'static> ToTheEnd<F> {
    pub(super) fn new(future: F) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<F: Future + Send + 'static> Future for ToTheEnd<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out, so that nobody polls it again if it panics.
        let mut future = self.0.take().expect("it has not ended");
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.0 = Some(future);
        }
        polled
    }
}

impl<F: Future + Send + 'static> Drop for ToTheEnd<F> {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { drop(rest.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_future_ends_though_its_caller_has_gone() {
        let (go, gone) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let work = ToTheEnd::new(async move {
            gone.await.unwrap();
            end.send("done").unwrap();
        });
        assert!(timeout(Duration::from_millis(1), work).await.is_err());
        go.send(()).unwrap();
        assert_eq!(ended.await.unwrap(), "done");
    }

    #[tokio::test]
    async fn a_future_that_its_caller_waits_for_gives_its_result() {
        assert_eq!(ToTheEnd::new(async { 1 }).await, 1);
    }
}
