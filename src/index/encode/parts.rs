//! The parts of three bytes of a value, as numbers of 12 bits.
//!
//! Identifiers are mostly hexadecimal, and each part of three hexadecimal digits has a number of its own. Other parts share
//! numbers.

/// The number of different parts.
pub(in crate::index) const PARTS: usize = 1 << 12;

/// The parts of a folded text.
pub(in crate::index) fn parts(folded: &str) -> impl Iterator<Item = u16> {
    folded.as_bytes().windows(3).map(|part| part.iter().fold(0, |number, byte| number << 4 | digit(*byte)))
}

/// Four bits of a byte: the value of a hexadecimal digit.
fn digit(byte: u8) -> u16 {
    // Letters follow 0x60, and `a` is ten.
    u16::from(byte.wrapping_add(byte >> 6).wrapping_add((byte >> 6) << 3) & 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_hexadecimal_digits_has_its_number() {
        let of = |text: &str| parts(text).map(usize::from).collect::<Vec<_>>();
        assert!((0..PARTS).all(|number| of(&format!("{number:03x}")) == [number]));
        assert_eq!(of("0a1ff"), [0x0a1, 0xa1f, 0x1ff]);
        assert_eq!((of("ab"), of("")), (vec![], vec![]));
        assert!(of("é-日").iter().all(|number| *number < PARTS));
    }
}
