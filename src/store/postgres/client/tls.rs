//! TLS as `sslmode` defines it: `prefer` and `require` encrypt without verifying the server,
//! `verify-ca` requires a certificate from a trusted authority, and `verify-full` also requires
//! that it is for this host. As in libpq, `require` with a file of authorities means `verify-ca`.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::config::{PostgresUrl, SslMode};

/// The TLS configuration for connections to this server.
pub(super) fn config(url: &PostgresUrl) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verified = match url.ssl_mode {
        SslMode::VerifyFull => Some(true),
        SslMode::VerifyCa => Some(false),
        SslMode::Require | SslMode::Prefer | SslMode::Disable => {
            url.ssl_root_cert.as_ref().map(|_| false)
        }
    };
    let chain = match verified {
        Some(_) => {
            let builder = WebPkiServerVerifier::builder_with_provider(
                Arc::new(roots(url)?),
                provider.clone(),
            );
            Some(builder.build().map_err(|error| error.to_string())?)
        }
        None => None,
    };
    let verifier = Verifier { provider: provider.clone(), chain, name: verified == Some(true) };
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    Ok(Arc::new(
        config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth(),
    ))
}

/// The trusted authorities.
fn roots(url: &PostgresUrl) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = &url.ssl_root_cert else {
        // Certificates that cannot be read are not trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return match roots.is_empty() {
            true => {
                Err("the machine trusts no certificate authority; name a file with `sslrootcert`"
                    .to_owned())
            }
            false => Ok(roots),
        };
    };
    let unreadable =
        |error: rustls::pki_types::pem::Error| format!("cannot read {}: {error}", file.display());
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        roots
            .add(certificate.map_err(unreadable)?)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    if roots.is_empty() { Err(format!("{} has no certificate", file.display())) } else { Ok(roots) }
}

/// Verifies a server's certificate as far as `sslmode` requires.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// Verifies the chain of signatures.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Whether it must be for the server's name.
    name: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is checked last, so everything else is in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
