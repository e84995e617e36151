//! Ids of calls and events. That of a call that waits here holds its place, so that its answer finds it at once.

use crate::mesh::balance::Dice;
use crate::mesh::balance::Random as _;

/// Makes the ids of one node.
#[derive(Debug)]
pub(super) struct Ids {
    /// The first half of all: no other node has it.
    prefix: u64,
    dice: Dice,
}

/// An id in Moleculer's form, which is that of a UUID.
pub(super) type Id = [u8; 36];

/// Where the digits of a UUID's second half are.
const SECOND: [usize; 16] = [19, 20, 21, 22, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35];
const FIRST: [usize; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 16, 17];
const HEX: [u8; 16] = *b"0123456789abcdef";

impl Ids {
    pub(super) fn new() -> Self {
        let mut dice = Dice::default();
        Self { prefix: number(&mut dice), dice }
    }

    /// The id of the call of this number.
    #[inline]
    pub(super) fn of(&self, call: u64) -> Id {
        written(self.prefix, call)
    }

    /// The number of the call that an id is of; `None` when it was not made here.
    #[inline]
    pub(super) fn number(&self, id: &str) -> Option<u64> {
        let id: &Id = id.as_bytes().try_into().ok()?;
        (read(id, FIRST)? == self.prefix).then(|| read(id, SECOND)).flatten()
    }

    /// Another one each time.
    pub(super) fn fresh(&mut self) -> Id {
        written(number(&mut self.dice), number(&mut self.dice))
    }
}

/// An id as a text.
#[inline]
pub(super) fn text(id: &Id) -> &str {
    std::str::from_utf8(id).unwrap_or_default()
}

fn number(dice: &mut Dice) -> u64 {
    let half = |dice: &mut Dice| dice.below(1 << 32) as u64;
    half(dice) << 32 | half(dice)
}

#[inline]
fn written(first: u64, second: u64) -> Id {
    let mut id = [b'-'; 36];
    for (number, places) in [(first, FIRST), (second, SECOND)] {
        for (turn, place) in places.into_iter().enumerate() {
            let digit = (number >> (60 - 4 * turn)) & 0xf;
            id[place] = HEX[usize::try_from(digit).unwrap_or_default()];
        }
    }
    id
}

#[inline]
fn read(id: &Id, places: [usize; 16]) -> Option<u64> {
    let mut number = 0;
    for place in places {
        let digit = match id[place] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u64::from(digit);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_call_that_it_is_of() {
        let ids = Ids::new();
        for call in [0, 1, 1 << 32, u64::MAX] {
            assert_eq!(ids.number(text(&ids.of(call))), Some(call));
        }
        assert_eq!(Ids::new().number(text(&ids.of(7))), None);
        assert_eq!(ids.number("not one"), None);
    }
}
