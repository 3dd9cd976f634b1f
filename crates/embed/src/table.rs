//! Static embeddings: one vector for each token, and a text's is the mean of its tokens'.
//!
//! Blind to the order of words, and three orders of magnitude faster than an encoder. Invariant: every
//! row is as long as any other.

use std::path::Path;

use crate::tensors::Tensors;

/// What the one tensor is called: by `WordLlama` and by `Model2Vec`.
const NAMES: [&str; 2] = ["embedding.weight", "embeddings"];

/// A loaded model.
pub(crate) struct Table {
    rows: Vec<f32>,
    width: usize,
}

impl Table {
    /// Reads the vectors.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let mut tensors = Tensors::open(path)?;
        let (name, width) = find(&tensors)?;
        Ok(Self {
            rows: tensors.read(name)?.data,
            width,
        })
    }

    /// The sum of the vectors of `ids`, which points where their mean does. Ids without a vector are
    /// left out.
    pub(crate) fn encode(&self, ids: &[u32]) -> Vec<f32> {
        let mut sum = vec![0.0; self.width];
        for id in ids {
            let start = (*id as usize).saturating_mul(self.width);
            let row = self.rows.get(start..start.saturating_add(self.width));
            for (sum, number) in sum.iter_mut().zip(row.unwrap_or_default()) {
                *sum += number;
            }
        }
        sum
    }
}

/// Numbers of a vector of the model in a file.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn width(path: &Path) -> Result<usize, String> {
    find(&Tensors::open(path)?).map(|(_, width)| width)
}

/// The tensor with the vectors, and how long they are.
fn find(tensors: &Tensors) -> Result<(&'static str, usize), String> {
    let name = NAMES
        .into_iter()
        .find(|name| tensors.shape(name).is_some())
        .ok_or_else(|| format!("it has none of the tensors {}", NAMES.join(", ")))?;
    match tensors.shape(name) {
        Some([_, width]) if *width > 0 => Ok((name, *width)),
        shape => Err(format!(
            "tensor {name} has shape {shape:?}, expected two dimensions"
        )),
    }
}
