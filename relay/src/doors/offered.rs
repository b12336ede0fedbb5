//! What a request or a connection brings: where it comes from, and the secrets it offers.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName, Uri, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cv_access::Digest;
use serde::Deserialize;

use crate::peer::Peer;

/// Marks a request that came encrypted to this relay or to the proxy before it.
#[derive(Clone, Copy, Debug)]
pub struct Secured;

/// Headers by which proxies tell that a request has come from farther away.
const FORWARDING: [HeaderName; 7] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];

/// A signed link's proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub until_us: i64,
    pub signature: String,
}

/// What is offered, secrets as digests: it is kept as long as the connection lasts.
#[derive(Clone, Debug)]
pub struct Offered {
    address: IpAddr,
    local: bool,
    named_local: bool,
    pub(super) session: Option<Digest>,
    pub(super) token: Option<Digest>,
    pub(super) link: Option<Link>,
}

#[derive(Default, Deserialize)]
struct Asked {
    token: Option<String>,
    until: Option<i64>,
    signature: Option<String>,
}

impl Offered {
    /// What the head of a request offers; `token` comes first if there is one, as in the auth payload
    /// of a Socket.IO connection.
    #[must_use]
    pub fn of(
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
        token: Option<&str>,
    ) -> Self {
        let asked = Query::<Asked>::try_from_uri(uri).map_or_else(|_| Asked::default(), |q| q.0);
        let peer = Peer::of(extensions);
        let address = client_address(extensions);
        let is_picture = ["/stream/", "/snapshot/"]
            .iter()
            .any(|path| uri.path().starts_with(path));
        let token = token
            .map(str::to_owned)
            .or_else(|| bearer(headers).map(str::to_owned))
            .or_else(|| basic(headers).filter(|_| is_picture))
            .or(asked.token)
            .filter(|token| !token.is_empty());
        let forwarded = FORWARDING.iter().any(|name| headers.contains_key(name));
        Self {
            address,
            local: !forwarded
                && peer.is_some_and(|p| p.address().ip().to_canonical().is_loopback()),
            named_local: is_local_name(headers),
            session: cookie(headers, &cookie_name(headers, extensions)).map(Digest::of),
            token: token.as_deref().map(Digest::of),
            link: asked
                .until
                .zip(asked.signature)
                .map(|(until_us, signature)| Link {
                    until_us,
                    signature,
                }),
        }
    }

    /// Where it comes from, as far as is known.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it comes straight from a program on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Whether somebody sits at this machine and has opened the page as `localhost`: another name
    /// could be a foreign page's.
    #[must_use]
    pub fn at_this_machine(&self) -> bool {
        self.local && self.named_local
    }
}

impl<S: Sync> FromRequestParts<S> for Offered {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(
            &parts.uri,
            &parts.headers,
            &parts.extensions,
            None,
        ))
    }
}

fn client_address(extensions: &Extensions) -> IpAddr {
    Peer::of(extensions).map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| {
        peer.address().ip().to_canonical()
    })
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    scheme(headers, "Bearer ")
}

/// The password of HTTP Basic; the user's name does not matter.
fn basic(headers: &HeaderMap) -> Option<String> {
    let decoded = BASE64_STANDARD.decode(scheme(headers, "Basic ")?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    Some(text.split_once(':')?.1.to_owned())
}

fn scheme<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (start, rest) = value.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| rest.trim())
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// The port that the browser sees; an IPv6 address has colons of its own, in brackets.
fn port(host: &str) -> Option<&str> {
    let (_, port) = host.rsplit_once(':')?;
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_port.then_some(port)
}

fn is_local_name(headers: &HeaderMap) -> bool {
    host(headers).is_some_and(|host| {
        let name = port(host)
            .and_then(|port| host.strip_suffix(port)?.strip_suffix(':'))
            .unwrap_or(host);
        matches!(
            name.to_ascii_lowercase().as_str(),
            "localhost" | "127.0.0.1" | "[::1]"
        )
    })
}

/// Name of the session's cookie. Browsers do not tell ports of one host apart, so that the port is
/// in the name: a relay and a streamer on one machine would sign each other's people out.
#[must_use]
pub fn cookie_name(headers: &HeaderMap, extensions: &Extensions) -> String {
    let prefix = match extensions.get::<Secured>() {
        Some(Secured) => "__Host-cv",
        None => "cv",
    };
    match host(headers).and_then(port) {
        Some(port) => format!("{prefix}-{port}"),
        None => prefix.to_owned(),
    }
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(known, value)| (known == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn offered(path: &str, headers: &[(&str, &str)]) -> Offered {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Offered::of(&parts.uri, &parts.headers, &parts.extensions, None)
    }

    #[test]
    fn tokens_come_in_headers_and_queries_and_for_pictures_as_a_password() {
        let token = Some(Digest::of("secret"));
        for (path, name, value) in [
            ("/api/cameras", "authorization", "Bearer secret"),
            ("/api/cameras", "authorization", "bearer  secret"),
            ("/api/cameras?token=secret", "accept", "*/*"),
            (
                "/stream/a.mjpg",
                "authorization",
                "Basic YW55Ym9keTpzZWNyZXQ=",
            ),
            ("/snapshot/a.jpg", "authorization", "Basic OnNlY3JldA=="),
        ] {
            assert_eq!(
                offered(path, &[(name, value)]).token,
                token,
                "{path} {value}"
            );
        }
        for (path, name, value) in [
            (
                "/api/cameras",
                "authorization",
                "Basic YW55Ym9keTpzZWNyZXQ=",
            ),
            ("/stream/a.mjpg", "authorization", "Basic !"),
            ("/stream/a.mjpg", "authorization", "Bearer"),
            ("/api/cameras?token=", "accept", "*/*"),
        ] {
            assert_eq!(
                offered(path, &[(name, value)]).token,
                None,
                "{path} {value}"
            );
        }
    }

    #[test]
    fn the_cookie_is_the_one_of_this_port() {
        let cookies = "cv=a; cv-5000=b; cv-5001=c";
        for (host, value) in [
            ("localhost", "a"),
            ("localhost:5000", "b"),
            ("[::1]:5001", "c"),
            ("[::1]", "a"),
        ] {
            let offered = offered("/", &[("host", host), ("cookie", cookies)]);
            assert_eq!(offered.session, Some(Digest::of(value)), "{host}");
        }
        assert_eq!(
            offered("/", &[("host", "x:7"), ("cookie", cookies)]).session,
            None
        );
    }

    #[test]
    fn only_localhost_is_this_machine() {
        for (host, local) in [
            ("localhost:5001", true),
            ("LOCALHOST", true),
            ("127.0.0.1:5001", true),
            ("[::1]:5001", true),
            ("localhost.example", false),
            ("evil.example:5001", false),
            ("192.0.2.7", false),
        ] {
            assert_eq!(offered("/", &[("host", host)]).named_local, local, "{host}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let headers = [
            ("cookie", "cv=cookie-secret"),
            ("authorization", "Bearer s-e-c-r-e-t"),
        ];
        let printed = format!("{:?}", offered("/", &headers));
        assert!(
            !printed.contains("secret") && !printed.contains("s-e-c"),
            "{printed}"
        );
    }
}
