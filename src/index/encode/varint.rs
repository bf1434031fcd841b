//! Numbers as bytes: little-endian, and LEB128 for numbers that are mostly small.
//!
//! The input may be damaged. Every read returns `None` instead of going past the end.

/// Reads from the front of bytes that may be damaged.
pub(in crate::index) struct Bytes<'a>(pub(in crate::index) &'a [u8]);

impl<'a> Bytes<'a> {
    /// The next `count` bytes.
    pub(in crate::index) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next `N` bytes.
    pub(in crate::index) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The next number, in LEB128 of at most five bytes.
    pub(in crate::index) fn varint(&mut self) -> Option<u32> {
        // Most numbers take one byte.
        if let [byte @ 0..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Some(u32::from(*byte));
        }
        let mut number = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(number).ok();
            }
        }
        None
    }
}

/// Writes a number in LEB128.
pub(in crate::index) fn push_varint(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// The 16-bit numbers in `bytes`, little-endian.
pub(in crate::index) fn numbers(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_ends_are_seen() {
        for number in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX] {
            let mut out = Vec::new();
            push_varint(&mut out, number);
            assert_eq!(Bytes(&out).varint(), Some(number));
            assert_eq!(Bytes(&out[..out.len() - 1]).varint(), None);
        }
        assert_eq!(Bytes(&[0xff; 6]).varint(), None);
        assert_eq!(Bytes(&[0xff, 0xff, 0xff, 0xff, 0x7f]).varint(), None);
    }
}
