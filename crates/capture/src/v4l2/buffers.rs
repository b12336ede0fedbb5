//! Records who owns each buffer: the driver, or a frame in flight.
//!
//! A frame is `Bytes` whose owner is a [`Lease`] on the dequeued buffer. When the last clone is
//! dropped, on whatever thread, the lease only marks the buffer as returned; the capture thread
//! queues it again before it waits for the next frame. A drop therefore never calls the kernel,
//! cannot fail, and cannot use a descriptor that was closed and reused meanwhile. The memory lives
//! until the last lease ends, even when the camera is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

/// Maximum number of buffers: the kernel's own limit (`VIDEO_MAX_FRAME`), and the number of bits in
/// a word.
pub const MAX_BUFFERS: usize = 32;

/// Number of buffers that stay with the driver: one that it is filling, and one to continue with.
const DRIVER_KEEPS: u32 = 2;

/// The buffers of one camera.
#[derive(Debug)]
pub struct Buffers<M> {
    shared: Arc<Shared<M>>,
    /// One bit for each buffer: whether the driver has it.
    queued: u32,
}

#[derive(Debug)]
struct Shared<M> {
    memory: Vec<M>,
    /// One bit for each buffer: whether its lease has ended.
    returned: AtomicU32,
}

/// Ownership of a dequeued buffer. Dropping the lease returns the buffer.
struct Lease<M> {
    shared: Arc<Shared<M>>,
    index: u32,
    len: usize,
}

/// Result of [`Buffers::lend`].
pub enum Lent {
    /// The buffer itself, which is lent until the last clone of the bytes is dropped.
    Buffer(Bytes),
    /// A copy, because too few buffers would have stayed with the driver. The caller must queue the
    /// buffer again.
    Copy(Bytes),
}

impl<M: AsRef<[u8]> + Send + Sync + 'static> Buffers<M> {
    /// Creates the account of these buffers. The driver has none of them yet.
    pub fn new(mut memory: Vec<M>) -> Self {
        memory.truncate(MAX_BUFFERS);
        Self {
            shared: Arc::new(Shared {
                memory,
                returned: AtomicU32::new(0),
            }),
            queued: 0,
        }
    }

    /// Number of buffers.
    pub fn len(&self) -> usize {
        self.shared.memory.len()
    }

    /// Notes that the driver now has the buffer.
    pub fn queued(&mut self, index: u32) {
        self.queued |= bit(index);
    }

    /// Notes that the driver has given the buffer back.
    pub fn dequeued(&mut self, index: u32) {
        self.queued &= !bit(index);
    }

    /// Returns the contents of a dequeued buffer, for use within the capture thread.
    pub fn filled(&self, index: u32, len: usize) -> &[u8] {
        let memory = self.shared.memory.get(index as usize);
        let memory = memory.map_or(&[][..], AsRef::as_ref);
        memory.get(..len).unwrap_or(memory)
    }

    /// Turns a dequeued buffer into the bytes of a frame.
    pub fn lend(&self, index: u32, len: usize) -> Lent {
        let filled = self.filled(index, len);
        if self.queued.count_ones() < DRIVER_KEEPS {
            return Lent::Copy(Bytes::copy_from_slice(filled));
        }
        Lent::Buffer(Bytes::from_owner(Lease {
            shared: Arc::clone(&self.shared),
            index,
            len: filled.len(),
        }))
    }

    /// Returns the buffers whose leases have ended since the last call. The caller must queue them.
    pub fn returned(&self) -> impl Iterator<Item = u32> + use<M> {
        // Acquire: the lease's holder has finished reading before the driver writes again.
        let returned = self.shared.returned.swap(0, Ordering::Acquire);
        (0..MAX_BUFFERS as u32).filter(move |&index| returned & bit(index) != 0)
    }
}

impl<M: AsRef<[u8]>> AsRef<[u8]> for Lease<M> {
    fn as_ref(&self) -> &[u8] {
        let memory = self.shared.memory.get(self.index as usize);
        memory
            .and_then(|memory| memory.as_ref().get(..self.len))
            .unwrap_or_default()
    }
}

impl<M> Drop for Lease<M> {
    fn drop(&mut self) {
        self.shared
            .returned
            .fetch_or(bit(self.index), Ordering::Release);
    }
}

fn bit(index: u32) -> u32 {
    1_u32.checked_shl(index).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four() -> Buffers<Vec<u8>> {
        let mut buffers = Buffers::new((0..4).map(|index| vec![index; 10]).collect());
        (0..4).for_each(|index| buffers.queued(index));
        buffers
    }

    fn lend(buffers: &mut Buffers<Vec<u8>>, index: u32) -> Lent {
        buffers.dequeued(index);
        buffers.lend(index, 5)
    }

    #[test]
    fn a_buffer_is_returned_when_the_last_clone_is_dropped() {
        let mut buffers = four();
        let Lent::Buffer(picture) = lend(&mut buffers, 2) else {
            panic!("copied")
        };
        assert_eq!(picture, [2; 5][..]);
        let part = picture.slice(1..3);
        drop(picture);
        assert_eq!(buffers.returned().count(), 0);
        std::thread::spawn(move || drop(part)).join().unwrap();
        assert_eq!(buffers.returned().collect::<Vec<_>>(), [2]);
        assert_eq!(buffers.returned().count(), 0);
    }

    #[test]
    fn two_buffers_always_stay_with_the_driver() {
        let mut buffers = four();
        let lent: Vec<_> = (0..3).map(|index| lend(&mut buffers, index)).collect();
        assert!(matches!(lent[1], Lent::Buffer(_)));
        let Lent::Copy(copy) = &lent[2] else {
            panic!("the driver has too few buffers")
        };
        assert_eq!(*copy, [2; 5][..]);
    }

    #[test]
    fn a_frame_outlives_its_camera() {
        let mut buffers = four();
        let Lent::Buffer(picture) = lend(&mut buffers, 1) else {
            panic!("copied")
        };
        drop(buffers);
        assert_eq!(picture, [1; 5][..]);
    }

    #[test]
    fn invalid_lengths_and_indices_from_a_driver_do_no_harm() {
        let buffers = four();
        assert_eq!(buffers.filled(1, 99), [1; 10]);
        assert!(buffers.filled(99, 5).is_empty());
        assert!(matches!(buffers.lend(99, 5), Lent::Buffer(bytes) if bytes.is_empty()));
        assert_eq!(bit(40), 0);
    }
}
