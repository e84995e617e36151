//! Calls that wait for their replies, by a number that finds each at once, and the earliest deadline among them.

use std::time::Instant;

/// Calls in flight. `W` is whoever waits.
#[derive(Debug)]
pub struct Pending<W> {
    entries: Vec<Entry<W>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Entry<W> {
    /// Told apart from earlier calls in the same place.
    generation: u32,
    waiting: Option<(W, Instant)>,
}

impl<W> Default for Pending<W> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new(), len: 0 }
    }
}

impl<W> Pending<W> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a call; its number comes back with the reply.
    pub fn insert(&mut self, waiter: W, deadline: Instant) -> u64 {
        self.insert_with(deadline, |_| waiter)
    }

    /// The same for a waiter that is to know the number.
    #[inline]
    pub fn insert_with(&mut self, deadline: Instant, waiter: impl FnOnce(u64) -> W) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, waiting: None });
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        let entry = &mut self.entries[place as usize];
        entry.generation = entry.generation.wrapping_add(1);
        let number = u64::from(entry.generation) << 32 | u64::from(place);
        entry.waiting = Some((waiter(number), deadline));
        self.len += 1;
        number
    }

    /// Takes the call of this number; `None` when it no longer waits.
    pub fn take(&mut self, number: u64) -> Option<W> {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
        let (place, generation) = (number as u32, (number >> 32) as u32);
        let entry = self.entries.get_mut(place as usize)?;
        if entry.generation != generation {
            return None;
        }
        let (waiter, _) = entry.waiting.take()?;
        self.free.push(place);
        self.len -= 1;
        Some(waiter)
    }

    /// Changes the call of this number, while it waits.
    pub fn change(&mut self, number: u64, change: impl FnOnce(&mut W)) {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of a number")]
        let (place, generation) = (number as u32, (number >> 32) as u32);
        if let Some(entry) = self.entries.get_mut(place as usize)
            && entry.generation == generation
            && let Some((waiter, _)) = &mut entry.waiting
        {
            change(waiter);
        }
    }

    /// Takes those whose deadline has come.
    pub fn overdue(&mut self, now: Instant) -> Vec<(u64, W)> {
        let late: Vec<u64> =
            self.numbers().filter(|(_, _, deadline)| *deadline <= now).map(|(number, ..)| number).collect();
        late.into_iter().filter_map(|number| Some((number, self.take(number)?))).collect()
    }

    /// The earliest deadline.
    #[must_use]
    pub fn earliest(&self) -> Option<Instant> {
        self.numbers().map(|(_, _, deadline)| deadline).min()
    }

    /// The number of the first call that this is true of.
    pub fn find(&self, mut is_it: impl FnMut(&W) -> bool) -> Option<u64> {
        self.numbers().find(|(_, waiter, _)| is_it(waiter)).map(|(number, ..)| number)
    }

    /// Everyone that waits.
    pub fn iter(&self) -> impl Iterator<Item = &W> {
        self.numbers().map(|(_, waiter, _)| waiter)
    }

    /// Takes all.
    pub fn drain(&mut self) -> Vec<W> {
        let all: Vec<u64> = self.numbers().map(|(number, ..)| number).collect();
        all.into_iter().filter_map(|number| self.take(number)).collect()
    }

    fn numbers(&self) -> impl Iterator<Item = (u64, &W, Instant)> {
        self.entries.iter().enumerate().filter_map(|(place, entry)| {
            let (waiter, deadline) = entry.waiting.as_ref()?;
            Some((u64::from(entry.generation) << 32 | place as u64, waiter, *deadline))
        })
    }
}
