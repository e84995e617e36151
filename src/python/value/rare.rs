//! The types that are looked for when a value is none of the common ones, each in the file of its kind.

use pyo3::Borrowed;
use pyo3::ffi;
use pyo3::prelude::*;

use super::encode::Encoder;
use super::refusal::{Outcome, Refusal, Step, type_name};
use super::wire::{self, ext};
use super::{arrays, numbers, objects, paths, times, views};

impl Encoder<'_> {
    #[cold]
    #[inline(never)]
    pub(super) fn rare(&mut self, value: Borrowed<'_, '_, PyAny>, depth: usize) -> Outcome<()> {
        // Held: reading it may run code of its own.
        let value = &value.to_owned();
        if self.stock {
            return self.stock_bytes(value);
        }
        let kind = value.get_type_ptr();
        if kind == &raw mut ffi::PySet_Type {
            return self.set(value, ext::SET, depth);
        }
        if kind == &raw mut ffi::PyFrozenSet_Type {
            return self.set(value, ext::FROZENSET, depth);
        }
        if kind == &raw mut ffi::PyComplex_Type {
            return numbers::encode_complex(self, value);
        }
        if kind == &raw mut ffi::PyByteArray_Type {
            return views::encode_bytearray(self, value);
        }
        if kind == &raw mut ffi::PyMemoryView_Type {
            return views::encode_memoryview(self, value);
        }
        let mine = times::encode(self, value)?
            || numbers::encode(self, value)?
            || objects::encode_enum(self, value, depth)?
            || paths::encode(self, value)?
            || arrays::encode(self, value)?
            || objects::encode_dataclass(self, value, depth)?
            || objects::encode_model(self, value, depth)?
            || views::encode_other(self, value)?;
        if mine { Ok(()) } else { Err(refuse(value)) }
    }

    fn set(&mut self, set: &Bound<'_, PyAny>, code: u8, depth: usize) -> Outcome<()> {
        self.descend(depth)?;
        // SAFETY: a set or frozenset.
        let len = unsafe { ffi::PySet_Size(set.as_ptr()) }.cast_unsigned();
        self.count(len)?;
        let open = wire::open_ext(self.out, code, wire::expected(len, depth));
        wire::put_array(self.out, len);
        let doing = "its items cannot be listed";
        let items = set.try_iter().map_err(Refusal::while_doing(set.py(), doing))?;
        let mut starts = Vec::with_capacity(if self.canonical { len } else { 0 });
        for item in items {
            // A set that is changed meanwhile says so itself.
            let item = item.map_err(Refusal::while_doing(set.py(), doing))?;
            if self.canonical {
                starts.push(self.out.len());
            }
            self.value(item.as_borrowed(), depth + 1).map_err(|refusal| refusal.under(Step::Item))?;
        }
        if self.canonical {
            super::canonical::sort(self.out, &starts);
        }
        wire::close_ext(self.out, open);
        Ok(())
    }
}

#[cold]
fn refuse(value: &Bound<'_, PyAny>) -> Box<Refusal> {
    let name = type_name(value);
    if value.is_instance_of::<pyo3::types::PyType>() {
        let class = value.cast::<pyo3::types::PyType>().ok().and_then(|class| class.qualname().ok());
        return Refusal::new(match class {
            Some(class) => format!("the class {class} itself cannot cross the bridge"),
            None => format!("{name} cannot cross the bridge"),
        });
    }
    Refusal::new(format!("{name} cannot cross the bridge"))
}
