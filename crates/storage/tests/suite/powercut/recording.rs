//! What a process asks of the kernel, as `strace` hears it: every change of the files below one directory, in order.
//!
//! The recording lies beneath both our own files and those of the metadata store, so nothing of either is assumed.
//! That nothing was missed shows in the end: all operations together must make the directory that is really there.

use super::disk::{Inode, Op, Tree};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Everything that can change a file or make a change durable, and what moves descriptors and their positions.
const CALLS: &str = "trace=open,openat,openat2,creat,close,dup,dup2,dup3,fcntl,lseek,read,write,writev,pwrite64,pwritev,\
                     pwritev2,truncate,ftruncate,fallocate,copy_file_range,sendfile,fsync,fdatasync,sync,syncfs,\
                     sync_file_range,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,\
                     mkdirat,rmdir";
/// What the recorded process says of itself, in its output.
pub(super) const SAYING: &str = "say: ";

/// Runs the test `name` of this binary, which reads the directory from its input, and records what it does there.
pub(super) fn record(name: &str, base: &Path) -> Vec<Op> {
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut child = Command::new("strace")
        .args(["--follow-forks", "--decode-fds=path", "--strings-in-hex=all"])
        .args(["--string-limit=100000000", "-e", CALLS, "-e", "signal=none", "-o"])
        .arg(trace.path())
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", base.display()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let mut recorder = Recorder::new(base);
    for call in calls(&std::fs::read_to_string(trace.path()).unwrap()) {
        recorder.hear(&call);
    }
    recorder.ops
}

/// One finished call: its name, its arguments, what it returned.
struct Call {
    name: String,
    arguments: Vec<String>,
    result: i64,
}

/// The calls that succeeded, in the order in which they ended.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: HashMap<&str, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let (thread, text) = line.split_once(' ').unwrap();
        let text = text.trim_start();
        if let Some(begun) = text.strip_suffix("<unfinished ...>") {
            if begun.starts_with("close(") {
                // Its number may be another file's before the call has ended.
                calls.extend(parse(&format!("{begun}) = 0")));
            }
            unfinished.insert(thread, begun.to_owned());
        } else if text.starts_with("<... close resumed>") {
            unfinished.remove(thread);
        } else if let Some(resumed) = text.strip_prefix("<... ") {
            let (_, rest) = resumed.split_once(" resumed>").unwrap();
            let begun = unfinished.remove(thread).unwrap();
            calls.extend(parse(&(begun + rest)));
        } else {
            calls.extend(parse(text));
        }
    }
    calls
}

fn parse(text: &str) -> Option<Call> {
    let (call, result) = text.rsplit_once(" = ")?;
    let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    let digits = result.split(['<', ' ']).next().unwrap();
    let result: i64 = digits.parse().ok()?;
    (result >= 0).then(|| Call {
        name: name.to_owned(),
        arguments: split(arguments),
        result,
    })
}

/// Splits at the commas that are in no brackets. Strings are in hexadecimal, so nothing in them looks like either.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in text.chars() {
        match letter {
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        parts.last_mut().unwrap().push(letter);
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// The bytes of a string, or of the buffers of a vector one behind the other.
fn bytes(argument: &str) -> Vec<u8> {
    let quoted = argument.split('"').skip(1).step_by(2);
    quoted.flat_map(unescape).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let digits = text.split("\\x").skip(1);
    digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect()
}

/// An open file: which, where its next write goes, and whether that is always its end.
#[derive(Clone)]
struct Open {
    inode: Inode,
    position: u64,
    append: bool,
}

struct Recorder {
    base: PathBuf,
    /// The directory as it is after everything so far.
    tree: Tree,
    open: HashMap<i64, Open>,
    ops: Vec<Op>,
}

impl Recorder {
    fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
            tree: Tree::default(),
            open: HashMap::new(),
            ops: Vec::new(),
        }
    }

    fn hear(&mut self, call: &Call) {
        let (name, arguments) = (call.name.as_str(), &call.arguments);
        match name {
            "open" => self.opened(self.path("", &arguments[0]), &arguments[1], call.result),
            "openat" => self.opened(self.path(&arguments[0], &arguments[1]), &arguments[2], call.result),
            "close" => drop(self.open.remove(&fd(&arguments[0]))),
            "write" if fd(&arguments[0]) == 1 => self.said(&bytes(&arguments[1])),
            "read" | "lseek" | "write" | "pwrite64" | "pwritev" | "ftruncate" | "fallocate" | "fsync" | "fdatasync" => {
                let fd = fd(&arguments[0]);
                if let Some(open) = self.open.remove(&fd) {
                    let open = self.on_open(open, call);
                    self.open.insert(fd, open);
                }
            }
            "fcntl" if arguments[1].starts_with("F_DUPFD") => {
                if let Some(open) = self.open.get(&fd(&arguments[0])) {
                    self.open.insert(call.result, open.clone());
                }
            }
            "fcntl" => {}
            "mkdir" => self.made(self.path("", &arguments[0])),
            "mkdirat" => self.made(self.path(&arguments[0], &arguments[1])),
            "unlink" | "rmdir" => self.unlinked(self.path("", &arguments[0])),
            "unlinkat" => self.unlinked(self.path(&arguments[0], &arguments[1])),
            "rename" => self.renamed(self.path("", &arguments[0]), self.path("", &arguments[1])),
            "renameat" | "renameat2" => {
                let from = self.path(&arguments[0], &arguments[1]);
                self.renamed(from, self.path(&arguments[2], &arguments[3]));
            }
            _ => self.foreign(call),
        }
    }

    /// A call whose effect is not known here must be about something else.
    fn foreign(&self, call: &Call) {
        let base = self.base.as_os_str().as_encoded_bytes();
        let here: String = base.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let about = call.arguments.iter().any(|argument| argument.contains(&here));
        assert!(!about, "the recorder does not know {}", call.name);
    }

    fn said(&mut self, bytes: &[u8]) {
        for line in String::from_utf8_lossy(bytes).lines() {
            if let Some((_, words)) = line.split_once(SAYING) {
                self.ops.push(Op::Say(words.to_owned()));
            }
        }
    }

    fn opened(&mut self, path: Option<PathBuf>, flags: &str, fd: i64) {
        let Some(path) = path else {
            return;
        };
        let flags: Vec<&str> = flags.split('|').collect();
        let inode = match self.tree.find(&path) {
            Some(inode) => inode,
            None => self.link(&path, false),
        };
        if flags.contains(&"O_TRUNC") {
            self.push(Op::Resize { inode, length: 0 });
        }
        let open = Open {
            inode,
            position: 0,
            append: flags.contains(&"O_APPEND"),
        };
        self.open.insert(fd, open);
    }

    /// Does a call on an open file.
    fn on_open(&mut self, mut open: Open, call: &Call) -> Open {
        let (inode, arguments) = (open.inode, &call.arguments);
        let number = |index: usize| arguments[index].parse::<u64>().unwrap();
        let done = u64::try_from(call.result).unwrap();
        match call.name.as_str() {
            "read" => open.position += done,
            "lseek" => open.position = done,
            "fsync" | "fdatasync" => self.push(Op::Sync { inode }),
            "ftruncate" => self.push(Op::Resize {
                inode,
                length: number(1),
            }),
            // Reserves room and changes nothing that can be read.
            "fallocate" => assert!(arguments[1].contains("KEEP_SIZE"), "{arguments:?}"),
            name => {
                let offset = match name {
                    "pwrite64" | "pwritev" => number(3),
                    _ if open.append => self.tree.length(inode),
                    _ => open.position,
                };
                if name == "write" {
                    open.position = offset + done;
                }
                let mut data = bytes(&arguments[1]);
                data.truncate(usize::try_from(done).unwrap());
                assert_eq!(data.len() as u64, done, "strace cut the data short");
                self.push(Op::Write { inode, offset, data });
            }
        }
        open
    }

    fn made(&mut self, path: Option<PathBuf>) {
        if let Some(path) = path {
            self.link(&path, true);
        }
    }

    fn link(&mut self, path: &Path, directory: bool) -> Inode {
        let inode = self.tree.next();
        let (parent, name) = self.parent(path);
        self.push(Op::Link {
            parent,
            name,
            inode,
            directory,
        });
        inode
    }

    fn unlinked(&mut self, path: Option<PathBuf>) {
        if let Some(path) = path {
            let (parent, name) = self.parent(&path);
            self.push(Op::Unlink { parent, name });
        }
    }

    fn renamed(&mut self, from: Option<PathBuf>, to: Option<PathBuf>) {
        if let (Some(from), Some(to)) = (from, to) {
            let inode = self.tree.find(&from).unwrap();
            let (from, to) = (self.parent(&from), self.parent(&to));
            self.push(Op::Rename { from, to, inode });
        }
    }

    fn push(&mut self, op: Op) {
        self.tree.apply(&op);
        self.ops.push(op);
    }

    fn parent(&self, path: &Path) -> (Inode, String) {
        let parent = self.tree.find(path.parent().unwrap()).unwrap();
        (parent, path.file_name().unwrap().to_str().unwrap().to_owned())
    }

    /// A path below the recorded directory, relative to it; `None` for any other.
    fn path(&self, directory: &str, name: &str) -> Option<PathBuf> {
        let text = |bytes| PathBuf::from(String::from_utf8(bytes).unwrap());
        let directory = directory.split(['<', '>']).nth(1).map(unescape).unwrap_or_default();
        let path = text(directory).join(text(bytes(name)));
        Some(path.strip_prefix(&self.base).ok()?.to_owned())
    }
}

/// The number of a descriptor, without the path that is noted behind it.
fn fd(argument: &str) -> i64 {
    argument.split('<').next().unwrap().parse().unwrap()
}
