//! First pulls: who waits, who goes first, who wakes whom.

use super::*;

#[test]
fn the_first_pull_asks_one_seed_peer_and_everyone_fetches_from_it() {
    let mut scene = Scene::with(&["seed1", "a", "b"]);
    assert_eq!(
        scene.register("a"),
        "00000000: trigger seed1 (call 2) for a\na: parked (help_is_coming)"
    );
    assert_eq!(scene.register("b"), "b: parked (help_is_coming)");
    assert_eq!(scene.register("seed1"), "seed1: back to source (seed)");
    assert_eq!(
        scene.at_origin("seed1"),
        "a: parents seed1 (BackToSource on seed1)\nb: parents seed1 (BackToSource on seed1)"
    );
    scene.started("a");
    scene.piece("seed1", 0, None);
    scene.piece("a", 0, Some("seed1"));
    assert_eq!(scene.finished("seed1"), "seed1: end stream");
    assert_eq!(scene.finished("a"), "a: end stream");
    assert_eq!(scene.trigger_ended(2, Some("seed1")), "");
    let view = scene.graph.task(&task(1)).unwrap();
    assert_eq!((view.peers, view.holders, view.waiting), (3, 2, 0));
}

#[test]
fn without_seed_peers_the_first_goes_to_the_origin_and_the_others_wait_for_it() {
    let mut scene = Scene::with(&["a", "b", "c"]);
    assert_eq!(scene.register("a"), "a: back to source (no_seed)");
    assert_eq!(scene.register("b"), "b: parked (help_is_coming)");
    assert_eq!(scene.at_origin("a"), "b: parents a (BackToSource on a)");
    assert_eq!(scene.register("c"), "c: parents a (BackToSource on a)");
}

#[test]
fn when_the_peer_at_the_origin_dies_the_next_waiting_child_takes_over() {
    let mut scene = Scene::with(&["a", "b", "c"]);
    scene.register("a");
    scene.register("b");
    scene.register("c");
    assert_eq!(scene.broken("a"), "b: back to source (no_seed)");
    assert_eq!(scene.at_origin("b"), "c: parents b (BackToSource on b)");
    // The peer that died comes back and finds a parent.
    assert_eq!(scene.register("a"), "a: parents b (BackToSource on b)");
}

#[test]
fn a_child_of_a_slow_seed_peer_gets_a_grant_at_its_deadline_and_only_one_does() {
    let mut scene = Scene::with(&["seed1", "a", "b"]);
    scene.register("a");
    scene.register("b");
    assert_eq!(scene.pass(seconds(29)), "");
    assert_eq!(scene.pass(seconds(1)), "a: back to source (waited_too_long)");
    assert_eq!(scene.at_origin("a"), "b: parents a (BackToSource on a)");
}

#[test]
fn a_child_that_may_not_go_to_the_origin_is_never_sent_there() {
    let mut scene = Scene::with(&["a", "b"]);
    let shy = Registration {
        disable_back_to_source: true,
        ..registration("a")
    };
    assert_eq!(scene.apply(Event::PeerRegistered(shy.clone())), "a: parked (no_source)");
    assert_eq!(scene.pass(seconds(30)), "a: refuse (no_source)");
    scene.apply(Event::PeerRegistered(shy));
    assert_eq!(scene.register("b"), "b: back to source (no_seed)");
    assert_eq!(scene.at_origin("b"), "a: parents b (BackToSource on b)");
}

#[test]
fn a_grant_that_is_not_used_is_taken_back() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.register("a");
    scene.pass(seconds(10));
    scene.register("b");
    assert_eq!(
        scene.pass(seconds(20)),
        "a: refuse (silent)\nb: back to source (no_seed)"
    );
}

#[test]
fn children_wait_for_a_free_slot_and_are_woken_by_it() {
    let limits = Limits {
        slots: Slots { normal: 2, seed: 2 },
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let mut scene = Scene::of(config, &["h", "a", "b", "c", "d"]);
    scene.holder("h");
    assert_eq!(scene.register("a"), "a: parents h (Succeeded on h)");
    assert_eq!(scene.register("b"), "b: parents h (Succeeded on h)");
    assert_eq!(scene.register("c"), "c: parked (all_busy)");
    assert_eq!(scene.register("d"), "d: parked (all_busy)");
    // Nobody is sent to the origin while a holder will have a free slot.
    assert_eq!(scene.pass(seconds(60)), "");
    assert_eq!(scene.broken("a"), "c: parents h (Succeeded on h)");
    // Who fetches already can serve as well.
    assert_eq!(scene.started("b"), "d: parents b (Running on b)");
}

#[test]
fn the_manager_can_widen_a_limit_for_those_who_wait() {
    let limits = Limits {
        slots: Slots { normal: 1, seed: 1 },
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let mut scene = Scene::of(config, &["h", "a", "b"]);
    scene.holder("h");
    scene.register("a");
    assert_eq!(scene.register("b"), "b: parked (all_busy)");
    assert_eq!(
        scene.apply(Event::LimitsChanged(Limits::default())),
        "b: parents h (Succeeded on h)"
    );
}

#[test]
fn empty_contents_and_announcements_are_answered_at_once() {
    let mut scene = Scene::with(&["a", "b", "c"]);
    let empty = Registration {
        content: Content {
            length: Some(0),
            pieces: Some(0),
        },
        ..registration("a")
    };
    assert_eq!(scene.apply(Event::PeerRegistered(empty)), "a: empty");
    assert_eq!(scene.started("a"), "");
    assert_eq!(scene.finished("a"), "a: end stream");
    let announced = Registration {
        metadata_only: true,
        ..registration("b")
    };
    assert_eq!(scene.apply(Event::PeerRegistered(announced)), "b: metadata only");
    scene.started("b");
    assert_eq!(scene.finished("b"), "b: end stream");
}

#[test]
fn a_peer_of_an_unknown_host_is_a_child_and_nobodys_parent_until_it_announces_itself() {
    let mut scene = Scene::with(&["b", "c"]);
    assert_eq!(scene.register("x"), "x: back to source (no_seed)");
    assert_eq!(scene.at_origin("x"), "");
    assert_eq!(scene.register("b"), "b: parked (origin_budget)");
    assert_eq!(scene.announce("x", facts("x")), "b: parents x (BackToSource on x)");
}

#[test]
fn a_seed_peer_that_comes_late_is_asked_for_those_who_wait() {
    let mut scene = Scene::with(&["a"]);
    let shy = Registration {
        disable_back_to_source: true,
        ..registration("a")
    };
    scene.apply(Event::PeerRegistered(shy));
    assert_eq!(
        scene.announce("seed1", facts("seed1")),
        "00000000: trigger seed1 (call 2) for a"
    );
}

#[test]
fn a_task_without_peers_is_forgotten_and_so_is_a_silent_host() {
    let mut scene = Scene::with(&["a"]);
    scene.register("a");
    scene.broken("a");
    assert_eq!(scene.pass(seconds(60)), "00000000: forgotten");
    assert_eq!(scene.graph.counts().hosts, 1);
    assert_eq!(scene.pass(seconds(3600)), "a: forgotten");
    assert_eq!(scene.graph.counts(), Counts::default());
}

#[test]
fn holders_are_remembered_while_they_are_used_and_forgotten_when_old() {
    let mut scene = Scene::with(&["h", "a"]);
    let config = HostFacts {
        interval: Some(seconds(1_000_000)),
        ..facts("h")
    };
    scene.announce("h", config);
    scene.holder("h");
    scene.pass(seconds(20 * 3600));
    scene.register("a");
    scene.piece("a", 0, Some("h"));
    scene.broken("a");
    scene.pass(seconds(20 * 3600));
    assert_eq!(scene.graph.counts().peers, 1);
    assert_eq!(scene.pass(seconds(4 * 3600 + 60)), "00000000: forgotten");
}
