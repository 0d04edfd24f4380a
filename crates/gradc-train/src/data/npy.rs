//! NumPy's `.npy` format: a magic number, a version, a header that is a Python dictionary, and the elements.
//!
//! The format is defined by NumPy Enhancement Proposal 1 and `numpy.lib.format`; versions 1 to 3 are read, version 1
//! is written. The header is parsed here, without recursion and without trusting a length in it before as many bytes
//! were seen.

use crate::array::{Array, ElementType, Elements, ShapeText, element_count};
use crate::storage::{self, BeyondI64, Endian, Stored};
use gradc::Coded;
use gradc_diagnostics::{Code, codes};
use std::fmt;
use std::io::{self, Read, Write};

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// No header that NumPy writes for a plain array comes near this.
const LONGEST_HEADER: u32 = 1 << 16;

/// NumPy's own bound on the number of axes.
const MOST_AXES: usize = 64;

/// What is wrong with an array in npy format.
#[derive(Debug)]
pub enum NpyError {
    /// The bytes could not be read or unpacked.
    Read(io::Error),
    /// It does not begin as npy files do.
    NotNpy,
    /// It ends within the header.
    TruncatedHeader,
    /// A version of the format that is not known.
    Version(u8),
    /// The header is not the dictionary that it should be, or is absurdly long.
    MalformedHeader,
    /// Elements that are not plain numbers: strings, objects, records, complex numbers, dates.
    ElementType {
        /// NumPy's description of the type.
        descr: String,
    },
    /// The shape has more elements than can be counted.
    ShapeOverflow {
        /// The shape in the header.
        shape: Vec<usize>,
    },
    /// The header promises another number of bytes than follow.
    Size {
        /// The shape in the header.
        shape: Vec<usize>,
        /// The bytes that the header promises.
        declared: u64,
        /// The bytes that follow it.
        found: u64,
    },
    /// An unsigned 64-bit integer beyond the largest signed one.
    TooLarge {
        /// Its place in row-major order.
        element: usize,
        /// Its value.
        value: u64,
    },
}

impl fmt::Display for NpyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NpyError::Read(error) => write!(f, "cannot be read: {error}"),
            NpyError::NotNpy => write!(f, "is not in npy format"),
            NpyError::TruncatedHeader => write!(f, "ends within its npy header"),
            NpyError::Version(version) => write!(f, "has version {version} of the npy format, which is not known"),
            NpyError::MalformedHeader => write!(f, "has a malformed npy header"),
            NpyError::ElementType { descr } => {
                write!(f, "has elements of NumPy type '{descr}'; save it as float, integer or bool")
            }
            NpyError::ShapeOverflow { shape } => {
                write!(f, "claims the shape {}, more elements than can be counted", ShapeText(shape))
            }
            NpyError::Size { shape, declared, found } => write!(
                f,
                "claims the shape {} of {declared} bytes, but {found} bytes follow the header",
                ShapeText(shape)
            ),
            NpyError::TooLarge { element, value } => {
                write!(f, "has the element {value} at {element}, beyond 64-bit signed integers")
            }
        }
    }
}

impl std::error::Error for NpyError {}

impl Coded for NpyError {
    fn code(&self) -> Code {
        match self {
            NpyError::TooLarge { .. } => codes::VALUE_CHANGED,
            _ => codes::MALFORMED_DATA,
        }
    }
}

/// Reads an array from `reader`, which says that it holds `length` bytes.
///
/// Memory grows with the bytes that arrive, so a length that lies costs nothing.
pub(super) fn read(mut reader: impl Read, length: u64) -> Result<Array, NpyError> {
    let mut start = [0; 8];
    read_header_part(&mut reader, &mut start).map_err(|error| match error {
        NpyError::TruncatedHeader => NpyError::NotNpy,
        other => other,
    })?;
    if !start.starts_with(MAGIC) {
        return Err(NpyError::NotNpy);
    }
    let (prefix, header_length) = match start[6] {
        1 => {
            let mut bytes = [0; 2];
            read_header_part(&mut reader, &mut bytes)?;
            (10_u64, u32::from(u16::from_le_bytes(bytes)))
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            read_header_part(&mut reader, &mut bytes)?;
            (12, u32::from_le_bytes(bytes))
        }
        version => return Err(NpyError::Version(version)),
    };
    if header_length > LONGEST_HEADER {
        return Err(NpyError::MalformedHeader);
    }
    let mut text = vec![0; header_length as usize];
    read_header_part(&mut reader, &mut text)?;
    let header = Parser { rest: &text }.header().ok_or(NpyError::MalformedHeader)?;
    read_elements(reader, &header, length.saturating_sub(prefix + u64::from(header_length)))
}

fn read_header_part(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), NpyError> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => NpyError::TruncatedHeader,
        _ => NpyError::Read(error),
    })
}

fn read_elements(mut reader: impl Read, header: &Header, available: u64) -> Result<Array, NpyError> {
    let (stored, endian) =
        element_format(&header.descr).ok_or_else(|| NpyError::ElementType { descr: header.descr.clone() })?;
    let shape = header.shape.clone();
    let Some(count) = element_count(&shape) else {
        return Err(NpyError::ShapeOverflow { shape });
    };
    let Some(declared) = (count as u64).checked_mul(stored.size() as u64) else {
        return Err(NpyError::ShapeOverflow { shape });
    };
    if declared != available {
        return Err(NpyError::Size { shape, declared, found: available });
    }
    let mut bytes = Vec::new();
    reader.by_ref().take(declared).read_to_end(&mut bytes).map_err(NpyError::Read)?;
    // An archive compares checksums only where its entry ends, so that end has to be reached.
    let beyond = io::copy(&mut reader.take(1), &mut io::sink()).map_err(NpyError::Read)?;
    let found = bytes.len() as u64 + beyond;
    if found != declared {
        return Err(NpyError::Size { shape, declared, found });
    }
    // Without elements there is no order, and the other extents may be of any size.
    if header.fortran_order && !bytes.is_empty() {
        bytes = row_major(&bytes, &shape, stored.size());
    }
    let elements = storage::decode(stored, endian, &bytes)
        .map_err(|BeyondI64 { element, value }| NpyError::TooLarge { element, value })?;
    Ok(Array::new(shape, elements).expect("as many bytes were read as the shape needs"))
}

/// NumPy's type code: the byte order, a letter for the kind, the bytes of one element.
fn element_format(descr: &str) -> Option<(Stored, Endian)> {
    let (endian, code) = match descr.as_bytes().first()? {
        b'>' => (Endian::Big, &descr[1..]),
        b'<' | b'|' | b'=' => (Endian::Little, &descr[1..]),
        _ => (Endian::Little, descr),
    };
    let stored = match code {
        "f2" => Stored::F16,
        "f4" => Stored::F32,
        "f8" => Stored::F64,
        "i1" => Stored::I8,
        "i2" => Stored::I16,
        "i4" => Stored::I32,
        "i8" => Stored::I64,
        "u1" => Stored::U8,
        "u2" => Stored::U16,
        "u4" => Stored::U32,
        "u8" => Stored::U64,
        "b1" => Stored::Bool,
        _ => return None,
    };
    Some((stored, endian))
}

/// Elements of `size` bytes in Fortran order (first axis fastest), put into C order (last axis fastest).
fn row_major(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = size;
    for &extent in shape {
        strides.push(stride);
        stride *= extent;
    }
    let mut index = vec![0; shape.len()];
    let mut offset = 0;
    let mut ordered = Vec::with_capacity(bytes.len());
    while ordered.len() < bytes.len() {
        ordered.extend_from_slice(&bytes[offset..offset + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            offset -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    ordered
}

#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, the three keys in any order.
struct Parser<'a> {
    rest: &'a [u8],
}

impl Parser<'_> {
    fn header(mut self) -> Option<Header> {
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        self.token(b'{')?;
        while !self.accept(b'}') {
            let key = self.string()?;
            self.token(b':')?;
            match key.as_str() {
                "descr" => descr = Some(self.descr()?),
                "fortran_order" => fortran_order = Some(self.boolean()?),
                "shape" => shape = Some(self.shape()?),
                _ => return None,
            }
            if !self.accept(b',') && self.peek() != Some(b'}') {
                return None;
            }
        }
        if self.peek().is_some() {
            return None;
        }
        Some(Header { descr: descr?, fortran_order: fortran_order?, shape: shape? })
    }

    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        if there {
            self.rest = &self.rest[1..];
        }
        there
    }

    fn token(&mut self, byte: u8) -> Option<()> {
        self.accept(byte).then_some(())
    }

    fn string(&mut self) -> Option<String> {
        let quote = self.peek().filter(|byte| matches!(byte, b'\'' | b'"'))?;
        let end = self.rest[1..].iter().position(|&byte| byte == quote)?;
        let text = std::str::from_utf8(&self.rest[1..1 + end]).ok()?.to_owned();
        self.rest = &self.rest[end + 2..];
        Some(text)
    }

    /// A type code; a list of fields, which describes records, comes back as its beginning, for the error to show.
    fn descr(&mut self) -> Option<String> {
        if self.peek() != Some(b'[') {
            return self.string();
        }
        let end = self.rest.iter().rposition(|&byte| byte == b']')?;
        let text = String::from_utf8_lossy(&self.rest[..=end]).chars().take(40).collect();
        self.rest = &self.rest[end + 1..];
        Some(text)
    }

    fn boolean(&mut self) -> Option<bool> {
        self.peek()?;
        for (text, value) in [(&b"True"[..], true), (b"False", false)] {
            if let Some(rest) = self.rest.strip_prefix(text) {
                self.rest = rest;
                return Some(value);
            }
        }
        None
    }

    fn shape(&mut self) -> Option<Vec<usize>> {
        let mut shape = Vec::new();
        self.token(b'(')?;
        while !self.accept(b')') {
            shape.push(self.extent()?);
            if shape.len() > MOST_AXES || !self.accept(b',') && self.peek() != Some(b')') {
                return None;
            }
        }
        Some(shape)
    }

    fn extent(&mut self) -> Option<usize> {
        self.peek()?;
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let extent = std::str::from_utf8(&self.rest[..digits]).ok()?.parse().ok()?;
        self.rest = &self.rest[digits..];
        // Python 2 wrote its long integers with an L behind.
        self.rest = self.rest.strip_prefix(b"L").unwrap_or(self.rest);
        Some(extent)
    }
}

/// Writes an array in version 1 of the format, in C order. NumPy has no `bf16`: such an array is written as the `f32` that
/// its elements are.
pub(super) fn write(mut writer: impl Write, array: &Array) -> io::Result<()> {
    let widened;
    let array = match array.elements() {
        Elements::Bf16(values) => {
            let elements: Vec<f32> = values.iter().map(|value| value.to_f32()).collect();
            widened = Array::new(array.shape().to_vec(), elements).map_err(io::Error::other)?;
            &widened
        }
        _ => array,
    };
    let descr = match array.dtype() {
        ElementType::F16 => "<f2",
        ElementType::Bf16 | ElementType::F32 => "<f4",
        ElementType::F64 => "<f8",
        ElementType::I32 => "<i4",
        ElementType::I64 => "<i8",
        ElementType::U8 => "|u1",
        ElementType::Bool => "|b1",
    };
    let extents: Vec<String> = array.shape().iter().map(|extent| format!("{extent},")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", extents.join(" "));
    // The elements begin at a multiple of 64 bytes, and the header ends with a newline.
    let unpadded = MAGIC.len() + 4 + header.len() + 1;
    header.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    header.push('\n');
    let length = u16::try_from(header.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "an array of too many axes for the npy format"))?;
    writer.write_all(MAGIC)?;
    writer.write_all(&[1, 0])?;
    writer.write_all(&length.to_le_bytes())?;
    writer.write_all(header.as_bytes())?;
    match array.elements() {
        Elements::U8(bytes) => writer.write_all(bytes),
        elements => writer.write_all(&storage::encode(elements)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An npy file with this header and these bytes behind it.
    fn file(version: u8, header: &str, elements: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(elements);
        bytes
    }

    fn read_all(bytes: &[u8]) -> Result<Array, NpyError> {
        read(bytes, bytes.len() as u64)
    }

    fn check_error(bytes: &[u8], expected: &str) {
        assert_eq!(read_all(bytes).unwrap_err().to_string(), expected);
    }

    const PLAIN: &str = "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }  \n";
    const SIX: [u8; 12] = [1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0];

    #[test]
    fn versions_and_spellings_of_the_header() {
        let expected = Array::new(vec![2, 3], vec![1, 2, 3, 4, 5, 6]).unwrap();
        for version in 1..=3 {
            assert_eq!(read_all(&file(version, PLAIN, &SIX)).unwrap(), expected);
        }
        let other = "{\"shape\":(2L,3L),'descr':'<i2' ,'fortran_order':False}";
        assert_eq!(read_all(&file(1, other, &SIX)).unwrap(), expected);
    }

    #[test]
    fn fortran_order_is_turned_into_c_order() {
        let header = PLAIN.replace("False", "True");
        let expected = Array::new(vec![2, 3], vec![1, 3, 5, 2, 4, 6]).unwrap();
        assert_eq!(read_all(&file(1, &header, &SIX)).unwrap(), expected);
        let header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2, 3), }";
        let bytes: Vec<u8> = (0..12).collect();
        let ordered: Vec<u8> = vec![0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11];
        assert_eq!(read_all(&file(1, header, &bytes)).unwrap(), Array::new(vec![2, 2, 3], ordered).unwrap());
    }

    #[test]
    fn scalars_and_empty_arrays() {
        let header = |shape: &str| format!("{{'descr': '>f8', 'fortran_order': True, 'shape': {shape}, }}");
        let scalar = read_all(&file(1, &header("()"), &2.5_f64.to_be_bytes())).unwrap();
        assert_eq!((scalar.shape(), scalar.as_f64()), (&[][..], Some(&[2.5][..])));
        let empty = read_all(&file(1, &header("(0, 7)"), &[])).unwrap();
        assert_eq!(empty.shape(), [0, 7]);
        let wide = read_all(&file(1, &header("(4611686018427387904, 16, 0)"), &[])).unwrap();
        assert_eq!(wide.shape(), [1 << 62, 16, 0]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        check_error(b"", "is not in npy format");
        check_error(b"PK\x03\x04 and so on", "is not in npy format");
        check_error(b"\x93NUMPY\x09\x00\x00\x00", "has version 9 of the npy format, which is not known");
        check_error(&file(1, PLAIN, &SIX)[..30], "ends within its npy header");
        check_error(&file(1, "{'descr': '<i2'}", &[]), "has a malformed npy header");
        check_error(&file(1, PLAIN, &SIX[..11]), "claims the shape [2, 3] of 12 bytes, but 11 bytes follow the header");
        for (descr, shown) in [("'<c8'", "<c8"), ("'|O'", "|O"), ("[('x', '<f4')]", "[('x', '<f4')]"), ("'é'", "é")] {
            check_error(
                &file(1, &PLAIN.replace("'<i2'", descr), &SIX),
                &format!("has elements of NumPy type '{shown}'; save it as float, integer or bool"),
            );
        }
        check_error(
            &file(1, "{'descr': '<u8', 'fortran_order': False, 'shape': (1,), }", &[0xff; 8]),
            "has the element 18446744073709551615 at 0, beyond 64-bit signed integers",
        );
    }

    #[test]
    fn hostile_headers_are_errors() {
        let shape = |shape: &str| file(1, &PLAIN.replace("(2, 3)", shape), &SIX);
        check_error(
            &shape("(9223372036854775807, 9223372036854775807)"),
            "claims the shape [9223372036854775807, 9223372036854775807], more elements than can be counted",
        );
        check_error(
            &shape("(9223372036854775807,)"),
            "claims the shape [9223372036854775807] of 18446744073709551614 bytes, but 12 bytes follow the header",
        );
        check_error(
            &shape("(1000000000000,)"),
            "claims the shape [1000000000000] of 2000000000000 bytes, but 12 bytes follow the header",
        );
        for bad in ["(99999999999999999999,)", "(-1,)", "(1.5,)", "((((((1))))))", "(2 3)", "(,)", "[2, 3]"] {
            check_error(&shape(bad), "has a malformed npy header");
        }
        check_error(&shape(&format!("({})", "1,".repeat(1000))), "has a malformed npy header");
        check_error(&file(1, &"(".repeat(60_000), &[]), "has a malformed npy header");
        check_error(&file(2, &" ".repeat(70_000), &[]), "has a malformed npy header");
        let mut huge = file(2, "", &[]);
        huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        check_error(&huge, "has a malformed npy header");
    }

    #[test]
    fn a_length_that_lies_does_not_help() {
        let bytes = file(1, PLAIN, &SIX[..4]);
        let error = read(&bytes[..], bytes.len() as u64 + 8).unwrap_err();
        assert!(matches!(error, NpyError::Size { declared: 12, found: 4, .. }), "{error:?}");
    }

    #[test]
    fn what_is_written_is_aligned_and_read_back() {
        let arrays = [
            Array::new(vec![2, 3], vec![1.0_f32, -0.5, 0.0, 1e-40, f32::MAX, 3.0]).unwrap(),
            Array::new(vec![], vec![0.1_f64]).unwrap(),
            Array::from_vec(vec![true, false]),
            Array::from_vec(vec![1_i32]),
            Array::from_vec(vec![i64::MIN]),
            Array::new(vec![3, 0], Vec::<u8>::new()).unwrap(),
        ];
        for array in arrays {
            let mut bytes = Vec::new();
            write(&mut bytes, &array).unwrap();
            assert_eq!(bytes.len() % 64, array.elements().len() * array.dtype().size() % 64);
            assert_eq!(read_all(&bytes).unwrap(), array);
        }
    }

    #[test]
    fn a_truncated_file_is_an_error_wherever_it_ends() {
        let mut bytes = Vec::new();
        write(&mut bytes, &Array::new(vec![2, 2], vec![1.0_f32, 2.0, 3.0, 4.0]).unwrap()).unwrap();
        for length in 0..bytes.len() {
            assert!(read_all(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&bytes);
        }

        #[test]
        fn random_headers_never_panic(header in "[{}()\\[\\]',:0-9a-z<_ TF]{0,80}", elements in 0_usize..40) {
            let _ = read_all(&file(1, &header, &vec![7; elements]));
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0_usize..140, value: u8) {
            let mut bytes = file(1, PLAIN, &SIX);
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = read_all(&bytes);
        }
    }
}
