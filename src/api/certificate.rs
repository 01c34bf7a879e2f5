//! The certificate by which TCP clients know the gateway, read again when its files change: it is renewed more often than a
//! gateway is restarted.

use super::server::ApiError;
use super::watched::Watched;
use crate::config::Tls;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tracing::{info, warn};

/// What does the handshakes of TCP clients.
///
/// # Errors
/// When a file can not be read, or the two do not belong together.
pub(super) fn acceptor(tls: &Tls) -> Result<TlsAcceptor, ApiError> {
    let provider = Arc::new(ring::default_provider());
    let files = Watched::new(&[&tls.cert, &tls.key]);
    let known = Mutex::new((read(tls, &provider)?, files));
    let failed = |e: tokio_rustls::rustls::Error| wrong("api.tls_cert", &tls.cert, e);
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let resolver = Arc::new(Certificate { tls: tls.clone(), provider, known });
    let config = config.map_err(failed)?.with_no_client_auth().with_cert_resolver(resolver);
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[derive(Debug)]
struct Certificate {
    tls: Tls,
    provider: Arc<CryptoProvider>,
    known: Mutex<(Arc<CertifiedKey>, Watched)>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.1.changed() {
            match read(&self.tls, &self.provider) {
                Ok(key) => {
                    info!("api.tls_cert = {}: the certificate was read again", self.tls.cert);
                    known.0 = key;
                }
                // Certificate and key are two files: between the two changes they do not fit.
                Err(e) => warn!("{e}; until then the certificate from before is used"),
            }
        }
        Some(known.0.clone())
    }
}

fn read(tls: &Tls, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, ApiError> {
    let certs = CertificateDer::pem_file_iter(&tls.cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certs = certs.map_err(|e| wrong("api.tls_cert", &tls.cert, e))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|e| wrong("api.tls_key", &tls.key, e))?;
    let both = CertifiedKey::from_der(certs, key, provider);
    both.map(Arc::new).map_err(|e| wrong("api.tls_cert", &tls.cert, e))
}

fn wrong(field: &'static str, path: &str, why: impl std::fmt::Display) -> ApiError {
    ApiError::Tls { field, path: path.to_owned(), why: why.to_string() }
}
