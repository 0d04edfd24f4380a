//! NumPy's `.npz` format: a zip archive of npy files, `<key>.npy` each.

use super::npy::{self, NpyError};
use super::{DataError, DataErrorKind};
use crate::array::Array;
use crate::file::{self, FileError, in_gib, most_unpacked};
use gradc::Coded;
use gradc_diagnostics::{Code, codes};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// What is wrong with an npz archive.
#[derive(Debug)]
pub enum NpzError {
    /// It is not a zip archive, or a damaged one.
    Archive(ZipError),
    /// An array in it cannot be used.
    Array {
        /// The array's key.
        key: String,
        /// What is wrong with it.
        error: NpyError,
    },
    /// An array in it unpacks to more than gradc reads.
    TooLarge {
        /// The array's key.
        key: String,
        /// The bytes that it claims.
        bytes: u64,
    },
    /// Its arrays together unpack to more than gradc reads.
    TogetherTooLarge {
        /// The bytes that they claim.
        bytes: u64,
    },
}

impl fmt::Display for NpzError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NpzError::Archive(error) => write!(f, "is not an npz archive that can be read: {error}"),
            NpzError::Array { key, error } => write!(f, "array `{key}` {error}"),
            NpzError::TooLarge { key, bytes } => {
                write!(f, "array `{key}` unpacks to {}, more than is read of so few bytes", in_gib(*bytes))
            }
            NpzError::TogetherTooLarge { bytes } => {
                write!(f, "has arrays that unpack to {}, more than is read of so few bytes", in_gib(*bytes))
            }
        }
    }
}

impl std::error::Error for NpzError {}

impl Coded for NpzError {
    fn code(&self) -> Code {
        match self {
            NpzError::Archive(_) => codes::MALFORMED_DATA,
            NpzError::Array { error, .. } => error.code(),
            NpzError::TooLarge { .. } | NpzError::TogetherTooLarge { .. } => codes::TOO_MUCH_DATA,
        }
    }
}

/// An opened archive; arrays are read when they are asked for.
pub(super) struct Npz {
    archive: ZipArchive<BufReader<File>>,
    /// The bytes of the file. What its directory says of packed bytes cannot be more.
    length: u64,
    /// The arrays in the order of the file: the key, and the number of the entry.
    entries: Vec<(String, usize)>,
}

impl Npz {
    /// Opens a file of `length` bytes.
    pub(super) fn open(file: File, length: u64) -> Result<Npz, NpzError> {
        let archive = ZipArchive::new(BufReader::new(file)).map_err(NpzError::Archive)?;
        let key = |index| archive.name_for_index(index)?.ok()?.strip_suffix(".npy").map(|key| (key.to_owned(), index));
        let entries = (0..archive.len()).filter_map(key).collect();
        Ok(Npz { archive, length, entries })
    }

    /// The keys, in the order of the file.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// Reads the arrays whose keys are wanted, once it is known that they may all be unpacked.
    pub(super) fn read(&mut self, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Array>, NpzError> {
        let entries: Vec<(String, usize)> = self.entries.iter().filter(|(key, _)| wanted(key)).cloned().collect();
        let mut together = 0_u64;
        for (key, index) in &entries {
            together = together.saturating_add(self.bytes(key, *index)?);
        }
        // Entries may share what they unpack. Those that do not, and are not packed, are never more than the file.
        if together > most_unpacked(self.length).max(self.length) {
            return Err(NpzError::TogetherTooLarge { bytes: together });
        }
        entries.into_iter().map(|(key, index)| Ok((key.clone(), self.read_entry(key, index)?))).collect()
    }

    /// What an array claims to unpack to, which is no more than may be unpacked.
    fn bytes(&mut self, key: &str, index: usize) -> Result<u64, NpzError> {
        let entry = self.archive.by_index(index).map_err(NpzError::Archive)?;
        let bytes = entry.size();
        match bytes > most_unpacked(entry.compressed_size().min(self.length)) {
            true => Err(NpzError::TooLarge { key: key.to_owned(), bytes }),
            false => Ok(bytes),
        }
    }

    fn read_entry(&mut self, key: String, index: usize) -> Result<Array, NpzError> {
        let entry = self.archive.by_index(index).map_err(NpzError::Archive)?;
        let bytes = entry.size();
        npy::read(entry, bytes).map_err(|error| NpzError::Array { key, error })
    }
}

/// All arrays of an npz file, by key, as they are.
///
/// # Errors
/// Where the file cannot be read or is damaged.
pub fn read_npz(path: &Path) -> Result<BTreeMap<String, Array>, DataError> {
    read_npz_where(path, |_| true)
}

/// The arrays of an npz file whose keys are wanted, as they are. The others may be anything.
///
/// # Errors
/// Where the file cannot be read, or an array that is wanted is damaged.
pub fn read_npz_where(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<BTreeMap<String, Array>, DataError> {
    let read = || -> Result<BTreeMap<String, Array>, DataErrorKind> {
        let (file, length) = file::open(path)?;
        Ok(Npz::open(file, length)?.read(wanted)?)
    };
    read().map_err(|kind| kind.at(path))
}

/// Writes arrays to an npz file, compressed, in the order given. The file appears whole or not at all, and the same
/// arrays give the same bytes.
///
/// # Errors
/// Where the file cannot be written, or two arrays have one name.
pub fn write_npz(path: &Path, arrays: &[(&str, &Array)]) -> Result<(), FileError> {
    file::write_atomically(path, |writer| {
        let mut archive = ZipWriter::new(&mut *writer);
        for (name, array) in arrays {
            let bytes = array.elements().len() as u64 * array.dtype().size() as u64;
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .last_modified_time(DateTime::DEFAULT)
                .large_file(bytes >= u64::from(u32::MAX) / 2);
            archive.start_file(format!("{name}.npy"), options)?;
            npy::write(&mut archive, array)?;
        }
        archive.finish()?.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tempfile::tempdir;

    fn sample() -> (Array, Array) {
        let x = Array::new(vec![3, 2], vec![0.0_f32, 0.1, 0.2, 0.3, 0.4, 0.5]).unwrap();
        (x, Array::from_vec(vec![0_i32, 1, 2]))
    }

    /// Reads every array of an archive with these bytes, in the order of the archive.
    fn read_all(bytes: &[u8]) -> Result<Vec<(String, Array)>, NpzError> {
        let directory = tempdir().unwrap();
        let path = directory.path().join("x.npz");
        std::fs::write(&path, bytes).unwrap();
        let mut npz = Npz::open(File::open(&path).unwrap(), bytes.len() as u64)?;
        let mut arrays = npz.read(|_| true)?;
        Ok(npz.keys().filter_map(|key| arrays.remove_entry(key)).collect())
    }

    fn written() -> Vec<u8> {
        let directory = tempdir().unwrap();
        let path = directory.path().join("x.npz");
        let (x, y) = sample();
        write_npz(&path, &[("x", &x), ("grad.dense.0.w", &y)]).unwrap();
        std::fs::read(&path).unwrap()
    }

    /// The archive that is [`written`], with a directory that claims these sizes, packed and unpacked, of its arrays.
    fn claiming(sizes: &[Option<[u32; 2]>]) -> Vec<u8> {
        let mut bytes = written();
        let entries: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(b"PK\x01\x02")).collect();
        for (at, sizes) in entries.into_iter().zip(sizes) {
            let Some([packed, unpacked]) = sizes else { continue };
            bytes[at + 20..at + 24].copy_from_slice(&packed.to_le_bytes());
            bytes[at + 24..at + 28].copy_from_slice(&unpacked.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read_back_in_order() {
        let (x, y) = sample();
        assert_eq!(read_all(&written()).unwrap(), [("x".to_owned(), x), ("grad.dense.0.w".to_owned(), y)]);
    }

    #[test]
    fn what_is_not_wanted_is_not_read() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("x.npz");
        std::fs::write(&path, claiming(&[None, Some([200, 0xFFFF_0000])])).unwrap();
        let error = read_npz(&path).unwrap_err().to_string();
        assert!(error.ends_with("`grad.dense.0.w` unpacks to 4.0 GiB, more than is read of so few bytes"), "{error}");
        let wanted = read_npz_where(&path, |key| key == "x").unwrap();
        assert_eq!(wanted, BTreeMap::from([("x".to_owned(), sample().0)]));
    }

    /// Packed bytes that are not in the file are no reason to unpack more.
    #[test]
    fn a_directory_that_lies_about_packed_bytes_does_not_help() {
        let error = read_all(&claiming(&[Some([1 << 30, 0xFFFF_0000])])).unwrap_err();
        assert_eq!(error.to_string(), "array `x` unpacks to 4.0 GiB, more than is read of so few bytes");
    }

    /// Each of many arrays may unpack to a GiB, and all may do so from the same bytes.
    #[test]
    fn arrays_that_are_too_large_together_are_not_read() {
        let error = read_all(&claiming(&[Some([200, 600 << 20]), Some([200, 600 << 20])])).unwrap_err();
        assert_eq!(error.to_string(), "has arrays that unpack to 1.2 GiB, more than is read of so few bytes");
        assert_eq!(error.code(), codes::TOO_MUCH_DATA);
    }

    #[test]
    fn the_same_arrays_give_the_same_bytes() {
        assert_eq!(written(), written());
    }

    #[test]
    fn two_arrays_of_one_name_are_an_error_and_leave_no_file() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("x.npz");
        let (x, y) = sample();
        assert!(write_npz(&path, &[("x", &x), ("x", &y)]).is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_truncated_archive_is_an_error_wherever_it_ends() {
        let bytes = written();
        for length in 0..bytes.len() {
            assert!(read_all(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn a_damaged_array_is_named() {
        let mut bytes = written();
        let at = bytes.windows(5).position(|window| window == b"x.npy").unwrap() + 12;
        bytes[at] ^= 0xff;
        let error = read_all(&bytes).unwrap_err();
        assert!(matches!(&error, NpzError::Array { key, .. } if key == "x"), "{error:?}");
    }

    #[test]
    fn changed_elements_are_found_by_their_checksum() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("x.npz");
        // As `numpy.savez` writes it: not compressed, so that any bytes unpack.
        let mut archive = ZipWriter::new(File::create(&path).unwrap());
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        archive.start_file("x.npy", options).unwrap();
        npy::write(&mut archive, &sample().0).unwrap();
        archive.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let elements = bytes.windows(4).position(|window| window == 0.1_f32.to_le_bytes()).unwrap();
        assert_eq!(read_all(&bytes).unwrap(), [("x".to_owned(), sample().0)]);
        for at in elements..elements + 20 {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let error = read_all(&changed).unwrap_err().to_string();
            assert!(error.starts_with("array `x` cannot be read: "), "byte {at}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_all(&bytes);
        }

        #[test]
        fn changed_bytes_never_panic(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..8)) {
            let mut bytes = written();
            for (at, value) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            let _ = read_all(&bytes);
        }
    }
}
