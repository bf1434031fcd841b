//! Answers in pieces, compressed.
//!
//! An encoder that waits for the next piece of an answer keeps a window and tables: a quarter of a megabyte with gzip, nearly
//! two with zstd, for each client that does not read. So each piece is compressed by itself, and ends at a byte: one after
//! another they are one gzip member (RFC 1951, RFC 1952), and between them we keep a checksum and a length.

use std::io;

use actix_web::{HttpRequest, http::header::ACCEPT_ENCODING};
use flate2::{Compress, Compression, FlushCompress, Status};

/// A gzip member without a name and a time, by an unknown system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The last block of a deflate stream, without content.
const LAST_BLOCK: [u8; 2] = [3, 0];

/// What is known of the pieces so far.
#[derive(Default)]
pub(crate) struct Gzip {
    checksum: crc32fast::Hasher,
    length: u32,
    has_begun: bool,
}

impl Gzip {
    /// For an answer to a client that takes gzip.
    pub(crate) fn for_request(request: &HttpRequest) -> Option<Self> {
        let values = request.headers().get_all(ACCEPT_ENCODING).filter_map(|value| value.to_str().ok());
        let accepts = values.flat_map(|value| value.split(',')).any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let is_refused = matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
            name.trim().eq_ignore_ascii_case("gzip") && !is_refused
        });
        accepts.then(Self::default)
    }

    /// Compresses the next piece.
    pub(crate) fn piece(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(HEAD.len() + piece.len() / 4 + 64);
        if !std::mem::replace(&mut self.has_begun, true) {
            out.extend(HEAD);
        }
        self.checksum.update(piece);
        // The format has room for the lower 32 bits.
        self.length = self.length.wrapping_add(u32::try_from(piece.len() & 0xffff_ffff).unwrap_or(0));
        let mut encoder = Compress::new(Compression::fast(), false);
        let (mut rest, mut was_full) = (piece, false);
        loop {
            let before = encoder.total_in();
            let status = encoder.compress_vec(rest, &mut out, FlushCompress::Sync)?;
            let taken = usize::try_from(encoder.total_in() - before).unwrap_or(rest.len());
            rest = &rest[taken..];
            // After a full buffer, the encoder may write only what did not fit into it, and keep its last input. A flush is
            // complete after a call that had room both at its start and at its end.
            let is_full = out.len() == out.capacity();
            if rest.is_empty() && !is_full && !was_full {
                return Ok(out);
            }
            was_full = is_full;
            if status == Status::StreamEnd {
                return Err(io::Error::other("the stream ended before its last piece"));
            }
            out.reserve(rest.len() / 2 + 1_024);
        }
    }

    /// What follows the last piece.
    pub(crate) fn end(self) -> Vec<u8> {
        let head: &[u8] = if self.has_begun { &[] } else { &HEAD };
        let checksum = self.checksum.finalize().to_le_bytes();
        [head, &LAST_BLOCK, &checksum, &self.length.to_le_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn pieces_are_one_member_and_what_they_were_made_from() {
        let mut noise = vec![0; 300_000];
        getrandom::fill(&mut noise).unwrap();
        let text = "{\"action\":\"UPDATE\",\"resourceType\":\"entity\"},".repeat(4_000).into_bytes();
        for pieces in [vec![], vec![&b""[..]], vec![&text[..], b"", b"]", &noise, &text], vec![&noise; 3]] {
            let mut gzip = Gzip::default();
            let mut sent: Vec<u8> = pieces.iter().flat_map(|piece| gzip.piece(piece).unwrap()).collect();
            sent.extend(gzip.end());
            let (mut whole, mut decoder) = (Vec::new(), flate2::read::GzDecoder::new(&sent[..]));
            decoder.read_to_end(&mut whole).unwrap();
            assert!(whole == pieces.concat() && decoder.into_inner().is_empty());
        }
        let mut gzip = Gzip::default();
        assert!(gzip.piece(&text).unwrap().len() * 20 < text.len());
    }

    #[test]
    fn a_piece_is_whole_wherever_its_buffer_is_full() {
        // Text that a quarter of its size does not hold, in lengths around the ends of the encoder's blocks.
        let mut noise = vec![0; 140_000];
        getrandom::fill(&mut noise).unwrap();
        let text: Vec<_> = noise.iter().map(|byte| b"0123456789abcdef"[usize::from(byte & 15)]).collect();
        for length in (0..text.len()).step_by(997) {
            let (mut gzip, piece) = (Gzip::default(), &text[..length]);
            let sent = [gzip.piece(piece).unwrap(), gzip.end()].concat();
            let mut whole = Vec::new();
            flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut whole).unwrap();
            assert!(whole == piece, "{length}");
        }
    }
}
