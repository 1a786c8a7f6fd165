//! Bytes in flight. Every node has a link up and a link down; a flow goes over the sender's link up and the receiver's
//! link down.
//!
//! How links are shared: a receiver grants each of its flows an equal share of its link down; a sender divides its link up
//! fairly among its flows, none of which takes more than it was granted, and what one leaves the others take. Rates change
//! only when a flow begins or ends. What fair transport protocols reach is a little more, since what a sender can't fill
//! of a receiver's link is lost here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
    sending: Vec<u32>,
    receiving: Vec<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Network {
    nodes: Vec<Links>,
    flows: Vec<Flow>,
    free: Vec<u32>,
    ends: BinaryHeap<Reverse<(Time, u32, u32)>>,
    shares: Vec<(f64, u32)>,
    senders: Vec<Node>,
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

    /// Shares the links anew after a flow between these nodes came or went.
    fn share(&mut self, now: Time, from: Node, to: Node) {
        let mut senders = std::mem::take(&mut self.senders);
        senders.clear();
        senders.push(from);
        for id in &self.nodes[to as usize].receiving {
            let sender = self.flows[*id as usize].from;
            if !senders.contains(&sender) {
                senders.push(sender);
            }
        }
        for sender in &senders {
            self.share_up(now, *sender);
        }
        self.senders = senders;
    }

    fn share_up(&mut self, now: Time, sender: Node) {
        let mut shares = std::mem::take(&mut self.shares);
        shares.clear();
        let node = &self.nodes[sender as usize];
        for id in &node.sending {
            let receiver = &self.nodes[self.flows[*id as usize].to as usize];
            shares.push((receiver.down / receiver.receiving.len() as f64, *id));
        }
        shares.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut left = node.up;
        for (n, (granted, id)) in shares.iter().enumerate() {
            let rate = granted.min(left / (shares.len() - n) as f64);
            left -= rate;
            self.set_rate(now, *id, rate);
        }
        self.shares = shares;
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
