//! Sends requests to other servers over HTTP/1.1, with TLS if the URL says `https`: to identity
//! providers for their keys, to other freshql servers for `push`. Redirects are not followed, and
//! every answer is bounded in time and length.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::causes::WithCauses;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundError {
    /// A file of certificates cannot be used.
    #[error("cannot read certificates from {}: {why}", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The connection, TLS or the response failed; with all causes.
    #[error("{0}")]
    Failed(String),
    /// The time limit was exceeded.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The body exceeds the limit.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

/// The limits of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// From connecting to the last byte.
    pub time: Duration,
    /// Of the body.
    pub bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Answer {
    /// Any status: the caller knows which one it expects.
    pub status: StatusCode,
    /// All of them.
    pub headers: HeaderMap,
    /// As received: no content coding is requested.
    pub body: Bytes,
}

/// An HTTP client. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(
    hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
);

impl Client {
    /// Trusts the machine's certificates (`SSL_CERT_FILE` and `SSL_CERT_DIR` name others), and
    /// those in `more`, a PEM file.
    ///
    /// # Errors
    /// The file contains no certificates.
    pub(crate) fn new(more: Option<&Path>) -> Result<Self, OutboundError> {
        let mut roots = RootCertStore::empty();
        // Certificates that cannot be read or used are not trusted. A server that needs one of them
        // is refused by name.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = more {
            let failed = |why: String| OutboundError::Certificates { path: path.to_owned(), why };
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
            let certificates: Result<Vec<_>, _> = certificates.collect();
            let certificates = certificates.map_err(|error| failed(error.to_string()))?;
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(failed("it has no PEM certificate that can be used".to_owned()));
            }
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }

    /// Sends a request whose URL is absolute.
    ///
    /// # Errors
    /// There is no complete answer within the bounds.
    pub(crate) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        bounds: Bounds,
    ) -> Result<Answer, OutboundError> {
        let asking = async {
            let answer = self
                .0
                .request(request)
                .await
                .map_err(|error| OutboundError::Failed(WithCauses(&error).to_string()))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, bounds.bytes).collect().await.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    OutboundError::TooLong(bounds.bytes)
                } else {
                    OutboundError::Failed(WithCauses(&*error).to_string())
                }
            })?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        tokio::time::timeout(bounds.time, asking)
            .await
            .unwrap_or(Err(OutboundError::TimedOut(bounds.time)))
    }
}
