//! What must hold for the parts of a model file that are parsed alone.

use super::flexbuffer;
use super::metadata::Metadata;
use super::{archive, packed_labels};

/// The metadata of a model, and the options of an operator: any bytes are either of them.
pub fn metadata(data: &[u8]) {
    if let Some(entries) = flexbuffer::read_map(data) {
        assert!(entries.len() <= 64);
    }
    if let Ok(metadata) = Metadata::parse(data)
        && let Some(channels) = metadata.normalization
    {
        for (mean, deviation) in channels {
            assert!(mean.is_finite() && deviation.is_finite() && deviation != 0.0);
        }
    }
}

/// The archive behind a model: few files, and none that unpacks to more than a megabyte.
pub fn packed(data: &[u8]) {
    let files = archive::list(data);
    assert!(files.len() <= 100);
    for file in &files {
        if let Some(bytes) = file.unpack() {
            assert!(bytes.len() <= 1 << 20);
            assert_eq!(bytes.len(), file.size);
        }
    }
    let named = Metadata {
        label_files: files
            .last()
            .map(|file| file.name.to_owned())
            .into_iter()
            .collect(),
        ..Metadata::default()
    };
    for metadata in [Metadata::default(), named] {
        if let Some((name, _)) = packed_labels(&metadata, data) {
            assert!(files.iter().any(|file| file.name == name));
        }
    }
}
