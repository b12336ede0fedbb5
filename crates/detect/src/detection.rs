//! What a search finds.

use cv_protocol::Object;

use super::labels::Labels;

/// One object found, in terms of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Index into the detector's [`Labels`].
    pub class: u32,
    /// 0 to 1.
    pub score: f32,
    /// ymin, xmin, ymax, xmax as fractions of the picture, within 0 to 1.
    pub bounding_box: [f32; 4],
    /// The same for one object from frame to frame; set by [`crate::Tracker::update`].
    pub id: Option<u64>,
}

impl Detection {
    /// The object as it is sent.
    #[must_use]
    pub fn to_object(&self, labels: &Labels) -> Object {
        Object {
            label: labels.name(self.class).into_owned(),
            score: self.score,
            bounding_box: self.bounding_box,
            id: self.id,
        }
    }
}
