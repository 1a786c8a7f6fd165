//! A host of the test: storage in a directory of its own, a piece server, and downloads.

use dragonfly_model::{Digest, PeerId, PieceLayout, PieceNumber, Policy, TaskId, TrafficType};
use dragonfly_source::Sources;
use dragonfly_storage::{Config, NewTask, Pin, Storage};
use dragonfly_transfer::{
    Admission, ClientConfig, Control, ParentPieces, PieceClient, PieceServer, RateLimit, Report, Reports, ServerConfig,
    ServerStats, Transfer, Wanted,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Bytes of a piece in these tests.
pub(crate) const PIECE: u64 = 64 * 1024;

/// Bytes that look like nothing else.
pub(crate) fn content(length: u64) -> Vec<u8> {
    let mut state = length.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    use sha2::{Digest as _, Sha256};
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
        .parse()
        .unwrap()
}

pub(crate) fn task_id() -> TaskId {
    TaskId::parse(&"ab".repeat(32)).unwrap()
}

/// What is known of a task in these tests.
pub(crate) fn task(content_length: Option<u64>, digest: Option<Digest>) -> NewTask {
    NewTask {
        url: "http://origin.test/content".to_owned(),
        tag: None,
        application: None,
        piece_length: PIECE,
        content_length,
        response_headers: Vec::new(),
        digest,
        policy: Policy::Standard,
    }
}

struct Everybody;

impl Admission for Everybody {
    fn admit(&self, _: IpAddr) -> BoxFuture<'_, bool> {
        std::future::ready(true).boxed()
    }
}

pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) storage: Storage,
    pub(crate) addr: SocketAddr,
    stats: Arc<ServerStats>,
    serving: JoinSet<()>,
    _dir: TempDir,
}

impl Peer {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_with(name, RateLimit::unlimited()).await
    }

    /// Gives no more than `upload_limit`.
    pub(crate) async fn start_with(name: &str, upload_limit: RateLimit) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            dir: dir.path().join("storage"),
            keep: true,
            write_buffer: 256 * 1024,
        };
        let (storage, _) = Storage::open(config).await.unwrap();
        let server = PieceServer::new(
            storage.clone(),
            ServerConfig {
                upload_limit,
                max_connections: 100,
                idle_timeout: Duration::from_secs(30),
                admission: Arc::new(Everybody),
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stats = server.stats();
        let mut serving = JoinSet::new();
        serving.spawn(server.run(listener, CancellationToken::new()));
        Self {
            id: PeerId::parse(name).unwrap(),
            storage,
            addr,
            stats,
            serving,
            _dir: dir,
        }
    }

    /// Has these pieces of the content, as if it had downloaded them.
    pub(crate) async fn hold(&self, content: &[u8], numbers: impl IntoIterator<Item = u32>) -> Pin {
        let pin = self
            .storage
            .pin_or_create(&task_id(), task(Some(content.len() as u64), None))
            .unwrap();
        let layout = PieceLayout::new(PIECE, content.len() as u64).unwrap();
        for number in numbers {
            let span = layout.span(PieceNumber(number)).unwrap();
            let (start, end) = (span.offset as usize, (span.offset + span.length) as usize);
            let mut writer = pin.begin_piece(span, TrafficType::BackToSource, None).unwrap();
            writer.write(content[start..end].to_vec().into()).await.unwrap();
            writer.commit(None).await.unwrap();
        }
        pin
    }

    /// Every connection ends at once, and no new one is accepted.
    pub(crate) fn die(&mut self) {
        self.serving.abort_all();
    }

    pub(crate) fn pieces_sent(&self) -> u64 {
        self.stats.pieces.load(Ordering::SeqCst)
    }

    /// As its children hear of it.
    pub(crate) fn pieces(&self, numbers: impl IntoIterator<Item = u32>) -> ParentPieces {
        ParentPieces {
            peer: self.id.clone(),
            addr: self.addr,
            reuse: true,
            numbers: numbers.into_iter().map(PieceNumber).collect(),
        }
    }

    pub(crate) fn create(&self, new: NewTask) -> Pin {
        self.storage.pin_or_create(&task_id(), new).unwrap()
    }

    pub(crate) fn download(&self, new: NewTask, wanted: Wanted) -> Download {
        Download::of(self.create(new), wanted)
    }
}

/// A download that runs.
pub(crate) struct Download {
    pub(crate) pin: Pin,
    pub(crate) control: Control,
    pub(crate) reports: Reports,
    worker: JoinSet<()>,
}

impl Download {
    pub(crate) fn of(pin: Pin, wanted: Wanted) -> Self {
        Self::within(RateLimit::unlimited(), RateLimit::unlimited(), pin, wanted)
    }

    /// Takes no more of parents and of the origin than these.
    pub(crate) fn within(download_limit: RateLimit, source_limit: RateLimit, pin: Pin, wanted: Wanted) -> Self {
        let transfer = Transfer {
            client: PieceClient::new(ClientConfig {
                stall_timeout: Duration::from_secs(2),
                ..ClientConfig::default()
            }),
            sources: Sources::new(dragonfly_source::Config::default()).unwrap(),
            download_limit,
            source_limit,
            concurrent_pieces: 4,
        };
        let (control, reports, driver) = transfer.download(pin.clone(), wanted);
        let mut worker = JoinSet::new();
        worker.spawn(driver);
        Self {
            pin,
            control,
            reports,
            worker,
        }
    }

    /// The next report.
    pub(crate) async fn report(&mut self) -> Report {
        tokio::time::timeout(Duration::from_secs(60), self.reports.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// Reads reports until one is of a kind, which ends the list.
    pub(crate) async fn until(&mut self, kind: impl Fn(&Report) -> bool) -> Vec<Report> {
        let mut all = Vec::new();
        loop {
            let report = self.report().await;
            let last = kind(&report);
            all.push(report);
            if last {
                return all;
            }
        }
    }

    /// Reads reports until the download is complete or has failed.
    pub(crate) async fn end(&mut self) -> Vec<Report> {
        self.until(|report| matches!(report, Report::Complete | Report::Failed(_)))
            .await
    }

    /// Waits until the driver has ended by itself.
    pub(crate) async fn ended(&mut self) {
        tokio::time::timeout(Duration::from_secs(60), self.worker.join_next())
            .await
            .unwrap();
    }

    /// Cancels it and waits until all that it held is let go.
    pub(crate) async fn cancel(mut self) -> Pin {
        drop(self.control);
        tokio::time::timeout(Duration::from_secs(60), self.worker.join_next())
            .await
            .unwrap();
        self.pin
    }
}

/// The whole content as it can be read.
pub(crate) async fn read(pin: &Pin) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let bytes = pin.read(all.len() as u64, 1 << 20).await.unwrap();
        if bytes.is_empty() {
            return all;
        }
        all.extend_from_slice(&bytes);
    }
}

pub(crate) fn pieces_finished(reports: &[Report]) -> Vec<u32> {
    let numbers = reports.iter().filter_map(|report| match report {
        Report::PieceFinished(record, _) => Some(record.span.number.0),
        _ => None,
    });
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers
}
