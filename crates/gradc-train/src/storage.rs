//! Elements as bytes: the number formats that npy, IDX and safetensors files share.

use crate::array::Elements;
use half::{bf16, f16};

/// How numbers are stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    F16,
    BF16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

/// The order of the bytes of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

/// An unsigned number beyond the largest `i64`, at this place among the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BeyondI64 {
    pub(crate) element: usize,
    pub(crate) value: u64,
}

impl Stored {
    /// The bytes of one number.
    pub(crate) fn size(self) -> usize {
        match self {
            Stored::I8 | Stored::U8 | Stored::Bool => 1,
            Stored::F16 | Stored::BF16 | Stored::I16 | Stored::U16 => 2,
            Stored::F32 | Stored::I32 | Stored::U32 => 4,
            Stored::F64 | Stored::I64 | Stored::U64 => 8,
        }
    }
}

/// The numbers in `bytes`, widened without loss to an element type that can hold them all: small integers to
/// `i32`, 32-bit and 64-bit unsigned ones to `i64`. Bytes that do not fill a number are ignored.
pub(crate) fn decode(stored: Stored, endian: Endian, bytes: &[u8]) -> Result<Elements, BeyondI64> {
    Ok(match stored {
        Stored::F16 => numbers(bytes, endian, f16::from_le_bytes).into(),
        Stored::BF16 => numbers(bytes, endian, bf16::from_le_bytes).into(),
        Stored::F32 => numbers(bytes, endian, f32::from_le_bytes).into(),
        Stored::F64 => numbers(bytes, endian, f64::from_le_bytes).into(),
        Stored::I8 => numbers(bytes, endian, |b| i32::from(i8::from_le_bytes(b))).into(),
        Stored::I16 => numbers(bytes, endian, |b| i32::from(i16::from_le_bytes(b))).into(),
        Stored::I32 => numbers(bytes, endian, i32::from_le_bytes).into(),
        Stored::I64 => numbers(bytes, endian, i64::from_le_bytes).into(),
        Stored::U8 => bytes.to_vec().into(),
        Stored::U16 => numbers(bytes, endian, |b| i32::from(u16::from_le_bytes(b))).into(),
        Stored::U32 => numbers(bytes, endian, |b| i64::from(u32::from_le_bytes(b))).into(),
        Stored::U64 => signed(&numbers(bytes, endian, u64::from_le_bytes))?.into(),
        Stored::Bool => numbers(bytes, endian, |[b]: [u8; 1]| b != 0).into(),
    })
}

fn numbers<const SIZE: usize, T>(bytes: &[u8], endian: Endian, from_le: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<SIZE>();
    let number = |chunk: &[u8; SIZE]| {
        let mut chunk = *chunk;
        if endian == Endian::Big {
            chunk.reverse();
        }
        from_le(chunk)
    };
    chunks.iter().map(number).collect()
}

fn signed(values: &[u64]) -> Result<Vec<i64>, BeyondI64> {
    let signed = |(element, &value)| i64::try_from(value).map_err(|_| BeyondI64 { element, value });
    values.iter().enumerate().map(signed).collect()
}

/// The elements as little-endian bytes.
pub(crate) fn encode(elements: &Elements) -> Vec<u8> {
    match elements {
        Elements::F16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Elements::Bf16(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Elements::F32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Elements::F64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Elements::I32(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Elements::I64(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Elements::U8(values) => values.clone(),
        Elements::Bool(values) => values.iter().map(|&value| u8::from(value)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::ElementType;

    fn check(stored: Stored, endian: Endian, bytes: &[u8], expected: impl Into<Elements>) {
        assert_eq!(decode(stored, endian, bytes), Ok(expected.into()), "{stored:?} {endian:?} {bytes:02x?}");
    }

    #[test]
    fn every_format_widens_without_loss() {
        use Endian::{Big, Little};
        check(
            Stored::F16,
            Little,
            &[0x00, 0x3c, 0x01, 0x00, 0xff, 0x7b],
            [1.0_f32, 5.960_464_5e-8, 65504.0].map(f16::from_f32).to_vec(),
        );
        check(
            Stored::F16,
            Big,
            &[0xbc, 0x00, 0x7c, 0x00, 0x80, 0x00],
            vec![f16::NEG_ONE, f16::INFINITY, f16::NEG_ZERO],
        );
        check(Stored::BF16, Little, &[0x80, 0x3f, 0x80, 0xff], vec![bf16::ONE, bf16::NEG_INFINITY]);
        check(Stored::F32, Big, &[0x3f, 0x80, 0, 0], vec![1.0_f32]);
        check(Stored::F64, Little, &0.1_f64.to_le_bytes(), vec![0.1_f64]);
        check(Stored::I8, Little, &[0xff, 0x80], vec![-1_i32, -128]);
        check(Stored::I16, Big, &[0xff, 0xfe], vec![-2_i32]);
        check(Stored::I32, Little, &[1, 0, 0, 0x80], vec![i32::MIN + 1]);
        check(Stored::I64, Big, &i64::MIN.to_be_bytes(), vec![i64::MIN]);
        check(Stored::U8, Little, &[0, 255], vec![0_u8, 255]);
        check(Stored::U16, Little, &[0xff, 0xff], vec![65535_i32]);
        check(Stored::U32, Big, &[0xff, 0xff, 0xff, 0xff], vec![4_294_967_295_i64]);
        check(Stored::U64, Little, &7_u64.to_le_bytes(), vec![7_i64]);
        check(Stored::Bool, Little, &[0, 1, 2], vec![false, true, true]);
    }

    #[test]
    fn an_unsigned_number_beyond_i64_is_named() {
        let bytes: Vec<u8> = [1, u64::MAX].iter().flat_map(|value: &u64| value.to_le_bytes()).collect();
        let expected = BeyondI64 { element: 1, value: u64::MAX };
        assert_eq!(decode(Stored::U64, Endian::Little, &bytes), Err(expected));
    }

    fn stored(dtype: ElementType) -> Stored {
        match dtype {
            ElementType::F16 => Stored::F16,
            ElementType::Bf16 => Stored::BF16,
            ElementType::F32 => Stored::F32,
            ElementType::F64 => Stored::F64,
            ElementType::I32 => Stored::I32,
            ElementType::I64 => Stored::I64,
            ElementType::U8 => Stored::U8,
            ElementType::Bool => Stored::Bool,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let all: [Elements; 8] = [
            vec![f16::from_f32(0.1), f16::MAX].into(),
            vec![bf16::from_f32(-0.1), bf16::INFINITY].into(),
            vec![1.5_f32, f32::MIN_POSITIVE].into(),
            vec![-0.1_f64].into(),
            vec![i32::MIN, 3].into(),
            vec![i64::MAX].into(),
            vec![0_u8, 200].into(),
            vec![true, false].into(),
        ];
        for elements in all {
            let bytes = encode(&elements);
            assert_eq!(bytes.len(), elements.len() * elements.dtype().size());
            assert_eq!(decode(stored(elements.dtype()), Endian::Little, &bytes), Ok(elements));
        }
    }
}
