//! The conversation with dfdaemon: one `DownloadTask`, whose pieces arrive over the socket or, where dfdaemon may write
//! for this user, straight in a file beside the output.

use super::args::Args;
use super::error::{Error, explain, may_be_the_path, no_link, shown};
use super::landed::{Landed, Traffic};
use super::origin::Keys;
use super::part::Part;
use super::progress::Progress;
use dragonfly_api::common::{Download, Piece};
use dragonfly_api::dfdaemon::dfdaemon_download_client::DfdaemonDownloadClient;
use dragonfly_api::dfdaemon::download_task_response::Response;
use dragonfly_api::dfdaemon::{DownloadTaskRequest, DownloadTaskResponse, Entry, ListTaskEntriesRequest};
use dragonfly_model::DEFAULT_FILTERED_QUERY_PARAMS;
use dragonfly_service::grpc;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::Channel;
use url::Url;

/// A finished download.
#[derive(Debug, Clone)]
pub(super) struct Received {
    /// The task.
    pub(super) task_id: String,
    /// This download of it.
    pub(super) peer_id: String,
    /// Bytes.
    pub(super) length: u64,
    /// Where they came from.
    pub(super) traffic: Traffic,
}

/// Where dfdaemon puts the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Delivery {
    Stream,
    File(PathBuf),
}

/// A connection to a daemon.
#[derive(Clone)]
pub(super) struct Daemon {
    client: DfdaemonDownloadClient<Channel>,
    /// Whether it runs as this user, so that it may write for us and what it writes is ours.
    same_user: bool,
    keys: Keys,
}

impl Daemon {
    /// Connects to the daemon's socket.
    pub(super) async fn connect(args: &Args) -> Result<Self, Error> {
        let keys = Keys::of(&args.origin, &args.url)?;
        let socket = args.endpoint.as_path();
        // The first answer may take as long as the origin does.
        let timeouts = grpc::Timeouts {
            request: None,
            ..grpc::Timeouts::default()
        };
        let channel = grpc::connect_unix(socket, timeouts).await;
        let channel = channel.map_err(|source| Error::NoDaemon {
            socket: socket.to_owned(),
            source,
        })?;
        let client = DfdaemonDownloadClient::new(channel).max_decoding_message_size(grpc::MAX_MESSAGE_BYTES);
        Ok(Self {
            client,
            same_user: runs_as_us(socket).await,
            keys,
        })
    }

    /// What a directory holds.
    pub(super) async fn list(&self, args: &Args, directory: &Url) -> Result<Vec<Entry>, Error> {
        let request = self.keys.put_into_list(ListTaskEntriesRequest {
            url: directory.to_string(),
            request_header: headers(args),
            ..ListTaskEntriesRequest::default()
        });
        let listed = self.client.clone().list_task_entries(request).await;
        Ok(listed.map_err(|status| explain(args, &status))?.into_inner().entries)
    }

    /// Fills the part with the content.
    pub(super) async fn download(&self, args: &Args, part: &mut Part, progress: &Progress) -> Result<Received, Error> {
        if args.force_hard_link || (self.same_user && !args.transfer_from_dfdaemon) {
            let delivery = Delivery::File(part.delivery()?);
            let outcome = self.attempt(args, delivery, part, progress).await;
            match outcome {
                Ok(received) if part.take_delivery(received.length)? => return Ok(received),
                Ok(_) if args.force_hard_link => return Err(no_link(args)),
                Err(error) if args.force_hard_link || !may_be_the_path(&error) => return Err(error),
                // It sees other files than we do, in a container say, or may not write here. It has the pieces now.
                _ => progress.restart(),
            }
        }
        self.attempt(args, Delivery::Stream, part, progress).await
    }

    async fn attempt(
        &self,
        args: &Args,
        delivery: Delivery,
        part: &Part,
        progress: &Progress,
    ) -> Result<Received, Error> {
        let request = DownloadTaskRequest {
            download: Some(self.keys.put(request(args, &delivery))),
        };
        let failed = |status: Status| explain(args, &status);
        let mut answers = self
            .client
            .clone()
            .download_task(request)
            .await
            .map_err(failed)?
            .into_inner();
        let mut incoming = Incoming {
            part: (delivery == Delivery::Stream).then_some(part),
            progress,
            landed: Landed::default(),
            expected: None,
            ids: None,
        };
        while let Some(answer) = answers.message().await.map_err(failed)? {
            incoming.take(answer).await?;
        }
        incoming.finish(args)
    }
}

/// One download while it runs.
struct Incoming<'a> {
    /// Where contents go that come over the socket.
    part: Option<&'a Part>,
    progress: &'a Progress,
    landed: Landed,
    expected: Option<u64>,
    ids: Option<(String, String)>,
}

impl Incoming<'_> {
    async fn take(&mut self, answer: DownloadTaskResponse) -> Result<(), Error> {
        self.ids = Some((answer.task_id, answer.peer_id));
        match answer.response {
            Some(Response::DownloadTaskStartedResponse(started)) => {
                // 0 also stands for a length that is not known yet; an empty content then simply ends.
                self.expected = Some(started.content_length).filter(|length| *length > 0);
                self.landed.all_local(started.is_finished);
                if let Some(length) = self.expected {
                    self.progress.expect(length);
                }
                // The pieces in this message are those that will be told of, not those that came.
            }
            Some(Response::DownloadPieceFinishedResponse(finished)) => {
                if let Some(piece) = finished.piece {
                    self.piece(piece).await?;
                }
            }
            None => {}
        }
        Ok(())
    }

    async fn piece(&mut self, mut piece: Piece) -> Result<(), Error> {
        if let Some(part) = self.part {
            // A piece without its bytes is told of before they come.
            let Some(content) = piece
                .content
                .take()
                .filter(|content| content.len() as u64 == piece.length)
            else {
                return Ok(());
            };
            part.write_at(piece.offset, content).await?;
        }
        if self.landed.note(&piece) {
            self.progress.advance(piece.length);
        }
        Ok(())
    }

    fn finish(self, args: &Args) -> Result<Received, Error> {
        let traffic = self.landed.traffic();
        let got = traffic.origin + traffic.peers + traffic.local;
        let complete = self
            .landed
            .length()
            .filter(|length| self.expected.is_none_or(|expected| expected == *length));
        match (complete, self.ids) {
            (Some(length), Some((task_id, peer_id))) => Ok(Received {
                task_id,
                peer_id,
                length,
                traffic,
            }),
            _ => Err(Error::Incomplete {
                url: shown(args),
                got,
                expected: self.expected,
            }),
        }
    }
}

fn request(args: &Args, delivery: &Delivery) -> Download {
    let filtered = if args.filtered_query_param.is_empty() {
        DEFAULT_FILTERED_QUERY_PARAMS
            .iter()
            .map(|name| (*name).to_owned())
            .collect()
    } else {
        args.filtered_query_param.clone()
    };
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Download {
        url: args.url.to_string(),
        digest: args.digest.as_ref().map(ToString::to_string),
        tag: given(&args.tag),
        application: given(&args.application),
        priority: args.priority.number(),
        filtered_query_params: filtered,
        request_header: headers(args),
        piece_length: args.piece_length.map(|length| length.as_u64()),
        output_path: match delivery {
            Delivery::Stream => None,
            Delivery::File(path) => Some(path.to_string_lossy().into_owned()),
        },
        timeout: Some(dragonfly_api::duration(args.timeout)),
        disable_back_to_source: args.disable_back_to_source,
        need_piece_content: *delivery == Delivery::Stream,
        force_hard_link: args.force_hard_link,
        content_for_calculating_task_id: args.content_for_calculating_task_id.clone(),
        // The delivery's name is ours; one that a killed dfget left there is of no value.
        overwrite: true,
        ..Download::default()
    }
}

fn headers(args: &Args) -> HashMap<String, String> {
    let headers = args.header.iter();
    headers
        .map(|header| (header.name.clone(), header.value.clone()))
        .collect()
}

/// By the credentials of the socket's other end. Unknown counts as another user.
pub(crate) async fn runs_as_us(socket: &Path) -> bool {
    let Ok(stream) = UnixStream::connect(socket).await else {
        return false;
    };
    stream
        .peer_cred()
        .is_ok_and(|credentials| credentials.uid() == rustix::process::geteuid().as_raw())
}
