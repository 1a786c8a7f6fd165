use super::*;
use dragonfly_api::common::Network;
use std::time::Duration;

fn host(name: &str, idc: &str) -> Host {
    Host {
        id: format!("10.0.0.1-{name}"),
        hostname: name.to_owned(),
        ip: "10.0.0.1".to_owned(),
        network: Some(Network {
            idc: Some(idc.to_owned()),
            ..Network::default()
        }),
        ..Host::default()
    }
}

fn hosts(dir: &Path, names: &[&str]) -> Hosts {
    let hosts = Hosts::load(dir.join("hosts"), SystemTime::now()).unwrap();
    for name in names {
        let host = host(name, "west");
        let id = host.id.parse().unwrap();
        hosts.announce(id, host, None, SystemTime::now()).unwrap();
    }
    hosts
}

fn key(number: u32) -> Key {
    Key {
        keeping: Keeping::PersistentCache,
        id: format!("{number:064x}").parse().unwrap(),
    }
}

fn who(name: &str) -> (HostId, PeerId) {
    let host: HostId = format!("10.0.0.1-{name}").parse().unwrap();
    let peer = format!("10.0.0.1-{name}-peer").parse().unwrap();
    (host, peer)
}

fn facts(replicas: u64) -> Facts {
    Facts {
        replicas,
        tag: None,
        application: Some("a".to_owned()),
        piece_length: 4 << 20,
        content_length: 9 << 20,
        piece_count: 3,
        ttl: Duration::from_secs(3600),
        store: None,
    }
}

fn put_in(kept: &Kept, number: u32, name: &str) {
    kept.begin(key(number), who(name), facts(2), None).unwrap();
    kept.end(&key(number), &who(name).1, TaskState::Succeeded).unwrap();
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_and_caches_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(&dir.path().join("kept"), hosts(dir.path(), &["a", "b"])).unwrap();
    put_in(&kept, 1, "a");
    put_in(&kept, 2, "a");
    kept.join(&key(1), who("b"), false).unwrap();
    kept.step(&key(1), &who("b").1, PeerState::Succeeded).unwrap();
    assert_eq!(kept.view(&key(1)).unwrap().counts, (1, 2));
    kept.drop(&key(2)).unwrap();
    let secret = ObjectStorage {
        access_key_secret: Some("hunter2".to_owned()),
        ..ObjectStorage::default()
    };
    kept.begin(key(3), who("a"), facts(1), Some(secret)).unwrap();
    drop(kept);
    let kept = Kept::open(&dir.path().join("kept"), hosts(dir.path(), &["a", "b"])).unwrap();
    let view = kept.view(&key(1)).unwrap();
    assert_eq!((view.counts, view.task.state), ((1, 1), TaskState::Succeeded));
    assert_eq!(kept.view(&key(2)).unwrap_err(), Refused::NoTask(key(2)));
    assert_eq!(kept.view(&key(3)).unwrap().task.state, TaskState::Uploading);
    let bytes: Vec<u8> = walk(dir.path());
    assert!(
        !bytes.windows(7).any(|window| window == b"hunter2"),
        "a secret is on disk"
    );
}

fn walk(dir: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => walk(&path),
        false => std::fs::read(path).unwrap(),
    };
    entries.flat_map(of).collect()
}

#[test]
fn a_task_is_put_in_once_and_again_only_after_it_failed() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(&dir.path().join("kept"), hosts(dir.path(), &["a", "b"])).unwrap();
    kept.begin(key(1), who("a"), facts(1), None).unwrap();
    let again = |name| kept.begin(key(1), who(name), facts(1), None);
    assert_eq!(again("b"), Err(Refused::Exists(key(1))));
    kept.end(&key(1), &who("a").1, TaskState::Failed).unwrap();
    again("b").unwrap();
    assert_eq!(
        kept.end(&key(1), &who("a").1, TaskState::Succeeded).unwrap_err(),
        Refused::NoPeer(key(1), who("a").1)
    );
    kept.end(&key(1), &who("b").1, TaskState::Succeeded).unwrap();
    assert_eq!(again("a"), Err(Refused::Exists(key(1))));
    let stranger = kept.begin(key(2), who("stranger"), facts(1), None);
    assert_eq!(stranger, Err(Refused::NoHost(who("stranger").0)));
}

#[test]
fn parents_are_others_that_live_and_have_it_and_the_near_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = hosts(dir.path(), &["a", "b", "c"]);
    let far = host("far", "east");
    hosts
        .announce(far.id.parse().unwrap(), far, None, SystemTime::now())
        .unwrap();
    let kept = Kept::open(&dir.path().join("kept"), hosts.clone()).unwrap();
    put_in(&kept, 1, "far");
    for name in ["a", "b"] {
        kept.join(&key(1), who(name), false).unwrap();
        kept.step(&key(1), &who(name).1, PeerState::Succeeded).unwrap();
    }
    let names = |but: &[&str]| {
        let but = but.iter().map(|name| who(name).1).collect();
        let parents = kept.parents(&key(1), &who("c").0, &but);
        parents.map(|parents| parents.into_iter().map(|parent| parent.id).collect::<Vec<_>>())
    };
    let all = names(&[]).unwrap();
    assert_eq!((all.len(), &all[2]), (3, &who("far").1));
    assert_eq!(names(&["a", "b"]).unwrap(), [who("far").1]);
    assert_eq!(names(&["a", "b", "far"]), Err(Refused::NoParents(key(1))));
    let own = kept.parents(&key(1), &who("a").0, &HashSet::new()).unwrap();
    assert!(own.iter().all(|parent| parent.id != who("a").1));
    hosts.remove(&who("far").0);
    assert_eq!(names(&["a", "b"]), Err(Refused::NoParents(key(1))));
    assert_eq!(kept.view(&key(1)).unwrap().counts, (0, 2), "who keeps it is away");
}

#[test]
fn what_changed_is_told_once_and_what_is_over_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(&dir.path().join("kept"), hosts(dir.path(), &["a"])).unwrap();
    let mut told = HashMap::new();
    put_in(&kept, 1, "a");
    put_in(&kept, 2, "a");
    let told_of = |told: &mut HashMap<Key, u64>| {
        let (changed, gone) = kept.news(told);
        (changed.into_iter().map(|view| view.key).collect::<Vec<_>>(), gone)
    };
    assert_eq!(told_of(&mut told), (vec![key(1), key(2)], vec![]));
    assert_eq!(told_of(&mut told), (vec![], vec![]));
    kept.step(&key(2), &who("a").1, PeerState::Failed).unwrap();
    kept.drop(&key(1)).unwrap();
    assert_eq!(told_of(&mut told), (vec![key(2)], vec![key(1)]));
    kept.expire(SystemTime::now() + Duration::from_secs(3599));
    assert_eq!(told_of(&mut told), (vec![], vec![]));
    kept.expire(SystemTime::now() + Duration::from_secs(3600));
    assert_eq!(told_of(&mut told), (vec![], vec![key(2)]));
}
