//! Several ranges in one answer: `multipart/byteranges` (RFC 9110, section 14.6). Pure.

use bytes::Bytes;
use dragonfly_model::ByteRange;
use http::header::{self, HeaderMap, HeaderValue};

/// The frame around the parts of one answer.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    boundary: String,
    media_type: Option<HeaderValue>,
    content_length: u64,
}

impl Frame {
    /// Of an answer with parts of a content that has these headers and this length.
    pub(super) fn new(headers: &HeaderMap, content_length: u64) -> Self {
        Self {
            // Chosen by nobody but us, so that no content can hold it on purpose.
            boundary: format!("{:032x}", rand::random::<u128>()),
            media_type: headers.get(header::CONTENT_TYPE).cloned(),
            content_length,
        }
    }

    /// The answer's own type.
    pub(super) fn media_type(&self) -> HeaderValue {
        let text = format!("multipart/byteranges; boundary={}", self.boundary);
        HeaderValue::try_from(text).expect("hex is visible ASCII")
    }

    /// What stands in front of a part.
    pub(super) fn before(&self, range: ByteRange) -> Bytes {
        let mut text = format!("\r\n--{}\r\n", self.boundary).into_bytes();
        if let Some(media_type) = &self.media_type {
            text.extend_from_slice(b"Content-Type: ");
            text.extend_from_slice(media_type.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        let last = range.end().saturating_sub(1);
        let place = format!(
            "Content-Range: bytes {}-{last}/{}\r\n\r\n",
            range.start, self.content_length
        );
        text.extend_from_slice(place.as_bytes());
        text.into()
    }

    /// What stands behind the last part.
    pub(super) fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.boundary).into()
    }

    /// Bytes of the whole answer.
    pub(super) fn length(&self, ranges: &[ByteRange]) -> u64 {
        let parts = ranges
            .iter()
            .map(|range| self.before(*range).len() as u64 + range.length);
        parts.sum::<u64>() + self.end().len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_is_that_of_all_parts_and_their_frame() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        let frame = Frame::new(&headers, 100);
        let ranges = [ByteRange { start: 0, length: 10 }, ByteRange { start: 90, length: 10 }];
        let mut answer = Vec::new();
        for range in ranges {
            answer.extend_from_slice(&frame.before(range));
            answer.resize(answer.len() + 10, b'x');
        }
        answer.extend_from_slice(&frame.end());
        assert_eq!(frame.length(&ranges), answer.len() as u64);
        let text = String::from_utf8(answer).unwrap();
        assert!(text.contains("Content-Type: text/plain\r\nContent-Range: bytes 90-99/100\r\n\r\nxxxxxxxxxx\r\n--"));
    }
}
