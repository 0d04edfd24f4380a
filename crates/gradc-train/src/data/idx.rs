//! The IDX format of MNIST: two zero bytes, a type, the number of axes, the extents and the elements, big-endian.
//!
//! The format is described where MNIST was first published, <http://yann.lecun.com/exdb/mnist/>.

use crate::array::{Array, ShapeText, element_count};
use crate::storage::{self, Endian, Stored};
use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with an IDX file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdxError {
    /// It does not begin as IDX files do.
    NotIdx,
    /// It ends within the extents.
    TruncatedHeader,
    /// The extents have more elements than can be counted.
    ShapeOverflow {
        /// The extents.
        shape: Vec<usize>,
    },
    /// The header promises another number of bytes than follow.
    Size {
        /// The extents.
        shape: Vec<usize>,
        /// The bytes that the header promises.
        declared: usize,
        /// The bytes that follow it.
        found: usize,
    },
}

impl fmt::Display for IdxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IdxError::NotIdx => write!(f, "is not in IDX format"),
            IdxError::TruncatedHeader => write!(f, "ends within its IDX header"),
            IdxError::ShapeOverflow { shape } => {
                write!(f, "claims the shape {}, more elements than can be counted", ShapeText(shape))
            }
            IdxError::Size { shape, declared, found } => write!(
                f,
                "claims the shape {} of {declared} bytes, but {found} bytes follow the header",
                ShapeText(shape)
            ),
        }
    }
}

impl std::error::Error for IdxError {}

/// Whether the bytes begin as an IDX file does.
pub(super) fn is_idx(bytes: &[u8]) -> bool {
    matches!(bytes, [0, 0, code, axes, ..] if element_format(*code).is_some() && *axes > 0)
}

fn element_format(code: u8) -> Option<Stored> {
    Some(match code {
        0x08 => Stored::U8,
        0x09 => Stored::I8,
        0x0b => Stored::I16,
        0x0c => Stored::I32,
        0x0d => Stored::F32,
        0x0e => Stored::F64,
        _ => return None,
    })
}

/// Reads an array from the bytes of an IDX file.
pub(super) fn read(bytes: &[u8]) -> Result<Array, IdxError> {
    let ([0, 0, code, axes], rest) = bytes.split_first_chunk().ok_or(IdxError::NotIdx)? else {
        return Err(IdxError::NotIdx);
    };
    let stored = element_format(*code).ok_or(IdxError::NotIdx)?;
    let (extents, elements) = rest.split_at_checked(usize::from(*axes) * 4).ok_or(IdxError::TruncatedHeader)?;
    let (extents, _) = extents.as_chunks::<4>();
    let shape: Vec<usize> = extents.iter().map(|&extent| u32::from_be_bytes(extent) as usize).collect();
    let Some(declared) = element_count(&shape).and_then(|count| count.checked_mul(stored.size())) else {
        return Err(IdxError::ShapeOverflow { shape });
    };
    if declared != elements.len() {
        return Err(IdxError::Size { shape, declared, found: elements.len() });
    }
    let elements = storage::decode(stored, Endian::Big, elements).expect("IDX has no 64-bit integers");
    Ok(Array::new(shape, elements).expect("as many bytes are there as the shape needs"))
}

/// The files of MNIST, or of a data set laid out like it, in one directory.
pub(super) struct MnistFiles {
    pub(super) train: ImagesAndLabels,
    pub(super) test: Option<ImagesAndLabels>,
}

/// Two files with as many images as labels.
pub(super) struct ImagesAndLabels {
    pub(super) images: PathBuf,
    pub(super) labels: PathBuf,
}

/// Finds MNIST's files in a directory, if the training pair is there.
pub(super) fn mnist_files(directory: &Path) -> Option<MnistFiles> {
    let pair = |prefix: &str| {
        Some(ImagesAndLabels {
            images: find(directory, &format!("{prefix}-images"), "idx3-ubyte")?,
            labels: find(directory, &format!("{prefix}-labels"), "idx1-ubyte")?,
        })
    };
    Some(MnistFiles { train: pair("train")?, test: pair("t10k") })
}

/// The file of that name, with `-` or `.` between its parts and perhaps gzipped.
fn find(directory: &Path, name: &str, format: &str) -> Option<PathBuf> {
    let spellings = ["-", "."].into_iter().flat_map(|between| {
        ["", ".gz"].into_iter().map(move |end| directory.join(format!("{name}{between}{format}{end}")))
    });
    spellings.into_iter().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(bytes: &[u8], expected: Result<Array, &str>) {
        let found = read(bytes).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{bytes:02x?}");
    }

    #[test]
    fn every_type_is_read() {
        let labels = Array::from_vec(vec![7_u8, 9]);
        check(&[0, 0, 8, 1, 0, 0, 0, 2, 7, 9], Ok(labels));
        let images = Array::new(vec![1, 2, 2], vec![0_u8, 64, 128, 255]).unwrap();
        check(&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 64, 128, 255], Ok(images));
        check(&[0, 0, 0x0b, 1, 0, 0, 0, 1, 0xff, 0xfe], Ok(Array::from_vec(vec![-2])));
        check(&[0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0x80, 0, 0], Ok(Array::from_vec(vec![1.0_f32])));
    }

    #[test]
    fn what_is_wrong_is_said() {
        check(b"", Err("is not in IDX format"));
        check(b"\0\0\x08", Err("is not in IDX format"));
        check(b"\0\0\x07\x01\0\0\0\0", Err("is not in IDX format"));
        check(b"\0\0\x08\x02\0\0\0\x01", Err("ends within its IDX header"));
        check(&[0, 0, 8, 1, 0, 0, 0, 3, 1, 2], Err("claims the shape [3] of 3 bytes, but 2 bytes follow the header"));
        check(&[0, 0, 8, 1, 0, 0, 0, 1, 1, 2], Err("claims the shape [1] of 1 bytes, but 2 bytes follow the header"));
        let mut hostile = vec![0, 0, 0x0e, 4];
        hostile.extend([0xff; 16]);
        check(
            &hostile,
            Err("claims the shape [4294967295, 4294967295, 4294967295, 4294967295], more elements than can be counted"),
        );
    }

    #[test]
    fn a_truncated_file_is_an_error_wherever_it_ends() {
        let bytes = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 1, 2, 3, 4];
        assert!(read(&bytes).is_ok());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn mnist_is_found_in_each_spelling() {
        let directory = tempfile::tempdir().unwrap();
        let touch = |name: &str| std::fs::write(directory.path().join(name), b"").unwrap();
        assert!(mnist_files(directory.path()).is_none());
        touch("train-images.idx3-ubyte");
        assert!(mnist_files(directory.path()).is_none());
        touch("train-labels-idx1-ubyte.gz");
        let files = mnist_files(directory.path()).unwrap();
        assert!(files.test.is_none());
        assert!(files.train.labels.ends_with("train-labels-idx1-ubyte.gz"));
        touch("t10k-images-idx3-ubyte");
        touch("t10k-labels-idx1-ubyte");
        assert!(mnist_files(directory.path()).unwrap().test.is_some());
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(start in 0_usize..2, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut file = [&[][..], &[0, 0, 8]][start].to_vec();
            file.extend(bytes);
            let _ = read(&file);
        }
    }
}
