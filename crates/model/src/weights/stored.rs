//! Tensors in files of weights: type, shape and place, and their bytes.

use crate::ModelError;
use maana_files::{Map, MappedFile};
use safetensors::Dtype;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};

/// A tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredTensor {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// From the first element in the file to the end of the last.
    pub(crate) bytes: Range<usize>,
    /// Elements from one index to the next, in each dimension; none if the elements are in the file
    /// in their order, without gaps.
    pub(crate) strides: Option<Vec<usize>>,
}

/// The bytes of a tensor, its elements in order.
pub(crate) enum TensorBytes {
    /// Those of the file.
    Mapped(Map),
    /// Copied from a file that has them in another order.
    Gathered(Vec<u8>, PathBuf),
}

impl StoredTensor {
    /// Maps its elements, or copies them if the file has them in another order.
    pub(crate) fn read(&self, file: &MappedFile) -> Result<TensorBytes, ModelError> {
        let map = file.map(self.bytes.start as u64..self.bytes.end as u64).map_err(ModelError::io(file.path()))?;
        Ok(match &self.strides {
            None => TensorBytes::Mapped(map),
            Some(strides) => {
                let gathered = gather(&map, size_of_element(self.dtype), &self.shape, strides);
                TensorBytes::Gathered(gathered, file.path().into())
            }
        })
    }
}

impl TensorBytes {
    /// Returns the path of the file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Mapped(map) => map.file().path(),
            Self::Gathered(_, path) => path,
        }
    }
}

impl Deref for TensorBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Gathered(bytes, _) => bytes,
        }
    }
}

/// Bytes of one element of a type that takes whole bytes.
pub(crate) fn size_of_element(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

/// Returns the elements of a tensor, each of `size` bytes, in the order of their indices. The
/// tensor has a dimension and an element.
fn gather(bytes: &[u8], size: usize, shape: &[usize], strides: &[usize]) -> Vec<u8> {
    let last = shape.len() - 1;
    let mut gathered = Vec::with_capacity(size * shape.iter().product::<usize>());
    let mut index = vec![0; last];
    loop {
        let row: usize = index.iter().zip(strides).map(|(index, stride)| index * stride).sum();
        for column in 0..shape[last] {
            let start = size * (row + column * strides[last]);
            gathered.extend_from_slice(&bytes[start..start + size]);
        }
        let Some(next) = (0..last).rev().find(|dimension| index[*dimension] + 1 < shape[*dimension]) else {
            return gathered;
        };
        index[next] += 1;
        index[next + 1..].fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn elements_are_gathered_in_the_order_of_their_indices() {
        let bytes: Vec<u8> = (0..48).collect();
        let pairs = |elements: &[u8]| elements.iter().flat_map(|i| [2 * i, 2 * i + 1]).collect::<Vec<u8>>();
        assert_eq!(gather(&bytes, 2, &[3, 2], &[1, 3]), pairs(&[0, 3, 1, 4, 2, 5]));
        assert_eq!(gather(&bytes, 2, &[2, 2, 2], &[12, 1, 6]), pairs(&[0, 6, 1, 7, 12, 18, 13, 19]));
        assert_eq!(gather(&bytes, 2, &[2, 3], &[0, 2]), pairs(&[0, 2, 4, 0, 2, 4]));
        assert_eq!(gather(&bytes, 2, &[3], &[5]), pairs(&[0, 5, 10]));
    }

    proptest! {
        #[test]
        fn every_element_is_the_one_of_its_index(dimensions in vec((1..5_usize, 0..7_usize), 1..5)) {
            let (shape, strides): (Vec<usize>, Vec<usize>) = dimensions.into_iter().unzip();
            let bytes: Vec<u8> = (0..=255).collect();
            let gathered = gather(&bytes, 1, &shape, &strides);
            prop_assert_eq!(gathered.len(), shape.iter().product::<usize>());
            for (place, byte) in gathered.into_iter().enumerate() {
                let (mut rest, mut offset) = (place, 0);
                for (length, stride) in shape.iter().zip(&strides).rev() {
                    offset += rest % length * stride;
                    rest /= length;
                }
                prop_assert_eq!(usize::from(byte), offset);
            }
        }
    }
}
