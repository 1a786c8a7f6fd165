//! A disk that loses its power: what of the operations so far may be on it.
//!
//! Nothing is durable but what was synced. An operation that wasn't may be there or not, whatever came before or after
//! it, and half of a write may be there without the other. What a directory holds is durable only once the directory
//! was synced. No real file system is as forgetful as that; whoever survives it survives all of them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// A file or directory, by the order in which they were made; 0 is the recorded directory itself.
pub(super) type Inode = usize;

#[derive(Debug)]
pub(super) enum Op {
    Link {
        parent: Inode,
        name: String,
        inode: Inode,
        directory: bool,
    },
    Unlink {
        parent: Inode,
        name: String,
    },
    Rename {
        from: (Inode, String),
        to: (Inode, String),
        inode: Inode,
    },
    Write {
        inode: Inode,
        offset: u64,
        data: Vec<u8>,
    },
    Resize {
        inode: Inode,
        length: u64,
    },
    Sync {
        inode: Inode,
    },
    /// The process tells what it is about to do, or has done.
    Say(String),
}

impl Op {
    /// What must be synced so that the operation is durable.
    fn belongs_to(&self, to: Inode) -> bool {
        match self {
            Self::Link { parent, .. } | Self::Unlink { parent, .. } => *parent == to,
            Self::Rename { from, to: target, .. } => from.0 == to || target.0 == to,
            Self::Write { inode, .. } | Self::Resize { inode, .. } => *inode == to,
            Self::Sync { .. } | Self::Say(_) => false,
        }
    }

    /// In few words; files by the names that they were made with.
    fn told(&self, ops: &[Self]) -> String {
        let name = |of: Inode| {
            let made = ops.iter().find_map(|op| match op {
                Self::Link { name, inode, .. } if *inode == of => Some(name.as_str()),
                _ => None,
            });
            made.unwrap_or("/").to_owned()
        };
        match self {
            Self::Link { parent, name: made, .. } => format!("making {made} in {}", name(*parent)),
            Self::Unlink { parent, name: gone } => format!("removing {gone} from {}", name(*parent)),
            Self::Rename { to, inode, .. } => format!("renaming {} to {}", name(*inode), to.1),
            Self::Write { inode, offset, data } => format!("{} bytes at {offset} of {}", data.len(), name(*inode)),
            Self::Resize { inode, length } => format!("length {length} of {}", name(*inode)),
            Self::Sync { inode } => format!("syncing {}", name(*inode)),
            Self::Say(words) => words.clone(),
        }
    }

    /// What it changes, if it changes anything.
    fn changes(&self) -> Option<Inode> {
        match self {
            Self::Link { parent, .. } | Self::Unlink { parent, .. } => Some(*parent),
            Self::Rename { to, .. } => Some(to.0),
            Self::Write { inode, .. } | Self::Resize { inode, .. } => Some(*inode),
            Self::Sync { .. } | Self::Say(_) => None,
        }
    }
}

/// What became of one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Kept,
    Lost,
    /// Only the first half of a write.
    Head,
    /// Only the second.
    Tail,
}

#[derive(Hash)]
enum Node {
    Directory(BTreeMap<String, Inode>),
    /// The bytes up to the last that was written; what follows up to the length is zeros.
    File {
        data: Vec<u8>,
        length: u64,
    },
}

/// Files and directories. What no directory names is there, too, and can't be found.
pub(super) struct Tree {
    nodes: BTreeMap<Inode, Node>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node::Directory(BTreeMap::new());
        Self {
            nodes: BTreeMap::from([(0, root)]),
        }
    }
}

impl Tree {
    /// The number of the next inode.
    pub(super) fn next(&self) -> Inode {
        self.nodes.len()
    }

    pub(super) fn find(&self, path: &Path) -> Option<Inode> {
        path.iter().try_fold(0, |at, name| match &self.nodes[&at] {
            Node::Directory(entries) => entries.get(name.to_str()?).copied(),
            Node::File { .. } => None,
        })
    }

    pub(super) fn length(&self, inode: Inode) -> u64 {
        match &self.nodes[&inode] {
            Node::File { length, .. } => *length,
            Node::Directory(_) => 0,
        }
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Link {
                parent, name, inode, ..
            } => drop(self.entries(*parent).insert(name.clone(), *inode)),
            Op::Unlink { parent, name } => drop(self.entries(*parent).remove(name)),
            Op::Rename { from, to, inode } => {
                self.entries(from.0).remove(&from.1);
                self.entries(to.0).insert(to.1.clone(), *inode);
            }
            Op::Write { inode, offset, data } => self.write(*inode, *offset, data),
            Op::Resize { inode, length } => self.resize(*inode, *length),
            Op::Sync { .. } | Op::Say(_) => {}
        }
        // An inode is there though no directory may ever name it.
        if let Op::Link { inode, directory, .. } = op {
            self.nodes.insert(*inode, Node::new(*directory));
        }
    }

    fn apply_partly(&mut self, op: &Op, fate: Fate) {
        match (fate, op) {
            (Fate::Kept, _) => self.apply(op),
            (Fate::Head, Op::Write { inode, offset, data }) => self.write(*inode, *offset, &data[..data.len() / 2]),
            (Fate::Tail, Op::Write { inode, offset, data }) => {
                let half = data.len() / 2;
                self.write(*inode, offset + half as u64, &data[half..]);
            }
            (_, Op::Link { inode, directory, .. }) => drop(self.nodes.insert(*inode, Node::new(*directory))),
            _ => {}
        }
    }

    fn entries(&mut self, of: Inode) -> &mut BTreeMap<String, Inode> {
        match self.nodes.get_mut(&of) {
            Some(Node::Directory(entries)) => entries,
            _ => panic!("inode {of} is no directory"),
        }
    }

    fn write(&mut self, to: Inode, offset: u64, bytes: &[u8]) {
        let Some(Node::File { data, length }) = self.nodes.get_mut(&to) else {
            panic!("inode {to} is no file");
        };
        let begin = usize::try_from(offset).unwrap();
        let end = begin + bytes.len();
        if data.len() < end {
            data.resize(end, 0);
        }
        data[begin..end].copy_from_slice(bytes);
        *length = (*length).max(end as u64);
    }

    fn resize(&mut self, of: Inode, to: u64) {
        let Some(Node::File { data, length }) = self.nodes.get_mut(&of) else {
            panic!("inode {of} is no file");
        };
        *length = to;
        data.truncate(usize::try_from(to).unwrap());
    }

    /// Makes all that can be found, below `at`.
    pub(super) fn write_to(&self, at: &Path) {
        self.write_node(0, at);
    }

    fn write_node(&self, inode: Inode, at: &Path) {
        match &self.nodes[&inode] {
            Node::Directory(entries) => {
                fs::create_dir_all(at).unwrap();
                for (name, inode) in entries {
                    self.write_node(*inode, &at.join(name));
                }
            }
            Node::File { data, length } => {
                fs::write(at, data).unwrap();
                File::options().write(true).open(at).unwrap().set_len(*length).unwrap();
            }
        }
    }

    /// What differs from the directory that is really there.
    pub(super) fn differences(&self, at: &Path) -> Vec<String> {
        let copy = tempfile::tempdir().unwrap();
        self.write_to(copy.path());
        let mut differences = Vec::new();
        compare(copy.path(), at, &mut differences);
        differences
    }

    /// Two trees of the same number look the same.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash_node(0, &mut hasher);
        hasher.finish()
    }

    fn hash_node(&self, inode: Inode, hasher: &mut DefaultHasher) {
        match &self.nodes[&inode] {
            Node::Directory(entries) => {
                entries.len().hash(hasher);
                for (name, inode) in entries {
                    name.hash(hasher);
                    self.hash_node(*inode, hasher);
                }
            }
            file @ Node::File { .. } => file.hash(hasher),
        }
    }
}

impl Node {
    fn new(directory: bool) -> Self {
        if directory {
            Self::Directory(BTreeMap::new())
        } else {
            Self::File {
                data: Vec::new(),
                length: 0,
            }
        }
    }
}

fn compare(one: &Path, other: &Path, differences: &mut Vec<String>) {
    let names = |at: &Path| -> Vec<_> {
        let mut names: Vec<_> = fs::read_dir(at)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    if names(one) != names(other) {
        differences.push(format!("{}: {:?}, {:?}", other.display(), names(one), names(other)));
        return;
    }
    for name in names(one) {
        let (one, other) = (one.join(&name), other.join(&name));
        if one.is_dir() {
            compare(&one, &other, differences);
        } else if fs::read(&one).unwrap() != fs::read(&other).unwrap() {
            differences.push(other.display().to_string());
        }
    }
}

/// What may be left of the first `count` operations, and how it came to be.
pub(super) struct State {
    pub(super) tree: Tree,
    fates: Vec<Fate>,
}

/// The states in which the power may leave the disk after the first `count` operations. Most is unsettled before something is
/// synced, or when something was said: there the fate of every operation is tried, elsewhere that of the newest.
pub(super) fn after_a_power_cut(ops: &[Op], count: usize) -> Vec<State> {
    let before = |op: Option<&Op>| matches!(op, None | Some(Op::Sync { .. }));
    let said = matches!(ops[..count].last(), Some(Op::Say(_)));
    let unsettled = said || before(ops.get(count));
    let ops = &ops[..count];
    let pending = pending(ops);
    let all = vec![Fate::Kept; count];
    let mut none = all.clone();
    pending.iter().for_each(|at| none[*at] = Fate::Lost);

    let mut fates = vec![all.clone(), none.clone()];
    let mut but = |base: &[Fate], fate: Fate, of: &dyn Fn(usize) -> bool| {
        let mut changed = base.to_vec();
        pending.iter().filter(|at| of(**at)).for_each(|at| changed[*at] = fate);
        fates.push(changed);
    };
    for at in pending.iter().filter(|at| unsettled || **at + 1 == count) {
        but(&all, Fate::Lost, &|other| other == *at);
        but(&none, Fate::Kept, &|other| other == *at);
        if matches!(&ops[*at], Op::Write { data, .. } if data.len() > 1) {
            but(&all, Fate::Head, &|other| other == *at);
            but(&all, Fate::Tail, &|other| other == *at);
        }
        // Everything up to here, and nothing of what came later; and the reverse.
        but(&all, Fate::Lost, &|other| other > *at);
        but(&all, Fate::Lost, &|other| other < *at);
        let of = ops[*at].changes();
        but(&all, Fate::Lost, &|other| ops[other].changes() == of);
        but(&none, Fate::Kept, &|other| ops[other].changes() == of);
    }
    let state = |fates: Vec<Fate>| State {
        tree: replay(ops, &fates),
        fates,
    };
    fates.into_iter().map(state).collect()
}

impl State {
    /// What became of the operations that are not there as a whole.
    pub(super) fn story(&self, ops: &[Op]) -> String {
        let told = |(at, fate): (usize, &Fate)| match fate {
            Fate::Kept => None,
            fate => Some(format!("{at}: {} is {fate:?}", ops[at].told(ops))),
        };
        let told: Vec<_> = self.fates.iter().enumerate().filter_map(told).collect();
        told.join(", ")
    }
}

/// Everything, as after a process that ended by itself.
pub(super) fn after(ops: &[Op]) -> Tree {
    replay(ops, &vec![Fate::Kept; ops.len()])
}

fn replay(ops: &[Op], fates: &[Fate]) -> Tree {
    let mut tree = Tree::default();
    for (op, fate) in ops.iter().zip(fates) {
        tree.apply_partly(op, *fate);
    }
    tree
}

/// The changes that no later sync made durable.
fn pending(ops: &[Op]) -> Vec<usize> {
    let synced = |at: usize| {
        ops[at..]
            .iter()
            .any(|later| matches!(later, Op::Sync { inode } if ops[at].belongs_to(*inode)))
    };
    (0..ops.len())
        .filter(|at| ops[*at].changes().is_some() && !synced(*at))
        .collect()
}
