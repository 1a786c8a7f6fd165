//! What origins have said about who may read what, remembered so that a cached content needs no question at each
//! request and is still served, to those who may read it, while the origin is down.
//!
//! A grant is for (registry origin, repository, principal); the principal is "nobody in particular" or an HMAC of the
//! credentials. It lasts a configured time, never past a token's own end, and ends at once when the origin says 401 or
//! 403. A grant for a repository alone opens nothing: the origin must also have said that the content is in that
//! repository, else a right to read one repository would be a right to read every cached blob. Only HMACs under a key
//! of this host are kept, in memory and in a file that survives a restart.

mod access;
mod book;

pub(super) use access::Access;

use super::refusal::Refusal;
use access::Key;
use book::{Book, Name, Seconds, Stored};
use dragonfly_service::fs;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use url::Url;

/// How long a registry's challenge is worth repeating.
const CHALLENGE_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
const MAX_CHALLENGE_VALUES: usize = 4;
const MAX_CHALLENGE_BYTES: usize = 4096;
/// Changes within this time are written together.
const WRITE_PAUSE: Duration = Duration::from_secs(1);

/// Why the grants can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory can't be made.
    #[error("can't use the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file can't be written.
    #[error(transparent)]
    Write(#[from] fs::Error),
    /// The key is not one that this program wrote.
    #[error("{} is damaged; delete it, and callers are asked for again", path.display())]
    DamagedKey {
        /// The file.
        path: PathBuf,
    },
}

/// The memory of grants. Clones share it.
#[derive(Clone)]
pub(super) struct Grants(Arc<Inner>);

struct Inner {
    key: Key,
    ttl: Duration,
    file: PathBuf,
    book: Mutex<Book>,
    changed: Notify,
}

impl Grants {
    /// Reads key and file from the directory, or begins anew.
    pub(super) fn open(dir: &Path, ttl: Duration) -> Result<Self, Error> {
        let unusable = |source| Error::Directory {
            path: dir.to_owned(),
            source,
        };
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir).map_err(unusable)?;
        let key = Key::new(&host_key(&dir.join("grants.key"))?);
        let file = dir.join("grants.json");
        let book = read(&file)?.unwrap_or_default();
        Ok(Self(Arc::new(Inner {
            key,
            ttl,
            file,
            book: Mutex::new(book),
            changed: Notify::new(),
        })))
    }

    /// The names under which a request is remembered; `headers` are those that its origin gets.
    pub(super) fn access(&self, url: &Url, headers: &HeaderMap) -> Access {
        Access::of(&self.0.key, url, headers)
    }

    /// As [`Grants::access`], if the URL is one of a registry's.
    pub(super) fn registry_access(&self, url: &Url, headers: &HeaderMap) -> Option<Access> {
        Some(self.access(url, headers)).filter(|access| access.is_registry)
    }

    /// Whether the origin need not be asked: it has said that this caller may read the repository, and that the
    /// content is in it.
    pub(super) fn holds(&self, access: &Access) -> bool {
        let now = now();
        let book = self.book();
        book.knows(access.grant, now) && book.knows(access.held, now)
    }

    /// What a caller without credentials is asked for while the origin can't be asked itself.
    pub(super) fn challenge(&self, access: &Access) -> Option<HeaderMap> {
        if access.has_credentials {
            return None;
        }
        let book = self.book();
        let values = book.challenge(access.challenge, now())?.iter();
        let headers: HeaderMap = values
            .filter_map(|value| Some((WWW_AUTHENTICATE, HeaderValue::from_str(value).ok()?)))
            .collect();
        (!headers.is_empty()).then_some(headers)
    }

    /// What a caller is told about whom nothing is remembered while the origin, for the reason given, can't be asked.
    pub(super) fn unasked(&self, access: &Access, reason: &str) -> Refusal {
        match self.challenge(access) {
            Some(challenge) => {
                let message = format!("{reason}; credentials are needed for what is kept here");
                Refusal::backend(StatusCode::UNAUTHORIZED, message).with_headers(challenge)
            }
            None => {
                let message = format!("{reason}, and nothing is remembered of this caller's right to the content");
                Refusal::backend(StatusCode::SERVICE_UNAVAILABLE, message)
            }
        }
    }

    /// Takes note of the origin's answer to this caller.
    pub(super) fn observe(&self, access: &Access, status: StatusCode, headers: &HeaderMap) {
        let now = now();
        let mut book = self.book();
        let changed = match status {
            status if status.is_success() || status == StatusCode::NOT_MODIFIED => {
                let until = now.saturating_add(self.0.ttl.as_secs());
                let grant_until = access.credentials_end.map_or(until, |end| end.min(until));
                book.learn(access.grant, grant_until, now) | book.learn(access.held, until, now)
            }
            StatusCode::UNAUTHORIZED => {
                book.forget(access.grant) | remember_challenge(&mut book, access.challenge, headers, now)
            }
            StatusCode::FORBIDDEN => book.forget(access.grant),
            // Some registries say 404 to those who may not even know: only who may read the repository is believed.
            StatusCode::NOT_FOUND | StatusCode::GONE if book.knows(access.grant, now) => book.forget(access.held),
            _ => false,
        };
        drop(book);
        if changed {
            self.0.changed.notify_one();
        }
    }

    /// Writes changes to the file until cancelled, then a last time. A change is on disk a second later at most.
    pub(super) async fn keep(self, cancel: CancellationToken) {
        loop {
            let ended = tokio::select! {
                () = self.0.changed.notified() => false,
                () = cancel.cancelled() => true,
            };
            let stored = self.book().to_stored(now());
            let file = self.0.file.clone();
            let written = tokio::task::spawn_blocking(move || write(&file, &stored)).await;
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "remembered permissions are not kept across a restart"),
                Err(error) => tracing::error!(%error, "writing remembered permissions failed"),
            }
            if ended {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(WRITE_PAUSE) => {}
                () = cancel.cancelled() => {}
            }
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remember_challenge(book: &mut Book, name: Name, headers: &HeaderMap, now: Seconds) -> bool {
    let values: Vec<String> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|value| value.len() <= MAX_CHALLENGE_BYTES)
        .take(MAX_CHALLENGE_VALUES)
        .map(str::to_owned)
        .collect();
    let until = now.saturating_add(CHALLENGE_TTL.as_secs());
    !values.is_empty() && book.challenged(name, values, until, now)
}

fn now() -> Seconds {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// The host's key; made on first use, readable by the owner only.
fn host_key(path: &Path) -> Result<[u8; 32], Error> {
    match std::fs::read(path) {
        Ok(bytes) => bytes
            .try_into()
            .map_err(|_| Error::DamagedKey { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key: [u8; 32] = rand::random();
            fs::write_atomic(path, &key, 0o600)?;
            Ok(key)
        }
        Err(source) => Err(Error::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The book, if there is one. One that can't be understood is begun anew: nothing is lost but a question to the origin.
fn read(path: &Path) -> Result<Option<Book>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(Error::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    match serde_json::from_slice::<Stored>(&bytes) {
        Ok(stored) if stored.version == Stored::VERSION => Ok(Some(Book::from_stored(stored, now()))),
        _ => {
            tracing::warn!(path = %path.display(), "remembered permissions can't be read; origins are asked again");
            Ok(None)
        }
    }
}

fn write(path: &Path, stored: &Stored) -> Result<(), fs::Error> {
    let bytes = serde_json::to_vec(stored).expect("a list of texts and numbers has a JSON form");
    fs::write_atomic(path, &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::os::unix::fs::PermissionsExt;

    const HOUR: Duration = Duration::from_secs(3600);

    fn blob(repository: &str, digest: &str) -> Url {
        let digest = digest.repeat(32);
        Url::parse(&format!("https://r.lab/v2/{repository}/blobs/sha256:{digest}")).unwrap()
    }

    fn with(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(http::header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    fn ok(grants: &Grants, access: &Access) {
        grants.observe(access, StatusCode::OK, &HeaderMap::new());
    }

    #[test]
    fn a_grant_holds_until_the_origin_says_no() {
        let dir = tempfile::tempdir().unwrap();
        let grants = Grants::open(dir.path(), HOUR).unwrap();
        let access = grants.access(&blob("a", "11"), &with("Basic YTpi"));
        assert!(!grants.holds(&access));
        ok(&grants, &access);
        assert!(grants.holds(&access));
        assert!(!grants.holds(&grants.access(&blob("a", "11"), &HeaderMap::new())));
        for no in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
            ok(&grants, &access);
            grants.observe(&access, no, &HeaderMap::new());
            assert!(!grants.holds(&access), "{no}");
        }
    }

    #[test]
    fn a_right_to_one_repository_is_no_right_to_another_repositorys_blob() {
        let dir = tempfile::tempdir().unwrap();
        let grants = Grants::open(dir.path(), HOUR).unwrap();
        let (owner, guest) = (with("Basic b3duZXI="), HeaderMap::new());
        ok(&grants, &grants.access(&blob("private", "11"), &owner));
        ok(&grants, &grants.access(&blob("public", "22"), &guest));
        // The private blob's digest, asked for in the repository that the guest may read.
        assert!(!grants.holds(&grants.access(&blob("public", "11"), &guest)));
        assert!(!grants.holds(&grants.access(&blob("private", "11"), &guest)));
    }

    #[test]
    fn whoever_may_read_the_repository_may_read_what_the_origin_showed_another_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let grants = Grants::open(dir.path(), HOUR).unwrap();
        let (one, two) = (with("Basic b25l"), with("Basic dHdv"));
        ok(&grants, &grants.access(&blob("a", "11"), &one));
        ok(&grants, &grants.access(&blob("a", "22"), &two));
        assert!(grants.holds(&grants.access(&blob("a", "11"), &two)));
    }

    #[test]
    fn a_blob_that_is_gone_is_asked_for_again_but_a_stranger_can_not_say_so() {
        let dir = tempfile::tempdir().unwrap();
        let grants = Grants::open(dir.path(), HOUR).unwrap();
        let owner = grants.access(&blob("a", "11"), &with("Basic b25l"));
        ok(&grants, &owner);
        let stranger = grants.access(&blob("a", "11"), &HeaderMap::new());
        grants.observe(&stranger, StatusCode::NOT_FOUND, &HeaderMap::new());
        assert!(grants.holds(&owner));
        grants.observe(&owner, StatusCode::NOT_FOUND, &HeaderMap::new());
        assert!(!grants.holds(&owner));
    }

    #[test]
    fn a_grant_never_outlives_its_token() {
        let dir = tempfile::tempdir().unwrap();
        let grants = Grants::open(dir.path(), HOUR).unwrap();
        let token = |end: u64| {
            let claims = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{end}}}"));
            with(&format!("Bearer e30.{claims}.sig"))
        };
        let ended = grants.access(&blob("a", "11"), &token(now() - 1));
        ok(&grants, &ended);
        assert!(!grants.holds(&ended));
        let valid = grants.access(&blob("a", "11"), &token(now() + 60));
        ok(&grants, &valid);
        assert!(grants.holds(&valid));
    }

    #[test]
    fn a_challenge_is_repeated_to_callers_without_credentials_only() {
        let dir = tempfile::tempdir().unwrap();
        let grants = Grants::open(dir.path(), HOUR).unwrap();
        let url = blob("a", "11");
        let nobody = grants.access(&url, &HeaderMap::new());
        assert!(grants.challenge(&nobody).is_none());
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"lab\""));
        grants.observe(&nobody, StatusCode::UNAUTHORIZED, &headers);
        assert_eq!(grants.challenge(&nobody), Some(headers));
        assert!(grants.challenge(&grants.access(&url, &with("Basic YTpi"))).is_none());
        assert!(
            grants
                .challenge(&grants.access(&blob("b", "11"), &HeaderMap::new()))
                .is_none()
        );
    }

    #[tokio::test]
    async fn grants_survive_a_restart_and_name_no_secret_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let headers = with("Basic c2VjcmV0OnNlY3JldA==");
        let grants = Grants::open(dir.path(), HOUR).unwrap();
        ok(&grants, &grants.access(&blob("team/app", "11"), &headers));
        let cancel = CancellationToken::new();
        cancel.cancel();
        grants.keep(cancel).await;

        let grants = Grants::open(dir.path(), HOUR).unwrap();
        assert!(grants.holds(&grants.access(&blob("team/app", "11"), &headers)));
        for file in ["grants.key", "grants.json"] {
            let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        let text = std::fs::read_to_string(dir.path().join("grants.json")).unwrap();
        for secret in ["c2VjcmV0", "team/app", "r.lab"] {
            assert!(!text.contains(secret), "{secret}");
        }

        // Without the key nothing in the file means anything.
        std::fs::remove_file(dir.path().join("grants.key")).unwrap();
        let grants = Grants::open(dir.path(), HOUR).unwrap();
        assert!(!grants.holds(&grants.access(&blob("team/app", "11"), &headers)));
    }

    #[test]
    fn a_damaged_file_is_begun_anew_and_a_damaged_key_is_said() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("grants.json"), "{").unwrap();
        assert!(Grants::open(dir.path(), HOUR).is_ok());
        std::fs::write(dir.path().join("grants.key"), "short").unwrap();
        assert!(matches!(Grants::open(dir.path(), HOUR), Err(Error::DamagedKey { .. })));
    }
}
