//! Which scores count.

/// Smallest score of each class.
#[derive(Clone, Debug)]
pub struct Limits {
    general: f32,
    /// By class; overrides `general`.
    special: Vec<Option<f32>>,
    /// Report only these, if there are any.
    wanted: Vec<u32>,
}

impl Limits {
    /// The same for all classes.
    #[must_use]
    pub fn new(min_score: f32) -> Self {
        Self {
            general: min_score,
            special: Vec::new(),
            wanted: Vec::new(),
        }
    }

    /// Sets the smallest score of one class.
    pub fn set(&mut self, class: u32, min_score: f32) {
        let class = class as usize;
        if class >= self.special.len() {
            self.special.resize(class + 1, None);
        }
        if let Some(slot) = self.special.get_mut(class) {
            *slot = Some(min_score);
        }
    }

    /// Adds a class to those that are reported alone.
    pub fn want(&mut self, class: u32) {
        self.wanted.push(class);
    }

    /// The smallest score of a class; above 1 if it is not reported.
    #[must_use]
    pub fn min_score(&self, class: u32) -> f32 {
        if !self.wanted.is_empty() && !self.wanted.contains(&class) {
            return f32::INFINITY;
        }
        let special = self.special.get(class as usize).copied().flatten();
        special.unwrap_or(self.general)
    }
}
