//! What is asked for by which path.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::answer;
use super::api_error::ApiError;
use super::app::{App, Readiness};
use super::body::apart;
use super::generate::{Parse, generate};
use super::openai::{self, Context};
use super::page;
use super::security::{Security, Verdict};

/// Paths that need no key: whether the server is well is nobody's secret.
const OPEN: [&str; 1] = ["/health"];

type Shared = State<Arc<App>>;

pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/health", get(health))
        .route("/version", get(version))
        .route("/metrics", get(metrics))
        .route("/api/live", get(live))
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
        .route("/v1/completions", post(completions))
        .route("/v1/chat/completions", post(chat))
        .route("/tokenize", post(tokenize))
        .route("/detokenize", post(detokenize));
    if app.settings.tokenizer_info {
        router = router.route("/tokenizer_info", get(tokenizer_info));
    }
    router
        .merge(page::routes())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&app.security), guard))
        .with_state(app)
}

/// Before there is a model: the page, and that nothing is answered yet.
pub fn loading_router(security: Arc<Security>) -> Router {
    let wait = async || ApiError::busy("the model is being loaded; ask again soon");
    Router::new()
        .route("/health", get(async || health_of(Readiness::Loading)))
        .merge(page::routes())
        .fallback(wait)
        .layer(from_fn_with_state(security, guard))
}

/// Sees to what is the same for every request.
async fn guard(State(security): State<Arc<Security>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_open = OPEN.contains(&path) || page::has(path);
    let verdict = security.check(&request, is_open);
    let cors = security.cors(request.headers(), verdict.as_ref().ok());
    let mut response = match verdict {
        Ok(Verdict::Fine) => caught(next.run(request)).await,
        Ok(Verdict::Preflight) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    let fixed = HeaderValue::from_static;
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.extend(cors);
    response
}

/// What comes of a request; 500 where that panics.
async fn caught(answer: impl Future<Output = Response>) -> Response {
    let mut answer = pin!(answer);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context)));
        polled.unwrap_or_else(|_| {
            let failed = ApiError::new(500, "the server failed at this request");
            Poll::Ready(failed.into_response())
        })
    })
    .await
}

async fn health(State(app): Shared) -> Response {
    health_of(app.readiness())
}

fn health_of(readiness: Readiness) -> Response {
    let mut response = answer::json(json!({"status": readiness.status()}).to_string());
    if readiness != Readiness::Ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

async fn version() -> Response {
    answer::json(json!({"version": env!("CARGO_PKG_VERSION")}).to_string())
}

async fn metrics(State(app): Shared) -> Response {
    let text = app.metrics.text(&app.context().name);
    answer::typed("text/plain; version=0.0.4; charset=utf-8", text)
}

/// What the page shows. While somebody asks, some steps are timed in detail.
async fn live(State(app): Shared) -> Response {
    let snapshot = app.live.record().look(Instant::now());
    match serde_json::to_string(&snapshot) {
        Ok(text) => answer::json(text),
        Err(error) => ApiError::new(500, error.to_string()).into_response(),
    }
}

async fn models(State(app): Shared) -> Response {
    answer::json(openai::models(&app.context()))
}

async fn model(
    State(app): Shared,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::new(400, "the model's name is not UTF-8 text"))?;
    Ok(answer::json(openai::model(&id, &app.context())?))
}

async fn completions(State(app): Shared, request: Request) -> Result<Response, ApiError> {
    generate(&app, request, openai::completions as Parse).await
}

async fn chat(State(app): Shared, request: Request) -> Result<Response, ApiError> {
    generate(&app, request, openai::chat as Parse).await
}

async fn tokenize(State(app): Shared, request: Request) -> Result<Response, ApiError> {
    convert(&app, request, openai::tokenize).await
}

async fn detokenize(State(app): Shared, request: Request) -> Result<Response, ApiError> {
    convert(&app, request, openai::detokenize).await
}

async fn tokenizer_info(State(app): Shared) -> Result<Response, ApiError> {
    Ok(answer::json(openai::tokenizer_info(&app.context())?))
}

/// Answers what needs no device.
async fn convert<T: Into<Body> + Send + 'static>(
    app: &App,
    request: Request,
    convert: fn(&[u8], &Context) -> Result<T, ApiError>,
) -> Result<Response, ApiError> {
    let context = app.context();
    let read = async |body: Bytes| apart(move || convert(&body, &context)).await;
    app.bodies.read(request, read).await.map(answer::json)
}

async fn not_found(request: Request) -> ApiError {
    let what = match request.uri().path() {
        "/v1/embeddings" | "/embeddings" => {
            "OpenELM makes no embeddings: this server has /v1/completions and /v1/chat/completions"
        }
        "/v1/responses" => {
            "this server has no Responses API: ask /v1/chat/completions or /v1/completions"
        }
        "/v1/fim/completions" | "/fim/completions" | "/infill" => {
            "OpenELM cannot fill in the middle of a text: /v1/completions continues one"
        }
        _ => {
            "there is nothing at this path; this server has /v1/models, /v1/completions, /v1/chat/completions, /tokenize, /detokenize, \
             /health, /metrics and /version"
        }
    };
    ApiError::new(404, what)
}

async fn wrong_method(request: Request) -> ApiError {
    let method = request.method();
    ApiError::new(
        405,
        format!("{method} is not possible here; GET asks for what is, POST for what is to be made"),
    )
}
