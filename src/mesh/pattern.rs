//! Names of events, and the patterns that services listen to: `*` is one part of a name, `**` is any number of them,
//! `?` is one character.

/// Whether an event of this name is one that the pattern means, as Moleculer decides it.
///
/// Its quirks are kept, since the node that sends decides and the one that receives decides again: after a pattern
/// that only ends in `*`, the first character of what it stands for may be a dot; with a `*` or `?` elsewhere, the
/// pattern's own dots stand for any character.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some(first) = pattern.find(['*', '?']) else { return pattern == name };
    let (before, wild) = pattern.split_at(first);
    match wild {
        "**" => name.starts_with(before),
        "*" if before.is_empty() => !name.contains('.'),
        "*" => name.strip_prefix(before).is_some_and(|rest| !rest.chars().skip(1).any(|part| part == '.')),
        _ => glob(pattern, name),
    }
}

/// Whether a pattern can mean more than one name.
#[must_use]
pub fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether a name is one of the broker's own, which stay at their node.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name.starts_with('$')
}

/// What a piece of a pattern takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    /// Any characters.
    Anything,
    /// Any characters but dots.
    Part,
    /// One character, whichever it is.
    One,
    /// This character.
    Exactly(char),
}

/// Takes all pieces at once: which of them the name, as far as it is read, may have led up to. Its time is bounded by
/// the product of both lengths, whatever the pattern.
fn glob(pattern: &str, name: &str) -> bool {
    let pieces = pieces(pattern);
    let (mut reached, mut next) = (vec![false; pieces.len() + 1], vec![false; pieces.len() + 1]);
    reached[0] = true;
    pass_over(&pieces, &mut reached);
    for character in name.chars() {
        next.fill(false);
        for (place, piece) in pieces.iter().enumerate().filter(|(place, _)| reached[*place]) {
            match piece {
                Piece::Anything => next[place] = true,
                Piece::Part => next[place] |= character != '.',
                Piece::One => next[place + 1] = true,
                Piece::Exactly(wanted) => next[place + 1] |= character == *wanted,
            }
        }
        std::mem::swap(&mut reached, &mut next);
        pass_over(&pieces, &mut reached);
    }
    reached[pieces.len()]
}

/// What may stand for nothing is passed over.
fn pass_over(pieces: &[Piece], reached: &mut [bool]) {
    for (place, piece) in pieces.iter().enumerate() {
        if reached[place] && matches!(piece, Piece::Anything | Piece::Part) {
            reached[place + 1] = true;
        }
    }
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '*' if characters.next_if_eq(&'*').is_some() => Piece::Anything,
            '*' => Piece::Part,
            '?' | '.' => Piece::One,
            exactly => Piece::Exactly(exactly),
        });
    }
    pieces
}
