//! ZMTP that is almost right, by the thousand: against the handshake, the decoder of frames, and a hub that runs.
//! `MUTATIONS=1000000` sets how many; `make soak` does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod live;
mod mutate;
mod reading;

/// Memory is the whole process's: one test at a time.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Keeps the others waiting until it is dropped.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How many mutations a test tries.
fn how_many() -> usize {
    std::env::var("MUTATIONS").map_or(20_000, |text| text.parse().unwrap())
}

/// Bytes of memory that this process holds now.
fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: i64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * i64::try_from(rustix::param::page_size()).unwrap()
}

/// Runs `step` for each number, and sees to it that the second half needs no more memory than the first.
fn without_growth(count: usize, mut step: impl FnMut(usize)) {
    (0..count / 2).for_each(&mut step);
    let half = resident();
    (count / 2..count).for_each(&mut step);
    let grown = resident() - half;
    assert!(grown < 1 << 20, "{grown} bytes more after the second half");
}
