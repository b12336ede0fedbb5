//! The driver's buffers, mapped into the process.

use std::ffi::{c_ulong, c_void};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::slice;

/// A buffer of the driver, mapped for reading.
///
/// The mapping keeps the memory alive, so it can be read even when the camera is closed or gone.
#[derive(Debug)]
pub struct Mapping {
    begin: *const u8,
    len: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only read.
unsafe impl Send for Mapping {}
// SAFETY: as above; reading from several threads at once is fine.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(fd: &OwnedFd, offset: c_ulong, len: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: creates a new mapping at an address that the kernel chooses; no other mapping is
        // replaced.
        let begin = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                offset,
            )
        };
        if begin == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            begin: begin.cast(),
            len,
        })
    }
}

impl AsRef<[u8]> for Mapping {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `begin` and `len` are those of a readable mapping that lives as long as `self`.
        // The driver writes into it only while it has the buffer; `buffers.rs` hands out slices
        // only between dequeuing and queueing, when the driver does not have it.
        unsafe { slice::from_raw_parts(self.begin, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: unmaps exactly what `new` mapped, and nobody borrows from it any more. A failure
        // would mean wrong arguments, and leaves the mapping as it is.
        unsafe {
            libc::munmap(self.begin.cast_mut().cast::<c_void>(), self.len);
        }
    }
}
