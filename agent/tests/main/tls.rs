//! A relay behind HTTPS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::agent::{Agent, command};
use crate::fake_relay::FakeRelay;

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/fixtures/tls", name]
        .iter()
        .collect()
}

/// A reverse proxy that ends TLS for every client and forwards the bytes to `to`.
async fn proxy(to: SocketAddr) -> SocketAddr {
    let chain = vec![CertificateDer::from_pem_file(fixture("relay.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("relay.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate ends here.
                if let Ok(mut outside) = acceptor.accept(stream).await {
                    let mut inside = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_travel_through_tls_if_the_certificate_is_trusted() {
    let relay = FakeRelay::start().await;
    let port = proxy(relay.address()).await.port();
    let server = format!("https://localhost:{port}");
    let args = [
        "--source",
        "test:320x240@30",
        "--no-detect",
        "--server",
        &server,
    ];

    let mut stranger = Agent::start(&args);
    let line = stranger.says("Failed to connect to");
    assert!(
        line.contains(&server) && line.contains("certificate"),
        "{line}"
    );
    drop(stranger);

    let mut command = command(&args);
    command.env("SSL_CERT_FILE", fixture("ca.pem"));
    let _agent = Agent::spawn(command);
    let mut connection = relay.agent().await;
    for _ in 0..10 {
        let (meta, jpeg) = connection.frame().await;
        assert!(jpeg.starts_with(&[0xFF, 0xD8]));
        connection.ack(&meta).await;
    }
}
