//! Reads tensors out of a safetensors file, one at a time, as 32-bit floats.
//!
//! The file is not held in memory as a whole. Invariant: a tensor has as many numbers as its shape says.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata};

/// Bytes of the description of the tensors; that of a model with thousands of them has a few hundred
/// kilobytes.
const HEADER_LIMIT: u64 = 16 << 20;
/// Bytes that tell the length of the description.
const LENGTH_BYTES: usize = 8;

/// An open file.
pub(crate) struct Tensors {
    file: File,
    metadata: Metadata,
    /// Where the numbers begin.
    start: u64,
}

/// A tensor's numbers, row after row.
pub(crate) struct Tensor {
    /// Length of each dimension.
    pub(crate) shape: Vec<usize>,
    /// Its numbers.
    pub(crate) data: Vec<f32>,
}

impl Tensors {
    /// Opens a file and reads its description.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let told = |error: std::io::Error| error.to_string();
        let mut file = File::open(path).map_err(told)?;
        let mut length = [0; LENGTH_BYTES];
        file.read_exact(&mut length).map_err(told)?;
        let length = u64::from_le_bytes(length);
        if length > HEADER_LIMIT {
            return Err(format!(
                "its description has {length} bytes, expected at most {HEADER_LIMIT}"
            ));
        }
        let mut description = Vec::new();
        (&mut file)
            .take(length)
            .read_to_end(&mut description)
            .map_err(told)?;
        let metadata: Metadata =
            serde_json::from_slice(&description).map_err(|error| error.to_string())?;
        let start = length + LENGTH_BYTES as u64;
        let expected = start.saturating_add(metadata.data_len() as u64);
        let found = file.metadata().map_err(told)?.len();
        if found != expected {
            return Err(format!(
                "it has {found} bytes, expected {expected} by its description"
            ));
        }
        Ok(Self {
            file,
            metadata,
            start,
        })
    }

    /// The names of all tensors.
    pub(crate) fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Length of each dimension of a tensor; `None` where there is no such tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.metadata.info(name).map(|info| &*info.shape)
    }

    /// Reads a tensor.
    ///
    /// # Errors
    /// It is not there, or holds numbers of a kind that is not read.
    pub(crate) fn read(&mut self, name: &str) -> Result<Tensor, String> {
        let told = |error: &dyn std::fmt::Display| format!("tensor {name}: {error}");
        let info = self
            .metadata
            .info(name)
            .ok_or_else(|| told(&"it is missing"))?;
        let (from, to) = info.data_offsets;
        let shape = info.shape.clone();
        let kind = info.dtype;
        let mut bytes = vec![0; to - from];
        self.file
            .seek(SeekFrom::Start(self.start + from as u64))
            .and_then(|_| self.file.read_exact(&mut bytes))
            .map_err(|error| told(&error))?;
        let data: Vec<f32> = match kind {
            Dtype::F32 => words(&bytes, f32::from_le_bytes),
            Dtype::F16 => words(&bytes, |half| from_half(u16::from_le_bytes(half))),
            Dtype::BF16 => words(&bytes, |[low, high]| f32::from_le_bytes([0, 0, low, high])),
            other => return Err(told(&format!("numbers of kind {other:?} are not read"))),
        };
        if data.len() != shape.iter().product::<usize>() {
            return Err(told(&"its length is not that of its shape"));
        }
        Ok(Tensor { shape, data })
    }

    /// Reads a tensor that must have a certain shape.
    ///
    /// # Errors
    /// As [`Tensors::read`], or it has another shape.
    pub(crate) fn shaped(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let tensor = self.read(name)?;
        if tensor.shape != shape {
            return Err(format!(
                "tensor {name} has shape {:?}, expected {shape:?}",
                tensor.shape
            ));
        }
        Ok(tensor.data)
    }
}

fn words<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<N>();
    words.iter().map(|word| read(*word)).collect()
}

/// A number of IEEE 754's half precision.
fn from_half(bits: u16) -> f32 {
    const EXPONENT_SHIFT: u32 = 112;
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let mantissa = u32::from(bits & 0x03ff);
    let magnitude = match exponent {
        // Below the normal range: so many 24ths of a power of two.
        0 => (f32::from(bits & 0x03ff) / 16_777_216.0).to_bits(),
        0x1f => 0x7f80_0000 | mantissa << 13,
        _ => (exponent + EXPONENT_SHIFT) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x8001, -5.960_464_5e-8),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(from_half(bits).to_bits(), f32::to_bits(value), "{bits:#x}");
        }
        assert!(from_half(0x7e00).is_nan());
    }

    #[test]
    fn files_that_are_none_are_told_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.safetensors");
        for bytes in [&b"short"[..], &[0xff; 64], b"\x02\0\0\0\0\0\0\0{}  "] {
            std::fs::write(&path, bytes).expect("written");
            if let Ok(mut tensors) = Tensors::open(&path) {
                assert!(tensors.read("embedding.weight").is_err());
            }
        }
    }

    #[test]
    fn a_tensor_is_read_and_a_file_cut_short_is_told_of() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.safetensors");
        let description = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
            "b":{"dtype":"F16","shape":[2,2],"data_offsets":[4,12]}}"#;
        let mut file = (description.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(description);
        file.extend_from_slice(&7.5_f32.to_le_bytes());
        for half in [0x3c00_u16, 0xc000, 0, 0x3c00] {
            file.extend_from_slice(&half.to_le_bytes());
        }
        std::fs::write(&path, &file).expect("written");
        let mut tensors = Tensors::open(&path).expect("a file");
        assert_eq!(tensors.names(), ["a", "b"]);
        assert_eq!(tensors.shape("b"), Some(&[2, 2][..]));
        assert_eq!(tensors.shape("c"), None);
        assert_eq!(tensors.shaped("a", &[1]), Ok(vec![7.5]));
        assert_eq!(
            tensors.read("b").expect("a tensor").data,
            [1.0, -2.0, 0.0, 1.0]
        );
        assert!(tensors.shaped("b", &[4]).is_err());
        file.pop();
        std::fs::write(&path, &file).expect("written");
        let error = Tensors::open(&path).err().expect("a byte is missing");
        assert!(error.contains("expected"), "{error}");
    }
}
