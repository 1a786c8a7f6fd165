//! Why a child has its parents.

use super::*;
use std::collections::BTreeMap;

/// What each peer is to `child`.
fn verdicts(scene: &Scene, child: &str) -> BTreeMap<String, &'static str> {
    let explained = scene.graph.explain(&key(child), 100).unwrap();
    assert_eq!(explained.left_out, 0);
    let weighed = explained.weighed.iter();
    weighed.map(|one| (one.peer.to_string(), one.verdict.label())).collect()
}

#[test]
fn everybody_who_was_weighed_is_told_of_with_the_reason() {
    let mut scene = Scene::with(&["seed", "a", "b", "c", "d", "e"]);
    scene.holder("a");
    scene.register("b");
    scene.started("b");
    scene.piece("b", 0, Some("a"));
    scene.register("c");
    scene.apply(Event::PeerRegistered(Registration {
        peer: key("a-again"),
        host: host("b"),
        ..registration("d")
    }));
    assert_eq!(
        verdicts(&scene, "b"),
        BTreeMap::from([
            ("a".to_owned(), "parent"),
            ("a-again".to_owned(), "same_host"),
            ("c".to_owned(), "not_begun"),
        ])
    );
    // Who depends on b can't be one to depend on.
    let c = scene.graph.explain(&key("c"), 100).unwrap();
    assert_eq!(c.weighed.len(), 3);
    assert_eq!(c.waits, None);
    assert!(c.weighed[0].score >= c.weighed[1].score, "{c:?}");
    assert!(scene.graph.explain(&key("stranger"), 100).is_none());
    assert_eq!(scene.graph.explain(&key("c"), 1).unwrap().left_out, 2);
}

#[test]
fn a_child_that_waits_says_for_what() {
    let mut scene = Scene::with(&["seed", "a"]);
    scene.register("a");
    let a = scene.graph.explain(&key("a"), 100).unwrap();
    assert_eq!(a.waits, Some(Some(Parked::HelpIsComing)));
    assert_eq!(scene.graph.peers_of(&task(1), 100).len(), 1);
    assert!(scene.graph.peers_of(&task(1), 0).is_empty());
}
