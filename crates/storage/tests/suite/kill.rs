//! A process that is killed while it writes loses no piece that it acknowledged, and leaves none that isn't whole.

use crate::support::*;
use dragonfly_model::PieceNumber;
use dragonfly_storage::{Pin, Storage};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ROUNDS: u64 = 12;
/// Written in parallel, each by pieces in order; the last is removed and begun anew again and again.
const TASKS: u32 = 4;
const REMOVED: u32 = TASKS - 1;
const PIECES: u32 = 40;
const LENGTH: u64 = 40_000;

/// The child: reads the directory from its input, writes what it has done to its output, never ends by itself.
#[test]
#[ignore = "is the process that a_killed_process_claims_what_it_acknowledged kills"]
fn child() {
    let mut dir = String::new();
    std::io::stdin().read_line(&mut dir).unwrap();
    let dir = PathBuf::from(dir.trim_end());
    if dir.as_os_str().is_empty() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (storage, _) = open(&dir).await;
        let mut tasks = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            tasks.spawn(write_task(storage.clone(), task));
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
    });
}

async fn write_task(storage: Storage, task: u32) {
    loop {
        let length = u64::from(PIECES) * LENGTH;
        let pin = storage
            .pin_or_create(&id(task), new_task(LENGTH, Some(length)))
            .unwrap();
        let missing: Vec<_> = pin.pieces().missing_in(pin.layout().unwrap(), None).collect();
        for span in missing {
            let mut writer = begin(&pin, span.number.0);
            let whole = content(task, span.offset, span.length);
            for at in (0..whole.len()).step_by(9_999) {
                writer
                    .write(whole.slice(at..whole.len().min(at + 9_999)))
                    .await
                    .unwrap();
            }
            writer.commit(Some(crc32fast::hash(&whole))).await.unwrap();
            say(&format!("piece {task} {}", span.number.0));
        }
        pin.finish().await.unwrap();
        say(&format!("finished {task}"));
        if task != REMOVED {
            return std::future::pending().await;
        }
        storage.remove(&id(task)).await.unwrap();
    }
}

/// One write, so that a line is whole or not there.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

#[derive(Default)]
struct Acknowledged {
    pieces: BTreeSet<(u32, u32)>,
    finished: BTreeSet<u32>,
}

impl Acknowledged {
    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let (word, mut number) = (words.next(), || words.next().unwrap().parse::<u32>().unwrap());
        match word {
            Some("piece") => {
                self.pieces.insert((number(), number()));
            }
            Some("finished") => {
                self.finished.insert(number());
            }
            // What the test harness prints of itself.
            _ => {}
        }
    }
}

fn start(dir: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["kill::child", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{}", dir.display()).unwrap();
    child
}

#[tokio::test]
async fn a_killed_process_claims_what_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut heard = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut child = start(dir.path());
        // Every round is killed at another moment: after so many acknowledgements, which is mid-write for the others.
        let until = 1 + (round * 7) % 23;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = 0;
        while acknowledged < until
            && let Some(line) = lines.next()
        {
            let line = line.unwrap();
            acknowledged += u64::from(line.starts_with("piece"));
            heard.hear(&line);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died and nobody had read yet.
        lines.for_each(|line| heard.hear(&line.unwrap()));

        let (storage, recovery) = open(dir.path()).await;
        assert!(!recovery.clean);
        assert_eq!(
            (recovery.pieces_dropped, recovery.tasks_dropped),
            (0, 0),
            "round {round}"
        );
        for task in 0..TASKS {
            check(&storage, task, &heard).await;
        }
    }
    assert!(heard.pieces.len() > 20, "the rounds were too short to show anything");
}

async fn check(storage: &Storage, task: u32, heard: &Acknowledged) {
    let pin = storage.pin(&id(task));
    if let Some(pin) = &pin {
        for number in pin.pieces().iter() {
            claimed_piece_is_whole(pin, task, number).await;
        }
    }
    if task == REMOVED {
        return;
    }
    let missing: Vec<_> = heard
        .pieces
        .iter()
        .filter(|(of, number)| {
            *of == task
                && !pin
                    .as_ref()
                    .is_some_and(|pin| pin.pieces().contains(PieceNumber(*number)))
        })
        .collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    if heard.finished.contains(&task) {
        assert!(pin.unwrap().record().is_finished());
    }
}

async fn claimed_piece_is_whole(pin: &Pin, task: u32, number: PieceNumber) {
    let piece = pin.piece(number).unwrap();
    let expected = content(task, piece.span.offset, piece.span.length);
    let found = pin.read(piece.span.offset, expected.len()).await.unwrap();
    assert_eq!(found, expected, "piece {} of task {task}", number.0);
    assert_eq!(piece.crc32, crc32fast::hash(&expected));
}
