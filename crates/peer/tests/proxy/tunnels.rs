//! CONNECT: passed through unread, or ended here where a rule can match and there is an authority to sign.

use super::client::{get, same, send_over, tunnel};
use super::origin::{File, Origin, content};
use super::peer::TestPeer;
use dragonfly_peer::config::ProxyRule;
use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate authority of its own.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        dragonfly_service::tls::install_provider();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap(),
            issuer: Issuer::new(params, key),
        }
    }

    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        Arc::new(config.with_single_cert(vec![leaf.der().clone()], key).unwrap())
    }

    fn write(&self, dir: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        std::fs::write(&cert, self.certificate.pem()).unwrap();
        std::fs::write(&key, self.issuer.key().serialize_pem()).unwrap();
        (cert, key)
    }

    /// TLS inside a tunnel, trusting this authority only.
    async fn open(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der()).unwrap();
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }
}

fn rule(regex: &str) -> ProxyRule {
    ProxyRule {
        regex: regex.to_owned(),
        use_tls: false,
        redirect: None,
        filtered_query_params: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_a_tunnel_unread() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let peer = TestPeer::start(|_| {}).await;
    let (status, mut near) = tunnel(peer.proxy(), &authority).await;
    assert_eq!(status, StatusCode::OK);
    let (mut far, _) = listener.accept().await.unwrap();
    near.write_all(b"\0no HTTP at all").await.unwrap();
    let mut got = [0; 15];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"\0no HTTP at all");
    far.write_all(b"answer").await.unwrap();
    drop(far);
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"answer");
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_to_nowhere_or_to_a_forbidden_place_is_refused() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let peer = TestPeer::start(|_| {}).await;
    for (authority, expected) in [
        (gone.to_string(), StatusCode::BAD_GATEWAY),
        ("169.254.169.254:443".to_owned(), StatusCode::FORBIDDEN),
        ("host-without-a-port".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        let (status, _) = tunnel(peer.proxy(), &authority).await;
        assert_eq!(status, expected, "{authority}");
    }
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_to_a_host_that_no_rule_can_match_keeps_the_origins_own_certificate() {
    let (origins, proxys) = (Authority::new(), Authority::new());
    let origin = Origin::start_tls(origins.server("127.0.0.1")).await;
    let bytes = content(1000, 1);
    let file = File {
        bytes: bytes.clone(),
        ..File::default()
    };
    origin.put("/file", file);
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = proxys.write(dir.path(), "proxy");
    let peer = TestPeer::start(|raw| {
        raw.proxy.server.ca_cert = Some(cert);
        raw.proxy.server.ca_key = Some(key);
        raw.proxy.rules = vec![rule("^https://elsewhere[.]lab/")];
    })
    .await;
    let (_, stream) = tunnel(peer.proxy(), &origin.address.to_string()).await;
    let stream = origins.open(stream).await.unwrap();
    same(send_over(stream, get("/file", &[])).await, &bytes);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_matches_inside_a_tunnel_travels_peer_to_peer() {
    let (origins, proxys) = (Authority::new(), Authority::new());
    let origin = Origin::start_tls(origins.server("127.0.0.1")).await;
    let bytes = content(5 << 20, 2);
    for path in ["/model/weights", "/other"] {
        let file = File {
            bytes: bytes.clone(),
            ..File::default()
        };
        origin.put(path, file);
    }
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = proxys.write(dir.path(), "proxy");
    let (origin_ca, _) = origins.write(dir.path(), "origin");
    let peer = TestPeer::start(|raw| {
        raw.proxy.server.ca_cert = Some(cert);
        raw.proxy.server.ca_key = Some(key);
        raw.proxy.registry_mirror.cert = Some(origin_ca);
        raw.proxy.rules = vec![rule("^https://127[.]0[.]0[.]1.*/model/")];
    })
    .await;
    let ask = async |path: &str| {
        let (status, stream) = tunnel(peer.proxy(), &origin.address.to_string()).await;
        assert_eq!(status, StatusCode::OK);
        // Whoever answers shows the proxy's certificate.
        send_over(proxys.open(stream).await.unwrap(), get(path, &[])).await
    };
    for _ in 0..2 {
        let answer = ask("/model/weights").await;
        assert!(answer.header("x-dragonfly-task-id").is_some());
        same(answer, &bytes);
    }
    assert_eq!(origin.given("/model/weights"), bytes.len());
    let direct = ask("/other").await;
    assert_eq!(direct.header("x-dragonfly-task-id"), None);
    same(direct, &bytes);
    peer.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_with_a_certificate_that_nobody_trusts_is_not_asked() {
    let origin = Origin::start_tls(Authority::new().server("127.0.0.1")).await;
    let proxys = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = proxys.write(dir.path(), "proxy");
    let peer = TestPeer::start(|raw| {
        raw.proxy.server.ca_cert = Some(cert);
        raw.proxy.server.ca_key = Some(key);
        raw.proxy.rules = vec![rule("/model/")];
    })
    .await;
    for path in ["/model/weights", "/other"] {
        let (_, stream) = tunnel(peer.proxy(), &origin.address.to_string()).await;
        let stream = proxys.open(stream).await.unwrap();
        let answer = send_over(stream, get(path, &[("authorization", "Bearer secret")])).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{path}");
    }
    assert!(origin.seen().is_empty());
    peer.stop().await;
}
