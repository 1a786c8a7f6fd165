//! Which parents a child is given, and what it and others report of them.

use super::*;
use dragonfly_model::PeerId;

/// The hosts of the parents in a decision for `name`.
fn parents_of(decisions: &[Decision], name: &str) -> Vec<HostId> {
    let mine = decisions.iter().find_map(|decision| match decision {
        Decision::Parents { peer, parents } if *peer == key(name) => Some(parents),
        _ => None,
    });
    mine.into_iter().flatten().map(|parent| parent.host.clone()).collect()
}

#[test]
fn a_child_gets_as_many_parents_as_the_limit_each_on_another_host() {
    let mut scene = Scene::with(&["h1", "h2", "h3", "h4", "a"]);
    for name in ["h1", "h2", "h3", "h4"] {
        scene.holder(name);
    }
    let second = Registration {
        host: host("h1"),
        metadata_only: true,
        wanted: Wanted::Pieces { first: 0, end: 4 },
        ..registration("h1-again")
    };
    scene.apply(Event::PeerRegistered(second));
    scene.finished("h1-again");
    let decisions = scene.decide(Event::PeerRegistered(registration("a")));
    let mut hosts = parents_of(&decisions, "a");
    assert_eq!(hosts.len(), 3);
    hosts.sort();
    hosts.dedup();
    assert_eq!(hosts.len(), 3);
}

#[test]
fn nearer_faster_and_less_loaded_parents_come_first() {
    let near = |name: &str, idc: &str, location: &str| HostFacts {
        idc: idc.to_owned(),
        location: Location::new(location),
        ..facts(name)
    };
    let mut scene = Scene::with(&[]);
    scene.announce("far", near("far", "east", "eu|de|b"));
    scene.announce("near", near("near", "west", "eu|fr|p"));
    scene.announce("a", near("a", "WEST", "eu|fr|p"));
    scene.holder("far");
    scene.holder("near");
    assert_eq!(
        scene.register("a"),
        "a: parents near (Succeeded on near) far (Succeeded on far)"
    );
    // The far one turns out to be faster.
    scene.started("a");
    for (number, parent, millis) in [(0, "near", 80), (1, "far", 10)] {
        scene.apply(Event::PieceFinished {
            peer: key("a"),
            piece: FinishedPiece {
                number: PieceNumber(number),
                length: 4 << 20,
                cost: Duration::from_millis(millis),
                parent: Some(parent.parse().unwrap()),
            },
        });
    }
    assert_eq!(
        scene.reschedule("a"),
        "a: parents far (Succeeded on far) near (Succeeded on near)"
    );
}

#[test]
fn a_host_that_does_not_share_is_nobodys_parent() {
    let mut scene = Scene::with(&["a"]);
    let closed = HostFacts {
        shares: false,
        ..facts("h")
    };
    scene.announce("h", closed);
    scene.holder("h");
    assert_eq!(scene.register("a"), "a: back to source (no_seed)");
}

#[test]
fn only_the_parent_that_failed_is_paused_and_comes_back() {
    let mut scene = Scene::with(&["h1", "h2", "a"]);
    scene.holder("h1");
    scene.holder("h2");
    let both = scene.register("a");
    assert!(both.contains("h1") && both.contains("h2"), "{both}");
    scene.piece("a", 0, Some("h2"));
    scene.failed_piece("a", "h1");
    assert_eq!(scene.reschedule("a"), "a: parents h2 (Succeeded on h2)");
    scene.piece("a", 1, Some("h2"));
    scene.pass(seconds(1));
    assert!(scene.reschedule("a").contains("h1"));
}

#[test]
fn a_parent_that_fails_again_and_again_is_given_up_and_the_child_may_go_to_the_origin() {
    let mut scene = Scene::with(&["h", "a"]);
    scene.holder("h");
    scene.register("a");
    scene.failed_piece("a", "h");
    assert_eq!(scene.reschedule("a"), "a: parked (paused)");
    assert_eq!(scene.pass(seconds(1)), "a: parents h (Succeeded on h)");
    scene.failed_piece("a", "h");
    assert_eq!(scene.reschedule("a"), "a: parked (paused)");
    assert_eq!(scene.pass(seconds(2)), "a: parents h (Succeeded on h)");
    // No word about a piece, but nothing landed either from a parent that has everything.
    assert_eq!(scene.reschedule("a"), "a: back to source (no_seed)");
}

#[test]
fn a_parent_without_a_new_piece_is_offered_again_when_one_lands_there() {
    let mut scene = Scene::with(&["a", "b"]);
    scene.register("a");
    scene.at_origin("a");
    assert_eq!(scene.register("b"), "b: parents a (BackToSource on a)");
    assert_eq!(scene.reschedule("b"), "b: parked (no_piece)");
    assert_eq!(scene.pass(seconds(80)), "");
    assert_eq!(scene.piece("a", 2, None), "b: parents a (BackToSource on a)");
}

/// A child has fetched a piece of 4 MiB from a parent in so much time.
fn delivered(child: &str, number: u32, parent: &str, cost: Duration) -> Event {
    Event::PieceFinished {
        peer: key(child),
        piece: FinishedPiece {
            number: PieceNumber(number),
            length: 4 << 20,
            cost,
            parent: Some(key(parent).peer),
        },
    }
}

/// `slow` has the children of these names, and `fast` has `b`, which has found it to be fast. No child shares.
fn a_slow_and_a_fast_parent(config: Config, children: &[&str]) -> Scene {
    let mut scene = Scene::of(config, &[&["slow", "fast", "b"], children].concat());
    let greedy = |name: &str| HostFacts {
        shares: false,
        ..facts(name)
    };
    scene.announce("b", greedy("b"));
    scene.holder("slow");
    for child in children {
        scene.announce(child, greedy(child));
        scene.apply(Event::PeerRegistered(Registration {
            listens: true,
            ..registration(child)
        }));
        scene.started(child);
    }
    scene.holder("fast");
    assert!(scene.register("b").starts_with("b: parents fast (Succeeded on fast)"));
    for number in 0..4 {
        let fast = delivered("b", number, "fast", Duration::from_millis(40));
        assert_eq!(scene.apply(fast), "");
    }
    scene
}

#[test]
fn a_child_with_a_slow_parent_alone_gets_another_as_soon_as_one_has_room() {
    let narrow = Config {
        fan_out: 1,
        parents: 1,
        limits: Limits {
            slots: Slots { normal: 1, seed: 1 },
            ..Limits::default()
        },
        ..Config::default()
    };
    let mut scene = a_slow_and_a_fast_parent(narrow, &["a"]);
    assert_eq!(scene.apply(delivered("a", 0, "slow", seconds(4))), "");
    let more = scene.finished("b");
    assert!(more.contains("a: more parents fast (Succeeded on fast)"), "{more}");
    // It has a good one now: nothing more is done for it.
    let fast = delivered("a", 1, "fast", Duration::from_millis(40));
    assert_eq!(scene.apply(fast), "");
}

#[test]
fn a_slow_parent_s_children_join_a_crowd_when_one_of_them_has_found_it_out() {
    let narrow = Config {
        fan_out: 2,
        parents: 1,
        ..Config::default()
    };
    let mut scene = a_slow_and_a_fast_parent(narrow, &["a", "c"]);
    let more = scene.apply(delivered("a", 0, "slow", seconds(4)));
    for child in ["a", "c"] {
        let helped = format!("{child}: more parents fast (Succeeded on fast)");
        assert!(more.contains(&helped), "{more}");
    }
}

#[test]
fn a_child_whose_parent_brings_nothing_in_time_is_given_another() {
    let narrow = Config {
        parents: 1,
        ..Config::default()
    };
    let mut scene = a_slow_and_a_fast_parent(narrow, &["a"]);
    // A piece takes 40 ms here; four times that is late.
    let more = scene.pass(seconds(1));
    assert!(more.contains("a: more parents fast (Succeeded on fast)"), "{more}");
    assert_eq!(scene.pass(seconds(60)), "", "with a good parent it waits in peace");
}

#[test]
fn a_child_that_gets_no_piece_of_its_parent_is_given_another_at_once() {
    let narrow = Config {
        parents: 1,
        ..Config::default()
    };
    let mut scene = Scene::of(narrow, &["bad", "good", "a"]);
    scene.holder("bad");
    scene.apply(Event::PeerRegistered(Registration {
        listens: true,
        ..registration("a")
    }));
    scene.started("a");
    scene.holder("good");
    assert_eq!(
        scene.failed_piece("a", "bad"),
        "a: more parents good (Succeeded on good)"
    );
}

#[test]
fn slow_parents_come_last_and_after_crowds_for_who_joins_them() {
    let narrow = Config {
        fan_out: 1,
        ..Config::default()
    };
    let mut scene = a_slow_and_a_fast_parent(narrow, &["a"]);
    scene.apply(delivered("a", 0, "slow", seconds(4)));
    scene.finished("a");
    // `fast` has a child already, `slow` has none: who is new takes what has room.
    assert_eq!(scene.register("c"), "c: parents slow (Succeeded on slow)");
    scene.broken("c");
    scene.finished("b");
    assert_eq!(scene.register("d"), "d: parents fast (Succeeded on fast)");
}

#[test]
fn a_slow_parent_with_a_crowd_is_better_than_none() {
    let narrow = Config {
        fan_out: 1,
        ..Config::default()
    };
    let mut scene = a_slow_and_a_fast_parent(narrow, &["a"]);
    scene.apply(delivered("a", 0, "slow", seconds(4)));
    scene.apply(Event::HostLeft { host: host("fast") });
    assert_eq!(scene.register("c"), "c: parked (all_busy)");
    assert_eq!(
        scene.pass(Config::default().calm),
        "c: parents slow (Succeeded on slow)"
    );
}

#[test]
fn a_child_that_has_much_of_few_parents_joins_a_crowd() {
    let narrow = Config {
        fan_out: 1,
        parents: 2,
        ..Config::default()
    };
    let mut scene = Scene::of(narrow, &["h", "crowded", "a", "b"]);
    let greedy = |name: &str| HostFacts {
        shares: false,
        ..facts(name)
    };
    scene.announce("a", greedy("a"));
    scene.announce("b", greedy("b"));
    scene.holder("h");
    scene.apply(Event::PeerRegistered(Registration {
        listens: true,
        ..registration("a")
    }));
    scene.started("a");
    scene.holder("crowded");
    assert_eq!(scene.register("b"), "b: parents crowded (Succeeded on crowded)");
    // One piece of four is more than the sixth that one of two parents should have brought.
    assert_eq!(
        scene.piece("a", 0, Some("h")),
        "a: more parents crowded (Succeeded on crowded)"
    );
}

#[test]
fn a_child_that_is_far_behind_the_others_joins_a_crowd_without_a_word() {
    let narrow = Config {
        fan_out: 1,
        parents: 2,
        ..Config::default()
    };
    let mut scene = Scene::of(narrow, &["h", "crowded", "a", "b"]);
    for name in ["a", "b"] {
        let shares = false;
        scene.announce(name, HostFacts { shares, ..facts(name) });
    }
    let long = |name| Registration {
        content: Content {
            length: Some(64 << 20),
            pieces: Some(16),
        },
        listens: name == "a",
        metadata_only: name == "h",
        ..registration(name)
    };
    scene.apply(Event::PeerRegistered(long("h")));
    scene.finished("h");
    scene.apply(Event::PeerRegistered(long("a")));
    scene.started("a");
    scene.holder("crowded");
    scene.apply(Event::PeerRegistered(long("b")));
    let usual = Duration::from_millis(40);
    // It has begun as the others have: nobody is crowded for its sake.
    assert_eq!(scene.apply(delivered("a", 0, "h", usual)), "");
    for number in 0..10 {
        assert_eq!(scene.apply(delivered("b", number, "crowded", usual)), "");
    }
    assert_eq!(scene.pass(seconds(1)), "a: more parents crowded (Succeeded on crowded)");
}

#[test]
fn a_host_of_which_three_others_complain_is_left_alone_for_a_while() {
    let mut scene = Scene::with(&["h", "a", "b", "c", "d"]);
    scene.holder("h");
    for name in ["a", "b", "c"] {
        assert_eq!(scene.register(name), format!("{name}: parents h (Succeeded on h)"));
    }
    for name in ["a", "b", "c"] {
        scene.failed_piece(name, "h");
    }
    assert_eq!(scene.register("d"), "d: parked (paused)");
    assert_eq!(scene.pass(seconds(15)), "d: parents h (Succeeded on h)");
}

#[test]
fn children_never_become_ancestors_of_their_parents() {
    let mut scene = Scene::with(&["a", "b", "c"]);
    scene.register("a");
    scene.at_origin("a");
    scene.register("b");
    scene.started("b");
    scene.piece("b", 0, Some("a"));
    scene.register("c");
    scene.started("c");
    scene.piece("c", 1, Some("a"));
    scene.broken("a");
    // b has piece 0, c has piece 1 and fetches from b: b can't fetch from c, and goes to the origin for the rest.
    assert_eq!(scene.reschedule("b"), "b: back to source (no_seed)");
    assert_eq!(scene.at_origin("b"), "");
    assert_eq!(scene.reschedule("c"), "c: parents b (BackToSource on b)");
}

#[test]
fn a_waiting_child_is_woken_when_its_descendant_gets_free_of_it() {
    let mut scene = Scene::with(&["a", "b", "c"]);
    let shy = Registration {
        disable_back_to_source: true,
        ..registration("a")
    };
    scene.apply(Event::PeerRegistered(shy));
    scene.piece("a", 0, None);
    assert_eq!(scene.register("b"), "b: parents a (ReceivedNormal on a)");
    scene.started("b");
    scene.piece("b", 1, None);
    // What b has, a can't fetch from it while b fetches from a.
    scene.failed_piece("b", "a");
    assert_eq!(
        scene.reschedule("b"),
        "b: parked (paused)\na: parents b (ReceivedNormal on b)"
    );
}

#[test]
fn children_of_a_dead_parent_are_free_for_another_and_its_slots_too() {
    let mut scene = Scene::with(&["h1", "h2", "a"]);
    scene.holder("h1");
    scene.register("a");
    scene.holder("h2");
    assert_eq!(scene.apply(Event::HostLeft { host: host("h1") }), "");
    assert_eq!(scene.graph.host(&host("h1")), None);
    assert_eq!(scene.reschedule("a"), "a: parents h2 (Succeeded on h2)");
    assert_eq!(scene.graph.host(&host("h2")).unwrap().uploads, 1);
    scene.finished("a");
    assert_eq!(scene.graph.host(&host("h2")).unwrap().uploads, 0);
}

#[test]
fn among_many_parents_the_children_spread() {
    let names: Vec<String> = (0..40).map(|n| format!("h{n}")).collect();
    let mut scene = Scene::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names {
        scene.holder(name);
    }
    for n in 0..100 {
        scene.register(&format!("c{n}"));
    }
    // Those who came when every parent had children enough join the crowds a little later.
    scene.pass(Config::default().calm);
    let uploads: Vec<usize> = names
        .iter()
        .map(|name| scene.graph.host(&host(name)).unwrap().uploads)
        .collect();
    assert!(scene.graph.tasks[&task(1)].waiting.is_empty());
    // Three each, but for those who took the last room there was.
    assert!((295..=300).contains(&uploads.iter().sum::<usize>()), "{uploads:?}");
    assert!(uploads.iter().all(|&n| (2..=20).contains(&n)), "{uploads:?}");
}

#[test]
fn an_older_copy_on_the_same_host_gives_way_to_the_newer() {
    let mut scene = Scene::with(&["h"]);
    scene.holder("h");
    let again = Registration {
        host: host("h"),
        metadata_only: true,
        ..registration("h-again")
    };
    scene.apply(Event::PeerRegistered(again));
    scene.finished("h-again");
    assert_eq!(scene.graph.task(&task(1)).unwrap().holders, 1);
    let newer: PeerId = "h-again".parse().unwrap();
    assert!(scene.graph.peer_view(&key("h-again")).is_some(), "{newer}");
}

#[test]
fn a_host_that_asks_again_has_no_copy_any_more() {
    let mut scene = Scene::with(&["h", "a"]);
    scene.holder("h");
    let again = Registration {
        host: host("h"),
        ..registration("h-again")
    };
    assert_eq!(
        scene.apply(Event::PeerRegistered(again)),
        "h-again: back to source (no_seed)"
    );
    assert_eq!(scene.register("a"), "a: parked (help_is_coming)");
}
