//! Reproducible pseudo-random numbers.
//!
//! Not for secrets: the seed determines every number.

/// A pseudo-random sequence: `SplitMix64`, from Steele, Lea and Flood, "Fast splittable pseudorandom number generators"
/// (OOPSLA 2014), with the constants of Vigna's public-domain `splitmix64.c`.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

/// The sequence's step: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Scrambles `bits`. Different numbers yield different results, and neighbors unrelated ones.
pub(super) const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The number at `place` of the sequence of `seed`. No two places of a sequence have the same number.
pub(super) const fn number_at(seed: u64, place: u64) -> u64 {
    mix(mix(seed).wrapping_add(place.wrapping_mul(STEP)))
}

/// Scales `bits` to the range from 0 to `len`, `len` excluded; 0 if `len` is 0.
#[expect(clippy::cast_possible_truncation, reason = "the result is below len, a usize")]
pub(super) const fn scale(bits: u64, len: usize) -> usize {
    ((bits as u128 * len as u128) >> 64) as usize
}

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// 64 random bits.
    pub(super) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `len`.
    pub(super) const fn below(&mut self, len: usize) -> usize {
        scale(self.bits(), len)
    }

    /// True for `share` of a thousand calls.
    pub(super) const fn per_mille(&mut self, share: usize) -> bool {
        self.below(1_000) < share
    }

    /// One of `items`, which must not be empty.
    pub(super) const fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A fraction above 0 and at most 1.
    pub(super) fn unit(&mut self) -> f64 {
        // 52 bits form the fraction of a number from 1 to 2, which needs neither rounding nor a cast.
        2.0 - f64::from_bits(0x3ff0_0000_0000_0000 | (self.bits() >> 12))
    }

    /// A rank below `len` by the Zipf-Mandelbrot law: rank r has a probability proportional to 1 / (r + `HEAD`).
    pub(super) fn zipf(&mut self, len: usize) -> usize {
        /// Flattens the head, so that the first of many does not dominate.
        const HEAD: f64 = 3.0;
        let ratio = (to_float(len) + HEAD) / HEAD;
        to_index(HEAD * ratio.powf(1.0 - self.unit()) - HEAD).min(len.saturating_sub(1))
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are far fewer than 2^53 of anything")]
const fn to_float(len: usize) -> f64 {
    len as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates; rounding down is meant")]
const fn to_index(number: f64) -> usize {
    number as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut random = Random(1_234_567);
        assert_eq!([random.bits(), random.bits()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn low_ranks_come_up_most_and_all_are_in_range() {
        let mut random = Random::new(7);
        let mut counts = [0_u32; 50];
        (0..50_000).for_each(|_| counts[random.zipf(50)] += 1);
        assert!(counts[0] > 2 * counts[5] && counts[5] > 2 * counts[30], "{counts:?}");
        assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
        assert_eq!(random.zipf(1), 0);
    }
}
