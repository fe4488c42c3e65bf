//! HTTP as the hub speaks it: redirects followed by hand, so that the token goes to the endpoint and nowhere else; errors told apart by
//! the hub's own code; busy servers asked again.

use std::path::Path;
use std::time::Duration;

use ureq::http::header::{AUTHORIZATION, LOCATION, RANGE, RETRY_AFTER};
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::address::{Origin, escaped, resolved, without_query};
use super::name::printable;
use super::retry::{Backoff, Cancel};
use super::settings::{Settings, Token};
use crate::error::{Error, HubError, Result};

/// How often a server is asked in vain before that is an error.
pub const MOST_TRIES: u32 = 5;

/// The same for a server that has not answered yet: that it cannot be reached seldom changes, and each try can take long.
const MOST_CONNECTS: u32 = 3;

const MOST_REDIRECTS: usize = 10;

/// What a question was about, for errors.
#[derive(Debug, Clone)]
pub struct About {
    pub repo: String,
    pub revision: String,
    pub file: Option<String>,
}

/// What came back.
pub struct Answer {
    pub response: Response<Body>,
    /// Where from, without its query.
    pub url: String,
    /// Whether it is the hub's own, not that of a server it led to.
    pub is_of_endpoint: bool,
    /// The first commit that a server on the way named.
    pub commit: Option<String>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.response, name)
    }

    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// Asks the hub. Clones share connections.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    endpoint: String,
    origin: Option<Origin>,
    token: Option<Token>,
    retry_delay: Duration,
    pub cancel: Cancel,
}

impl Client {
    /// # Errors
    /// [`Error::Read`], or [`HubError::Certificates`], where other certificates are to be trusted.
    pub fn new(settings: &Settings, cancel: Cancel) -> Result<Self> {
        let timeout = Some(settings.timeout);
        let roots = match &settings.certificates {
            Some(path) => certificates(path)?,
            None => RootCerts::WebPki,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("openelm/", env!("CARGO_PKG_VERSION")))
            // Lengths must be those of the files.
            .accept_encoding("identity")
            .input_buffer_size(1 << 20)
            .timeout_resolve(timeout)
            .timeout_connect(timeout)
            .timeout_per_read(timeout)
            .timeout_per_write(timeout)
            .timeout_recv_response(timeout)
            .build();
        Ok(Self {
            agent: config.new_agent(),
            endpoint: settings.endpoint.clone(),
            origin: Origin::of(&settings.endpoint),
            token: settings.token.clone(),
            retry_delay: settings.retry_delay,
            cancel,
        })
    }

    /// The same client for a part of the work that may fail by itself.
    pub fn for_part(&self) -> Self {
        Self {
            cancel: self.cancel.for_part(),
            ..self.clone()
        }
    }

    pub fn backoff(&self) -> Backoff {
        Backoff::new(self.retry_delay)
    }

    /// Where a file is.
    pub fn file_url(&self, repo: &str, revision: &str, file: &str) -> String {
        let (revision, file) = (escaped(revision), escaped(file));
        format!("{}/{repo}/resolve/{revision}/{file}", self.endpoint)
    }

    /// Where the names of a repository's files are.
    pub fn listing_url(&self, repo: &str, revision: &str) -> String {
        let revision = escaped(revision);
        format!("{}/api/models/{repo}/revision/{revision}", self.endpoint)
    }

    /// Cuts every connection, also those that other threads wait for.
    pub fn shut_down(&self) {
        self.agent.clone().shutdown();
    }

    /// What the hub says about a file: the redirect to another server is not followed.
    ///
    /// # Errors
    /// [`HubError::Connection`] and the like; whatever an answer's status means is for the caller to say.
    pub fn head(&self, url: &str) -> Result<Answer> {
        self.send(&Method::HEAD, url, 0)
    }

    /// A file's contents from a byte on, wherever they are.
    ///
    /// # Errors
    /// As [`Client::head`].
    pub fn get(&self, url: &str, from: u64) -> Result<Answer> {
        self.send(&Method::GET, url, from)
    }

    /// A whole small text.
    ///
    /// # Errors
    /// As [`Client::head`]; [`Client::refusal`] for whatever is no success; [`HubError::Answer`] for more than `limit` bytes.
    pub fn text(&self, url: &str, about: &About, limit: u64) -> Result<Vec<u8>> {
        let mut backoff = self.backoff();
        loop {
            let mut answer = self.get(url, 0)?;
            if !answer.response.status().is_success() {
                return Err(self.refusal(&answer, about));
            }
            let body = answer.response.body_mut().with_config().limit(limit);
            let error = match body.read_to_vec() {
                Ok(bytes) => return Ok(bytes),
                Err(error) => self.failure(url, error),
            };
            let is_broken = matches!(error, Error::Hub(HubError::Connection { .. }));
            if !is_broken || !backoff.again(MOST_TRIES, None, &self.cancel)? {
                return Err(error);
            }
        }
    }

    fn send(&self, method: &Method, url: &str, from: u64) -> Result<Answer> {
        let mut backoff = self.backoff();
        let mut most = MOST_CONNECTS;
        loop {
            self.cancel.check()?;
            let (asked, failure) = match self.follow(method, url, from) {
                Ok(answer) if is_passing(answer.status()) => {
                    most = MOST_TRIES;
                    (retry_after(&answer), Ok(answer))
                }
                Err(error @ Error::Hub(HubError::Connection { .. })) => (None, Err(error)),
                other => return other,
            };
            if !backoff.again(most, asked, &self.cancel)? {
                return failure;
            }
        }
    }

    fn follow(&self, method: &Method, url: &str, from: u64) -> Result<Answer> {
        let mut url = url.to_owned();
        let mut commit = None;
        for _ in 0..MOST_REDIRECTS {
            let is_of_endpoint = self.origin.is_some() && Origin::of(&url) == self.origin;
            let response = self.once(method, &url, from, is_of_endpoint)?;
            if is_of_endpoint {
                commit = commit.or(header(&response, "x-repo-commit").map(str::to_owned));
            }
            let shown = without_query(&url);
            let answer = |response, commit| Answer {
                response,
                url: shown.clone(),
                is_of_endpoint,
                commit,
            };
            let next = match response.status().is_redirection() {
                true => header(&response, LOCATION.as_str()).map(str::to_owned),
                false => None,
            };
            let Some(next) = next else {
                return Ok(answer(response, commit));
            };
            let next = resolved(&url, &next).ok_or_else(|| HubError::Answer {
                url: shown.clone(),
                what: format!("leads to `{}`", printable(&without_query(&next))),
            })?;
            let stays = Origin::of(&next) == self.origin;
            // What other servers say about a file is not the hub's word.
            let says_enough = header(&response, "x-linked-etag").is_some() || !stays;
            if *method == Method::HEAD && says_enough {
                return Ok(answer(response, commit));
            }
            if url.starts_with("https:") && !next.starts_with("https:") {
                return Err(HubError::Answer {
                    url: shown,
                    what: "leads to a connection that is not encrypted".into(),
                }
                .into());
            }
            url = next;
        }
        Err(HubError::Answer {
            url: without_query(&url),
            what: "leads from one address to the next without an end".into(),
        }
        .into())
    }

    fn once(
        &self,
        method: &Method,
        url: &str,
        from: u64,
        is_of_endpoint: bool,
    ) -> Result<Response<Body>> {
        let mut request = Request::builder().method(method).uri(url);
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        if is_of_endpoint && let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.bearer());
        }
        let sent = request
            .body(())
            .map_err(ureq::Error::from)
            .and_then(|request| self.agent.run(request));
        sent.map_err(|error| self.failure(url, error))
    }

    /// What became of a question that was not answered.
    fn failure(&self, url: &str, error: ureq::Error) -> Error {
        if self.cancel.is_set() {
            return Error::Cancelled;
        }
        let (url, cause) = (without_query(url), printable(&error.to_string()));
        if cause.contains("invalid peer certificate") {
            return HubError::Untrusted { url, cause }.into();
        }
        let is_broken = matches!(
            error,
            ureq::Error::Io(_)
                | ureq::Error::Timeout(_)
                | ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::Protocol(_)
        );
        match is_broken {
            true => HubError::Connection { url, cause },
            false => HubError::Answer { url, what: cause },
        }
        .into()
    }

    /// What an answer means that is none to go on with.
    pub fn refusal(&self, answer: &Answer, about: &About) -> Error {
        let repo = about.repo.clone();
        let endpoint = self.endpoint.clone();
        let has_token = self.token.is_some();
        let tokens = format!("{endpoint}/settings/tokens");
        let code = match answer.is_of_endpoint {
            true => answer.header("x-error-code").unwrap_or_default(),
            false => "",
        };
        let url = answer.url.clone();
        let status = answer.status();
        let error = match (code, status) {
            ("GatedRepo", _) => self.gated(repo, tokens),
            ("RepoNotFound", _) => HubError::RepoNotFound {
                repo,
                endpoint,
                has_token,
            },
            ("RevisionNotFound", _) => HubError::RevisionNotFound {
                repo,
                revision: about.revision.clone(),
            },
            ("EntryNotFound", _) => self.not_found(about),
            (_, 429) => HubError::TooManyRequests {
                url,
                retry_after: retry_after(answer).map(|wait| wait.as_secs()),
            },
            (_, 401) if answer.is_of_endpoint && has_token => {
                HubError::TokenRefused { endpoint, tokens }
            }
            (_, 401 | 403) if answer.is_of_endpoint => self.gated(repo, tokens),
            (_, 404) if answer.is_of_endpoint => self.not_found(about),
            _ => HubError::Status {
                url,
                status,
                what: printable(answer.header("x-error-message").unwrap_or_default()),
            },
        };
        error.into()
    }

    fn gated(&self, repo: String, tokens: String) -> HubError {
        HubError::Gated {
            page: format!("{}/{repo}", self.endpoint),
            repo,
            tokens,
            has_token: self.token.is_some(),
        }
    }

    fn not_found(&self, about: &About) -> HubError {
        let repo = about.repo.clone();
        match &about.file {
            Some(file) => HubError::FileNotFound {
                repo,
                revision: about.revision.clone(),
                file: file.clone(),
            },
            None => HubError::RepoNotFound {
                repo,
                endpoint: self.endpoint.clone(),
                has_token: self.token.is_some(),
            },
        }
    }
}

/// The certificates in a file, as PEM.
fn certificates(path: &Path) -> Result<RootCerts> {
    let pem = std::fs::read(path).map_err(|error| Error::read(path, error))?;
    let found: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    match found.is_empty() {
        true => Err(HubError::Certificates { path: path.into() }.into()),
        false => Ok(found.into()),
    }
}

/// Whether the same question may be answered a moment later.
fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// How long a server wants us to wait. A date instead of seconds is not worth a calendar.
fn retry_after(answer: &Answer) -> Option<Duration> {
    let seconds = answer.header(RETRY_AFTER.as_str())?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
