//! Bytes in flight. Every node has a link up and a link down; a flow goes over the sender's link up and the receiver's
//! link down.
//!
//! How links are shared: a receiver grants each of its flows an equal share of its link down; a sender divides its link up
//! fairly among its flows, none of which takes more than it was granted, and what one leaves the others take. Rates change
//! only when a flow begins or ends. What fair transport protocols reach is a little more, since what a sender can't fill
//! of a receiver's link is lost here.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// A change of a share by less than this part of it changes no other share.
const SMALL: f64 = 0.02;
/// Links that are shared anew because one flow came or went.
const MOST_SHARINGS: usize = 256;

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Up(Node),
    Down(Node),
}

/// Nanoseconds since the beginning.
pub(super) type Time = u64;

/// A node's number.
pub(super) type Node = u32;

/// What a flow carries: a piece of a download, asked for at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cargo {
    /// The download that gets it.
    pub(super) child: u32,
    /// The download that sends it; `None` for the origin.
    pub(super) parent: Option<u32>,
    pub(super) piece: u32,
    pub(super) asked: Time,
    /// Whether it arrives whole and true.
    pub(super) sound: bool,
}

#[derive(Debug)]
struct Flow {
    from: Node,
    to: Node,
    cargo: Cargo,
    /// Bytes left at `since`.
    left: f64,
    /// Bytes per second.
    rate: f64,
    /// What the receiver would take, at most.
    granted: f64,
    since: Time,
    /// When its earliest entry in the queue is due.
    noted: Time,
    /// Counts the flows that had this place.
    age: u32,
    live: bool,
}

#[derive(Debug, Default)]
struct Links {
    up: f64,
    down: f64,
    /// What a flow that takes all that it can get would get of the link up.
    offer: f64,
    sending: Vec<u32>,
    receiving: Vec<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    nodes: Vec<Links>,
    flows: Vec<Flow>,
    free: Vec<u32>,
    ends: BinaryHeap<Reverse<(Time, u32, u32)>>,
    open: VecDeque<Side>,
}

impl Network {
    /// Adds a node with links of so many bytes per second.
    pub(super) fn add(&mut self, up: f64, down: f64) -> Node {
        self.nodes.push(Links {
            up,
            down,
            ..Links::default()
        });
        self.nodes.len() as Node - 1
    }

    /// Begins to send from one node to another.
    pub(super) fn start(&mut self, now: Time, (from, to): (Node, Node), bytes: f64, cargo: Cargo) {
        let flow = Flow {
            from,
            to,
            cargo,
            left: bytes,
            rate: 0.0,
            granted: f64::INFINITY,
            since: now,
            noted: Time::MAX,
            age: 0,
            live: true,
        };
        let id = match self.free.pop() {
            Some(id) => {
                let age = self.flows[id as usize].age + 1;
                self.flows[id as usize] = Flow { age, ..flow };
                id
            }
            None => {
                self.flows.push(flow);
                self.flows.len() as u32 - 1
            }
        };
        self.nodes[from as usize].sending.push(id);
        self.nodes[to as usize].receiving.push(id);
        self.share(now, from, to);
    }

    /// When the next flow may end.
    pub(super) fn next(&self) -> Option<Time> {
        self.ends.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the flow that ends at `now`, if there is one.
    pub(super) fn finish(&mut self, now: Time) -> Option<Cargo> {
        while let Some(&Reverse((at, id, age))) = self.ends.peek() {
            if at > now {
                return None;
            }
            self.ends.pop();
            let flow = &mut self.flows[id as usize];
            if flow.age != age || !flow.live || flow.noted != at {
                continue;
            }
            let due = flow.due();
            if due > now {
                // It became slower after it was noted.
                flow.noted = due;
                self.ends.push(Reverse((due, id, age)));
                continue;
            }
            return Some(self.remove(now, id));
        }
        None
    }

    /// Cuts every flow from and to a node. Returns what was being sent by it.
    pub(super) fn cut(&mut self, now: Time, node: Node) -> Vec<Cargo> {
        let sending = self.nodes[node as usize].sending.clone();
        let receiving = self.nodes[node as usize].receiving.clone();
        for id in receiving {
            self.remove(now, id);
        }
        sending.into_iter().map(|id| self.remove(now, id)).collect()
    }

    fn remove(&mut self, now: Time, id: u32) -> Cargo {
        let flow = &mut self.flows[id as usize];
        flow.live = false;
        let (from, to, cargo) = (flow.from, flow.to, flow.cargo);
        self.nodes[from as usize].sending.retain(|other| *other != id);
        self.nodes[to as usize].receiving.retain(|other| *other != id);
        self.free.push(id);
        self.share(now, from, to);
        cargo
    }

    /// Shares the links anew after a flow between these nodes came or went. What changes on one side of a flow may change
    /// the other, so it goes on until changes are small.
    fn share(&mut self, now: Time, from: Node, to: Node) {
        let mut open = std::mem::take(&mut self.open);
        open.clear();
        open.extend([Side::Up(from), Side::Down(to)]);
        for _ in 0..MOST_SHARINGS {
            let Some(side) = open.pop_front() else { break };
            let changed = match side {
                Side::Up(node) => self.share_up(now, node),
                Side::Down(node) => self.share_down(node),
            };
            for side in changed {
                if !open.contains(&side) {
                    open.push_back(side);
                }
            }
        }
        // Whatever was left open: what is granted now holds.
        for side in open.drain(..) {
            if let Side::Up(node) = side {
                self.share_up(now, node);
            }
        }
        self.open = open;
    }

    /// Divides a link up among what the receivers would take. Receivers for whom the offer has changed are to look again.
    fn share_up(&mut self, now: Time, sender: Node) -> Vec<Side> {
        let node = &self.nodes[sender as usize];
        let mut shares: Vec<(f64, u32)> = node
            .sending
            .iter()
            .map(|id| (self.flows[*id as usize].granted, *id))
            .collect();
        shares.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let (up, old) = (node.up, node.offer);
        let mut left = up;
        let mut offer: f64 = 0.0;
        for (n, (granted, id)) in shares.iter().enumerate() {
            let rate = granted.min(left / (shares.len() - n) as f64);
            left -= rate;
            offer = offer.max(rate);
            self.set_rate(now, *id, rate);
        }
        offer += left.max(0.0);
        self.nodes[sender as usize].offer = offer;
        let mut changed = Vec::new();
        if (offer - old).abs() > old.min(offer) * SMALL {
            for (_, id) in &shares {
                let receiver = self.flows[*id as usize].to;
                changed.push(Side::Down(receiver));
            }
        }
        changed
    }

    /// Divides a link down among what the senders offer. Senders for whom a grant has changed are to look again.
    fn share_down(&mut self, receiver: Node) -> Vec<Side> {
        let node = &self.nodes[receiver as usize];
        let offer = |id: &u32| self.nodes[self.flows[*id as usize].from as usize].offer;
        let mut shares: Vec<(f64, u32)> = node.receiving.iter().map(|id| (offer(id), *id)).collect();
        shares.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut left = node.down;
        let mut changed = Vec::new();
        for (n, (offered, id)) in shares.iter().enumerate() {
            let share = offered.min(left / (shares.len() - n) as f64);
            left -= share;
            let flow = &mut self.flows[*id as usize];
            if flow.granted.is_infinite() || (share - flow.granted).abs() > share.min(flow.granted) * SMALL {
                changed.push(Side::Up(flow.from));
                flow.granted = share;
            } else if share < flow.granted {
                flow.granted = share;
                changed.push(Side::Up(flow.from));
            }
        }
        changed
    }

    fn set_rate(&mut self, now: Time, id: u32, rate: f64) {
        let flow = &mut self.flows[id as usize];
        if (flow.rate - rate).abs() <= flow.rate * 1e-9 {
            return;
        }
        flow.left = (flow.left - flow.rate * seconds(now - flow.since)).max(0.0);
        flow.since = now;
        flow.rate = rate;
        let due = flow.due();
        if due < flow.noted {
            flow.noted = due;
            self.ends.push(Reverse((due, id, flow.age)));
        }
    }
}

impl Flow {
    fn due(&self) -> Time {
        if self.rate <= 0.0 {
            return Time::MAX;
        }
        self.since + (self.left / self.rate * 1e9).ceil() as Time
    }
}

/// A time as seconds.
pub(super) fn seconds(time: Time) -> f64 {
    time as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cargo(piece: u32) -> Cargo {
        Cargo {
            child: 0,
            parent: None,
            piece,
            asked: 0,
            sound: true,
        }
    }

    /// The pieces in the order in which they arrive, with their times in milliseconds.
    fn run(network: &mut Network) -> Vec<(u32, u64)> {
        let mut ends = Vec::new();
        while let Some(at) = network.next() {
            while let Some(cargo) = network.finish(at) {
                ends.push((cargo.piece, (at as f64 / 1e6).round() as u64));
            }
        }
        ends
    }

    #[test]
    fn a_link_is_shared_fairly_and_what_one_leaves_the_others_take() {
        let mut network = Network::default();
        let (a, b, c) = (
            network.add(100.0, 100.0),
            network.add(10.0, 20.0),
            network.add(10.0, 1000.0),
        );
        network.start(0, (a, b), 20.0, cargo(0));
        network.start(0, (a, c), 80.0, cargo(1));
        network.start(0, (a, c), 160.0, cargo(2));
        // b takes 20 and c's two 40 each; when b is through, they take 50 each, and at last the second takes all.
        assert_eq!(run(&mut network), [(0, 1000), (1, 1800), (2, 2600)]);
    }

    #[test]
    fn what_is_cut_never_arrives_and_frees_the_links() {
        let mut network = Network::default();
        let (a, b, c) = (
            network.add(10.0, 10.0),
            network.add(10.0, 10.0),
            network.add(10.0, 10.0),
        );
        network.start(0, (a, b), 10.0, cargo(0));
        network.start(0, (a, c), 10.0, cargo(1));
        assert_eq!(network.cut(1_000_000_000, c).len(), 0);
        assert_eq!(run(&mut network), [(0, 1500)]);
    }
}
