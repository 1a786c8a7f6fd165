//! What is ordered, read from the requests of both doors and checked.

use super::Error;
use super::content::Content;
use super::select::{Selection, Words};
use dragonfly_api::Invalid;
use dragonfly_api::common::{Download, SchedulingPolicy, TaskType};
use dragonfly_api::scheduler::{PreheatFileRequest, PreheatImageRequest, StatFileRequest, StatImageRequest};
use dragonfly_source::oci::{Access, ImageRef, Login, Platform, Registry};
use dragonfly_source::{Caller, Sources, Trust};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

/// How long an order may take that does not say it, and at most.
const TIMEOUT: Duration = Duration::from_secs(3600);
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Contents at a time, and hosts at a time for each: unless it is said, and at most.
const CONTENTS_AT_ONCE: (usize, usize) = (8, 100);
const HOSTS_AT_ONCE: (usize, usize) = (500, 1000);
/// Files in one order.
const MAX_FILES: usize = 10_000;

/// Who orders.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asker {
    /// Somebody at this address.
    Address(IpAddr),
    /// The manager.
    Manager,
}

/// Something to have on hosts.
#[derive(Debug)]
pub(crate) struct Order {
    pub(super) what: What,
    pub(super) selection: Selection,
    pub(super) contents_at_once: usize,
    pub(super) hosts_at_once: usize,
    pub(super) timeout: Duration,
}

#[derive(Debug)]
pub(super) enum What {
    Image(Box<ImageOrder>),
    Files(Vec<Content>),
}

/// An image, and how it is asked for.
pub(crate) struct ImageOrder {
    image: ImageRef,
    pub(super) platform: Platform,
    access: Access,
    /// Everything but the URL and the `Authorization`.
    pub(super) template: Download,
}

/// What image requests have in common.
struct ImageWords {
    url: String,
    platform: Option<String>,
    username: Option<String>,
    password: Option<String>,
    insecure: bool,
    template: Download,
}

impl Asker {
    fn caller(self) -> Caller {
        match self {
            Asker::Address(ip) if ip.to_canonical().is_loopback() => Caller::Local,
            Asker::Address(_) | Asker::Manager => Caller::Remote,
        }
    }

    /// Peers let a caller on their own host name its loopback.
    fn remote_ip(self) -> Option<String> {
        match self {
            Asker::Address(ip) => Some(ip.to_canonical().to_string()),
            Asker::Manager => None,
        }
    }
}

impl Order {
    /// An image to be preheated.
    pub(crate) fn image(request: PreheatImageRequest, asker: Asker) -> Result<Self, Error> {
        let selection = Selection::of_words(Words {
            scope: &request.scope,
            ips: &request.ips,
            count: request.count,
            percentage: request.percentage,
        })?;
        let words = ImageWords {
            url: request.url,
            platform: request.platform,
            username: request.username,
            password: request.password,
            insecure: request.insecure_skip_verify,
            template: Download {
                piece_length: request.piece_length,
                tag: request.tag,
                application: request.application,
                filtered_query_params: request.filtered_query_params,
                request_header: request.header,
                priority: request.priority,
                certificate_chain: request.certificate_chain,
                enable_task_id_based_blob_digest: request.enable_task_id_based_blob_digest,
                ..Download::default()
            },
        };
        Ok(Self {
            what: What::Image(Box::new(ImageOrder::of(words, asker)?)),
            selection,
            contents_at_once: at_once("concurrent_task_count", request.concurrent_task_count, CONTENTS_AT_ONCE)?,
            hosts_at_once: at_once("concurrent_peer_count", request.concurrent_peer_count, HOSTS_AT_ONCE)?,
            timeout: timeout(request.timeout)?,
        })
    }

    /// Files to be preheated, under the conditions of the first.
    pub(crate) fn files(requests: Vec<PreheatFileRequest>, asker: Asker) -> Result<Self, Error> {
        if requests.len() > MAX_FILES {
            return Err(Error::TooMany {
                contents: requests.len(),
                hosts: 1,
                limit: MAX_FILES,
            });
        }
        let first = requests.first().ok_or(Invalid::Missing("files"))?;
        let selection = Selection::of_words(Words {
            scope: &first.scope,
            ips: &first.ips,
            count: first.count,
            percentage: first.percentage,
        })?;
        let contents_at_once = at_once("concurrent_task_count", first.concurrent_task_count, CONTENTS_AT_ONCE)?;
        let hosts_at_once = at_once("concurrent_peer_count", first.concurrent_peer_count, HOSTS_AT_ONCE)?;
        let timeout = timeout(first.timeout)?;
        let files = requests.into_iter().map(|request| file(request, asker));
        Ok(Self {
            what: What::Files(files.collect::<Result<_, _>>()?),
            selection,
            contents_at_once,
            hosts_at_once,
            timeout,
        })
    }

    /// How long it may take.
    pub(crate) fn within(mut self, timeout: Option<prost_types::Duration>) -> Result<Self, Error> {
        if timeout.is_some() {
            self.timeout = self::timeout(timeout)?;
        }
        Ok(self)
    }
}

fn file(request: PreheatFileRequest, asker: Asker) -> Result<Content, Error> {
    if request.output_path.is_some_and(|path| !path.is_empty()) {
        return Err(Error::Value {
            field: "output_path",
            value: "given".to_owned(),
            remedy: "leave it out: where files are written is never taken from the network",
        });
    }
    let url = url_of(&request.url)?;
    let certificate_chain = authorities(&trust(&request.certificate_chain)?);
    headers(&request.header)?;
    Ok(Content::new(
        url,
        Download {
            piece_length: given(request.piece_length),
            tag: request.tag,
            application: request.application,
            filtered_query_params: request.filtered_query_params,
            request_header: request.header,
            priority: request.priority,
            certificate_chain,
            object_storage: request.object_storage,
            hdfs: request.hdfs,
            remote_ip: asker.remote_ip(),
            ..common_template()
        },
    ))
}

/// The file that is asked about, and how many hosts are asked at a time.
pub(super) fn stat_file(request: StatFileRequest) -> Result<(Content, usize, Duration), Error> {
    let content = Content::new(
        url_of(&request.url)?,
        Download {
            piece_length: given(request.piece_length),
            tag: request.tag,
            application: request.application,
            filtered_query_params: request.filtered_query_params,
            ..common_template()
        },
    );
    let hosts_at_once = at_once("concurrent_peer_count", request.concurrent_peer_count, HOSTS_AT_ONCE)?;
    Ok((content, hosts_at_once, timeout(request.timeout)?))
}

/// The image that is asked about, how many layers and hosts are asked about at a time, and how long that may take.
pub(super) fn stat_image(
    request: StatImageRequest,
    asker: Asker,
) -> Result<(ImageOrder, (usize, usize), Duration), Error> {
    let at_once = (
        at_once(
            "concurrent_layer_count",
            request.concurrent_layer_count,
            CONTENTS_AT_ONCE,
        )?,
        at_once("concurrent_peer_count", request.concurrent_peer_count, HOSTS_AT_ONCE)?,
    );
    let timeout = timeout(request.timeout)?;
    let words = ImageWords {
        url: request.url,
        platform: request.platform,
        username: request.username,
        password: request.password,
        insecure: request.insecure_skip_verify,
        template: Download {
            piece_length: request.piece_length,
            tag: request.tag,
            application: request.application,
            filtered_query_params: request.filtered_query_params,
            request_header: request.header,
            certificate_chain: request.certificate_chain,
            enable_task_id_based_blob_digest: request.enable_task_id_based_blob_digest,
            ..Download::default()
        },
    };
    Ok((ImageOrder::of(words, asker)?, at_once, timeout))
}

/// How many hosts a query asks at a time.
pub(super) fn hosts_at_once(given: Option<u32>) -> Result<usize, Error> {
    at_once("concurrent_peer_count", given.map(i64::from), HOSTS_AT_ONCE)
}

impl ImageOrder {
    fn of(words: ImageWords, asker: Asker) -> Result<Self, Error> {
        let image: ImageRef = words.url.parse().map_err(dragonfly_source::oci::Error::from)?;
        let platform = match words.platform.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => text.parse().map_err(dragonfly_source::oci::Error::from)?,
            None => Platform::of_this_host(),
        };
        let trust = trust(&words.template.certificate_chain)?;
        let mut headers = headers(&words.template.request_header)?;
        let login = match (headers.remove(AUTHORIZATION), words.username, words.password) {
            (Some(value), _, _) => Login::given(value),
            (None, Some(user), password) if !user.is_empty() => Login::basic(&user, &password.unwrap_or_default()),
            _ => Login::Anonymous,
        };
        let mut template = words.template;
        template
            .request_header
            .retain(|name, _| !name.eq_ignore_ascii_case("authorization"));
        Ok(Self {
            image,
            platform,
            template: Download {
                piece_length: given(template.piece_length),
                certificate_chain: authorities(&trust),
                remote_ip: asker.remote_ip(),
                r#type: TaskType::Standard.into(),
                scheduling_policy: SchedulingPolicy::Always.into(),
                ..template
            },
            access: Access {
                caller: asker.caller(),
                login,
                headers,
                // What peers believe is theirs to say.
                trust: if words.insecure { Trust::unverified() } else { trust },
            },
        })
    }

    /// The image's registry, to be asked as the caller.
    pub(super) fn registry(&self, sources: Sources) -> Registry {
        Registry::new(sources, self.image.clone(), self.access.clone())
    }
}

impl fmt::Debug for ImageOrder {
    /// Leaves out headers, which may hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageOrder")
            .field("image", &self.image.to_string())
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

/// Small contents travel peer to peer, too.
fn common_template() -> Download {
    Download {
        r#type: TaskType::Standard.into(),
        scheduling_policy: SchedulingPolicy::Always.into(),
        ..Download::default()
    }
}

fn url_of(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).ok().filter(Url::has_host);
    // It may hold a signature, so only its length is told.
    url.ok_or_else(|| Error::Value {
        field: "url",
        value: format!("a text of {} bytes that is no URL", text.len()),
        remedy: "write scheme://host/path",
    })
}

fn trust(chain: &[Vec<u8>]) -> Result<Trust, Error> {
    Trust::in_authorities(chain).map_err(Error::Trust)
}

/// As peers read them.
fn authorities(trust: &Trust) -> Vec<Vec<u8>> {
    trust.authorities().iter().map(|root| root.to_vec()).collect()
}

fn headers(given: &HashMap<String, String>) -> Result<HeaderMap, Error> {
    // A value may be a credential, so it is not repeated.
    let wrong = |name: &str| Error::Value {
        field: "header",
        value: format!("{:?}", name.chars().take(64).collect::<String>()),
        remedy: "give names and values that HTTP allows",
    };
    given
        .iter()
        .map(|(name, value)| {
            let key: HeaderName = name.parse().map_err(|_| wrong(name))?;
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong(name))?;
            value.set_sensitive(true);
            Ok((key, value))
        })
        .collect()
}

fn at_once(field: &'static str, given: Option<i64>, (usual, most): (usize, usize)) -> Result<usize, Error> {
    match given.filter(|given| *given != 0) {
        None => Ok(usual),
        Some(given) => usize::try_from(given)
            .ok()
            .filter(|given| *given <= most)
            .ok_or_else(|| Error::Value {
                field,
                value: given.to_string(),
                remedy: "use 1 to 100 contents and 1 to 1000 peers at a time",
            }),
    }
}

pub(super) fn timeout(given: Option<prost_types::Duration>) -> Result<Duration, Error> {
    let Some(given) = given else {
        return Ok(TIMEOUT);
    };
    let timeout = Duration::try_from(given).map_err(|_| Error::Value {
        field: "timeout",
        value: format!("{}s", given.seconds),
        remedy: "use a time above 0",
    })?;
    Ok(if timeout.is_zero() {
        TIMEOUT
    } else {
        timeout.min(MAX_TIMEOUT)
    })
}

fn given(piece_length: Option<u64>) -> Option<u64> {
    piece_length.filter(|length| *length > 0)
}
