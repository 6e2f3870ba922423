//! A tensor as it lies in a file's bytes: element type, shape, strides, place. Both file formats end in this form.

use half::{bf16, f16};
use std::ops::Range;

/// Element types that are read, each widened or narrowed to f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    pub const fn size(self) -> usize {
        match self {
            Element::F64 | Element::I64 => 8,
            Element::F32 | Element::I32 => 4,
            Element::F16 | Element::Bf16 | Element::I16 => 2,
            Element::I8 | Element::U8 | Element::Bool => 1,
        }
    }
}

/// A tensor inside a file whose bytes are at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredTensor {
    element: Element,
    shape: Vec<usize>,
    /// Steps between neighbours of a dimension, in elements
    strides: Vec<usize>,
    /// Byte at which the first element begins
    start: usize,
    count: usize,
}

impl StoredTensor {
    /// A tensor whose element 0 begins at byte `start` of a file, and of which `room` elements follow there.
    ///
    /// # Errors
    /// A shape or strides that reach past that room, or that repeat elements: the latter let a small file ask for
    /// any amount of memory.
    pub fn new(
        element: Element,
        shape: Vec<usize>,
        strides: Vec<usize>,
        start: usize,
        room: usize,
    ) -> Result<Self, String> {
        if shape.len() != strides.len() {
            return Err(format!("shape {shape:?} and strides {strides:?} differ in length"));
        }
        let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let count = count.ok_or_else(|| format!("shape {shape:?} has too many elements"))?;
        let end = match count {
            0 => Some(0),
            _ => shape
                .iter()
                .zip(&strides)
                .try_fold(1usize, |end, (size, stride)| end.checked_add((size - 1).checked_mul(*stride)?)),
        };
        match end {
            Some(end) if end <= room && count <= room => {
                Ok(StoredTensor { element, shape, strides, start, count })
            }
            Some(end) if end <= room => Err(format!(
                "shape {shape:?} with strides {strides:?} repeats the {room} elements that are there"
            )),
            _ => Err(format!(
                "shape {shape:?} with strides {strides:?} reaches past the {room} elements that are there"
            )),
        }
    }

    /// The same with elements row by row.
    pub fn rows(element: Element, shape: Vec<usize>, start: usize, room: usize) -> Result<Self, String> {
        let mut strides = vec![1usize; shape.len()];
        for index in (1..shape.len()).rev() {
            strides[index - 1] = strides[index].saturating_mul(shape[index]);
        }
        Self::new(element, shape, strides, start, room)
    }

    /// Its rows from `first` on, `rows` of them; the caller knows that it has as many.
    pub fn rows_from(&self, first: usize, rows: usize) -> Self {
        let mut part = self.clone();
        if let ([all, ..], [stride, ..]) = (&mut part.shape[..], &part.strides[..]) {
            part.start += first * stride * self.element.size();
            part.count = part.count / (*all).max(1) * rows;
            *all = rows;
        }
        part
    }

    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Bytes of its elements.
    pub fn size(&self) -> usize {
        self.count * self.element.size()
    }

    /// Where its elements lie in the file, with what may lie between them.
    pub fn bytes(&self) -> Range<usize> {
        let last: usize =
            self.shape.iter().zip(&self.strides).map(|(size, stride)| size.saturating_sub(1) * stride).sum();
        let elements = if self.count == 0 { 0 } else { last + 1 };
        self.start..self.start + elements * self.element.size()
    }

    /// Appends the elements in f32, row by row, out of the file's bytes.
    pub fn append_to(&self, values: &mut Vec<f32>, file: &[u8]) {
        let bytes = file.get(self.bytes()).unwrap_or_default();
        match self.element {
            Element::F64 => self.gather(values, bytes, |b| f64::from_le_bytes(b) as f32),
            Element::F32 => self.gather(values, bytes, f32::from_le_bytes),
            Element::F16 => self.gather(values, bytes, |b| f16::from_le_bytes(b).to_f32()),
            Element::Bf16 => self.gather(values, bytes, |b| bf16::from_le_bytes(b).to_f32()),
            Element::I64 => self.gather(values, bytes, |b| i64::from_le_bytes(b) as f32),
            Element::I32 => self.gather(values, bytes, |b| i32::from_le_bytes(b) as f32),
            Element::I16 => self.gather(values, bytes, |b| f32::from(i16::from_le_bytes(b))),
            Element::I8 => self.gather(values, bytes, |b| f32::from(i8::from_le_bytes(b))),
            Element::U8 => self.gather(values, bytes, |b| f32::from(u8::from_le_bytes(b))),
            Element::Bool => self.gather(values, bytes, |[b]| f32::from(b != 0)),
        }
    }

    #[cfg(test)]
    pub fn values(&self, file: &[u8]) -> Vec<f32> {
        let mut values = Vec::new();
        self.append_to(&mut values, file);
        values
    }

    fn gather<const N: usize>(&self, values: &mut Vec<f32>, bytes: &[u8], value: impl Fn([u8; N]) -> f32) {
        let (elements, _) = bytes.as_chunks::<N>();
        if self.is_contiguous() {
            return values.extend(elements.iter().take(self.count).map(|bytes| value(*bytes)));
        }
        // Runs along the last dimension, whose start an odometer over the others gives.
        let (Some((width, others)), Some((step, strides))) =
            (self.shape.split_last(), self.strides.split_last())
        else {
            return;
        };
        values.reserve(self.count);
        let mut index = vec![0usize; others.len()];
        for _ in 0..self.count / width.max(&1) {
            let start: usize = index.iter().zip(strides).map(|(at, stride)| at * stride).sum();
            let run = (0..*width).filter_map(|column| elements.get(start + column * step));
            values.extend(run.map(|b| value(*b)));
            for dimension in (0..others.len()).rev() {
                index[dimension] += 1;
                if index[dimension] < others[dimension] {
                    break;
                }
                index[dimension] = 0;
            }
        }
    }

    /// Whether the elements lie row by row; the stride of a dimension of one element says nothing.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == expected;
            expected *= size;
            fits
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f32_file(count: u8) -> Vec<u8> {
        (0..count).flat_map(|value| f32::from(value).to_le_bytes()).collect()
    }

    #[test]
    fn strided_elements_come_row_by_row() {
        let file = f32_file(12);
        let tensor = |shape: &[usize], strides: &[usize], start: usize, room: usize| {
            StoredTensor::new(Element::F32, shape.to_vec(), strides.to_vec(), start, room)
                .unwrap()
                .values(&file)
        };
        assert_eq!(tensor(&[2, 3], &[3, 1], 0, 12), [0., 1., 2., 3., 4., 5.]);
        assert_eq!(tensor(&[3, 2], &[1, 3], 0, 12), [0., 3., 1., 4., 2., 5.], "a transposed matrix");
        assert_eq!(tensor(&[2, 2], &[4, 2], 4, 11), [1., 3., 5., 7.], "a part of a larger one");
        assert_eq!(tensor(&[2, 1, 2], &[2, 77, 1], 0, 12), [0., 1., 2., 3.], "one element has no stride");
        assert_eq!(tensor(&[], &[], 8, 10), [2.0], "a scalar");
        assert!(tensor(&[0, 5], &[5, 1], 0, 12).is_empty());
    }

    #[test]
    fn what_reaches_past_the_file_or_repeats_it_is_refused() {
        let huge = usize::MAX / 2;
        for (shape, strides, room, reason) in [
            (vec![4, 3], vec![3, 1], 11, "reaches past"),
            (vec![2], vec![huge], 12, "reaches past"),
            (vec![huge, 3], vec![huge, 1], 12, "too many"),
            (vec![13], vec![0], 12, "repeats"),
            (vec![2, 2], vec![1], 12, "differ in length"),
        ] {
            let error = StoredTensor::new(Element::F32, shape, strides, 0, room).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn every_element_type_is_read() {
        let cases: [(Element, Vec<u8>); 10] = [
            (Element::F64, (-2f64).to_le_bytes().to_vec()),
            (Element::F32, (-2f32).to_le_bytes().to_vec()),
            (Element::F16, f16::from_f32(-2.0).to_le_bytes().to_vec()),
            (Element::Bf16, bf16::from_f32(-2.0).to_le_bytes().to_vec()),
            (Element::I64, (-2i64).to_le_bytes().to_vec()),
            (Element::I32, (-2i32).to_le_bytes().to_vec()),
            (Element::I16, (-2i16).to_le_bytes().to_vec()),
            (Element::I8, (-2i8).to_le_bytes().to_vec()),
            (Element::U8, vec![254]),
            (Element::Bool, vec![3]),
        ];
        for (element, bytes) in cases {
            let expected = match element {
                Element::U8 => 254.0,
                Element::Bool => 1.0,
                _ => -2.0,
            };
            let tensor = StoredTensor::rows(element, vec![1, 1], 0, 1).unwrap();
            assert_eq!(tensor.values(&bytes), [expected], "{element:?}");
            assert_eq!(tensor.size(), bytes.len());
        }
    }
}
