//! What the tests of this room share.

use bytes::Bytes;
use dragonfly_model::{PieceNumber, PieceSpan, Policy, TaskId, TrafficType};
use dragonfly_storage::{Config, NewTask, PieceRecord, PieceWriter, Pin, Recovery, Storage};
use std::path::Path;

/// Bytes of a piece in these tests.
pub(crate) const PIECE: u64 = 1000;

pub(crate) fn id(number: u32) -> TaskId {
    TaskId::parse(&format!("{number:064x}")).unwrap()
}

pub(crate) fn config(dir: &Path) -> Config {
    Config {
        dir: dir.join("storage"),
        keep: true,
        write_buffer: 64 << 10,
    }
}

pub(crate) async fn open(dir: &Path) -> (Storage, Recovery) {
    Storage::open(config(dir)).await.unwrap()
}

pub(crate) fn new_task(piece_length: u64, content_length: Option<u64>) -> NewTask {
    NewTask {
        url: "http://origin.example/content".to_owned(),
        tag: None,
        application: None,
        piece_length,
        content_length,
        response_headers: Vec::new(),
        digest: None,
        policy: Policy::Standard,
    }
}

/// The bytes from `offset` on of the content number `seed`.
pub(crate) fn content(seed: u32, offset: u64, length: u64) -> Bytes {
    (offset..offset + length)
        .map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(u64::from(seed) * 97) >> 7) as u8)
        .collect()
}

/// Where a piece lies; a full one while the content length is unknown.
pub(crate) fn span(pin: &Pin, number: u32) -> PieceSpan {
    let number = PieceNumber(number);
    match pin.layout() {
        Some(layout) => layout.span(number).unwrap(),
        None => PieceSpan {
            number,
            offset: u64::from(number.0) * pin.piece_length(),
            length: pin.piece_length(),
        },
    }
}

pub(crate) fn begin(pin: &Pin, number: u32) -> PieceWriter {
    pin.begin_piece(span(pin, number), TrafficType::BackToSource, None)
        .unwrap()
}

/// Writes a piece of the content number `seed`.
pub(crate) async fn put(pin: &Pin, seed: u32, number: u32) -> PieceRecord {
    let mut writer = begin(pin, number);
    let span = writer.span();
    writer.write(content(seed, span.offset, span.length)).await.unwrap();
    writer.commit(None).await.unwrap()
}

/// Writes all pieces of a content of known length, and finishes it.
pub(crate) async fn put_all(pin: &Pin, seed: u32) {
    for span in pin.layout().unwrap().spans() {
        put(pin, seed, span.number.0).await;
    }
    pin.finish().await.unwrap();
}

/// Reads until the end of the content.
pub(crate) async fn read_all(pin: &Pin) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let bytes = pin.read(whole.len() as u64, 777).await.unwrap();
        if bytes.is_empty() {
            return whole;
        }
        whole.extend_from_slice(&bytes);
    }
}

/// Waits until the task is as wanted; wakes at every change and at nothing else.
pub(crate) async fn until(pin: &Pin, mut wanted: impl FnMut(&Pin) -> bool) {
    let mut changes = pin.changes();
    while !wanted(pin) {
        changes.changed().await.unwrap();
    }
}
