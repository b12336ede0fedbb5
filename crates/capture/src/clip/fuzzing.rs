//! The property of the AVI reader that its fuzz target checks.

use bytes::Bytes;

use super::avi::Avi;
use super::storage::Storage;

/// Reads all of an AVI file twice.
pub fn read_avi(data: &[u8]) {
    let mut avi = match Avi::open(Storage::Memory(Bytes::copy_from_slice(data))) {
        Ok(avi) => avi,
        Err(err) => {
            let message = err.to_string();
            assert!(message.len() < 1000, "a message of {}", message.len());
            assert!(!message.contains(char::is_control), "{message:?}");
            return;
        }
    };
    assert!(avi.fps().is_none_or(|fps| (0.05..=240.0).contains(&fps)));
    let first = all(&mut avi);
    assert!(first.iter().map(Bytes::len).sum::<usize>() <= data.len());
    avi.rewind();
    assert_eq!(all(&mut avi), first, "the second round differs");
}

fn all(avi: &mut Avi) -> Vec<Bytes> {
    // Reading from memory does not fail.
    std::iter::from_fn(|| avi.next().ok().flatten()).collect()
}
