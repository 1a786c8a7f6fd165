//! Seed peers that fail, credentials that are refused, priorities, budgets.

use super::*;

fn with_credentials(name: &str, credentials: u64) -> Event {
    Event::PeerRegistered(Registration {
        credentials: CredentialsId(credentials),
        ..registration(name)
    })
}

fn with_priority(name: &str, priority: Priority) -> Event {
    Event::PeerRegistered(Registration {
        priority,
        ..registration(name)
    })
}

#[test]
fn a_seed_peer_that_fails_is_followed_by_the_next_and_then_by_a_child() {
    let mut scene = Scene::with(&["seed1", "seed2", "a", "b"]);
    assert_eq!(
        scene.register("a"),
        "00000000: trigger seed2 (call 2) for a\na: parked (help_is_coming)"
    );
    scene.register("b");
    assert_eq!(scene.trigger_failed(2, None), "00000000: trigger seed1 (call 4) for a");
    // A late word about the first call changes nothing.
    assert_eq!(scene.trigger_failed(2, None), "");
    assert_eq!(scene.trigger_failed(4, Some(500)), "a: back to source (no_seed)");
    assert_eq!(scene.at_origin("a"), "b: parents a (BackToSource on a)");
}

/// The number of the latest call to a seed peer.
fn latest_call(scene: &Scene) -> u64 {
    let decisions = scene.log.iter().flat_map(|(_, _, decisions)| decisions);
    let mut calls = decisions.filter_map(|decision| match decision {
        Decision::TriggerSeed { trigger, .. } => Some(trigger.0),
        _ => None,
    });
    calls.next_back().unwrap()
}

#[test]
fn a_seed_peer_that_had_the_content_already_is_not_asked_once_more_for_each_answer() {
    let mut scene = Scene::with(&["seed", "a"]);
    scene.holder("seed");
    scene.register("a");
    // The child gives it up.
    for pause in [1, 2] {
        scene.failed_piece("a", "seed");
        scene.reschedule("a");
        scene.pass(seconds(pause));
    }
    let asked = scene.reschedule("a");
    assert!(asked.starts_with("00000000: trigger seed"), "{asked}");
    let first = latest_call(&scene);
    assert_eq!(scene.trigger_ended(first, None), "");
    let again = scene.pass(Config::default().calm);
    assert!(again.starts_with("00000000: trigger seed"), "{again}");
    assert_ne!(latest_call(&scene), first);
}

#[test]
fn a_seed_peer_that_leaves_while_it_is_asked_counts_as_failed() {
    let mut scene = Scene::with(&["seed1", "a"]);
    scene.register("a");
    let left = Event::HostLeft { host: host("seed1") };
    assert_eq!(scene.apply(left), "a: back to source (no_seed)");
}

#[test]
fn an_asked_seed_peer_of_which_nothing_is_heard_counts_as_failed() {
    let mut scene = Scene::of(
        Config {
            wait: seconds(500),
            patience: seconds(900),
            ..Config::default()
        },
        &["seed1", "seed2", "a"],
    );
    scene.register("a");
    assert_eq!(scene.pass(seconds(60)), "00000000: trigger seed1 (call 3) for a");
    scene.register("seed1");
    scene.pass(seconds(29));
    scene.apply(Event::BackToSourceStarted { peer: key("seed1") });
    assert_eq!(scene.pass(seconds(600)), "");
}

#[test]
fn refused_credentials_are_followed_by_the_next_waiting_childs_and_nobody_sees_the_error() {
    let mut scene = Scene::with(&["seed1", "seed2", "a", "b", "c"]);
    scene.apply(with_credentials("a", 1));
    scene.apply(with_credentials("b", 1));
    scene.apply(with_credentials("c", 2));
    assert_eq!(
        scene.trigger_failed(2, Some(401)),
        "00000000: trigger seed2 (call 5) for c"
    );
    assert_eq!(scene.register("seed2"), "seed2: back to source (seed)");
    let all = scene.at_origin("seed2");
    assert_eq!(all.lines().count(), 3, "{all}");
    assert!(all.lines().all(|line| line.contains("parents seed2")), "{all}");
}

#[test]
fn a_child_whose_credentials_were_refused_for_all_gets_its_own_answer_from_the_origin() {
    let mut scene = Scene::with(&["seed1", "a", "b"]);
    scene.apply(with_credentials("a", 1));
    scene.apply(with_credentials("b", 2));
    assert_eq!(
        scene.trigger_failed(2, Some(403)),
        "00000000: trigger seed1 (call 4) for b"
    );
    assert_eq!(scene.trigger_failed(4, Some(401)), "a: back to source (no_seed)");
    assert_eq!(
        scene.apply(Event::PeerFailed { peer: key("a") }),
        "a: end stream\nb: back to source (no_seed)"
    );
}

#[test]
fn a_seed_peer_that_fetched_without_registering_is_a_holder() {
    let mut scene = Scene::with(&["seed1", "a"]);
    scene.register("a");
    assert_eq!(
        scene.trigger_ended(2, Some("seed1-x")),
        "a: parents seed1-x (Succeeded on seed1)"
    );
    let mut scene = Scene::with(&["seed1", "a"]);
    scene.register("a");
    assert_eq!(scene.trigger_ended(2, None), "a: parents seed1 (Succeeded on seed1)");
}

#[test]
fn priorities_say_who_goes_first() {
    let hosts = ["seed1", "a"];
    let first = |priority| Scene::with(&hosts).apply(with_priority("a", priority));
    let seed_first = "00000000: trigger seed1 (call 2) for a\na: parked (help_is_coming)";
    assert_eq!(first(Priority::Level1), "a: refuse (forbidden)");
    assert_eq!(first(Priority::Level2), "a: refuse (not_found)");
    assert_eq!(first(Priority::Level3), "a: back to source (asked)");
    for priority in [Priority::Level0, Priority::Level4, Priority::Level5, Priority::Level6] {
        assert_eq!(first(priority), seed_first);
    }
}

#[test]
fn a_peers_only_child_waits_for_help_that_is_under_way_and_is_refused_when_it_fails() {
    let mut scene = Scene::with(&["seed1", "a", "b"]);
    scene.register("a");
    assert_eq!(
        scene.apply(with_priority("b", Priority::Level2)),
        "b: parked (help_is_coming)"
    );
    assert_eq!(scene.trigger_failed(2, None), "a: back to source (no_seed)");
    assert_eq!(scene.broken("a"), "b: refuse (not_found)");
}

#[test]
fn a_holder_is_preferred_to_the_origin_even_by_who_asks_for_the_origin() {
    let mut scene = Scene::with(&["seed1", "h"]);
    scene.holder("h");
    assert_eq!(scene.register("seed1"), "seed1: parents h (Succeeded on h)");
}

#[test]
fn ranges_that_do_not_overlap_go_to_the_origin_side_by_side() {
    let mut scene = Scene::with(&["a", "b", "c"]);
    let range = |name: &str, first, end| {
        Event::PeerRegistered(Registration {
            wanted: Wanted::Pieces { first, end },
            ..registration(name)
        })
    };
    assert_eq!(scene.apply(range("a", 0, 2)), "a: back to source (no_seed)");
    assert_eq!(scene.apply(range("b", 2, 4)), "b: back to source (no_seed)");
    assert_eq!(scene.apply(range("c", 1, 2)), "c: parked (help_is_coming)");
    assert_eq!(scene.at_origin("b"), "");
    assert_eq!(scene.at_origin("a"), "c: parents a (BackToSource on a)");
}

#[test]
fn parents_that_hold_a_part_are_offered_while_a_seed_peer_fetches_the_rest() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.apply(Event::PeerRegistered(Registration {
        wanted: Wanted::Pieces { first: 0, end: 1 },
        ..registration("a")
    }));
    scene.at_origin("a");
    scene.piece("a", 0, None);
    scene.finished("a");
    scene.announce("seed1", facts("seed1"));
    assert_eq!(
        scene.register("b"),
        "00000000: trigger seed1 (call 3) for b\nb: parents a (Succeeded on a)"
    );
    scene.piece("b", 0, Some("a"));
    assert_eq!(scene.reschedule("b"), "b: parked (help_is_coming)");
    scene.register("seed1");
    assert_eq!(scene.at_origin("seed1"), "b: parents seed1 (BackToSource on seed1)");
}

#[test]
fn a_deleted_copy_is_no_parent_and_a_running_download_survives_the_deletion() {
    let mut scene = Scene::with(&["h", "a"]);
    scene.holder("h");
    let deleted = |name: &str| Event::TaskDeleted {
        host: host(name),
        task: task(1),
    };
    assert_eq!(scene.apply(deleted("h")), "");
    assert_eq!(scene.register("a"), "a: back to source (no_seed)");
    assert_eq!(scene.apply(deleted("a")), "");
    assert_eq!(scene.finished("a"), "a: end stream");
    assert_eq!(scene.graph.task(&task(1)).unwrap().holders, 1);
    assert_eq!(scene.apply(Event::PeerDeleted { peer: key("a") }), "");
    assert_eq!(scene.graph.peer_view(&key("a")), None);
}
