//! Reproducible pseudo-random numbers: `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
//!
//! Each event has a separate sequence, derived from the seed and its number, so that any thread can generate any event.

/// The sequence's step: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Scrambles `bits`.
pub(crate) const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A sequence.
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of `place`; different for each seed.
    pub(crate) const fn at(seed: u64, place: u64) -> Self {
        Self(mix(mix(seed).wrapping_add(place.wrapping_mul(STEP))))
    }

    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `len`.
    pub(crate) const fn below(&mut self, len: usize) -> usize {
        ((self.bits() as u128 * len as u128) >> 64) as usize
    }

    /// True for `share` of a thousand calls.
    pub(crate) const fn per_mille(&mut self, share: usize) -> bool {
        self.below(1_000) < share
    }

    pub(crate) const fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A rank below `len` by the Zipf-Mandelbrot law: rank r has a probability proportional to 1 / (r + `HEAD`).
    pub(crate) fn zipf(&mut self, len: usize) -> usize {
        /// Flattens the head, so that the first of many does not dominate.
        const HEAD: f64 = 3.0;
        let unit = (self.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        let rank = HEAD * ((len as f64 + HEAD) / HEAD).powf(unit) - HEAD;
        (rank as usize).min(len - 1)
    }
}
