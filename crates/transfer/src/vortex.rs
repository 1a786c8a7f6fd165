//! The piece protocol between peers: packets as upstream's peers (vortex) speak them.
//!
//! Every number is big-endian. A packet is a header of six bytes (`id u8`, `tag u8`, `length u32`) and a value of
//! `length` bytes. A request's value is the task id in ASCII and the piece number. The answer's value is the piece's
//! metadata behind its own length, and the piece's bytes follow it *outside* of the packet.
//!
//! What ours adds, and sends only to a parent that announced it: [`Tag::KeepOpen`], [`Tag::Choice`], and task ids of 128
//! digits.
//! Whatever comes from the network is measured before it is believed or given memory.

use dragonfly_model::{PieceNumber, PieceSpan, TaskId};

/// Bytes of a packet's header.
pub const HEADER_LEN: usize = 6;
/// Bytes of a content packet's value at most: far above what a peer id and a digest need.
pub const MAX_CONTENT_LEN: u32 = 4096;
/// Bytes of an error packet's value at most.
pub const MAX_REFUSAL_LEN: u32 = 4096;
/// How the wire writes "from another peer".
pub const REMOTE_PEER: u8 = 1;
/// Pieces that a [`Tag::Choice`] names at most, beside the one that is wanted most.
pub const MAX_OTHERS: usize = 15;

/// Which of upstream's kinds of task a request speaks of. Storage has only one kind: the answer repeats the family of
/// the request, and nothing else depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// A task.
    Standard,
    /// A persistent task.
    Persistent,
    /// A persistent cache task.
    PersistentCache,
    /// A cache task.
    Cache,
}

impl Family {
    const ALL: [Self; 4] = [Self::Standard, Self::Persistent, Self::PersistentCache, Self::Cache];

    fn number(self) -> u8 {
        self as u8
    }
}

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// Asks for a piece.
    Request(Family),
    /// A piece's metadata; its bytes follow.
    Content(Family),
    /// Asks for any of several pieces. Ours, announced by the parent.
    Choice,
    /// Sent first on a connection, without a value: it will carry many requests. Ours, announced by the parent.
    KeepOpen,
    /// The sender will send no more.
    Close,
    /// The request failed.
    Error,
}

impl Tag {
    const CHOICE: u8 = 252;
    const KEEP_OPEN: u8 = 253;
    const CLOSE: u8 = 254;
    const ERROR: u8 = 255;

    fn number(self) -> u8 {
        match self {
            Self::Request(family) => family.number() * 2,
            Self::Content(family) => family.number() * 2 + 1,
            Self::Choice => Self::CHOICE,
            Self::KeepOpen => Self::KEEP_OPEN,
            Self::Close => Self::CLOSE,
            Self::Error => Self::ERROR,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        match number {
            0..=7 => {
                let family = Family::ALL[usize::from(number / 2)];
                Some(if number.is_multiple_of(2) {
                    Self::Request(family)
                } else {
                    Self::Content(family)
                })
            }
            Self::CHOICE => Some(Self::Choice),
            Self::KEEP_OPEN => Some(Self::KeepOpen),
            Self::CLOSE => Some(Self::Close),
            Self::ERROR => Some(Self::Error),
            _ => None,
        }
    }
}

/// Why bytes are no packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No such packet.
    #[error("unknown packet tag {0}")]
    Tag(u8),
    /// A packet that has no place here.
    #[error("a packet of tag {0} is not expected here")]
    Unexpected(u8),
    /// A value that is longer or shorter than such a packet's can be.
    #[error("a {what} of {length} bytes")]
    Length {
        /// Which packet.
        what: &'static str,
        /// Bytes it claims.
        length: u32,
    },
    /// A part of a value that runs beyond its end, or is not what it should be.
    #[error("a content packet's {0} is damaged")]
    Field(&'static str),
    /// No task id.
    #[error("a request's task id is not 64 or 128 lower-case hex digits")]
    TaskId,
}

/// A packet's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Chosen by the asker, repeated by the answer, compared by nobody.
    pub id: u8,
    /// What the packet is.
    pub tag: Tag,
    /// Bytes of its value.
    pub length: u32,
}

impl Header {
    /// As it goes over the wire.
    pub fn encode(self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.length.to_be_bytes();
        [self.id, self.tag.number(), a, b, c, d]
    }

    /// Reads a header and checks that such a packet can have such a length.
    pub fn decode(bytes: [u8; HEADER_LEN]) -> Result<Self, Malformed> {
        let [id, tag, a, b, c, d] = bytes;
        let length = u32::from_be_bytes([a, b, c, d]);
        let tag = Tag::from_number(tag).ok_or(Malformed::Tag(tag))?;
        let (what, possible) = match tag {
            Tag::Request(_) => ("request", length == Request::LEN || length == Request::LONG_LEN),
            Tag::Choice => ("request for any of several pieces", Request::is_choice_len(length)),
            Tag::Content(_) => ("content packet", length <= MAX_CONTENT_LEN),
            Tag::KeepOpen | Tag::Close => ("packet without a value", length == 0),
            Tag::Error => ("error packet", (1..=MAX_REFUSAL_LEN).contains(&length)),
        };
        if possible {
            Ok(Self { id, tag, length })
        } else {
            Err(Malformed::Length { what, length })
        }
    }

    /// The error for a packet that has no place here.
    pub fn unexpected(self) -> Malformed {
        Malformed::Unexpected(self.tag.number())
    }
}

/// A request for a piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Of which task.
    pub task_id: TaskId,
    /// Which piece is wanted most.
    pub number: PieceNumber,
    /// Pieces that would do as well, [`MAX_OTHERS`] at most. Only for a parent that announced that it chooses.
    pub others: Vec<PieceNumber>,
}

impl Request {
    /// Bytes of the value with a task id of 64 digits, the only one that upstream's peers know.
    pub const LEN: u32 = 68;
    /// Bytes of the value with a task id of 128 digits.
    pub const LONG_LEN: u32 = 132;

    /// Whether a request for any of several pieces can have a value of so many bytes. The longest with a short task id is
    /// shorter than the shortest with a long one.
    fn is_choice_len(length: u32) -> bool {
        let numbers = |digits: u32| length > digits + 4 && length <= digits + 4 + 4 * MAX_OTHERS as u32;
        length.is_multiple_of(4) && (numbers(64) || numbers(128))
    }

    /// All pieces that would do, the one that is wanted most first.
    pub fn numbers(&self) -> Vec<PieceNumber> {
        [self.number].into_iter().chain(self.others.iter().copied()).collect()
    }

    /// The whole packet: in upstream's form if nothing else would do as well.
    pub fn encode(&self, id: u8, family: Family) -> Vec<u8> {
        let task_id = self.task_id.as_str().as_bytes();
        let numbers = self.numbers();
        let named = numbers.iter().take(1 + MAX_OTHERS);
        let numbers: Vec<u8> = named.flat_map(|number| number.0.to_be_bytes()).collect();
        let header = Header {
            id,
            tag: if self.others.is_empty() {
                Tag::Request(family)
            } else {
                Tag::Choice
            },
            length: (task_id.len() + numbers.len()) as u32,
        };
        [&header.encode()[..], task_id, &numbers].concat()
    }

    /// Reads the value of a request of either form.
    pub fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let digits = if value.len() > 128 { 128 } else { 64 };
        let (task_id, numbers) = value.split_at_checked(digits).ok_or(Malformed::TaskId)?;
        let task_id = std::str::from_utf8(task_id).map_err(|_| Malformed::TaskId)?;
        let (numbers, rest) = numbers.as_chunks::<4>();
        let mut numbers = numbers.iter().map(|number| PieceNumber(u32::from_be_bytes(*number)));
        let first = numbers.next().filter(|_| rest.is_empty());
        Ok(Self {
            task_id: TaskId::parse(task_id).map_err(|_| Malformed::TaskId)?,
            number: first.ok_or(Malformed::Length {
                what: "request",
                length: value.len() as u32,
            })?,
            others: numbers.collect(),
        })
    }
}

/// What is said of a piece before its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Where the piece lies; its length is how many bytes follow.
    pub span: PieceSpan,
    /// The piece's CRC-32 (IEEE); `None` if the sender doesn't know it (upstream's imported pieces).
    pub crc32: Option<u32>,
    /// The peer that the sender had it from; empty for none.
    pub parent: String,
    /// How the sender got it, as the wire numbers it.
    pub traffic: u8,
    /// Seconds that the sender took for it.
    pub cost_secs: u64,
    /// When the sender got it, in seconds since 1970.
    pub created_at_secs: i64,
}

impl Content {
    /// The whole packet, behind which the piece's bytes go.
    pub fn encode(&self, id: u8, family: Family) -> Vec<u8> {
        let digest = self.crc32.map(|crc| format!("crc32:{crc}")).unwrap_or_default();
        let mut metadata = Vec::with_capacity(64 + digest.len() + self.parent.len());
        metadata.extend(self.span.number.0.to_be_bytes());
        metadata.extend(self.span.offset.to_be_bytes());
        metadata.extend(self.span.length.to_be_bytes());
        for text in [&digest, &self.parent] {
            metadata.extend((text.len() as u32).to_be_bytes());
            metadata.extend(text.as_bytes());
        }
        metadata.push(self.traffic);
        metadata.extend(self.cost_secs.to_be_bytes());
        metadata.extend(self.created_at_secs.to_be_bytes());
        let length = metadata.len() as u32;
        let header = Header {
            id,
            tag: Tag::Content(family),
            length: length + 4,
        };
        [&header.encode()[..], &length.to_be_bytes(), &metadata].concat()
    }

    /// Reads a content packet's value.
    pub fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (length, mut rest) = value.split_first_chunk().ok_or(Malformed::Field("metadata length"))?;
        if u32::from_be_bytes(*length) as usize != rest.len() {
            return Err(Malformed::Field("metadata length"));
        }
        let rest = &mut rest;
        let span = PieceSpan {
            number: PieceNumber(u32::from_be_bytes(take(rest, "number")?)),
            offset: u64::from_be_bytes(take(rest, "offset")?),
            length: u64::from_be_bytes(take(rest, "length")?),
        };
        if span.offset.checked_add(span.length).is_none() {
            return Err(Malformed::Field("length"));
        }
        let digest = text(rest, "digest")?;
        let content = Self {
            span,
            crc32: crc32_of(digest)?,
            parent: text(rest, "parent id")?.to_owned(),
            traffic: u8::from_be_bytes(take(rest, "traffic type")?),
            cost_secs: u64::from_be_bytes(take(rest, "cost")?),
            created_at_secs: i64::from_be_bytes(take(rest, "creation time")?),
        };
        // Whatever a later release of upstream adds behind this is skipped: the metadata's length says where it ends.
        Ok(content)
    }
}

/// A piece's digest is `crc32:` and a decimal number, or nothing. Another algorithm leaves the piece unchecked.
fn crc32_of(digest: &str) -> Result<Option<u32>, Malformed> {
    let damaged = Malformed::Field("digest");
    match digest.split_once(':') {
        Some(("crc32", decimal)) => decimal.parse().map(Some).map_err(|_| damaged),
        Some(_) => Ok(None),
        None if digest.is_empty() => Ok(None),
        None => Err(damaged),
    }
}

fn take<const N: usize>(rest: &mut &[u8], what: &'static str) -> Result<[u8; N], Malformed> {
    let (bytes, behind) = rest.split_first_chunk().ok_or(Malformed::Field(what))?;
    *rest = behind;
    Ok(*bytes)
}

fn text<'a>(rest: &mut &'a [u8], what: &'static str) -> Result<&'a str, Malformed> {
    let length = u32::from_be_bytes(take(rest, what)?) as usize;
    let (bytes, behind) = rest.split_at_checked(length).ok_or(Malformed::Field(what))?;
    *rest = behind;
    std::str::from_utf8(bytes).map_err(|_| Malformed::Field(what))
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// No reason known to us.
    Unknown,
    /// The request is no request.
    InvalidArgument,
    /// No such task or piece here (now).
    NotFound,
    /// The sender failed.
    Internal,
}

/// An error packet's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of reason.
    pub code: RefusalCode,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// The whole packet; a message that is too long is cut.
    pub fn encode(&self, id: u8) -> Vec<u8> {
        let mut end = self.message.len().min(MAX_REFUSAL_LEN as usize - 1);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        let message = &self.message.as_bytes()[..end];
        let header = Header {
            id,
            tag: Tag::Error,
            length: message.len() as u32 + 1,
        };
        [&header.encode()[..], &[self.code as u8], message].concat()
    }

    /// Reads an error packet's value. An unknown code is [`RefusalCode::Unknown`], bytes that are no text are replaced.
    pub fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (code, message) = value.split_first().ok_or(Malformed::Length {
            what: "error packet",
            length: 0,
        })?;
        Ok(Self {
            code: match code {
                1 => RefusalCode::InvalidArgument,
                2 => RefusalCode::NotFound,
                3 => RefusalCode::Internal,
                _ => RefusalCode::Unknown,
            },
            message: String::from_utf8_lossy(message).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id_of(digits: usize) -> TaskId {
        TaskId::parse(&"0123456789abcdef".repeat(digits / 16)).unwrap()
    }

    fn family() -> impl Strategy<Value = Family> {
        (0usize..4).prop_map(|n| Family::ALL[n])
    }

    fn split(packet: &[u8]) -> (Header, &[u8]) {
        let (header, value) = packet.split_first_chunk().unwrap();
        let header = Header::decode(*header).unwrap();
        assert_eq!(header.length as usize, value.len());
        (header, value)
    }

    #[test]
    fn a_request_is_74_bytes_as_upstream_writes_it() {
        let request = Request {
            task_id: id_of(64),
            number: PieceNumber(0x0102),
            others: Vec::new(),
        };
        let packet = request.encode(7, Family::Persistent);
        let mut expected = vec![7, 2, 0, 0, 0, 68];
        expected.extend_from_slice(id_of(64).as_str().as_bytes());
        expected.extend_from_slice(&[0, 0, 1, 2]);
        assert_eq!(packet, expected);
    }

    #[test]
    fn a_content_packet_is_as_upstream_writes_it() {
        let content = Content {
            span: PieceSpan {
                number: PieceNumber(1),
                offset: 0x40_0000,
                length: 5,
            },
            crc32: Some(42),
            parent: "p".to_owned(),
            traffic: REMOTE_PEER,
            cost_secs: 3,
            created_at_secs: 9,
        };
        #[rustfmt::skip]
        let expected = [
            9, 1, 0, 0, 0, 58,              // header: id, PieceContent, 4 + metadata
            0, 0, 0, 54,                    // metadata length
            0, 0, 0, 1,                     // number
            0, 0, 0, 0, 0, 0x40, 0, 0,      // offset
            0, 0, 0, 0, 0, 0, 0, 5,         // length
            0, 0, 0, 8, b'c', b'r', b'c', b'3', b'2', b':', b'4', b'2',
            0, 0, 0, 1, b'p',
            1,                              // traffic type
            0, 0, 0, 0, 0, 0, 0, 3,         // cost
            0, 0, 0, 0, 0, 0, 0, 9,         // created at
        ];
        assert_eq!(content.encode(9, Family::Standard), expected);
    }

    #[test]
    fn an_eight_digit_checksum_is_still_decimal() {
        assert_eq!(crc32_of("crc32:12345678"), Ok(Some(12_345_678)));
        assert_eq!(crc32_of(""), Ok(None));
        assert_eq!(crc32_of("sha256:00"), Ok(None));
        assert!(crc32_of("crc32:99999999999").is_err());
        assert!(crc32_of("crc32").is_err());
    }

    #[test]
    fn oversized_and_unknown_packets_are_refused_by_their_header() {
        for bytes in [
            [0, 0, 0, 0, 0, 67],
            [0, 0, 0, 0, 0, 69],
            [0, 0, 0xff, 0xff, 0xff, 0xff],
            [0, 1, 0, 1, 0, 0],
            [0, 254, 0, 0, 0, 1],
            [0, 255, 0, 0, 0, 0],
            [0, 8, 0, 0, 0, 0],
            [0, 251, 0, 0, 0, 0],
            [0, 252, 0, 0, 0, 68],
            [0, 252, 0, 0, 0, 73],
            [0, 252, 0, 0, 0, 132],
            [0, 252, 0, 0, 0, 196],
        ] {
            assert!(Header::decode(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        let refusal = Refusal {
            code: RefusalCode::Internal,
            message: "ä".repeat(5000),
        };
        let packet = refusal.encode(0);
        let (header, value) = split(&packet);
        assert!(header.length <= MAX_REFUSAL_LEN);
        assert!(Refusal::decode(value).unwrap().message.chars().all(|c| c == 'ä'));
    }

    proptest! {
        #[test]
        fn requests_round_trip(
            id: u8, number: u32, others in proptest::collection::vec(any::<u32>(), 0..=MAX_OTHERS), long: bool, family in family(),
        ) {
            let request = Request {
                task_id: id_of(if long { 128 } else { 64 }),
                number: PieceNumber(number),
                others: others.into_iter().map(PieceNumber).collect(),
            };
            let packet = request.encode(id, family);
            let (header, value) = split(&packet);
            let tag = if request.others.is_empty() { Tag::Request(family) } else { Tag::Choice };
            prop_assert_eq!((header.id, header.tag), (id, tag));
            prop_assert_eq!(Request::decode(value).unwrap(), request);
        }

        #[test]
        fn contents_round_trip(
            number: u32, offset in 0..u64::MAX / 2, length in 0..u64::MAX / 2, crc32: Option<u32>,
            parent in "[ -~]{0,512}", traffic: u8, cost_secs: u64, created_at_secs: i64, family in family(),
        ) {
            let span = PieceSpan { number: PieceNumber(number), offset, length };
            let content = Content { span, crc32, parent, traffic, cost_secs, created_at_secs };
            let packet = content.encode(1, family);
            let (header, value) = split(&packet);
            prop_assert_eq!(header.tag, Tag::Content(family));
            prop_assert_eq!(Content::decode(value).unwrap(), content.clone());
            // Any shorter value is noticed.
            for cut in 0..value.len() {
                prop_assert!(Content::decode(&value[..cut]).is_err());
            }
        }

        #[test]
        fn refusals_round_trip(code in 0u8..4, message in ".{0,200}") {
            let code = [RefusalCode::Unknown, RefusalCode::InvalidArgument, RefusalCode::NotFound, RefusalCode::Internal][usize::from(code)];
            let refusal = Refusal { code, message };
            let packet = refusal.encode(3);
            prop_assert_eq!(Refusal::decode(split(&packet).1).unwrap(), refusal);
        }

        #[test]
        fn no_bytes_make_the_decoders_panic(header: [u8; 6], value in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(Header::decode(header));
            drop(Request::decode(&value));
            drop(Content::decode(&value));
            drop(Refusal::decode(&value));
            let mut framed = (value.len() as u32).to_be_bytes().to_vec();
            framed.extend_from_slice(&value);
            drop(Content::decode(&framed));
        }
    }
}
