//! What can go wrong with models that are fetched by name.

/// Why a model could not be had from the hub, or from its cache on this machine. Texts of servers are cut and without control
/// characters; addresses come without their queries, which may hold signatures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// Not the name of a repository, a revision or an endpoint.
    #[error("`{name}` is no {kind}: {what}")]
    Name {
        name: String,
        /// `repository`, `revision`, `endpoint`, `token`.
        kind: &'static str,
        what: &'static str,
    },
    /// The system names no home folder, and nothing else says where models are kept.
    #[error("the system names no home folder to keep models in; HF_HUB_CACHE can name one")]
    NoCacheFolder,
    /// The server proves by no trusted certificate who it is.
    #[error(
        "{url} is not trusted: {cause}; where a proxy decrypts what goes through it, SSL_CERT_FILE names a file with its certificate"
    )]
    Untrusted { url: String, cause: String },
    /// A file of certificates to trust holds none.
    #[error("{}: no certificate is in it; SSL_CERT_FILE names a file in the PEM format", path.display())]
    Certificates { path: std::path::PathBuf },
    /// The network may not be used, and the cache does not hold what is needed.
    #[error("{repo}: {missing} is not in the cache ({cache}), and the network is not to be used")]
    Offline {
        repo: String,
        missing: String,
        /// The cache's folder.
        cache: String,
    },
    /// Its owner wants a licence to be accepted first.
    #[error(
        "{repo} is given only to those who have accepted its licence{}: accept it at {page}, make a token that may read such repositories \
         at {tokens}, and set HF_TOKEN to it",
        if *has_token { " (the token that was sent may not read it)" } else { "" }
    )]
    Gated {
        repo: String,
        /// Where the licence is.
        page: String,
        /// Where tokens are made.
        tokens: String,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// No such repository, or none that may be seen.
    #[error(
        "{endpoint} has no repository {repo}{}",
        if *has_token { " that the token may read" } else { ", or not for everyone: if it is private, set HF_TOKEN" }
    )]
    RepoNotFound {
        repo: String,
        endpoint: String,
        has_token: bool,
    },
    /// The token is none that the hub knows.
    #[error(
        "{endpoint} refuses the token: it is wrong, or no longer valid; {tokens} has those that are"
    )]
    TokenRefused { endpoint: String, tokens: String },
    #[error("{repo} has no revision `{revision}`")]
    RevisionNotFound { repo: String, revision: String },
    /// Its GGUF files are several, or another than those.
    #[error("{repo} {}", variants(variant.as_deref(), files))]
    Variants {
        repo: String,
        /// The one that was named.
        variant: Option<String>,
        /// Those that there are.
        files: Vec<String>,
    },
    #[error("{repo} has no file {file} (revision `{revision}`)")]
    FileNotFound {
        repo: String,
        revision: String,
        file: String,
    },
    /// The server could not be reached, or was lost again and again.
    #[error("cannot fetch {url}: {cause}")]
    Connection { url: String, cause: String },
    /// An answer that means nothing better known.
    #[error("{url} answers with status {status}{}", message(what))]
    Status {
        url: String,
        status: u16,
        /// What the server said about it.
        what: String,
    },
    /// The server is asked too often.
    #[error("{url} takes no more requests for now{}", retry_after.map_or(String::new(), |seconds| format!("; try again in {seconds} s")))]
    TooManyRequests {
        url: String,
        /// Seconds.
        retry_after: Option<u64>,
    },
    /// An answer that does not make sense.
    #[error("{url}: {what}")]
    Answer { url: String, what: String },
    /// A file that is not as long as the hub said.
    #[error("{url} gives {found} bytes where {expected} were announced; nothing of it is kept")]
    Length {
        url: String,
        expected: u64,
        found: u64,
    },
    /// A file with other contents than the hub said.
    #[error(
        "{url} is not what the hub announced: its SHA-256 is {found}, not {expected}; nothing of it is kept"
    )]
    Hash {
        url: String,
        expected: String,
        found: String,
    },
    /// No model of that name is in the cache.
    #[error("no model `{name}` is in the cache ({cache})")]
    NotCached { name: String, cache: String },
    /// A model that is being fetched, maybe by another program.
    #[error("{repo} is being fetched now; wait until that has ended")]
    InUse { repo: String },
}

fn message(what: &str) -> String {
    match what {
        "" => String::new(),
        _ => format!(": {what}"),
    }
}

fn variants(variant: Option<&str>, files: &[String]) -> String {
    const SHOWN: usize = 16;
    let mut listed = files[..files.len().min(SHOWN)].join(", ");
    if files.len() > SHOWN {
        listed += ", …";
    }
    match (variant, files.is_empty()) {
        (None, _) => format!("has several GGUF files, and each is a model: {listed}"),
        (Some(variant), true) => format!("has no GGUF file, and so no `{variant}`"),
        (Some(variant), false) => {
            format!("has no GGUF file that `{variant}` names, or several: {listed}")
        }
    }
}
