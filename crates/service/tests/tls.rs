//! TLS from files, over real connections: who is let in and who is not, and errors that name the file.

#![allow(clippy::unwrap_used, reason = "a test that can't go on shall panic")]

use dragonfly_service::tls::{self, ClientTls, Files, ServerTls};
use dragonfly_service::{grpc, net};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_client::HealthClient;

/// A directory with a CA (`<name>.pem`) and one certificate of it for localhost (`<name>-own.pem`, `<name>-own.key`).
fn issue(dir: &Path, name: &str) -> Files {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let own = own.signed_by(&key, &ca).unwrap();
    let write = |suffix: &str, text: &str| -> Option<PathBuf> {
        let path = dir.join(format!("{name}{suffix}"));
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    Files {
        ca_cert: write(".pem", &ca.pem()),
        cert: write("-own.pem", &own.pem()),
        key: write("-own.key", &key.serialize_pem()),
    }
}

/// A gRPC server with mutual TLS; answers health checks until the guard is dropped.
async fn serve(files: &Files) -> (String, tokio_util::sync::DropGuard) {
    let listener = net::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), "grpc").unwrap();
    let addr = format!("localhost:{}", listener.local_addr().unwrap().port());
    let cancel = CancellationToken::new();
    let limits = grpc::Limits::per_second(NonZeroU32::new(100).unwrap());
    let (_, health) = tonic_health::server::health_reporter();
    let mut server = grpc::server(limits)
        .tls_config(ServerTls::load(files).unwrap().tonic())
        .unwrap();
    let ended = cancel.clone();
    let workers = dragonfly_service::Workers::new(cancel.clone());
    workers.spawn("grpc", async move {
        server
            .add_service(health)
            .serve_with_incoming_shutdown(grpc::incoming(listener, 16), ended.cancelled())
            .await
            .unwrap();
    });
    (addr, cancel.drop_guard())
}

async fn check(addr: &str, files: &Files) -> Result<(), Box<dyn std::error::Error>> {
    let tls = ClientTls::load(files)?;
    let channel = grpc::connect(addr, Some(&tls), grpc::Timeouts::default()).await?;
    HealthClient::new(channel)
        .check(tonic_health::pb::HealthCheckRequest::default())
        .await?;
    Ok(())
}

#[tokio::test]
async fn only_clients_of_the_same_ca_are_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, others) = (issue(dir.path(), "ours"), issue(dir.path(), "others"));
    let (addr, _guard) = serve(&ours).await;
    check(&addr, &ours).await.unwrap();
    let without = Files {
        ca_cert: ours.ca_cert.clone(),
        ..Files::default()
    };
    check(&addr, &without).await.unwrap_err();
    let foreign = Files {
        ca_cert: ours.ca_cert.clone(),
        ..others.clone()
    };
    check(&addr, &foreign).await.unwrap_err();
    // Our client does not take another CA's server for ours either.
    let distrusting = Files {
        ca_cert: others.ca_cert.clone(),
        ..ours.clone()
    };
    check(&addr, &distrusting).await.unwrap_err();
}

#[tokio::test]
async fn rustls_configurations_meet_over_a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let files = issue(dir.path(), "ours");
    let acceptor = tokio_rustls::TlsAcceptor::from(ServerTls::load(&files).unwrap().rustls());
    let connector = tokio_rustls::TlsConnector::from(ClientTls::load(&files).unwrap().rustls());
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = "localhost".try_into().unwrap();
    let (served, connected) = tokio::join!(acceptor.accept(far), connector.connect(name, near));
    drop(served.unwrap());
    let mut rest = Vec::new();
    // The end without a closing alert may be an error; what counts is that the handshake held on both sides.
    connected.unwrap().read_to_end(&mut rest).await.ok();
    assert!(rest.is_empty());
}

#[test]
fn errors_name_the_missing_key_or_the_bad_file() {
    let dir = tempfile::tempdir().unwrap();
    let good = issue(dir.path(), "ours");
    let (empty, damaged) = (dir.path().join("empty.pem"), dir.path().join("damaged.pem"));
    std::fs::write(&empty, "no certificate here").unwrap();
    std::fs::write(&damaged, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").unwrap();
    let shown = |files: &Files| ServerTls::load(files).unwrap_err().to_string();
    assert_eq!(shown(&Files::default()), "cert is missing: TLS needs it");
    let keyless = Files {
        key: None,
        ..good.clone()
    };
    assert_eq!(shown(&keyless), "key is missing: TLS needs it");
    for (path, wanted) in [
        (empty, "holds no certificate"),
        (damaged, "is damaged"),
        (dir.path().join("no"), "can't read"),
    ] {
        let files = Files {
            cert: Some(path.clone()),
            ..good.clone()
        };
        let text = shown(&files);
        assert!(
            text.contains(wanted) && text.contains(&path.display().to_string()),
            "{text}"
        );
    }
    let mixed = Files {
        key: issue(dir.path(), "others").key,
        ..good
    };
    assert!(shown(&mixed).contains("ours-own.pem can't be used with its key"));
}

#[test]
fn roots_take_extra_files() {
    let dir = tempfile::tempdir().unwrap();
    let files = issue(dir.path(), "ours");
    let native = tls::roots(&[]).unwrap().len();
    assert_eq!(tls::roots(&[files.ca_cert.unwrap()]).unwrap().len(), native + 1);
    assert!(tls::roots(&[dir.path().join("absent.pem")]).is_err());
}
