use super::*;
use proptest::prelude::*;

const LENGTH: u64 = 10;

fn peer(name: usize) -> PeerId {
    PeerId::parse(&format!("peer-{name}")).unwrap()
}

fn numbers(list: impl IntoIterator<Item = u32>) -> Vec<PieceNumber> {
    list.into_iter().map(PieceNumber).collect()
}

/// A plan for `pieces` pieces, all wanted.
fn plan(pieces: u32, seed: u64) -> Plan {
    let mut plan = Plan::new(LENGTH, seed);
    plan.want(Wanted::All);
    plan.set_layout(PieceLayout::new(LENGTH, u64::from(pieces) * LENGTH).unwrap());
    plan
}

/// The next piece and its parent; the parents here don't choose.
fn next(plan: &mut Plan) -> Option<(PieceNumber, PeerId)> {
    let Ask { peer, number, others } = plan.next()?;
    assert_eq!(others, []);
    Some((number, peer))
}

/// Fetches one piece after the other until there is nothing to do.
fn fetch_all(plan: &mut Plan) -> Vec<u32> {
    let one = || {
        let (number, from) = next(plan)?;
        plan.delivered(number, &from, LENGTH, Duration::from_millis(1));
        Some(number.0)
    };
    std::iter::from_fn(one).collect()
}

#[test]
fn the_first_piece_and_every_sixteenth_after_it_is_the_lowest_missing_one() {
    let mut plan = plan(64, 7);
    plan.parent_has(&peer(1), &numbers(0..64));
    let order = fetch_all(&mut plan);
    for turn in (0..64).step_by(IN_ORDER as usize) {
        let lowest = (0..64).find(|number| !order[..turn].contains(number));
        assert_eq!(lowest, Some(order[turn]), "{order:?}");
    }
    assert_ne!(order, Vec::from_iter(0..64));
}

#[test]
fn a_parent_is_asked_ahead_for_what_it_sends_in_a_twentieth_of_a_second() {
    let mut plan = plan(64, 7);
    plan.parent_has(&peer(1), &numbers(0..64));
    let (first, from) = next(&mut plan).unwrap();
    assert_eq!(
        next(&mut plan),
        None,
        "a parent that was never measured gets one at a time"
    );
    // A piece in 10 ms is five pieces in a twentieth of a second.
    plan.delivered(first, &from, LENGTH, Duration::from_millis(10));
    let flying: Vec<PieceNumber> = std::iter::from_fn(|| next(&mut plan))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(flying.len(), 5);
    plan.parent_has(&peer(2), &numbers(0..64));
    assert_eq!(next(&mut plan).map(|(_, from)| from), Some(peer(2)));
    plan.release(flying[0]);
    assert_eq!(next(&mut plan).map(|(_, from)| from), Some(peer(1)));
    assert_eq!(next(&mut plan), None);
}

#[test]
fn a_parent_that_chooses_is_named_the_next_rare_pieces_and_the_rest_is_to_be_had_again() {
    let mut plan = plan(64, 7);
    for name in [1, 2] {
        plan.parent_has(&peer(name), &numbers(0..64));
        plan.parent_chooses(&peer(name));
    }
    let lowest = plan.next().unwrap();
    assert_eq!(
        (lowest.number, lowest.others.len()),
        (PieceNumber(0), 0),
        "the lowest is no matter of choice"
    );
    let ask = plan.next().unwrap();
    assert_ne!(ask.peer, lowest.peer);
    assert_eq!(ask.others.len(), MAX_OTHERS);
    assert!(!ask.others.contains(&lowest.number) && !ask.others.contains(&ask.number));
    let given = ask.others[3];
    plan.chose(&ask, given);
    assert_eq!(plan.open_count(), 62);
    // Whoever is still to choose keeps his pieces from others until he has, and what came meanwhile is not fetched again.
    assert!(plan.delivered(given, &ask.peer, LENGTH, Duration::from_millis(100)));
    let ask = plan.next().unwrap();
    plan.present(ask.number);
    plan.present(ask.others[0]);
    assert_eq!(plan.open_count(), 62 - 1 - MAX_OTHERS);
    plan.chose(&ask, ask.others[0]);
    assert_eq!(plan.open_count(), 60);
    assert!(
        plan.next().is_some_and(|next| next.peer == ask.peer),
        "the parent has room again"
    );
}

#[test]
fn rare_pieces_go_first_and_peers_differ_in_the_order_of_the_rest() {
    let mut one = plan(64, 1);
    one.parent_has(&peer(1), &numbers(0..64));
    one.parent_has(&peer(2), &numbers((0..64).filter(|n| *n != 40)));
    let (first, from) = next(&mut one).unwrap();
    one.delivered(first, &from, LENGTH, Duration::from_millis(1));
    assert_eq!(next(&mut one), Some((PieceNumber(40), peer(1))));

    let order = |seed| -> Vec<u32> {
        let mut plan = plan(64, seed);
        plan.parent_has(&peer(1), &numbers(0..64));
        fetch_all(&mut plan)
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

#[test]
fn the_faster_parent_gets_more_and_a_new_one_is_tried() {
    let mut plan = plan(40, 3);
    for name in [1, 2] {
        plan.parent_has(&peer(name), &numbers(0..40));
    }
    // Both are measured once: parent 1 is four times as fast.
    for _ in 0..2 {
        let (number, from) = next(&mut plan).unwrap();
        let elapsed = if from == peer(1) { 1 } else { 4 };
        plan.delivered(number, &from, LENGTH, Duration::from_millis(elapsed));
    }
    let asked: Vec<PeerId> = (0..10).map(|_| next(&mut plan).unwrap().1).collect();
    assert_eq!(asked.iter().filter(|from| **from == peer(1)).count(), 8);
    plan.parent_has(&peer(3), &numbers(0..40));
    assert_eq!(next(&mut plan).unwrap().1, peer(3));
}

#[test]
fn who_needs_much_longer_than_a_free_parent_is_left_and_not_asked_again() {
    // Nobody has the last piece yet.
    let mut plan = plan(4, 1);
    for name in [1, 2] {
        plan.parent_has(&peer(name), &numbers(0..3));
    }
    let (one, two) = (next(&mut plan).unwrap(), next(&mut plan).unwrap());
    let progress = |elapsed, received| {
        move |_| {
            Some(Progress {
                elapsed: Duration::from_millis(elapsed),
                received,
            })
        }
    };
    assert_eq!(plan.laggard(progress(9000, 1)), None, "nobody is free");
    plan.delivered(two.0, &two.1, LENGTH, Duration::from_millis(100));
    plan.elsewhere(PieceNumber((0..3).find(|n| ![one.0.0, two.0.0].contains(n)).unwrap()));
    assert_eq!(plan.laggard(progress(250, 5)), None, "it is soon through");
    assert_eq!(
        plan.laggard(progress(250, 0)),
        None,
        "it may take as long again, which is not three times as long"
    );
    let laggard = plan.laggard(progress(400, 4));
    assert_eq!(laggard, Some(one.clone()));
    plan.elsewhere(PieceNumber(3));
    let at_the_end = plan.laggard(progress(250, 0));
    assert_eq!(at_the_end, Some(one.clone()), "nothing else is left to begin");
    plan.left(one.0, &one.1);
    assert_eq!(next(&mut plan), Some((one.0, two.1)));
    assert!(plan.has_live_parent());
}

#[test]
fn three_failures_in_a_row_end_a_parent_until_it_comes_back() {
    let mut plan = plan(10, 1);
    plan.parent_has(&peer(1), &numbers(0..10));
    for failure in 1..=3 {
        let (number, from) = next(&mut plan).unwrap();
        assert_eq!(plan.failed(number, &from), failure == 3);
    }
    assert_eq!(next(&mut plan), None);
    assert!(!plan.has_live_parent() && plan.is_idle());
    plan.parent_gone(&peer(1));
    plan.parent_has(&peer(1), &numbers(0..10));
    // Of the ten, three are on record against it.
    assert_eq!(fetch_all(&mut plan).len(), 7);
}

#[test]
fn a_range_wants_the_pieces_it_touches_and_can_be_widened() {
    let mut plan = Plan::new(LENGTH, 1);
    plan.want(Wanted::Range(ByteRange { start: 25, length: 10 }));
    plan.parent_has(&peer(1), &numbers(0..5));
    plan.set_layout(PieceLayout::new(LENGTH, 45).unwrap());
    let (first, from) = next(&mut plan).unwrap();
    assert_eq!(first, PieceNumber(2));
    plan.delivered(first, &from, LENGTH, Duration::from_millis(1));
    assert!(!plan.is_complete());
    assert_eq!(fetch_all(&mut plan), [3]);
    assert!(plan.is_complete() && !plan.is_whole());
    plan.want(Wanted::All);
    assert!(!plan.is_complete());
    let rest = BTreeSet::from_iter(fetch_all(&mut plan));
    assert_eq!(rest, BTreeSet::from([0, 1, 4]));
}

#[test]
fn pieces_are_fetched_before_the_length_is_known_but_nothing_is_complete() {
    let mut plan = Plan::new(LENGTH, 1);
    plan.want(Wanted::All);
    assert_eq!(next(&mut plan), None);
    plan.parent_has(&peer(1), &numbers([0, 1]));
    let (first, from) = next(&mut plan).unwrap();
    plan.delivered(first, &from, LENGTH, Duration::from_millis(1));
    let (short, _) = next(&mut plan).unwrap();
    plan.defer(short);
    assert_eq!(next(&mut plan), None);
    assert!(plan.is_idle() && !plan.is_complete());
    plan.set_layout(PieceLayout::new(LENGTH, 15).unwrap());
    assert_eq!(next(&mut plan), Some((short, peer(1))));
    plan.present(short);
    assert!(plan.is_complete() && plan.is_whole());
}

#[test]
fn an_empty_content_is_complete_at_once() {
    let mut plan = Plan::new(LENGTH, 1);
    plan.want(Wanted::All);
    assert!(!plan.is_complete());
    plan.set_layout(PieceLayout::new(LENGTH, 0).unwrap());
    assert!(plan.is_complete() && plan.is_whole());
}

#[test]
fn the_origin_gets_runs_of_what_nobody_else_is_at() {
    let mut plan = plan(10, 1);
    plan.present(PieceNumber(3));
    assert_eq!(plan.claim_run(2), Some(0..2));
    assert_eq!(plan.claim_run(4), Some(2..3));
    plan.elsewhere(PieceNumber(6));
    assert_eq!(plan.claim_run(100), Some(4..6));
    assert_eq!(plan.claim_run(100), Some(7..10));
    assert_eq!(plan.claim_run(100), None);
    assert_eq!(plan.being_done_elsewhere(), numbers([6]));
    plan.release(PieceNumber(6));
    plan.release(PieceNumber(1));
    plan.claim_rest();
    assert_eq!(plan.claimed_by_origin(), numbers([0, 1, 2, 4, 5, 6, 7, 8, 9]));
}

/// One thing that happens to a download.
#[derive(Debug, Clone)]
enum Event {
    Has(usize, Vec<u32>),
    Gone(usize),
    Ask,
    Choose,
    /// The oldest fetch under way ends well, or not.
    Deliver,
    Fail,
    Claim(u32),
    OriginGivesUp,
    OriginDelivers,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        2 => (0usize..4, proptest::collection::vec(0u32..24, 0..12)).prop_map(|(p, n)| Event::Has(p, n)),
        1 => (0usize..4).prop_map(Event::Gone),
        6 => Just(Event::Ask),
        5 => Just(Event::Choose),
        3 => Just(Event::Deliver),
        2 => Just(Event::Fail),
        1 => (1u32..5).prop_map(Event::Claim),
        1 => Just(Event::OriginGivesUp),
        1 => Just(Event::OriginDelivers),
    ];
    proptest::collection::vec(event, 0..200)
}

/// A plan and what a bystander would note about it.
struct Bystander {
    plan: Plan,
    /// Not chosen yet, then what the parent gives.
    asked: Vec<Ask>,
    flying: Vec<(PieceNumber, PeerId)>,
    present: BTreeSet<u32>,
    failed: HashSet<(PeerId, u32)>,
}

impl Bystander {
    fn ask(&mut self) -> Result<bool, TestCaseError> {
        let Some(ask) = self.plan.next() else {
            return Ok(false);
        };
        let mut pieces = ask.others.iter().chain([&ask.number]);
        prop_assert!(
            pieces.clone().all(|n| !self.present.contains(&n.0)),
            "a present piece is fetched"
        );
        prop_assert!(
            pieces.clone().all(|n| !self.failed.contains(&(ask.peer.clone(), n.0))),
            "a parent is asked again"
        );
        let others = self
            .asked
            .iter()
            .flat_map(|other| other.others.iter().chain([&other.number]));
        let taken: HashSet<_> = others.chain(self.flying.iter().map(|(n, _)| n)).copied().collect();
        prop_assert!(pieces.all(|n| !taken.contains(n)), "a piece is fetched by two");
        self.asked.push(ask.clone());
        Ok(true)
    }

    /// The oldest ask is answered with its last piece.
    fn choose(&mut self) {
        if !self.asked.is_empty() {
            let ask = self.asked.remove(0);
            let given = *ask.others.last().unwrap_or(&ask.number);
            self.plan.chose(&ask, given);
            self.flying.push((given, ask.peer));
        }
    }

    fn see(&mut self, event: Event) -> Result<(), TestCaseError> {
        match event {
            Event::Has(name, pieces) => {
                self.plan.parent_has(&peer(name), &numbers(pieces));
                if name % 2 == 0 {
                    self.plan.parent_chooses(&peer(name));
                }
            }
            Event::Gone(name) => self.plan.parent_gone(&peer(name)),
            Event::Ask => {
                self.ask()?;
            }
            Event::Choose => self.choose(),
            Event::Deliver if !self.flying.is_empty() => {
                let (number, from) = self.flying.remove(0);
                self.plan.delivered(number, &from, LENGTH, Duration::from_millis(5));
                prop_assert!(self.present.insert(number.0), "a piece was fetched twice");
            }
            Event::Fail if !self.flying.is_empty() => {
                let (number, from) = self.flying.remove(0);
                self.failed.insert((from.clone(), number.0));
                self.plan.failed(number, &from);
            }
            Event::Claim(max) => {
                for number in self.plan.claim_run(max).into_iter().flatten() {
                    prop_assert!(!self.present.contains(&number));
                    prop_assert!(
                        self.flying.iter().all(|(n, _)| n.0 != number),
                        "a piece is fetched by two"
                    );
                }
            }
            Event::OriginGivesUp => {
                self.plan
                    .claimed_by_origin()
                    .into_iter()
                    .for_each(|n| self.plan.release(n));
            }
            Event::OriginDelivers => {
                for number in self.plan.claimed_by_origin() {
                    self.plan.present(number);
                    prop_assert!(self.present.insert(number.0), "a piece was fetched twice");
                }
            }
            Event::Deliver | Event::Fail => {}
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn pieces_are_fetched_once_and_there_is_progress_while_a_parent_can_help(events in events(), seed: u64) {
        let mut seen = Bystander { plan: plan(24, seed), asked: vec![], flying: vec![], present: BTreeSet::new(), failed: HashSet::new() };
        for event in events {
            seen.see(event)?;
        }
        // A parent that never failed joins and has everything: the download ends.
        seen.plan.claimed_by_origin().into_iter().for_each(|n| seen.plan.release(n));
        seen.plan.parent_has(&peer(99), &numbers(0..24));
        loop {
            while seen.ask()? {}
            while !seen.asked.is_empty() {
                seen.choose();
            }
            if seen.flying.is_empty() {
                break;
            }
            seen.see(Event::Deliver)?;
        }
        prop_assert!(seen.plan.is_complete() && seen.plan.is_whole());
        prop_assert_eq!(seen.present.len(), 24);
    }
}
