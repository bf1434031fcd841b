//! TLS, if the configuration names a certificate.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::{config::TlsFiles, server::error::StartError};

/// Reads the certificate chain and its key, both PEM.
pub(super) fn load(files: &TlsFiles) -> Result<ServerConfig, StartError> {
    let refuse = |path: &Path, message: String| StartError::Tls { path: path.to_owned(), message };
    let pem = |path: &Path| fs::read(path).map_err(|error| refuse(path, error.to_string()));
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem(&files.certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| refuse(&files.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(refuse(&files.certificate, "contains no certificate".to_owned()));
    }
    let key =
        PrivateKeyDer::from_pem_slice(&pem(&files.key)?).map_err(|error| refuse(&files.key, error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| refuse(&files.certificate, error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| refuse(&files.certificate, error.to_string()))?;
    // A client that supports only HTTP/2 learns here that the server does not (RFC 7301 section 3.2).
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
