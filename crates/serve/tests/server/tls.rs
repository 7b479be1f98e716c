//! TLS, with a test certificate for localhost.

use crate::support::{Server, encoded, same_bits, tiny};
use maana_serve::Tls;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/tls").join(name)
}

fn tls() -> Tls {
    Tls { certificate: file("certificate.pem"), key: file("key.pem") }
}

#[test]
fn requests_are_answered_only_over_tls() {
    let server = Server::with(|settings| {
        settings.tls = Some(tls());
        settings.times.head = Duration::from_millis(500);
    });
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("certificate.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config =
        config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(server.address).unwrap());
    let body = r#"{"inputs": "the house"}"#;
    let head = format!(
        "POST /embed HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    same_bits(&serde_json::from_str::<Vec<Vec<f32>>>(body).unwrap(), &encoded(&["the house"], 64));

    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut said = Vec::new();
    // Only the absence of an answer matters, not the way in which the connection ends.
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn files_without_a_certificate_or_key_are_named() {
    let swapped = Tls { certificate: file("key.pem"), key: file("certificate.pem") };
    let foreign = Tls { certificate: tiny().join("config.json"), ..tls() };
    let missing = Tls { key: file("missing.pem"), ..tls() };
    for (files, expected) in [(swapped, "key.pem"), (foreign, "config.json"), (missing, "missing.pem")] {
        let error = Server::try_with(|settings| settings.tls = Some(files)).err().unwrap();
        assert!(error.contains(expected), "{error}");
    }
}
