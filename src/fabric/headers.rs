//! Matching headers here, as the broker's headers exchange does.

use lapin::types::{AMQPValue, FieldTable};

/// What headers must say.
#[derive(Clone, Debug)]
pub struct Filter {
    wanted: FieldTable,
    any: bool,
}

impl Filter {
    /// All of these, or any.
    #[must_use]
    pub fn new(wanted: FieldTable, any: bool) -> Self {
        Self { wanted, any }
    }

    /// Whether they say so.
    #[must_use]
    pub fn matches(&self, headers: Option<&FieldTable>) -> bool {
        let says = |(name, value): (&lapin::types::ShortString, &AMQPValue)| {
            headers.and_then(|headers| headers.inner().get(name)).is_some_and(|found| equal(found, value))
        };
        let mut wanted = self.wanted.inner().iter();
        if self.any { wanted.any(says) } else { wanted.all(says) }
    }
}

/// Whether two values are the same, whatever size their numbers were written in.
fn equal(one: &AMQPValue, other: &AMQPValue) -> bool {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

fn integer(value: &AMQPValue) -> Option<i64> {
    Some(match value {
        AMQPValue::ShortShortInt(number) => (*number).into(),
        AMQPValue::ShortShortUInt(number) => (*number).into(),
        AMQPValue::ShortInt(number) => (*number).into(),
        AMQPValue::ShortUInt(number) => (*number).into(),
        AMQPValue::LongInt(number) => (*number).into(),
        AMQPValue::LongUInt(number) => (*number).into(),
        AMQPValue::LongLongInt(number) => *number,
        _ => return None,
    })
}
