//! With certificates: who may call the scheduler, and that it calls seed peers likewise.

use crate::sim::peer::{SimPeer, download};
use crate::sim::seed::Seed;
use crate::sim::{Lab, host, raw};
use dragonfly_api::scheduler::AnnounceHostRequest;
use dragonfly_api::scheduler::scheduler_client::SchedulerClient;
use dragonfly_service::grpc::{self, Timeouts};
use dragonfly_service::tls::{ClientTls, Files};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;

/// Files of a CA and of a certificate for 127.0.0.1.
fn issue(dir: &Path, name: &str) -> Files {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let own = own.signed_by(&key, &ca).unwrap();
    let write = |suffix: &str, text: String| {
        let path = dir.join(format!("{name}-{suffix}.pem"));
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    Files {
        ca_cert: write("ca", ca.pem()),
        cert: write("cert", own.pem()),
        key: write("key", key.serialize_pem()),
    }
}

#[tokio::test]
async fn with_certificates_strangers_are_refused_and_seed_peers_are_called_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, others) = (issue(dir.path(), "ours"), issue(dir.path(), "others"));
    let mut raw = raw(&dir.path().join("data"));
    raw.server.tls = Some(ours.clone());
    raw.seed_peer.tls = Some(ours.clone());
    let lab = Lab::start_with(raw, Some(&ours)).await;
    let mut seed = Seed::start_with(&lab, "seed1", Some(&ours)).await;
    lab.announce_all(&["a"]).await;
    let mut a = SimPeer::register(&lab.client, "a", download("")).await;
    seed.called().await.done(None);
    assert_eq!(a.parent_ids().await, ["seed1"]);
    a.finish(false).await;

    let stranger = Files {
        ca_cert: ours.ca_cert.clone(),
        ..others
    };
    for files in [Some(stranger), None] {
        let tls = files.map(|files| ClientTls::load(&files).unwrap());
        let request = AnnounceHostRequest {
            host: Some(host("stranger", 4000)),
            interval: None,
        };
        let announced = async {
            let channel = grpc::connect(&lab.addr.to_string(), tls.as_ref(), Timeouts::default()).await?;
            SchedulerClient::new(channel).announce_host(request).await?;
            Ok::<_, Box<dyn std::error::Error>>(())
        };
        announced.await.expect_err("a stranger must not be heard");
    }
    lab.stop().await.unwrap();
}
