//! The routes of a function: a method, an address, what the caller needs there, and who handles it. There is no other way to
//! make a route, so none is without a need, and the list of all is the list of what can be called.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::{Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{self, MethodRouter};
use axum::{Extension, Router};

use http_body_util::BodyExt;

use crate::access::limits::{self, Limits};
use crate::access::{Access, Need};
use crate::app::App;
use crate::error::Error;
use crate::host::problem;
use crate::host::server::RequestId;

/// How a function tells callers that they do not get in: from the failure and the id of the request.
pub type Refuse = fn(Error, &str) -> Response;

/// What can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its method; who may GET may also ask for the head alone.
    pub method: Method,
    /// Its path, with parameters in braces.
    pub path: &'static str,
    /// What callers need.
    pub need: Need,
}

/// Routes, each behind its need.
pub struct Routes {
    router: Router<Arc<App>>,
    listed: Vec<Route>,
    refuse: Refuse,
}

impl Default for Routes {
    fn default() -> Self {
        Self::refusing_with(|error, id| problem::respond(&error, id))
    }
}

impl Routes {
    /// None yet. Who does not get in is told so with problem details.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same for clients that know errors in another shape alone.
    pub fn refusing_with(refuse: Refuse) -> Self {
        Self { router: Router::new(), listed: Vec::new(), refuse }
    }

    /// With a GET.
    pub fn get<T: 'static>(self, path: &'static str, need: Need, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::GET, path, need, routing::get(handler))
    }

    /// With a POST.
    pub fn post<T: 'static>(self, path: &'static str, need: Need, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::POST, path, need, routing::post(handler))
    }

    /// With a PATCH.
    pub fn patch<T: 'static>(self, path: &'static str, need: Need, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::PATCH, path, need, routing::patch(handler))
    }

    /// With a DELETE.
    pub fn delete<T: 'static>(self, path: &'static str, need: Need, handler: impl Handler<T, Arc<App>>) -> Self {
        self.with(Method::DELETE, path, need, routing::delete(handler))
    }

    /// With all of another function's part.
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.listed.extend(other.listed);
        self
    }

    /// What there is.
    pub fn listed(&self) -> &[Route] {
        &self.listed
    }

    /// Something that answers.
    pub fn into_router(self) -> Router<Arc<App>> {
        self.router
    }

    fn with(mut self, method: Method, path: &'static str, need: Need, route: MethodRouter<Arc<App>>) -> Self {
        let refuse = self.refuse;
        let gate = middleware::from_fn(move |at: Gate, request, next| gate(need, refuse, at, request, next));
        self.router = self.router.route(path, route.route_layer(gate));
        self.listed.push(Route { method, path, need });
        self
    }
}

/// What a gate needs to decide.
type Gate = (Extension<Arc<Access>>, Extension<Arc<Limits>>, Extension<RequestId>);

/// Lets a request through to its handler together with the principal that sent it, or refuses it.
async fn gate(
    need: Need,
    refuse: Refuse,
    (Extension(access), Extension(limits), Extension(id)): Gate,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let admitted = async {
        let entered = limits.enter(need, &head).await?;
        let principal = access.admit(need, &head).await?;
        let standing = limits.count(need, &principal, &entered).await?;
        Ok((entered, principal, standing))
    };
    let (entered, principal, standing) = match admitted.await {
        Ok(admitted) => admitted,
        Err(e) => {
            let challenge = access.challenge(&e, head.uri.path(), &head.headers);
            let mut response = refuse(e, &id.0);
            response.headers_mut().extend(challenge.map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
            return response;
        }
    };
    let mut request = Request::from_parts(head, body);
    request.extensions_mut().insert(principal);
    let mut response = next.run(request).await;
    if let Some(standing) = standing {
        limits::describe(response.headers_mut(), standing);
    }
    // The place is taken until the last byte is made, or the caller has left.
    let Some(permit) = entered.permit.filter(|_| response.body().size_hint().exact().is_none()) else {
        return response;
    };
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _taken = &permit;
            frame
        }))
    })
}
