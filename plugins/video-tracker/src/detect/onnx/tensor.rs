use super::wire::{Content, fields, varint};

/// A constant tensor, its elements row by row.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::detect) struct OnnxTensor {
    /// Sizes of the axes, each at least 1 unless there is no element; none for a single number.
    pub(in crate::detect) shape: Vec<usize>,
    pub(in crate::detect) data: TensorData,
}

/// Elements of a tensor: as many as its shape says.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::detect) enum TensorData {
    /// Of 16, 32 or 64 bits in the file.
    Floats(Vec<f32>),
    /// Of 8, 32 or 64 bits in the file, or truth values.
    Integers(Vec<i64>),
}

impl OnnxTensor {
    pub(in crate::detect) fn floats(shape: &[usize], data: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), data: TensorData::Floats(data) }
    }

    /// How many elements there are.
    pub(in crate::detect) fn len(&self) -> usize {
        match &self.data {
            TensorData::Floats(data) => data.len(),
            TensorData::Integers(data) => data.len(),
        }
    }

    /// Reads a `TensorProto`: its name and itself. At most `elements_max` elements are read.
    pub(super) fn read(bytes: &[u8], elements_max: usize) -> Result<(&str, Self), String> {
        let mut raw = Raw::default();
        fields(bytes, |field, content| raw.field(field, content, elements_max))?;
        let name = raw.name;
        let tensor =
            raw.tensor(elements_max).map_err(|reason| format!("tensor {name:?} {reason}"))?;
        Ok((name, tensor))
    }
}

/// The fields of a `TensorProto`, as they come.
#[derive(Default)]
struct Raw<'m> {
    name: &'m str,
    kind: u64,
    shape: Vec<usize>,
    floats: Vec<f32>,
    /// Those of up to 32 bits, and the bits of 16-bit floats.
    words: Vec<i64>,
    longs: Vec<i64>,
    bytes: Option<&'m [u8]>,
    is_elsewhere: bool,
}

impl<'m> Raw<'m> {
    fn field(&mut self, field: u64, content: Content<'m>, most: usize) -> Result<(), String> {
        match (field, content) {
            (DIMS, content) => {
                let mut dimensions = Vec::new();
                integers(content, RANK_MAX + 1, &mut dimensions)?;
                for size in dimensions {
                    self.shape
                        .push(usize::try_from(size).map_err(|_| "a negative size".to_owned())?);
                }
                if self.shape.len() > RANK_MAX {
                    return Err(format!("a tensor has more than {RANK_MAX} axes"));
                }
            }
            (DATA_TYPE, Content::Number(kind)) => self.kind = kind,
            (FLOAT_DATA, content) => floats(content, most, &mut self.floats)?,
            (INT32_DATA, content) => integers(content, most, &mut self.words)?,
            (INT64_DATA, content) => integers(content, most, &mut self.longs)?,
            (NAME, Content::Bytes(name)) => self.name = text(name)?,
            (RAW_DATA, Content::Bytes(bytes)) => self.bytes = Some(bytes),
            (DATA_LOCATION, Content::Number(place)) => self.is_elsewhere = place != 0,
            _ => {}
        }
        Ok(())
    }

    fn tensor(self, elements_max: usize) -> Result<OnnxTensor, String> {
        if self.is_elsewhere {
            return Err("has its elements in another file".to_owned());
        }
        let len = self.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let len = len.filter(|len| *len <= elements_max).ok_or("has too many elements")?;
        let data = match (self.kind, self.bytes) {
            (FLOAT, Some(bytes)) => TensorData::Floats(each(bytes, f32::from_le_bytes)),
            (FLOAT, None) => TensorData::Floats(self.floats),
            (FLOAT16, Some(bytes)) => {
                TensorData::Floats(each(bytes, |two| half(u16::from_le_bytes(two))))
            }
            (FLOAT16, None) => {
                TensorData::Floats(self.words.iter().map(|word| half(*word as u16)).collect())
            }
            (DOUBLE, Some(bytes)) => {
                TensorData::Floats(each(bytes, |eight| f64::from_le_bytes(eight) as f32))
            }
            (INT64, Some(bytes)) => TensorData::Integers(each(bytes, i64::from_le_bytes)),
            (INT64, None) => TensorData::Integers(self.longs),
            (INT32, Some(bytes)) => {
                TensorData::Integers(each(bytes, |four| i32::from_le_bytes(four).into()))
            }
            (UINT8 | BOOL, Some(bytes)) => {
                TensorData::Integers(bytes.iter().map(|byte| i64::from(*byte)).collect())
            }
            (INT32 | UINT8 | BOOL, None) => TensorData::Integers(self.words),
            (kind, _) => return Err(format!("has elements of a kind that is not read, {kind}")),
        };
        let tensor = OnnxTensor { shape: self.shape, data };
        let found = tensor.len();
        // Raw bytes that are no whole number of elements are seen here too.
        let whole = self.bytes.is_none_or(|bytes| bytes.len() == len * element_bytes(self.kind));
        if found == len && whole {
            Ok(tensor)
        } else {
            Err(format!("has {found} elements, its shape has {len}"))
        }
    }
}

/// UTF-8, as all names are.
pub(super) fn text(bytes: &[u8]) -> Result<&str, String> {
    str::from_utf8(bytes).map_err(|_| "a name is not UTF-8".to_owned())
}

/// One number or packed ones, added to `out`, which holds at most `most`.
pub(super) fn integers(
    content: Content<'_>,
    most: usize,
    out: &mut Vec<i64>,
) -> Result<(), String> {
    let add = |number: u64, out: &mut Vec<i64>| {
        if out.len() >= most {
            return Err(format!("more than {most} numbers"));
        }
        out.push(number as i64);
        Ok(())
    };
    match content {
        Content::Number(number) => add(number, out),
        Content::Bytes(mut bytes) => {
            while !bytes.is_empty() {
                let number = varint(&mut bytes).ok_or("there is a broken number in a list")?;
                add(number, out)?;
            }
            Ok(())
        }
        _ => Err("a number has another encoding".to_owned()),
    }
}

/// One number or packed ones, added to `out`, which holds at most `most`.
pub(super) fn floats(content: Content<'_>, most: usize, out: &mut Vec<f32>) -> Result<(), String> {
    let (numbers, rest) = match &content {
        Content::Four(four) => (std::slice::from_ref(four), &[][..]),
        Content::Bytes(bytes) => bytes.as_chunks::<4>(),
        _ => return Err("a number has another encoding".to_owned()),
    };
    if !rest.is_empty() || numbers.len() > most.saturating_sub(out.len()) {
        return Err(format!("a list of numbers is damaged or has more than {most}"));
    }
    out.extend(numbers.iter().map(|four| f32::from_le_bytes(*four)));
    Ok(())
}

fn each<const N: usize, T>(bytes: &[u8], convert: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| convert(*chunk)).collect()
}

/// IEEE 754 binary16 to binary32, which holds each of its numbers.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
    }
}

fn element_bytes(kind: u64) -> usize {
    match kind {
        UINT8 | BOOL => 1,
        FLOAT16 => 2,
        FLOAT | INT32 => 4,
        _ => 8,
    }
}

/// The most axes of a tensor.
pub(super) const RANK_MAX: usize = 8;

// Fields of TensorProto.
const DIMS: u64 = 1;
const DATA_TYPE: u64 = 2;
const FLOAT_DATA: u64 = 4;
const INT32_DATA: u64 = 5;
const INT64_DATA: u64 = 7;
const NAME: u64 = 8;
const RAW_DATA: u64 = 9;
const DATA_LOCATION: u64 = 14;

// TensorProto.DataType.
const FLOAT: u64 = 1;
const UINT8: u64 = 2;
const INT32: u64 = 6;
const INT64: u64 = 7;
const BOOL: u64 = 9;
const FLOAT16: u64 = 10;
const DOUBLE: u64 = 11;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_their_values() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan());
        assert!(half(0x8000).is_sign_negative());
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<(&str, &[usize], TensorData), &str>) {
        match (OnnxTensor::read(bytes, 8), expected) {
            (Ok((name, tensor)), Ok((expected, shape, data))) => {
                assert_eq!((name, &tensor.shape[..], tensor.data), (expected, shape, data));
            }
            (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }

    #[test]
    fn elements_are_read_from_wherever_they_are() {
        let floats = TensorData::Floats(vec![1.0, 2.0]);
        let raw = [&[0x08, 2, 0x10, 1, 0x42, 1, b'w', 0x4a, 8][..], &[0, 0, 128, 63, 0, 0, 0, 64]];
        check(&raw.concat(), Ok(("w", &[2], floats.clone())));
        let packed = [&[0x0a, 1, 2, 0x10, 1, 0x22, 8][..], &[0, 0, 128, 63, 0, 0, 0, 64]].concat();
        check(&packed, Ok(("", &[2], floats.clone())));
        check(&[0x08, 2, 0x10, 10, 0x4a, 4, 0, 0x3c, 0, 0x40], Ok(("", &[2], floats)));
        let minus = [&[0x10, 7, 0x38][..], &[0xff; 9], &[1]].concat();
        check(&minus, Ok(("", &[], TensorData::Integers(vec![-1]))));
        let bytes = TensorData::Integers(vec![1, 0]);
        check(&[0x08, 2, 0x10, 9, 0x4a, 2, 1, 0], Ok(("", &[2], bytes.clone())));
        check(&[0x08, 2, 0x10, 6, 0x2a, 2, 1, 0], Ok(("", &[2], bytes)));
    }

    #[test]
    fn nothing_is_believed_about_lengths() {
        check(&[0x08, 2, 0x10, 1], Err("has 0 elements, its shape has 2"));
        check(&[0x08, 1, 0x10, 1, 0x4a, 5, 0, 0, 0, 0, 0], Err("has 1 elements"));
        check(&[0x08, 9, 0x10, 1], Err("too many elements"));
        let huge = [&[0x08][..], &[0xff; 8], &[0x7f], &[0x08][..], &[0xff; 8], &[0x7f]].concat();
        check(&huge, Err("too many elements"));
        check(&[&[0x08][..], &[0xff; 9], &[1]].concat(), Err("a negative size"));
        check(&[0x08, 1, 0x10, 8], Err("a kind that is not read, 8"));
        check(&[0x70, 1], Err("in another file"));
        check(&[0x0a, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1], Err("more than 8 axes"));
        check(&[0x22, 3, 0, 0, 0], Err("damaged"));
        check(&[0x3a, 1, 0x80], Err("a broken number in a list"));
        check(&[0x42, 1, 0xff], Err("not UTF-8"));
    }
}
