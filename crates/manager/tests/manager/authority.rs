//! The authority: what it signs, for whom, and what it never overwrites.

use dragonfly_manager::ca::{Authority, Component, Error, Name, Order};
use dragonfly_service::grpc::{self, Timeouts};
use dragonfly_service::tls::{ClientTls, Files, ServerTls};
use dragonfly_service::{Workers, net};
use jiff::{Timestamp, ToSpan};
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio_util::sync::CancellationToken;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use x509_parser::prelude::{FromDer, X509Certificate};

fn order(component: Component, names: &[&str]) -> Order {
    let names = names.iter().map(|name| name.parse::<Name>().unwrap()).collect();
    Order::new(component, names, 30).unwrap()
}

/// The files of a component of the authority in `dir`.
fn issued(dir: &Path, out: &str, component: Component, names: &[&str]) -> Files {
    let authority = Authority::open(dir, Timestamp::now()).unwrap();
    let out = dir.join(out);
    let issued = authority
        .issue(&order(component, names), &out, Timestamp::now())
        .unwrap();
    Files {
        ca_cert: Some(issued.ca_cert),
        cert: Some(issued.cert),
        key: Some(issued.key),
    }
}

fn authority() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    Authority::create(dir.path(), Timestamp::now()).unwrap();
    dir
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Whether `client` gets an answer from a server with the files of `server`, called at `host`.
async fn meets(server: &Files, client: &Files, host: &str) -> bool {
    let listener = net::bind_tcp((Ipv4Addr::LOCALHOST, 0).into(), "grpc").unwrap();
    let addr = format!("{host}:{}", listener.local_addr().unwrap().port());
    let limits = grpc::Limits::per_second(NonZeroU32::new(100).unwrap());
    let (_, health) = tonic_health::server::health_reporter();
    let tls = ServerTls::load(server).unwrap().tonic();
    let mut server = grpc::server(limits).tls_config(tls).unwrap();
    let workers = Workers::new(CancellationToken::new());
    let ended = workers.cancel_token();
    workers.spawn("server", async move {
        let serving = server.add_service(health);
        serving
            .serve_with_incoming_shutdown(grpc::incoming(listener, 16), ended.cancelled())
            .await
            .unwrap();
    });
    let tls = ClientTls::load(client).unwrap();
    let answered = async {
        let channel = grpc::connect(&addr, Some(&tls), Timeouts::default()).await?;
        HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    let answered = answered.await.is_ok();
    workers.drain(std::time::Duration::from_secs(5)).await.ok();
    answered
}

/// TOB-DF2-13: a certificate is good for the names that it was issued for, and an authority signs for nobody over the
/// network.
#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let dir = authority();
    let scheduler = issued(
        dir.path(),
        "scheduler",
        Component::Scheduler,
        &["127.0.0.1", "localhost"],
    );
    let elsewhere = issued(
        dir.path(),
        "elsewhere",
        Component::Scheduler,
        &["10.0.0.1", "other.test"],
    );
    let peer = issued(dir.path(), "peer", Component::Peer, &["10.0.0.2"]);
    assert!(meets(&scheduler, &peer, "127.0.0.1").await);
    assert!(meets(&scheduler, &peer, "localhost").await);
    assert!(!meets(&elsewhere, &peer, "127.0.0.1").await);
    assert!(!meets(&elsewhere, &peer, "localhost").await);
    let others = authority();
    let stranger = issued(others.path(), "peer", Component::Peer, &["127.0.0.1"]);
    let stranger = Files {
        ca_cert: peer.ca_cert.clone(),
        ..stranger
    };
    assert!(!meets(&scheduler, &stranger, "127.0.0.1").await);
    // A manager's certificate is a server's and opens nothing at a scheduler.
    let manager = issued(dir.path(), "manager", Component::Manager, &["127.0.0.1"]);
    assert!(!meets(&scheduler, &manager, "127.0.0.1").await);
}

#[tokio::test]
async fn an_address_of_the_sixth_version_and_a_host_name_are_named_in_one_certificate() {
    let dir = authority();
    let files = issued(
        dir.path(),
        "peer",
        Component::Peer,
        &["fd00::7", "10.0.0.7", "node-7.test"],
    );
    let pem = std::fs::read(files.cert.unwrap()).unwrap();
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).unwrap();
    let (_, certificate) = X509Certificate::from_der(&pem.contents).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let shown: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), 3, "{shown:?}");
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any);
    assert!(!certificate.is_ca());
    let life = certificate.validity().time_to_expiration().unwrap();
    assert!((28..=30).contains(&life.whole_days()), "{life}");
}

#[test]
fn nothing_is_overwritten_and_keys_are_their_owners_alone() {
    let dir = authority();
    assert_eq!(mode(&dir.path().join("ca.key")), 0o600);
    let again = Authority::create(dir.path(), Timestamp::now()).unwrap_err();
    assert!(
        matches!(&again, Error::Exists(path) if path.ends_with("ca.crt")),
        "{again}"
    );
    let files = issued(dir.path(), "peer", Component::Peer, &["10.0.0.1"]);
    let key = files.key.unwrap();
    assert_eq!(mode(&key), 0o600);
    assert_eq!(mode(key.parent().unwrap()), 0o700);
    let before = std::fs::read(&key).unwrap();
    let opened = Authority::open(dir.path(), Timestamp::now()).unwrap();
    let order = order(Component::Peer, &["10.0.0.1"]);
    let again = opened
        .issue(&order, key.parent().unwrap(), Timestamp::now())
        .unwrap_err();
    assert!(again.to_string().contains("peer.crt exists"), "{again}");
    assert_eq!(std::fs::read(&key).unwrap(), before);
    // Nor does another authority's certificate take the place of the one that is trusted there.
    let other = authority();
    let other = Authority::open(other.path(), Timestamp::now()).unwrap();
    std::fs::remove_file(&key).unwrap();
    std::fs::remove_file(key.with_extension("crt")).unwrap();
    let mixed = other
        .issue(&order, key.parent().unwrap(), Timestamp::now())
        .unwrap_err();
    assert!(mixed.to_string().contains("ca.crt exists"), "{mixed}");
}

#[test]
fn an_authority_that_cannot_be_trusted_does_not_sign_and_says_why() {
    let empty = tempfile::tempdir().unwrap();
    let none = Authority::open(empty.path(), Timestamp::now()).unwrap_err().to_string();
    assert!(none.contains("manager ca init --dir"), "{none}");
    let dir = authority();
    let late = Timestamp::now() + (24 * 3653).hours();
    let ended = Authority::open(dir.path(), late).unwrap_err();
    assert!(matches!(ended, Error::Ended { .. }), "{ended}");
    let key = dir.path().join("ca.key");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    let exposed = Authority::open(dir.path(), Timestamp::now()).unwrap_err();
    assert!(matches!(&exposed, Error::Exposed(path) if *path == key), "{exposed}");
    std::fs::remove_file(&key).unwrap();
    std::fs::copy(authority().path().join("ca.key"), &key).unwrap();
    let mixed = Authority::open(dir.path(), Timestamp::now()).unwrap_err().to_string();
    assert!(mixed.contains("does not belong to ca.key"), "{mixed}");
    std::fs::write(dir.path().join("ca.crt"), "no certificate").unwrap();
    let damaged = Authority::open(dir.path(), Timestamp::now()).unwrap_err().to_string();
    assert!(damaged.contains("ca.crt"), "{damaged}");
}

#[tokio::test]
async fn a_renewed_certificate_keeps_names_and_key_and_only_its_own_authority_renews_it() {
    let dir = authority();
    let server = issued(dir.path(), "scheduler", Component::Scheduler, &["127.0.0.1"]);
    let peer = issued(dir.path(), "peer", Component::Peer, &["127.0.0.1"]);
    let cert: PathBuf = server.cert.clone().unwrap();
    let (old, key) = (
        std::fs::read(&cert).unwrap(),
        std::fs::read(server.key.as_ref().unwrap()).unwrap(),
    );
    let opened = Authority::open(dir.path(), Timestamp::now()).unwrap();
    let ends = opened.renew(&cert, 60, Timestamp::now()).unwrap();
    assert!(
        ends > (Timestamp::now() + (24 * 58).hours())
            .to_zoned_datetime(jiff::tz::TimeZone::UTC)
            .date()
    );
    assert_ne!(std::fs::read(&cert).unwrap(), old);
    assert_eq!(std::fs::read(server.key.as_ref().unwrap()).unwrap(), key);
    assert!(meets(&server, &peer, "127.0.0.1").await);
    assert!(!meets(&server, &peer, "localhost").await);
    let other = authority();
    let other = Authority::open(other.path(), Timestamp::now()).unwrap();
    let foreign = other.renew(&cert, 60, Timestamp::now()).unwrap_err();
    assert!(matches!(foreign, Error::Foreign { .. }), "{foreign}");
    // No certificate outlives the authority.
    let last = Timestamp::now() + (24 * 3650).hours();
    let opened = Authority::open(dir.path(), last).unwrap();
    assert_eq!(opened.renew(&cert, 60, last).unwrap(), opened.ends());
}
