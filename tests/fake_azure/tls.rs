//! Routes over TLS, with the certificate that `scripts/lib/servers` makes and lets programs trust.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A server over TLS. It stops when it is dropped.
pub struct TlsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl TlsServer {
    /// Serves routes on a free port of the loopback address.
    pub async fn start(routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let acceptor = acceptor("server");
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, routes) = (acceptor.clone(), routes.clone());
                tokio::spawn(async move {
                    // A client that does not trust us goes away, as it should.
                    let Ok(stream) = acceptor.accept(socket).await else { return };
                    let service = TowerToHyperService::new(routes);
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _client_went_away = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, task }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The folder of the certificates.
#[expect(clippy::disallowed_methods, reason = "the script that runs the tests says where its servers are")]
pub fn folder() -> PathBuf {
    std::env::var_os("TEST_TLS").expect("TEST_TLS is not set; run ./scripts/test, which makes certificates").into()
}

/// The authorities that a process under test has to trust, for `SSL_CERT_FILE`.
pub fn trusted() -> String {
    folder().join("trusted.pem").to_str().expect("the path is text").to_owned()
}

/// The one authority of the tests: a process that trusts no others starts faster.
pub fn ours() -> String {
    folder().join("ca.pem").to_str().expect("the path is text").to_owned()
}

/// What speaks TLS with one of the certificates: `server`, which is trusted, or `foreign`, which is not.
pub fn acceptor(certificate: &str) -> TlsAcceptor {
    let folder = folder();
    let chain =
        CertificateDer::pem_file_iter(folder.join(format!("{certificate}.pem"))).expect("the certificate was made");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("the certificate can be read");
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{certificate}.key"))).expect("the key was made");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("key and certificate are a pair")))
}
