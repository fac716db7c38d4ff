//! Services of tower for hyper's connections.

use hyper::service::Service;
use std::future::poll_fn;
use std::pin::Pin;
use tower_service::Service as Tower;

/// A service of tower as a service of hyper: it is cloned for each request, and the clone is called once it is ready. A router of
/// axum is such a service.
///
/// The service and its futures need not be `Send`, but most of tower's layers and axum's handlers ask for that, and then what is of
/// the loop stays outside of them.
#[derive(Clone, Debug)]
pub struct TowerService<S>(S);

impl<S> TowerService<S> {
    /// Calls `service`.
    pub const fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, R> Service<R> for TowerService<S>
where
    S: Tower<R> + Clone + 'static,
    S::Response: 'static,
    S::Error: 'static,
    R: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>>>>;

    fn call(&self, request: R) -> Self::Future {
        let mut service = self.0.clone();
        Box::pin(async move {
            poll_fn(|context| service.poll_ready(context)).await?;
            service.call(request).await
        })
    }
}
