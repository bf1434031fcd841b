//! TLS, if the configuration names a certificate.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::{config::TlsFiles, model::syslog::SyslogTls, server::error::StartError};

/// Reads the certificate chain and its key, both PEM.
pub(super) fn load(files: &TlsFiles) -> Result<ServerConfig, StartError> {
    let mut config = load_files(&files.certificate, &files.key, None)?;
    // A client that supports only HTTP/2 learns here that the server does not (RFC 7301 section 3.2).
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the files of a listener for syslog.
pub(super) fn load_syslog(files: &SyslogTls) -> Result<ServerConfig, StartError> {
    load_files(&files.certificate, &files.key, files.client_ca.as_deref())
}

fn refuse(path: &Path, message: String) -> StartError {
    StartError::Tls { path: path.to_owned(), message }
}

fn pem(path: &Path) -> Result<Vec<u8>, StartError> {
    fs::read(path).map_err(|error| refuse(path, error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem(path)?)
        .collect::<Result<_, _>>()
        .map_err(|error| refuse(path, error.to_string()))?;
    if chain.is_empty() {
        return Err(refuse(path, "contains no certificate".to_owned()));
    }
    Ok(chain)
}

/// What checks the certificates of clients, which these authorities sign.
fn client_verifier(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, StartError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| refuse(path, error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build();
    verifier.map_err(|error| refuse(path, error.to_string()))
}

fn load_files(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<ServerConfig, StartError> {
    let (chain, provider) = (certificates(certificate)?, Arc::new(ring::default_provider()));
    let private = PrivateKeyDer::from_pem_slice(&pem(key)?).map_err(|error| refuse(key, error.to_string()))?;
    let versions = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(certificate, error.to_string()))?;
    let authenticated = match client_ca {
        Some(path) => versions.with_client_cert_verifier(client_verifier(path, &provider)?),
        None => versions.with_no_client_auth(),
    };
    authenticated.with_single_cert(chain, private).map_err(|error| refuse(certificate, error.to_string()))
}
