//! Who may ask: by which name the server was called, from which page, with which key.

use std::hint::black_box;
use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};

use super::api_error::ApiError;
use super::settings::Settings;

/// What a browser asks before it sends a request of another site's page.
const PREFLIGHT_LASTS: &str = "600";

/// What is checked of every request.
pub struct Security {
    /// Of a request's head.
    most_bytes: usize,
    keys: Vec<String>,
    /// Names that the server may be called by; `None`: any.
    hosts: Option<Vec<String>>,
    origins: Vec<String>,
}

/// What came of looking at a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be answered.
    Fine,
    /// It is a browser's question whether another may be asked, which is answered by headers alone.
    Preflight,
}

impl Security {
    /// `address` is what the server listens on.
    pub fn new(settings: &Settings, address: IpAddr) -> Self {
        let hosts = (address.is_loopback() || !settings.allowed_hosts.is_empty()).then(|| {
            let allowed = settings.allowed_hosts.iter();
            let allowed = allowed.map(|host| bare(host));
            let own = [
                address.to_string(),
                "localhost".into(),
                bare(&settings.host),
            ];
            allowed.chain(own).collect()
        });
        Self {
            most_bytes: settings.limits.header_bytes,
            keys: settings.api_keys.clone(),
            hosts,
            origins: settings.cors_origins.iter().map(|o| plain(o)).collect(),
        }
    }

    /// Whether a request may be answered; `is_open`: to whoever asks.
    ///
    /// # Errors
    /// 400, 401, 403 or 431.
    pub fn check<B>(&self, request: &Request<B>, is_open: bool) -> Result<Verdict, ApiError> {
        self.check_size(request)?;
        let host = host(request)?;
        self.check_host(host.as_ref())?;
        let headers = request.headers();
        self.check_origin(headers, host.as_ref())?;
        let is_preflight = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if is_preflight {
            return Ok(Verdict::Preflight);
        }
        if !is_open {
            self.check_key(headers)?;
        }
        Ok(Verdict::Fine)
    }

    /// hyper looks at its own limit only after it has read, and takes what came beyond it.
    fn check_size<B>(&self, request: &Request<B>) -> Result<(), ApiError> {
        let most = self.most_bytes;
        match head_bytes(request) <= most {
            true => Ok(()),
            false => Err(ApiError::new(
                431,
                format!("the head of the request has more than {most} bytes"),
            )),
        }
    }

    /// A page's name may be made to lead to this machine's own address; what the browser says it has called tells.
    fn check_host(&self, host: Option<&Authority>) -> Result<(), ApiError> {
        let (Some(hosts), Some(host)) = (&self.hosts, host) else {
            return Ok(());
        };
        let name = bare(host.as_str());
        let is_own = name
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback());
        match is_own || hosts.contains(&name) {
            true => Ok(()),
            false => Err(ApiError::new(
                403,
                "the request's Host is none of this server's names; whoever runs it can allow more",
            )),
        }
    }

    /// A page may ask only where it comes from here, or from a site that was named.
    fn check_origin(&self, headers: &HeaderMap, host: Option<&Authority>) -> Result<(), ApiError> {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return Ok(());
        };
        let from = origin.to_str().ok();
        let scheme = from.and_then(|from| from.split_once("://"));
        let own = scheme.zip(host);
        let own = own.map(|((scheme, _), host)| plain(&format!("{scheme}://{host}")));
        let is_own = own.is_some() && own == from.map(plain);
        match is_own || self.is_allowed(origin) {
            true => Ok(()),
            false => Err(ApiError::new(
                403,
                "pages of this Origin may not use the server; whoever runs it can allow that",
            )),
        }
    }

    fn is_allowed(&self, origin: &HeaderValue) -> bool {
        let from = origin.to_str().ok().map(plain);
        let mut allowed = self.origins.iter();
        allowed.any(|allowed| allowed == "*" || from.as_ref() == Some(allowed))
    }

    fn check_key(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let given = headers
            .get(header::AUTHORIZATION)
            .map(HeaderValue::as_bytes);
        let given = given.and_then(|given| match given.split_at_checked(7) {
            Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"Bearer ") => {
                Some(key.trim_ascii())
            }
            _ => None,
        });
        let Some(given) = given else {
            return Err(unknown_key(
                "this server needs a key: `Authorization: Bearer KEY`",
            ));
        };
        // All are looked at, so that time does not tell which was nearly right.
        let same = self
            .keys
            .iter()
            .fold(false, |same, key| same | is_same(key.as_bytes(), given));
        match same {
            true => Ok(()),
            false => Err(unknown_key("this is no key of this server")),
        }
    }

    /// Headers that let a page of another site read an answer, and say what it may ask.
    pub fn cors(
        &self,
        request: &HeaderMap,
        verdict: Option<&Verdict>,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let origin = request.get(header::ORIGIN);
        let Some(origin) = origin.filter(|origin| self.is_allowed(origin)) else {
            return Vec::new();
        };
        let fixed = HeaderValue::from_static;
        let mut headers = vec![
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
            (header::VARY, fixed("Origin")),
        ];
        if verdict == Some(&Verdict::Preflight) {
            headers.push((
                header::ACCESS_CONTROL_ALLOW_METHODS,
                fixed("GET, POST, OPTIONS"),
            ));
            headers.push((header::ACCESS_CONTROL_MAX_AGE, fixed(PREFLIGHT_LASTS)));
            // A star would not cover Authorization.
            let asked = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
            headers
                .extend(asked.map(|asked| (header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone())));
        }
        headers
    }
}

fn unknown_key(message: &str) -> ApiError {
    ApiError {
        code: Some("invalid_api_key"),
        ..ApiError::new(401, message)
    }
}

/// A host as names are compared: without port and brackets, in lower case.
fn bare(host: &str) -> String {
    let authority = Authority::try_from(host).ok();
    // Without brackets an address of many colons is no authority, and has no port.
    let name = authority.as_ref().map_or(host, Authority::host);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.to_ascii_lowercase()
}

/// An origin as they are compared: in lower case, without the port that its scheme has anyway.
fn plain(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let port = match origin.split_once("://") {
        Some(("http", _)) => ":80",
        Some(("https", _)) => ":443",
        _ => return origin,
    };
    origin.strip_suffix(port).unwrap_or(&origin).to_owned()
}

/// The bytes of a head as it came, but for spaces that mean nothing.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let request_line = format!("{} {} HTTP/1.1", request.method(), request.uri());
    let lines = request.headers().iter();
    // A colon, a space, and the end of the line.
    let lines = lines.map(|(name, value)| name.as_str().len() + value.len() + 4);
    lines.fold(request_line.len() + 4, |sum, line| sum + line)
}

/// What the server was called, which HTTP/1.0 need not say.
fn host<B>(request: &Request<B>) -> Result<Option<Authority>, ApiError> {
    let invalid = || {
        ApiError::new(
            400,
            "the request needs one header `Host`, with a name in it and no user",
        )
    };
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let authority = match (request.uri().authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => authority.clone(),
        (None, Some(host), None) => Authority::try_from(host.as_bytes()).map_err(|_| invalid())?,
        (None, None, _) if request.version() == Version::HTTP_10 => return Ok(None),
        _ => return Err(invalid()),
    };
    // Others might take the user for the name.
    match authority.as_str().contains('@') {
        true => Err(invalid()),
        false => Ok(Some(authority)),
    }
}

/// Whether two keys are the same, in a time that depends on the given one's length alone.
fn is_same(key: &[u8], given: &[u8]) -> bool {
    let mut differs = key.len() ^ given.len();
    for (index, byte) in given.iter().enumerate() {
        let other = key
            .get(index % key.len().max(1))
            .copied()
            .unwrap_or_default();
        differs |= usize::from(black_box(byte ^ other));
    }
    black_box(differs) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_whole() {
        assert!(is_same(b"secret", b"secret"));
        for other in ["", "s", "secre", "secreT", "secretsecret", "secrets"] {
            assert!(!is_same(b"secret", other.as_bytes()), "{other}");
        }
        assert!(!is_same(b"", b"x"));
    }

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method("POST").uri("/v1/completions");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn status(security: &Security, headers: &[(&str, &str)]) -> u16 {
        security
            .check(&request(headers), false)
            .map_or_else(|error| error.status, |_| 200)
    }

    #[test]
    fn on_loopback_only_own_names_will_do() {
        let settings = Settings {
            allowed_hosts: vec!["Chat.Example".into()],
            ..Settings::default()
        };
        let security = Security::new(&settings, [127, 0, 0, 1].into());
        for host in [
            "localhost",
            "LOCALHOST:8000",
            "127.0.0.1:8000",
            "[::1]:80",
            "127.9.9.9",
            "chat.example:443",
        ] {
            assert_eq!(status(&security, &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
        ] {
            assert_eq!(status(&security, &[("host", host)]), 403, "{host}");
        }
        for headers in [
            &[][..],
            &[("host", "")],
            &[("host", "a b")],
            &[("host", "evil@localhost")],
            &[("host", "localhost@evil.example:80")],
            &[("host", "localhost"), ("host", "localhost")],
        ] {
            assert_eq!(status(&security, headers), 400, "{headers:?}");
        }
        // Beyond this machine any name may lead here, unless some are named.
        let open = Security::new(&Settings::default(), [0, 0, 0, 0].into());
        assert_eq!(status(&open, &[("host", "evil.example")]), 200);
        let named = Security::new(&settings, [0, 0, 0, 0].into());
        assert_eq!(status(&named, &[("host", "evil.example")]), 403);
        assert_eq!(status(&named, &[("host", "chat.example")]), 200);
    }

    #[test]
    fn names_are_allowed_however_they_are_written() {
        let settings = Settings {
            allowed_hosts: vec!["Chat.example:8443".into(), "[fd00::1]:80".into()],
            cors_origins: vec!["HTTPS://Chat.example:443".into(), "http://a:8080".into()],
            ..Settings::default()
        };
        let security = Security::new(&settings, [127, 0, 0, 1].into());
        for host in ["chat.example", "chat.example:1", "[fd00::1]"] {
            assert_eq!(status(&security, &[("host", host)]), 200, "{host}");
        }
        let bare = Settings {
            allowed_hosts: vec!["fd00::1".into()],
            ..Settings::default()
        };
        let bare = Security::new(&bare, [127, 0, 0, 1].into());
        assert_eq!(status(&bare, &[("host", "[FD00::1]:8000")]), 200);
        for (host, origin, expected) in [
            ("localhost", "https://chat.example", 200),
            ("localhost", "http://chat.example", 403),
            ("localhost", "http://A:8080", 200),
            ("localhost", "http://a", 403),
            ("localhost:80", "http://localhost", 200),
            ("localhost", "http://LOCALHOST:80", 200),
            ("localhost", "https://localhost:80", 403),
        ] {
            let headers = [("host", host), ("origin", origin)];
            assert_eq!(status(&security, &headers), expected, "{host} {origin}");
        }
    }

    #[test]
    fn the_name_to_listen_at_is_an_own_one() {
        for (host, asked) in [
            ("My-Machine", "my-machine:8000"),
            ("[::1]", "[::1]:8000"),
            ("::2", "[::2]"),
        ] {
            let settings = Settings {
                host: host.into(),
                ..Settings::default()
            };
            let security = Security::new(&settings, [127, 0, 1, 1].into());
            assert_eq!(status(&security, &[("host", asked)]), 200, "{host}");
            assert_eq!(status(&security, &[("host", "other")]), 403);
        }
    }

    #[test]
    fn pages_of_other_sites_are_refused_unless_they_were_named() {
        let local = [127, 0, 0, 1].into();
        let security = Security::new(&Settings::default(), local);
        let from = |origin| [("host", "localhost:8000"), ("origin", origin)];
        assert_eq!(status(&security, &from("http://localhost:8000")), 200);
        for origin in [
            "http://localhost:9000",
            "http://localhost",
            "https://evil.example",
            "null",
            "",
        ] {
            assert_eq!(status(&security, &from(origin)), 403, "{origin}");
        }
        let settings = Settings {
            cors_origins: vec!["https://chat.example".into()],
            ..Settings::default()
        };
        let named = Security::new(&settings, local);
        assert_eq!(status(&named, &from("https://chat.example")), 200);
        assert_eq!(status(&named, &from("https://other.example")), 403);
    }
}
