//! Captures MJPEG over HTTP: network cameras, mjpg-streamer, phones. This is the only file that
//! names ureq.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use ureq::http::StatusCode;
use ureq::{Agent, Body, BodyReader};
use url::Url;

use super::error::CaptureError;
use super::feed::{Fed, Feed, PictureStream};
use super::multipart::PartReader;
use super::source::{Counts, Picture, Source};
use super::spec::without_password;

/// Timeout of each step up to the response.
const CONNECT: Duration = Duration::from_secs(5);

/// Time without a frame after which the stream counts as silent.
const SILENCE: Duration = Duration::from_secs(10);

/// Time that `open` waits for the first frame, so that it can report an address that is refused at
/// once.
const FIRST: Duration = Duration::from_secs(2);

/// An HTTP stream that is being received.
pub struct HttpSource {
    shown: String,
    feed: Feed,
    agent: Agent,
}

impl HttpSource {
    /// Starts to connect and waits up to two seconds for the first frame.
    pub fn open(url: &Url) -> Result<Self, CaptureError> {
        let agent: Agent = Agent::config_builder()
            .timeout_connect(Some(CONNECT))
            .timeout_resolve(Some(CONNECT))
            .timeout_recv_response(Some(CONNECT))
            .timeout_per_read(Some(SILENCE))
            .http_status_as_error(false)
            .build()
            .into();
        let shown = without_password(url.as_str());
        let (url, worker) = (url.clone(), agent.clone());
        let feed = Feed::start("http", shown.clone(), SILENCE, move || {
            connect(&worker, url)
        })
        .map_err(|source| CaptureError::Lost {
            what: shown.clone(),
            source,
        })?;
        let mut source = Self { shown, feed, agent };
        match source.feed.wait_for_first(FIRST) {
            Ok(()) => Ok(source),
            Err(error) => Err(error.unwrap_or_else(|| source.ended())),
        }
    }

    fn ended(&self) -> CaptureError {
        CaptureError::Lost {
            what: self.shown.clone(),
            source: io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended the stream"),
        }
    }
}

impl Source for HttpSource {
    fn next(&mut self, timeout: Duration) -> Result<Option<Picture>, CaptureError> {
        match self.feed.next(timeout)? {
            Fed::Picture(picture) => Ok(Some(picture)),
            Fed::Nothing => Ok(None),
            Fed::Ended(error) => Err(error.unwrap_or_else(|| self.ended())),
        }
    }

    fn describe(&self) -> String {
        format!("stream of {}", self.shown)
    }

    fn nominal_fps(&self) -> Option<f32> {
        None
    }

    fn counts(&self) -> Counts {
        self.feed.counts()
    }
}

impl Drop for HttpSource {
    fn drop(&mut self) {
        // Shutting the socket down wakes the thread from the read that it waits in.
        self.agent.clone().shutdown();
    }
}

/// Body of an HTTP response, as a stream of JPEGs.
struct Stream {
    shown: String,
    reader: PartReader<BodyReader<'static>>,
}

impl PictureStream for Stream {
    fn read(&mut self) -> Result<Option<Bytes>, CaptureError> {
        self.reader.read().map_err(|source| CaptureError::Lost {
            what: self.shown.clone(),
            source,
        })
    }
}

fn connect(agent: &Agent, mut url: Url) -> Result<Stream, CaptureError> {
    let shown = without_password(url.as_str());
    let fail = |refused, reason: String| CaptureError::Http {
        url: shown.clone(),
        reason,
        refused,
    };
    let authorization = authorization(&url);
    // Neither call can fail, because the address has a host.
    let _ = (url.set_username(""), url.set_password(None));
    let mut request = agent.get(url.as_str());
    if let Some(authorization) = &authorization {
        request = request.header("Authorization", authorization);
    }
    let response = request
        .call()
        .map_err(|error| fail(false, without_password(&error.to_string())))?;
    let status = response.status();
    if !status.is_success() {
        let digest = response
            .headers()
            .get_all("www-authenticate")
            .iter()
            .any(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"digest"));
        let hint = match status {
            StatusCode::UNAUTHORIZED if digest => {
                "; it wants Digest authentication: use exec:curl -sN --digest -u USER:PASSWORD URL"
            }
            StatusCode::UNAUTHORIZED if authorization.is_none() => {
                "; it wants http://USER:PASSWORD@..."
            }
            _ => "",
        };
        return Err(fail(
            is_final(status),
            format!("the server says {status}{hint}"),
        ));
    }
    let kind = response.body().mime_type().unwrap_or_default().to_owned();
    if !may_be_stream(&kind) {
        return Err(CaptureError::Unusable {
            what: shown,
            reason: format!(
                "the server sends {kind}; expected an MJPEG stream (multipart/x-mixed-replace)"
            ),
        });
    }
    Ok(Stream {
        reader: PartReader::new(Body::into_reader(response.into_body())),
        shown,
    })
}

/// Whether a status will not change by waiting.
fn is_final(status: StatusCode) -> bool {
    status.is_client_error()
        && !matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

/// Whether a content type may be an MJPEG stream. Types that are certainly something else are
/// reported at once; for the rest, the data decides.
fn may_be_stream(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    let is_other = kind.starts_with("text/") || kind.starts_with("application/json");
    let is_one_picture = kind.starts_with("image/");
    !is_other && !is_one_picture
}

/// Returns the Authorization header for the user and password in an address, if it has them.
fn authorization(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut login = percent_decoded(url.username());
    login.push(b':');
    login.extend(percent_decoded(url.password().unwrap_or_default()));
    Some(format!("Basic {}", BASE64_STANDARD.encode(login)))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(&byte) = bytes.next() {
        let code = bytes.as_slice().get(..2).filter(|_| byte == b'%');
        let decoded = code
            .and_then(|code| std::str::from_utf8(code).ok())
            .and_then(|code| u8::from_str_radix(code, 16).ok());
        if let Some(decoded) = decoded {
            bytes.nth(1);
            out.push(decoded);
        } else {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;

    use super::super::jpeg::tests::jpeg;
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    /// Answers one request with `response` and keeps the connection open until the client closes
    /// it. The returned channel first yields the request, then a message when the client has
    /// closed.
    fn serve(response: Vec<u8>) -> (Url, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/stream", listener.local_addr().unwrap());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            sender.send(request(&mut stream)).unwrap();
            let _ = stream.write_all(&response);
            let _ = stream.read_to_end(&mut Vec::new());
            let _ = sender.send("closed".into());
        });
        (url.parse().unwrap(), receiver)
    }

    fn request(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        let mut reader = BufReader::new(stream);
        while !text.ends_with("\r\n\r\n") && reader.read_line(&mut text).unwrap() > 0 {}
        text
    }

    fn stream(pictures: &[Vec<u8>]) -> Vec<u8> {
        let mut out = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; \
                        boundary=\"--frame\"\r\n\r\n"
            .to_vec();
        for picture in pictures {
            out.extend(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n");
            out.extend(picture);
            out.extend(b"\r\n");
        }
        out
    }

    fn fails(response: &str) -> CaptureError {
        let (url, _asked) = serve(response.as_bytes().to_vec());
        HttpSource::open(&url).err().unwrap()
    }

    #[test]
    fn frames_arrive_and_dropping_the_source_closes_the_connection() {
        let pictures = [jpeg(16, 16, 1), jpeg(16, 16, 2)];
        let (url, asked) = serve(stream(&pictures));
        let mut source = HttpSource::open(&url).unwrap();
        let mut newest = source.next(LONG).unwrap().unwrap();
        while newest.jpeg != pictures[1] {
            newest = source.next(LONG).unwrap().unwrap();
        }
        assert!(source.next(Duration::from_millis(1)).unwrap().is_none());
        assert!(asked.recv().unwrap().starts_with("GET /stream HTTP/1.1"));
        drop(source);
        // The server waits in a read, which only the client can end.
        assert_eq!(asked.recv_timeout(LONG).unwrap(), "closed");
    }

    #[test]
    fn chunked_bodies_are_joined() {
        let picture = jpeg(16, 16, 1);
        let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: \
                             multipart/x-mixed-replace;boundary=b\r\n\r\n"
            .to_vec();
        for chunk in [b"--b\r\n\r\n", &picture[..100], &picture[100..]] {
            write!(response, "{:x}\r\n", chunk.len()).unwrap();
            response.extend(chunk);
            response.extend(b"\r\n");
        }
        let (url, _asked) = serve(response);
        let mut source = HttpSource::open(&url).unwrap();
        assert_eq!(source.next(LONG).unwrap().unwrap().jpeg, picture);
    }

    #[test]
    fn user_and_password_are_sent_but_appear_in_no_message() {
        let (mut url, asked) = serve(b"HTTP/1.1 401 Unauthorized\r\n\r\n".to_vec());
        url.set_username("me").unwrap();
        url.set_password(Some("p@ss:w%rd")).unwrap();
        let error = HttpSource::open(&url).err().unwrap();
        let expected = BASE64_STANDARD.encode("me:p@ss:w%rd");
        let request = asked.recv().unwrap();
        assert!(
            request
                .to_ascii_lowercase()
                .contains("authorization: basic")
        );
        assert!(request.contains(&expected), "{request}");
        assert!(!error.is_transient());
        let message = format!("{error} {error:?}");
        assert!(
            message.contains("401") && !message.contains("ss:w"),
            "{message}"
        );
    }

    #[test]
    fn responses_that_are_not_a_stream_are_told_apart() {
        let error = fails("HTTP/1.1 404 Not Found\r\n\r\n");
        assert!(!error.is_transient());
        assert!(error.to_string().contains("404"), "{error}");
        assert!(fails("HTTP/1.1 503 Service Unavailable\r\n\r\n").is_transient());
        let error = fails("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>");
        assert!(error.to_string().contains("sends text/html"), "{error}");
        let digest = "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=\"x\"\r\n\r\n";
        assert!(fails(digest).to_string().contains("--digest"));
        assert!(fails("nonsense\r\n\r\n").is_transient());
    }

    #[test]
    fn a_server_that_is_down_is_a_transient_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let error = HttpSource::open(&url.parse().unwrap()).err().unwrap();
        assert!(error.is_transient());
        assert!(
            error.to_string().starts_with(&format!("cannot open {url}")),
            "{error}"
        );
    }

    #[test]
    fn a_stream_that_ends_is_reported_as_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            request(&mut client);
            client.write_all(&stream(&[jpeg(16, 16, 1)])).unwrap();
        });
        let mut source = HttpSource::open(&url.parse().unwrap()).unwrap();
        let error = loop {
            match source.next(LONG) {
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(error, CaptureError::Lost { .. }) && error.is_transient());
    }
}
