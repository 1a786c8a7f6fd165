//! What downloads do with each other: follow, announce, request, send; and what happens when one dies.

use super::control::number;
use super::download::{CONCURRENT_PIECES, LOOK, PATIENCE, SILENCE, Stage};
use super::network::{Cargo, Time};
use super::world::{Happening, World};
use dragonfly_model::PieceNumber;
use dragonfly_scheduling::{Event, FinishedPiece};
use dragonfly_transfer::{Ask, Progress};
use std::time::Duration;

impl World {
    pub(super) fn begin(&mut self, child: u32) {
        let order = self.random.next();
        let layout = self.layout;
        let download = &mut self.downloads[child as usize];
        if download.stage == Stage::Waiting {
            download.begin(layout, order);
        }
    }

    /// Asks a parent what it has.
    pub(super) fn follow(&mut self, child: u32, parent: u32) {
        let download = &mut self.downloads[child as usize];
        if !download.following.contains(&parent) {
            download.following.push(parent);
            let at = self.now + 2 * self.scenario.one_way();
            self.at(at, Happening::Synced { child, parent });
        }
    }

    pub(super) fn synced(&mut self, child: u32, parent: u32) {
        if self.downloads[child as usize].stage != Stage::Fetching {
            return;
        }
        let giver = &mut self.downloads[parent as usize];
        if !giver.is_there() {
            return self.lost_parent(child, parent);
        }
        let key = giver.key.peer.clone();
        let lies = self.hosts[giver.host as usize].lies;
        let pieces: Vec<u32> = if lies {
            (0..self.layout.count()).collect()
        } else {
            giver.landed.clone()
        };
        let has_all = giver.stage == Stage::Done;
        if !has_all {
            giver.followers.push(child);
        }
        let chooses = self.scenario.listens;
        let download = &mut self.downloads[child as usize];
        download.learn(&key, pieces);
        if let Some(plan) = download.plan.as_mut().filter(|_| chooses) {
            plan.parent_chooses(&key);
        }
        if has_all {
            download.following.retain(|other| *other != parent);
        }
        self.go_on(child);
    }

    pub(super) fn announced(&mut self, parent: u32, piece: u32) {
        let followers = std::mem::take(&mut self.downloads[parent as usize].followers);
        let key = self.downloads[parent as usize].key.peer.clone();
        for child in &followers {
            let download = &mut self.downloads[*child as usize];
            if download.stage == Stage::Fetching {
                download.learn(&key, [piece]);
                self.go_on(*child);
            }
        }
        self.keep_followers(parent, followers);
    }

    fn keep_followers(&mut self, parent: u32, mut followers: Vec<u32>) {
        followers.retain(|child| self.downloads[*child as usize].stage == Stage::Fetching);
        self.downloads[parent as usize].followers = followers;
    }

    pub(super) fn said_all(&mut self, parent: u32) {
        for child in std::mem::take(&mut self.downloads[parent as usize].followers) {
            let following = &mut self.downloads[child as usize].following;
            following.retain(|other| *other != parent);
            self.go_on(child);
        }
    }

    /// A parent can't be reached any more.
    fn lost_parent(&mut self, child: u32, parent: u32) {
        let key = self.downloads[parent as usize].key.peer.clone();
        let download = &mut self.downloads[child as usize];
        download.following.retain(|other| *other != parent);
        if download.stage == Stage::Fetching {
            if let Some(plan) = &mut download.plan {
                plan.parent_gone(&key);
            }
            self.complain(child, parent);
            self.go_on(child);
        }
    }

    /// Starts whatever the plan says, and notices when there is nothing.
    fn go_on(&mut self, child: u32) {
        let (now, request) = (self.now, self.now + 2 * self.scenario.one_way());
        let download = &mut self.downloads[child as usize];
        let Some(plan) = &mut download.plan else {
            return;
        };
        let mut requests = Vec::new();
        while download.in_flight < CONCURRENT_PIECES
            && let Some(ask) = plan.next()
        {
            download.in_flight += 1;
            requests.push(ask);
        }
        for ask in requests {
            let requested = Happening::Requested {
                child,
                parent: number(&ask.peer),
                ask,
                asked: now,
            };
            self.at(request, requested);
        }
        self.feel(child);
    }

    /// Leaves parents that are much slower than those who are free.
    pub(super) fn look(&mut self, child: u32) {
        self.downloads[child as usize].looks = false;
        loop {
            let now = self.now;
            let download = &mut self.downloads[child as usize];
            let node = self.hosts[download.host as usize].node;
            let network = &self.network;
            let progress = |piece: PieceNumber| {
                let (received, asked) = network.progress(now, node, piece.0)?;
                Some(Progress {
                    elapsed: Duration::from_nanos(now - asked),
                    received: received as u64,
                })
            };
            let Some((piece, parent)) = download.plan.as_ref().and_then(|plan| plan.laggard(progress)) else {
                break;
            };
            if let Some(plan) = &mut download.plan {
                plan.left(piece, &parent);
            }
            download.in_flight -= 1;
            self.tell_of(child, || {
                format!("leaves {} with piece {}", self.named(number(&parent)), piece.0)
            });
            self.network.give_up(now, node, piece.0);
            self.tally.left += 1;
        }
        self.go_on(child);
    }

    fn feel(&mut self, child: u32) {
        let now = self.now;
        let download = &mut self.downloads[child as usize];
        if download.in_flight > 0 && !std::mem::replace(&mut download.looks, true) {
            self.at(now + LOOK, Happening::Look(child));
        }
        let download = &mut self.downloads[child as usize];
        if download.in_flight > 0 || download.at_origin {
            download.fed += 1;
            download.hungry = false;
        } else if !std::mem::replace(&mut download.hungry, true) {
            let hopeful = download.plan.as_ref().is_some_and(|plan| plan.has_live_parent());
            let fed = download.fed;
            let at = if hopeful { now + PATIENCE } else { now };
            self.at(
                at,
                Happening::Hungry {
                    child,
                    fed,
                    long: false,
                },
            );
        }
    }

    pub(super) fn hungry(&mut self, child: u32, fed: u32, long: bool) {
        let download = &mut self.downloads[child as usize];
        if download.fed != fed || download.stage != Stage::Fetching {
            return;
        }
        if long {
            for parent in std::mem::take(&mut download.following) {
                let key = self.downloads[parent as usize].key.peer.clone();
                if let Some(plan) = &mut self.downloads[child as usize].plan {
                    plan.parent_gone(&key);
                }
            }
        }
        self.ask_for_others(child);
        // Looked at again after a long silence.
        let at = self.now + SILENCE;
        self.at(at, Happening::Hungry { child, fed, long: true });
    }

    /// A child hears which piece its parent gives.
    pub(super) fn chose(&mut self, child: u32, ask: &Ask, piece: u32) {
        let download = &mut self.downloads[child as usize];
        let Some(plan) = &mut download.plan else {
            return;
        };
        let node = self.hosts[download.host as usize].node;
        if self.network.progress(self.now, node, piece).is_some() {
            plan.chose(ask, PieceNumber(piece));
        } else {
            // It broke off before that was heard.
            plan.chose(ask, ask.number);
            plan.release(ask.number);
        }
        self.go_on(child);
    }

    pub(super) fn requested(&mut self, child: u32, parent: u32, ask: Ask, asked: Time) {
        if self.downloads[child as usize].stage != Stage::Fetching {
            return;
        }
        let (child_host, host) = (
            self.downloads[child as usize].host,
            self.downloads[parent as usize].host,
        );
        if !self.hosts[host as usize].alive {
            if let Some(plan) = &mut self.downloads[child as usize].plan {
                plan.chose(&ask, ask.number);
            }
            return self.failed(child, parent, ask.number.0);
        }
        let given = &mut self.downloads[parent as usize].given;
        let wanted = [ask.number]
            .into_iter()
            .chain(ask.others.iter().copied())
            .map(|number| number.0);
        let piece = wanted
            .min_by_key(|piece| given.get(piece).copied().unwrap_or(0))
            .expect("at least one is asked for");
        *given.entry(piece).or_default() += 1;
        self.soon(Happening::Chose { child, ask, piece });
        let lost = self.random.fraction() < self.scenario.faults.lost;
        let whole = self.layout.span(PieceNumber(piece)).map_or(0, |span| span.length) as f64;
        let bytes = if lost { whole * self.random.fraction() } else { whole };
        let cargo = Cargo {
            child,
            parent: Some(parent),
            piece,
            asked,
            sound: !lost && !self.hosts[host as usize].lies,
        };
        let (from, to) = (self.hosts[host as usize].node, self.hosts[child_host as usize].node);
        self.network.start(self.now, (from, to), bytes.max(1.0), cargo);
    }

    /// A flow has ended.
    pub(super) fn arrived(&mut self, cargo: Cargo) {
        let Cargo {
            child, parent, piece, ..
        } = cargo;
        match parent {
            Some(parent) if !cargo.sound => self.failed(child, parent, piece),
            Some(parent) => {
                let key = self.downloads[parent as usize].key.peer.clone();
                let cost = Duration::from_nanos(self.now - cargo.asked);
                let length = self.layout.piece_length();
                let download = &mut self.downloads[child as usize];
                download.in_flight -= 1;
                let plan = download.plan.as_mut();
                let fresh = plan.is_some_and(|plan| plan.delivered(PieceNumber(piece), &key, length, cost));
                self.landed(child, fresh, cargo);
            }
            None => {
                self.tally.origin_bytes += self.layout.span(PieceNumber(piece)).map_or(0, |span| span.length);
                let download = &mut self.downloads[child as usize];
                let fresh = download
                    .plan
                    .as_mut()
                    .is_some_and(|plan| plan.present(PieceNumber(piece)));
                self.landed(child, fresh, cargo);
                self.go_on_from_origin(child, piece);
            }
        }
    }

    fn landed(&mut self, child: u32, fresh: bool, cargo: Cargo) {
        let piece = cargo.piece;
        self.tell_of(child, || {
            let from = cargo
                .parent
                .map_or("the origin".to_owned(), |parent| self.named(parent));
            let took = Duration::from_nanos(self.now - cargo.asked);
            format!("has piece {piece} of {from} after {:.3} s", took.as_secs_f64())
        });
        if fresh {
            let parent = cargo
                .parent
                .map(|parent| self.downloads[parent as usize].key.peer.clone());
            let download = &mut self.downloads[child as usize];
            download.landed.push(piece);
            let peer = download.key.clone();
            self.tell(Event::PieceFinished {
                peer,
                piece: FinishedPiece {
                    number: PieceNumber(piece),
                    length: self.layout.piece_length(),
                    cost: Duration::from_nanos(self.now - cargo.asked),
                    parent,
                },
            });
            self.soon(Happening::Announced { parent: child, piece });
        }
        let complete = self.downloads[child as usize]
            .plan
            .as_ref()
            .is_some_and(|plan| plan.is_complete());
        if complete {
            self.complete(child);
        } else {
            self.go_on(child);
        }
    }

    fn complete(&mut self, child: u32) {
        let is_peer = self.downloads[child as usize].host >= self.scenario.seeds;
        let now = self.now;
        let download = &mut self.downloads[child as usize];
        download.plan = None;
        download.stage = Stage::Done;
        download.at_origin = false;
        download.finished = Some(now);
        download.following = Vec::new();
        self.open -= usize::from(is_peer);
        self.say_finished(child);
        self.soon(Happening::Complete { parent: child });
    }

    fn failed(&mut self, child: u32, parent: u32, piece: u32) {
        self.tell_of(child, || format!("gets no piece {piece} of {}", self.named(parent)));
        let key = self.downloads[parent as usize].key.peer.clone();
        let download = &mut self.downloads[child as usize];
        download.in_flight -= 1;
        if let Some(plan) = &mut download.plan {
            plan.failed(PieceNumber(piece), &key);
            self.tally.failed_pieces += 1;
            self.complain(child, parent);
            self.go_on(child);
        }
    }

    pub(super) fn go_to_origin(&mut self, child: u32) {
        self.begin(child);
        let download = &mut self.downloads[child as usize];
        download.at_origin = true;
        download.begun = true;
        let peer = download.key.clone();
        self.tell(Event::BackToSourceStarted { peer });
        self.ask_origin(child);
    }

    /// A stream from the origin has brought a piece and goes on with its next one.
    fn go_on_from_origin(&mut self, child: u32, piece: u32) {
        let now = self.clock();
        let length = self.layout.piece_length();
        let download = &mut self.downloads[child as usize];
        download.pace.landed(length, now);
        let Some(stream) = download.streams.iter().position(|run| run.start == piece) else {
            return;
        };
        download.streams[stream].start += 1;
        match download.streams[stream].is_empty() {
            true => drop(download.streams.swap_remove(stream)),
            false => self.fetch_from_origin(child, piece + 1),
        }
        self.ask_origin(child);
    }

    /// Starts as many streams from the origin as there should be.
    fn ask_origin(&mut self, child: u32) {
        loop {
            let download = &mut self.downloads[child as usize];
            let has_all = download.stage != Stage::Fetching || download.streams.len() >= download.pace.count();
            let Some(run) = (!has_all).then(|| download.claim_run()).flatten() else {
                return;
            };
            let piece = run.start;
            download.streams.push(run);
            self.fetch_from_origin(child, piece);
        }
    }

    fn fetch_from_origin(&mut self, child: u32, piece: u32) {
        let download = &self.downloads[child as usize];
        let bytes = self.layout.span(PieceNumber(piece)).map_or(0, |span| span.length) as f64;
        let cargo = Cargo {
            child,
            parent: None,
            piece,
            asked: self.now,
            sound: true,
        };
        let to = self.hosts[download.host as usize].node;
        self.network.start(self.now, (self.origin, to), bytes, cargo);
    }

    /// A host dies without a word: its connections break, and that is noticed.
    pub(super) fn crash(&mut self, host: u32) {
        self.hosts[host as usize].alive = false;
        let node = self.hosts[host as usize].node;
        for cargo in self.network.cut(self.now, node) {
            if let Some(parent) = cargo.parent {
                self.failed(cargo.child, parent, cargo.piece);
            }
        }
        for download in self.hosts[host as usize].downloads.clone() {
            let dying = &mut self.downloads[download as usize];
            let was = std::mem::replace(&mut dying.stage, Stage::Gone);
            dying.plan = None;
            let followers = std::mem::take(&mut dying.followers);
            let peer = dying.key.clone();
            if !matches!(was, Stage::Done | Stage::Gone) {
                self.open -= usize::from(host >= self.scenario.seeds);
                self.tell(Event::StreamBroken { peer });
            }
            for child in followers {
                self.lost_parent(child, download);
            }
        }
    }
}
