//! Large buffers that travel beside the payload, never copied: on the way out their owner is kept alive, on the
//! way in the engine reads straight into a Python object.

use std::ptr::NonNull;

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::bridge::frame::MAX_BUFFERS;

/// How many buffers of one payload may travel out of band; further ones go inside it.
pub(super) const MAX_OUT_OF_BAND: usize = MAX_BUFFERS;

/// What keeps the bytes of an [`OutBuffer`] in place.
enum Owner {
    /// An immutable `bytes`.
    Bytes(#[expect(dead_code, reason = "held, never read")] Py<PyBytes>),
    /// An export of any object; while it lasts, the object cannot move its bytes.
    Export(#[expect(dead_code, reason = "held, never read")] Export),
}

/// A large buffer on its way out.
pub(crate) struct OutBuffer {
    data: NonNull<u8>,
    len: usize,
    mutable: bool,
    #[expect(dead_code, reason = "held, never read")]
    owner: Owner,
}

// SAFETY: the bytes stay where they are while the owner is held, and both owners may be dropped on any thread.
unsafe impl Send for OutBuffer {}
// SAFETY: as above; there is no interior mutability on our side.
unsafe impl Sync for OutBuffer {}

impl OutBuffer {
    pub(super) fn from_bytes(bytes: &Bound<'_, PyBytes>) -> Self {
        let slice = bytes.as_bytes();
        Self {
            data: NonNull::from(slice).cast(),
            len: slice.len(),
            mutable: false,
            owner: Owner::Bytes(bytes.clone().unbind()),
        }
    }

    /// Of an export whose bytes are contiguous.
    pub(super) fn from_export(export: Export, mutable: bool) -> Self {
        let slice = export.contiguous();
        Self { data: NonNull::from(slice).cast(), len: slice.len(), mutable, owner: Owner::Export(export) }
    }

    /// Whether the receiver should hold it in a `bytearray`.
    pub(crate) fn is_mutable(&self) -> bool {
        self.mutable
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl AsRef<[u8]> for OutBuffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the owner keeps `len` bytes at `data`. A program that writes to its own bytearray while it is
        // being sent may tear what is sent; we only ever hand the bytes to the kernel.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

/// A view of an object that exports its memory (PEP 3118).
pub(super) struct Export {
    // Boxed: exporters may keep its address until it is released.
    view: Box<ffi::Py_buffer>,
}

// SAFETY: a view may be released on any thread that is attached, see `drop`.
unsafe impl Send for Export {}

impl Export {
    /// With its format, shape and strides.
    pub(super) fn full(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::get(object, ffi::PyBUF_FULL_RO)
    }

    /// Its bytes alone; fails when they are not contiguous.
    pub(super) fn bytes(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::get(object, ffi::PyBUF_SIMPLE)
    }

    fn get(object: &Bound<'_, PyAny>, flags: std::ffi::c_int) -> PyResult<Self> {
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: `view` is writable, stays where it is, and is released exactly once when this succeeds.
        let status = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) };
        if status == 0 { Ok(Self { view }) } else { Err(PyErr::fetch(object.py())) }
    }

    pub(super) fn view(&self) -> &ffi::Py_buffer {
        &self.view
    }

    pub(super) fn len(&self) -> usize {
        usize::try_from(self.view.len).unwrap_or(0)
    }

    pub(super) fn is_contiguous(&self) -> bool {
        // SAFETY: the view is live. b'C' fits c_char.
        unsafe { ffi::PyBuffer_IsContiguous(&raw const *self.view, b'C' as std::ffi::c_char) != 0 }
    }

    /// The bytes of a contiguous view.
    pub(super) fn contiguous(&self) -> &[u8] {
        match NonNull::new(self.view.buf.cast::<u8>()) {
            // SAFETY: the exporter guarantees `len` bytes there until the view is released.
            Some(data) => unsafe { std::slice::from_raw_parts(data.as_ptr(), self.len()) },
            None => &[],
        }
    }

    /// The items of a view that is not contiguous, appended in C order.
    pub(super) fn gather(&self, py: Python<'_>, out: &mut Vec<u8>) -> PyResult<()> {
        let (start, len) = (out.len(), self.len());
        out.resize(start + len, 0);
        // SAFETY: `len` writable bytes stand at the target.
        let status = unsafe {
            let target = out.as_mut_ptr().add(start).cast();
            let view = (&raw const *self.view).cast_mut();
            ffi::PyBuffer_ToContiguous(target, view, self.view.len, b'C' as std::ffi::c_char)
        };
        if status == 0 { Ok(()) } else { Err(PyErr::fetch(py)) }
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Releasing runs the exporter's code, which needs Python; when the interpreter is gone, so is the exporter.
        let _ = Python::try_attach(|_| {
            // SAFETY: the view was filled by PyObject_GetBuffer and is released once, attached.
            unsafe { ffi::PyBuffer_Release(&raw mut *self.view) }
        });
    }
}

/// A large buffer on its way in: a `bytes` (or a `bytearray`, when it is wanted writable) that the engine fills.
pub(crate) struct InBuffer {
    object: Py<PyAny>,
    data: NonNull<u8>,
    len: usize,
    mutable: bool,
}

// SAFETY: nobody else has seen the object yet, so the bytes are ours alone until it is handed over.
unsafe impl Send for InBuffer {}
// SAFETY: as above.
unsafe impl Sync for InBuffer {}

impl InBuffer {
    /// Allocates `len` bytes. They are not initialised: fill every one before the object is handed over.
    ///
    /// # Errors
    /// `MemoryError`.
    pub(crate) fn new(py: Python<'_>, len: usize, mutable: bool) -> PyResult<Self> {
        let size = ffi::Py_ssize_t::try_from(len).map_err(|_| PyMemoryError::new_err(()))?;
        // SAFETY: both functions accept no source and then leave the bytes for us to fill; `data` points at them.
        unsafe {
            let pointer = if mutable {
                ffi::PyByteArray_FromStringAndSize(std::ptr::null(), size)
            } else {
                ffi::PyBytes_FromStringAndSize(std::ptr::null(), size)
            };
            let object = Bound::from_owned_ptr_or_err(py, pointer)?;
            let data =
                if mutable { ffi::PyByteArray_AsString(pointer) } else { ffi::PyBytes_AsString(pointer) };
            let data = NonNull::new(data.cast::<u8>()).unwrap_or(NonNull::dangling());
            Ok(Self { object: object.unbind(), data, len, mutable })
        }
    }

    /// The object, filled.
    pub(crate) fn into_py(self, py: Python<'_>) -> Bound<'_, PyAny> {
        self.object.into_bound(py)
    }
}

impl AsRef<[u8]> for InBuffer {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` bytes stand at `data` while the object is held.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }
}

impl AsMut<[u8]> for InBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else holds the object.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl std::fmt::Debug for InBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InBuffer")
            .field("len", &self.len)
            .field("mutable", &self.mutable)
            .finish_non_exhaustive()
    }
}
