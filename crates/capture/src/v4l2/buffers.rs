//! Who has which buffer: the driver, or a picture on its way.
//!
//! A picture is `Bytes` whose owner is a [`Lease`] on the dequeued buffer. When the last clone is
//! dropped, on whatever thread, the lease only marks the buffer as returned; the capture thread
//! hands it to the driver before it waits for the next picture. So a drop never calls the kernel,
//! cannot fail, and cannot reach a descriptor that was closed and reused meanwhile. The memory
//! lives until the last lease is gone, even when the camera is not there any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

/// The kernel's own limit (`VIDEO_MAX_FRAME`), and the bits of a word.
pub const MAX_BUFFERS: usize = 32;

/// Buffers that the driver keeps: one that it fills, and one to go on with.
const DRIVER_KEEPS: u32 = 2;

/// The buffers of one camera.
#[derive(Debug)]
pub struct Buffers<M> {
    shared: Arc<Shared<M>>,
    /// One bit for each buffer that the driver has.
    queued: u32,
}

#[derive(Debug)]
struct Shared<M> {
    memory: Vec<M>,
    /// One bit for each buffer whose lease has ended.
    returned: AtomicU32,
}

/// A dequeued buffer; returned when it is dropped.
struct Lease<M> {
    shared: Arc<Shared<M>>,
    index: u32,
    len: usize,
}

/// What became of a filled buffer.
pub enum Lent {
    /// The buffer itself, lent until the last clone is dropped.
    Buffer(Bytes),
    /// A copy, because the driver would have had too few left; queue the buffer again.
    Copy(Bytes),
}

impl<M: AsRef<[u8]> + Send + Sync + 'static> Buffers<M> {
    /// None of them is with the driver yet.
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

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shared.memory.len()
    }

    /// The driver has this one now.
    pub fn queued(&mut self, index: u32) {
        self.queued |= bit(index);
    }

    /// The driver has given this one back.
    pub fn dequeued(&mut self, index: u32) {
        self.queued &= !bit(index);
    }

    /// What a dequeued buffer holds, for use within the capture thread.
    pub fn filled(&self, index: u32, len: usize) -> &[u8] {
        let memory = self.shared.memory.get(index as usize);
        let memory = memory.map_or(&[][..], AsRef::as_ref);
        memory.get(..len).unwrap_or(memory)
    }

    /// Turns a dequeued buffer into a picture's bytes.
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

    /// Buffers whose leases have ended since the last call: they are to be queued.
    pub fn returned(&self) -> impl Iterator<Item = u32> + use<M> {
        // Acquire: what the lease's holder read was read before the driver writes again.
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
    fn a_buffer_comes_back_with_the_last_clone() {
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
    fn the_driver_keeps_two_buffers() {
        let mut buffers = four();
        let lent: Vec<_> = (0..3).map(|index| lend(&mut buffers, index)).collect();
        assert!(matches!(lent[1], Lent::Buffer(_)));
        let Lent::Copy(copy) = &lent[2] else {
            panic!("the driver starves")
        };
        assert_eq!(*copy, [2; 5][..]);
    }

    #[test]
    fn a_picture_outlives_its_camera() {
        let mut buffers = four();
        let Lent::Buffer(picture) = lend(&mut buffers, 1) else {
            panic!("copied")
        };
        drop(buffers);
        assert_eq!(picture, [1; 5][..]);
    }

    #[test]
    fn lengths_and_indices_of_a_mad_driver_do_no_harm() {
        let buffers = four();
        assert_eq!(buffers.filled(1, 99), [1; 10]);
        assert!(buffers.filled(99, 5).is_empty());
        assert!(matches!(buffers.lend(99, 5), Lent::Buffer(bytes) if bytes.is_empty()));
        assert_eq!(bit(40), 0);
    }
}
