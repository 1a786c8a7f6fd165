//! What is said between the downloads and the scheduler.

use super::download::Stage;
use super::world::{Answer, Happening, World};
use dragonfly_model::{HostId, PeerId, Priority};
use dragonfly_scheduling::{
    Candidate, Content, CredentialsId, Decision, Event, OriginId, PeerKey, Registration, Wanted,
};

impl World {
    /// A download asks for the first time.
    pub(super) fn register(&mut self, number: u32) {
        let now = self.now;
        let is_seed = self.downloads[number as usize].host < self.scenario.seeds;
        let layout = self.layout;
        let download = &mut self.downloads[number as usize];
        if download.stage != Stage::Coming {
            return;
        }
        download.stage = Stage::Waiting;
        download.arrived = now;
        download.asked = true;
        let registration = Registration {
            peer: download.key.clone(),
            host: self.hosts[download.host as usize].id.clone(),
            content: Content {
                length: Some(layout.content_length()),
                pieces: Some(layout.count()),
            },
            wanted: Wanted::All,
            priority: Priority::default(),
            metadata_only: false,
            need_back_to_source: is_seed,
            disable_back_to_source: false,
            credentials: CredentialsId(0),
            origin: Some(OriginId(0)),
            listens: self.scenario.listens,
        };
        self.tell(Event::PeerRegistered(registration));
    }

    /// The scheduler hears something now.
    pub(super) fn tell_now(&mut self, event: Event) {
        self.tally.told += 1;
        let decisions = self.graph.apply(event, self.clock());
        for decision in decisions {
            self.decided(decision);
        }
    }

    pub(super) fn tick(&mut self) {
        if self.wake_at.is_some_and(|at| at <= self.now) {
            self.wake_at = None;
            self.tell_now(Event::Tick);
        }
    }

    fn decided(&mut self, decision: Decision) {
        self.tally.decided(&decision);
        match decision {
            Decision::Parents { peer, parents } | Decision::MoreParents { peer, parents } => {
                let parents = parents.iter().map(|Candidate { peer, .. }| number(peer)).collect();
                self.soon(Happening::Answered(number(&peer.peer), Answer::Parents(parents)));
            }
            Decision::BackToSource { peer, .. } => {
                self.soon(Happening::Answered(number(&peer.peer), Answer::Origin));
            }
            Decision::Refuse { peer, .. } => {
                self.soon(Happening::Answered(number(&peer.peer), Answer::Refused));
            }
            Decision::TriggerSeed {
                task, seed, trigger, ..
            } => {
                let host = host_number(&seed);
                let task_number = self
                    .tasks
                    .iter()
                    .position(|known| *known == task)
                    .expect("a known task");
                let there = self.hosts[host as usize].downloads.iter().copied();
                let mut there = there.filter(|n| self.downloads[*n as usize].task == task_number as u32);
                match there.find(|n| self.takes_part(*n)) {
                    Some(_) => self.tell(Event::SeedTriggerEnded {
                        task,
                        trigger,
                        holder: None,
                    }),
                    None => {
                        let download = self.add_download(host, task_number as u32);
                        self.triggers.insert(download, (task, trigger));
                        self.soon(Happening::Arrival(download));
                    }
                }
            }
            Decision::WakeAt(at) => {
                let at = (at.as_nanos() as u64).max(self.now);
                self.wake_at = Some(at);
                self.at(at, Happening::Tick);
            }
            Decision::Empty { .. }
            | Decision::MetadataOnly { .. }
            | Decision::Parked { .. }
            | Decision::EndStream { .. }
            | Decision::TaskForgotten { .. }
            | Decision::HostForgotten { .. } => {}
        }
    }

    pub(super) fn answered(&mut self, number: u32, answer: Answer) {
        if !self.takes_part(number) || self.downloads[number as usize].stage == Stage::Done {
            return;
        }
        self.downloads[number as usize].asked = false;
        self.tell_of(number, || match &answer {
            Answer::Parents(parents) => {
                let parents: Vec<String> = parents.iter().map(|parent| self.named(*parent)).collect();
                format!("is given {}", parents.join(", "))
            }
            Answer::Origin => "is sent to the origin".to_owned(),
            Answer::Refused => "is refused".to_owned(),
        });
        match answer {
            Answer::Parents(parents) => {
                self.begin(number);
                self.say_begun(number);
                for parent in parents {
                    self.follow(number, parent);
                }
            }
            Answer::Origin => self.go_to_origin(number),
            Answer::Refused => {
                // A peer that gets no help helps itself.
                self.tally.refused += 1;
                self.go_to_origin(number);
            }
        }
    }

    fn say_begun(&mut self, number: u32) {
        let download = &mut self.downloads[number as usize];
        if !std::mem::replace(&mut download.begun, true) {
            let peer = download.key.clone();
            self.tell(Event::PeerStarted { peer });
        }
    }

    /// Asks for other parents, unless an answer is due.
    pub(super) fn ask_for_others(&mut self, number: u32) {
        let download = &mut self.downloads[number as usize];
        if download.at_origin || std::mem::replace(&mut download.asked, true) {
            return;
        }
        let peer = download.key.clone();
        self.tell_of(number, || "asks for others".to_owned());
        self.tally.asked_again += 1;
        self.tell(Event::Rescheduled { peer });
    }

    pub(super) fn complain(&mut self, number: u32, parent: u32) {
        let peer = self.downloads[number as usize].key.clone();
        let parent = self.downloads[parent as usize].key.peer.clone();
        self.tell(Event::PieceFailed { peer, parent });
    }

    /// The last word of a download.
    pub(super) fn say_finished(&mut self, number: u32) {
        let peer: PeerKey = self.downloads[number as usize].key.clone();
        self.tell(Event::PeerFinished { peer });
        if let Some((task, trigger)) = self.triggers.remove(&number) {
            self.tell(Event::SeedTriggerEnded {
                task,
                trigger,
                holder: None,
            });
        }
    }
}

/// The number in the name of a download.
pub(super) fn number(peer: &PeerId) -> u32 {
    peer.as_str()[1..]
        .parse()
        .expect("downloads are named by their numbers")
}

fn host_number(host: &HostId) -> u32 {
    host.as_str()[1..].parse().expect("hosts are named by their numbers")
}
