//! TLS on the service's port, by rustls.

use crate::error::{Error, Result};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// TLS 1.2 and 1.3 with a chain of certificates and the first one's key, each a file in PEM; clients need none.
///
/// # Errors
/// `usage`, with the file's name, where it cannot be read or holds something else, or where the two do not belong
/// together.
pub(super) fn server_config(chain: &Path, key: &Path) -> Result<ServerConfig> {
    let unusable = |file: &Path, what: &str| Error::usage(format!("{}: {what}", file.display()));
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>())
        .map_err(|error| unusable(chain, "certificates in PEM cannot be read").caused_by(error))?;
    if certificates.is_empty() {
        return Err(unusable(chain, "it holds no certificate in PEM"));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| unusable(key, "a private key in PEM cannot be read").caused_by(error))?;
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private))
        .map_err(|error| unusable(key, "it does not serve the certificate").caused_by(error))
}
