//! A work as a scheduler is told of it.

use super::ask::{Args, shown_url};
use crate::store::entity::job_work::Only;
use dragonfly_api::ext::work;
use dragonfly_api::order::{distribution, files, image, query, urls};
use dragonfly_api::rest::{PreheatArgs, PreheatKind, PreheatScope};
use prost::Message;
use std::time::Duration;

/// Bytes of a work; schedulers take messages of four MiB.
const MAX_BYTES: usize = 3 << 20;
/// Addresses that a request may name.
const MAX_IPS: usize = 100;

/// What a scheduler shall do within `timeout`: nothing, if it is not for schedulers.
pub(super) fn task(args: Args, only: Option<&Only>, timeout: Duration) -> Option<work::Task> {
    Some(match args {
        Args::Preheat(mut args) => {
            if let Some(only) = only {
                narrow(&mut args, only);
            }
            match args.r#type {
                PreheatKind::Image => work::Task::PreheatImage(image(args, timeout)),
                PreheatKind::File => work::Task::PreheatFiles(files(args, timeout)),
            }
        }
        Args::Distribution(args) => work::Task::StatImage(distribution(args, timeout)),
        Args::Get(args) => work::Task::GetTask(query(args)),
        Args::Delete(args) => work::Task::DeleteTask(query(args)),
        Args::Gc(_) | Args::None => return None,
    })
}

/// Whether a scheduler would take it.
pub(super) fn fits(args: Args) -> bool {
    let task = task(args, None, Duration::ZERO);
    let bytes = task.map_or(0, |task| {
        let work = dragonfly_api::ext::Work {
            task: Some(task),
            ..Default::default()
        };
        work.encoded_len()
    });
    bytes <= MAX_BYTES
}

/// Leaves what is not done. A URL of which nothing was reported is for all hosts.
fn narrow(args: &mut PreheatArgs, only: &Only) {
    let mut all_known = true;
    if args.r#type == PreheatKind::File {
        let shown = urls(args).map(|url| (shown_url(&url), url));
        let open: Vec<_> = shown.filter(|(shown, _)| !only.done.contains(shown)).collect();
        all_known = open.iter().all(|(shown, _)| only.lacking.contains(shown));
        let mut urls = open.into_iter().map(|(_, url)| url);
        if let Some(first) = urls.next() {
            args.urls = urls.collect();
            args.url = first;
        }
    }
    let ips: Vec<_> = only.ips.iter().filter_map(|ip| ip.parse().ok()).collect();
    if all_known && args.scope != PreheatScope::SingleSeedPeer && (1..=MAX_IPS).contains(&ips.len()) {
        args.ips = ips;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_api::scheduler::PreheatFileRequest;

    fn args() -> PreheatArgs {
        PreheatArgs {
            r#type: PreheatKind::File,
            url: "https://o/a".into(),
            urls: vec!["https://o/b".into(), "https://o/a".into()],
            scope: PreheatScope::AllPeers,
            count: 2,
            headers: [("X".to_owned(), "y".into())].into(),
            ..PreheatArgs::default()
        }
    }

    fn told(args: PreheatArgs, only: Option<&Only>) -> Vec<PreheatFileRequest> {
        match task(Args::Preheat(args), only, Duration::from_secs(9)) {
            Some(work::Task::PreheatFiles(files)) => files.files,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_retry_asks_for_what_is_not_done() {
        let (a, b) = ("https://o/a".to_owned(), "https://o/b".to_owned());
        let only = Only {
            done: vec![a.clone()],
            lacking: vec![b.clone()],
            ips: vec!["10.0.0.7".into()],
        };
        let files = told(args(), Some(&only));
        assert_eq!(files.len(), 1);
        assert_eq!(
            (&files[0].url, files[0].ips.as_slice()),
            (&b, ["10.0.0.7".to_owned()].as_slice())
        );
        assert_eq!(told(args(), Some(&Only::default())).len(), 2);
        // Nothing was said of b, so every host is meant.
        let unknown = Only {
            done: Vec::new(),
            lacking: vec![a],
            ..only
        };
        let files = told(args(), Some(&unknown));
        assert_eq!((files.len(), files[0].ips.len()), (2, 0));
    }

    #[test]
    fn a_work_that_no_scheduler_takes_is_known() {
        assert!(fits(Args::Preheat(args())));
        let large = PreheatArgs {
            urls: (0..1000).map(|number| format!("https://o/{number}")).collect(),
            headers: [("X".to_owned(), "y".repeat(10_000).into())].into(),
            ..args()
        };
        assert!(!fits(Args::Preheat(large)));
    }
}
