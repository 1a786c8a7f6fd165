//! Both doors over TLS.

use crate::room::{Data, Engine, PASSWORD, Room, on_every_engine, peer};
use dragonfly_api::manager::manager_client::ManagerClient;
use dragonfly_service::tls::{ClientTls, Files};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::StatusCode;
use reqwest::header::SET_COOKIE;
use serde_json::json;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::Endpoint;

pub(crate) struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Files of a certificate for this host.
    pub(crate) fn files(&self, name: &str) -> Files {
        let params = CertificateParams::new(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let write = |suffix: &str, text: String| {
            let path = self.path(&format!("{name}.{suffix}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Files {
            ca_cert: Some(self.path("ca.pem")),
            cert: Some(write("pem", cert.pem())),
            key: Some(write("key", key.serialize_pem())),
        }
    }
}

fn root_of(path: &Path) -> reqwest::Certificate {
    reqwest::Certificate::from_pem(&std::fs::read(path).unwrap()).unwrap()
}

async fn rest_over_tls_marks_its_cookie_for_tls_only(engine: Engine) {
    let authority = Authority::new();
    let files = Files {
        ca_cert: None,
        ..authority.files("rest")
    };
    let room = Room::start_with(engine, |config| config.rest.tls = Some(files)).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root_of(&authority.path("ca.pem"))])
        .build()
        .unwrap();
    let url = format!("https://localhost:{}/api/v1/users/signin", room.addresses.rest.port());
    let body = json!({"name": "root", "password": PASSWORD}).to_string();
    let answer = client.post(url).body(body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers()[SET_COOKIE].to_str().unwrap().ends_with("; Secure"));
    let plain = room.anonymous();
    assert!(
        plain
            .client
            .get(format!("{}/healthy", plain.base))
            .send()
            .await
            .is_err()
    );
}

async fn grpc_with_a_ca_serves_only_callers_that_the_ca_knows(engine: Engine) {
    let authority = Authority::new();
    let files = authority.files("grpc");
    let room = Room::start_with(engine, |config| config.grpc.tls = Some(files)).await;
    let endpoint = || Endpoint::from_shared(format!("https://localhost:{}", room.addresses.grpc.port())).unwrap();
    let known = ClientTls::load(&authority.files("caller")).unwrap();
    let channel = endpoint().tls_config(known.tonic()).unwrap().connect().await.unwrap();
    let status = ManagerClient::new(channel)
        .list_schedulers(peer("p", "10.0.0.1"))
        .await
        .unwrap_err();
    assert!(status.message().contains("cluster-1"), "{status}");
    let stranger = Files {
        ca_cert: Some(authority.path("ca.pem")),
        ..Files::default()
    };
    let stranger = ClientTls::load(&stranger).unwrap();
    let channel = endpoint().tls_config(stranger.tonic()).unwrap().connect_lazy();
    let status = ManagerClient::new(channel)
        .list_schedulers(peer("p", "10.0.0.1"))
        .await
        .unwrap_err();
    assert!(!status.message().contains("cluster-1"), "{status}");
    assert_ne!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_certificate_that_is_missing_is_a_bad_configuration() {
    let data = Data::new(Engine::Sqlite).await;
    let mut config = data.config();
    config.grpc.tls = Some(Files {
        cert: Some("/nowhere/cert.pem".into()),
        key: Some("/nowhere/key.pem".into()),
        ..Files::default()
    });
    let error = dragonfly_manager::Manager::build(config).await.unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert!(
        dragonfly_service::chain(&error)
            .to_string()
            .contains("/nowhere/cert.pem")
    );
}

on_every_engine! {
    rest_over_tls_marks_its_cookie_for_tls_only
    grpc_with_a_ca_serves_only_callers_that_the_ca_knows
}
