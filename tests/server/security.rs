//! Who is served and who is not.

use openelm::Error;
use openelm::server::{Server, Settings};

use super::client::{get, get_with, post, post_with};
use super::scene::Scene;

const TEXT: &str = r#"{"prompt": "A king", "max_tokens": 1}"#;

#[test]
fn a_key_opens_what_is_closed() {
    let scene = Scene::with(|settings| settings.api_keys = vec!["first".into(), "second".into()]);
    assert_eq!(scene.ask(get("/health")).status, 200);
    let with = |key: &str| {
        let headers = format!("Authorization: {key}\r\n");
        scene.ask(post_with("/v1/completions", &headers, TEXT))
    };
    for key in [
        "Bearer first",
        "Bearer second",
        "bearer first",
        "Bearer  first ",
    ] {
        assert_eq!(with(key).status, 200, "{key}");
    }
    for key in [
        "Bearer",
        "Bearer ",
        "Bearer firs",
        "Bearer first1",
        "Bearer FIRST",
        "first",
        "Basic first",
        "Bearer first second",
    ] {
        let answer = with(key);
        assert_eq!(answer.status, 401, "{key}");
        assert_eq!(answer.json()["error"]["type"], "authentication_error");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert!(!answer.error().contains("first"));
    }
    for path in [
        "/v1/models",
        "/metrics",
        "/version",
        "/nothing",
        "/v1/completions",
        "/HEALTH",
        "/health/",
        "//health",
    ] {
        assert_eq!(scene.ask(get(path)).status, 401, "{path}");
        assert_eq!(scene.ask(post(path, TEXT)).status, 401, "{path}");
    }
}

/// lm-eval sends an empty one.
#[test]
fn without_keys_any_will_do() {
    let scene = Scene::new();
    for key in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer x\r\n",
        "Authorization: Basic eA==\r\n",
    ] {
        assert_eq!(
            scene.ask(post_with("/v1/completions", key, TEXT)).status,
            200
        );
    }
}

#[test]
fn names_that_lead_here_from_elsewhere_are_refused() {
    let scene = Scene::with(|settings| settings.allowed_hosts = vec!["chat.example".into()]);
    let port = scene.address.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "chat.example"] {
        let host = format!("Host: {host}:{port}\r\n");
        assert_eq!(scene.ask(get_with("/health", &host)).status, 200);
    }
    for host in [
        "Host: evil.example\r\n",
        "Host: evil.example:8000\r\nX-Forwarded-Host: localhost\r\n",
    ] {
        let answer = scene.ask(get_with("/health", host));
        assert_eq!(answer.status, 403, "{host}");
        answer.error();
    }
    for host in [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: \r\n",
        "Host: <script>\r\n",
        "Host: localhost@evil.example\r\n",
        "Host: evil@localhost\r\n",
    ] {
        assert_eq!(scene.ask(get_with("/health", host)).status, 400, "{host}");
    }
    let absolute = "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(scene.ask(absolute).status, 403);
    let absolute = absolute.replace("evil.example", "evil@localhost");
    assert_eq!(scene.ask(absolute).status, 400);
}

#[test]
fn pages_of_other_sites_can_do_nothing() {
    let scene = Scene::new();
    let origin = "Origin: https://evil.example\r\n";
    let answer = scene.ask(post_with("/v1/completions", origin, TEXT));
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let asks =
        "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    let preflight = |headers: &str| {
        let host = format!("Host: localhost\r\n{headers}{asks}");
        scene.ask(get_with("/v1/completions", &host).replace("GET", "OPTIONS"))
    };
    let answer = preflight(origin);
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .headers
            .iter()
            .all(|(name, _)| !name.starts_with("access-control"))
    );
    // What needs no question beforehand.
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
        "",
    ] {
        let request = post("/v1/completions", TEXT).replace("application/json", kind);
        assert_eq!(scene.ask(request).status, 415, "{kind}");
    }
    let request = post("/v1/completions", TEXT).replace("Content-Type: application/json\r\n", "");
    assert!(scene.ask(request).error().contains("Content-Type"));
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let request = post("/v1/completions", TEXT).replace("application/json", kind);
        assert_eq!(scene.ask(request).status, 200, "{kind}");
    }
    // Its own page is no other site.
    let own = "Origin: http://localhost\r\n";
    assert_eq!(
        scene.ask(post_with("/v1/completions", own, TEXT)).status,
        200
    );
}

#[test]
fn a_site_that_was_named_may_ask() {
    let scene = Scene::with(|settings| {
        settings.cors_origins = vec!["https://chat.example".into()];
        settings.api_keys = vec!["key".into()];
    });
    let origin = "Origin: https://chat.example\r\n";
    let asks = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, content-type, x-stainless-os\r\n";
    let host = format!("Host: localhost\r\n{origin}{asks}");
    let answer = scene.ask(get_with("/v1/completions", &host).replace("GET", "OPTIONS"));
    assert_eq!(answer.status, 204);
    let allowed = answer.header("access-control-allow-headers");
    assert_eq!(allowed, Some("authorization, content-type, x-stainless-os"));
    assert!(
        answer
            .header("access-control-allow-methods")
            .unwrap()
            .contains("POST")
    );
    // It can read why it was refused, too.
    for (key, status) in [("", 401), ("Authorization: Bearer key\r\n", 200)] {
        let answer = scene.ask(post_with(
            "/v1/completions",
            &format!("{origin}{key}"),
            TEXT,
        ));
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://chat.example")
        );
        assert_eq!(answer.header("vary"), Some("Origin"));
    }
    let other = "Origin: https://chat.example.evil\r\nAuthorization: Bearer key\r\n";
    assert_eq!(
        scene.ask(post_with("/v1/completions", other, TEXT)).status,
        403
    );
}

#[test]
fn nobody_listens_to_all_by_accident() {
    let settings = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        (settings.host, settings.port) = ("0.0.0.0".into(), 0);
        change(&mut settings);
        Server::bind(settings)
    };
    assert!(matches!(settings(|_| {}), Err(Error::OpenToAll { .. })));
    assert!(settings(|settings| settings.api_keys = vec!["key".into()]).is_ok());
    assert!(settings(|settings| settings.allow_everybody = true).is_ok());
    assert!(settings(|settings| settings.host = "localhost".into()).is_ok());
    // Where there is no IPv6 it cannot be had, but it would be nobody else's.
    let six = settings(|settings| settings.host = "[::1]".into());
    assert!(!matches!(six, Err(Error::OpenToAll { .. })));
    let nowhere = settings(|settings| settings.host = "no such host".into());
    assert!(matches!(nowhere, Err(Error::Listen { .. })));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = Settings::default();
    settings.port = taken.local_addr().unwrap().port();
    assert!(matches!(Server::bind(settings), Err(Error::Listen { .. })));
}
