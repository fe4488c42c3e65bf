//! Addresses: whose they are, where a redirect leads, and what of them may be shown.

use ureq::http::Uri;

/// Whom an address belongs to: the token is for one of them only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    is_secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    pub fn of(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let is_secure = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        Some(Self {
            is_secure,
            host: url.host()?.to_ascii_lowercase(),
            port: url.port_u16().unwrap_or(if is_secure { 443 } else { 80 }),
        })
    }
}

/// The address that a redirect means; `None` if it is none of the web's.
pub(super) fn resolved(base: &str, location: &str) -> Option<String> {
    let scheme = base.split_once("://")?.0;
    let url = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else {
        let path = without_query(base);
        let begin = scheme.len() + 3;
        let host_end = path[begin..].find('/').map_or(path.len(), |at| begin + at);
        match location.starts_with('/') {
            true => format!("{}{location}", &path[..host_end]),
            false => {
                let end = path.rfind('/').filter(|at| *at >= host_end);
                format!("{}/{location}", &path[..end.unwrap_or(host_end)])
            }
        }
    };
    Origin::of(&url).map(|_| url)
}

/// An address as it may be shown: a query can hold a signature that is as good as a token.
pub(super) fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// A part of an address in which only plain characters stand for themselves.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let base = "https://h.co/a/b?q=1";
        for (location, expected) in [
            ("https://cdn.co/x?sig=1", Some("https://cdn.co/x?sig=1")),
            ("//cdn.co/x", Some("https://cdn.co/x")),
            ("/x?y", Some("https://h.co/x?y")),
            ("x", Some("https://h.co/a/x")),
            ("file:///etc/passwd", None),
            ("https://", None),
        ] {
            assert_eq!(resolved(base, location).as_deref(), expected, "{location}");
        }
        assert_eq!(resolved("http://h:1", "/x").unwrap(), "http://h:1/x");
    }

    #[test]
    fn origins_are_told_apart() {
        let of = |url| Origin::of(url).unwrap();
        assert_eq!(of("https://H.co/a"), of("https://h.co:443/b"));
        for other in [
            "http://h.co/a",
            "https://h.co:444/a",
            "https://h.co.evil.com/a",
            "https://h.co@evil.com/a",
        ] {
            assert_ne!(of("https://h.co/a"), of(other), "{other}");
        }
    }

    #[test]
    fn names_in_addresses_stand_for_themselves() {
        assert_eq!(escaped("refs/pr/1"), "refs%2Fpr%2F1");
        assert_eq!(escaped("a b+ä.json"), "a%20b%2B%C3%A4.json");
        assert_eq!(without_query("https://x/y?z#w"), "https://x/y");
    }
}
