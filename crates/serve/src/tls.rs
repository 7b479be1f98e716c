//! TLS without a proxy: a certificate chain and its key, from PEM files.

use crate::error::ServeError;
use crate::settings::Tls;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{Error, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Creates the acceptor of TLS connections.
///
/// # Errors
/// If a file cannot be read, is not a PEM file, or the key is not the certificate's.
pub(crate) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ServeError> {
    let chain = CertificateDer::pem_slice_iter(&read(&tls.certificate)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| unreadable(&tls.certificate, &error))?;
    if chain.is_empty() {
        return Err(unreadable(&tls.certificate, &Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&tls.key)?).map_err(|error| unreadable(&tls.key, &error))?;
    let unfit = |error| {
        let (certificate, key) = (tls.certificate.display(), tls.key.display());
        ServeError::Settings(format!("{certificate} and {key}: {error}; give a certificate and the key that it is for"))
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unfit)?;
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<u8>, ServeError> {
    maana::files::read(path).map_err(|source| unreadable(path, &Error::Io(source)))
}

fn unreadable(path: &Path, error: &Error) -> ServeError {
    ServeError::Settings(format!(
        "{}: {error}; a PEM file with `BEGIN CERTIFICATE` or `BEGIN PRIVATE KEY` is needed",
        path.display()
    ))
}
