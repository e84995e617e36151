//! Parts of a packet that outlive it, in one allocation.

/// So many parts, each there or not.
#[derive(Clone, Debug)]
pub struct Kept<const N: usize> {
    bytes: Box<[u8]>,
    /// Where each is.
    parts: [Option<(u32, u32)>; N],
}

impl<const N: usize> Default for Kept<N> {
    fn default() -> Self {
        Self { bytes: Box::default(), parts: [None; N] }
    }
}

impl<const N: usize> Kept<N> {
    /// Copies parts, which are bounded by the packet that they come from.
    #[must_use]
    pub fn of(parts: [Option<&[u8]>; N]) -> Self {
        let length = parts.iter().flatten().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(length);
        #[expect(clippy::cast_possible_truncation, reason = "packets are bounded to less")]
        let places = parts.map(|part| {
            let part = part?;
            let from = bytes.len() as u32;
            bytes.extend_from_slice(part);
            Some((from, bytes.len() as u32))
        });
        Self { bytes: bytes.into_boxed_slice(), parts: places }
    }

    /// One of them.
    #[must_use]
    #[inline]
    pub fn part(&self, place: usize) -> Option<&[u8]> {
        let (from, to) = (*self.parts.get(place)?)?;
        self.bytes.get(from as usize..to as usize)
    }

    /// One that is a text.
    #[must_use]
    #[inline]
    pub fn text(&self, place: usize) -> Option<&str> {
        std::str::from_utf8(self.part(place)?).ok()
    }

    /// Bytes of all of them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}
