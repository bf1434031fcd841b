//! How an event's bytes lie in the file: as they are, or as a zstd frame where that is shorter.
//!
//! The first byte tells which: an event begins with `{`, a frame never does. A frame carries the length and the checksum
//! of its content, so a damaged one is found out.

use std::{borrow::Cow, cell::RefCell, io};

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{self, CParameter},
};

/// On texts this short a higher level takes longer and saves next to nothing: of 17.1 MB of real events in blocks of
/// their mean length, level 1 leaves 8.83 MB at 149 MB/s, level 3 leaves 8.80 MB at 107 MB/s.
const LEVEL: i32 = 1;
/// No event is longer, whatever its frame says: a damaged length must not become an allocation.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

thread_local! {
    /// Making a context costs more than compressing an event with it, so each thread keeps one.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
}

/// The stored form of an event.
pub(super) fn encode(body: String) -> Vec<u8> {
    match compress(body.as_bytes()) {
        Ok(frame) if frame.len() < body.len() => frame,
        // A compressor that cannot work (for lack of memory) is no reason to lose an event.
        _ => body.into_bytes(),
    }
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(new_compressor()?),
        };
        compressor.compress(bytes)
    })
}

fn new_compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(compressor)
}

/// Reads stored forms.
pub(super) struct Decoder(Decompressor<'static>);

impl Decoder {
    pub(super) fn new() -> io::Result<Self> {
        Decompressor::new().map(Self)
    }

    /// The event's own bytes. The error says how they are damaged.
    pub(super) fn decode<'s>(&mut self, stored: &'s [u8]) -> Result<Cow<'s, str>, String> {
        if stored.first() == Some(&b'{') {
            return std::str::from_utf8(stored).map(Cow::Borrowed).map_err(|error| error.to_string());
        }
        let length = zstd_safe::get_frame_content_size(stored).ok().flatten();
        let length = length.filter(|length| *length <= BODY_BYTES_MAX).ok_or("its frame's head is damaged")?;
        let length = usize::try_from(length).map_err(|error| error.to_string())?;
        let bytes = self.0.decompress(stored, length).map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map(Cow::Owned).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_and_damage_is_found() {
        let long = format!("{{\"a\":\"{}\"}}", "audit ".repeat(100));
        for body in ["{}", "{\"a\":1}", &long] {
            let stored = encode(body.to_owned());
            assert_eq!(Decoder::new().unwrap().decode(&stored).unwrap(), body);
        }
        let stored = encode(long.clone());
        assert!(stored.len() < long.len() / 4);
        for at in 0..stored.len() {
            let mut damaged = stored.clone();
            damaged[at] ^= 0x10;
            // A bit that the frame's format leaves unused may change; the content may not.
            let decoded = Decoder::new().unwrap().decode(&damaged).map(Cow::into_owned);
            assert!(decoded.is_err() || decoded.as_ref() == Ok(&long), "byte {at}");
        }
    }
}
