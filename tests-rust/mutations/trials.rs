//! Many tries, the same ones with the same seed, and a look at what they cost in memory.

/// Numbers that look random and come again with the same seed (xorshift).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 1).unwrap() % bound
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// Memory is the whole process's: one test at a time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Keeps the others waiting until it is dropped.
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How many mutations a test tries.
pub(crate) fn how_many() -> usize {
    std::env::var("MUTATIONS").map_or(20_000, |text| text.parse().unwrap())
}

/// Bytes of memory that this process holds now.
fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: i64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * i64::try_from(rustix::param::page_size()).unwrap()
}

/// Runs `step` for each number, and sees to it that the second half needs no more memory than the first.
pub(crate) fn without_growth(count: usize, mut step: impl FnMut(usize)) {
    (0..count / 2).for_each(&mut step);
    let half = resident();
    (count / 2..count).for_each(&mut step);
    let grown = resident() - half;
    assert!(grown < 1 << 20, "{grown} bytes more after the second half");
}
