//! What has arrived on a connection and is still to be read. It grows by what has come, never by what is claimed.

/// A read into the buffer has at most this much more room than twice what has arrived.
const GROWTH: usize = 64 << 10;
/// An empty buffer larger than this is given back.
const KEPT: usize = 256 << 10;

/// A buffer between a connection and its codec.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes still to come that nobody wants.
    unwanted: u64,
}

impl Arrived {
    /// Room to read into, `least` bytes or more. Nothing of it counts before [`Arrived::filled`].
    pub(crate) fn space(&mut self, least: usize) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEPT.max(least) {
                self.buffer = Vec::new();
            }
        } else if self.start > 0 && self.buffer.len() - self.end < least {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let wanted = self.end.saturating_add(least);
        if self.buffer.len() < wanted {
            let twice = (2 * self.end).min(self.end + (16 * GROWTH));
            self.buffer.resize(wanted.max(twice), 0);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes of [`Arrived::space`] have been read.
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.buffer.len());
        self.pass_over();
    }

    /// Takes bytes that were read elsewhere.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if let Some(space) = self.space(bytes.len()).get_mut(..bytes.len()) {
            space.copy_from_slice(bytes);
        }
        self.filled(bytes.len());
    }

    /// What has not been read.
    #[inline]
    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Takes so many bytes out; they stay readable until the next call.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> &[u8] {
        let from = self.start;
        self.start = (self.start + n).min(self.end);
        self.buffer.get(from..self.start).unwrap_or_default()
    }

    /// The same, and the `unwanted` bytes behind them are passed over, whether they have come or not.
    pub(crate) fn take_before(&mut self, n: usize, unwanted: u64) -> &[u8] {
        let from = self.start;
        self.start = (self.start + n).min(self.end);
        let to = self.start;
        self.unwanted = self.unwanted.saturating_add(unwanted);
        self.pass_over();
        self.buffer.get(from..to).unwrap_or_default()
    }

    fn pass_over(&mut self) {
        let here = usize::try_from(self.unwanted).unwrap_or(usize::MAX).min(self.end - self.start);
        self.start += here;
        self.unwanted -= here as u64;
    }
}

/// The number that decimal digits are.
pub(crate) fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number * 10 + u64::from(digit))
    })
}
