//! Reading files whole, with limits, and writing them so that they are never half there.

use flate2::read::MultiGzDecoder;
use gradc::Coded;
use gradc_diagnostics::{Code, codes};
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What a compressed file of so many bytes may unpack to. Deflate packs up to a thousand bytes into one, so a small file can be
/// a bomb: beyond a GiB, it may not be packed more than a hundredfold. No data set that is held in memory comes near the last
/// limit.
pub(crate) fn most_unpacked(packed: u64) -> u64 {
    packed.saturating_mul(100).clamp(1 << 30, 16 << 30)
}

/// A number of bytes, for a person.
pub(crate) fn in_gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

/// A file that could not be read or written.
#[derive(Debug)]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What went wrong.
    pub kind: FileErrorKind,
}

/// What can go wrong with a file, whatever it holds.
#[derive(Debug)]
pub enum FileErrorKind {
    /// The system refused to read it.
    Read(io::Error),
    /// The system refused to write it.
    Write(io::Error),
    /// A device, a pipe or a directory where an ordinary file is needed.
    NotAFile,
    /// The folder that it is to be written to is not there.
    NoFolder,
    /// It unpacks to more than this many bytes.
    TooLarge {
        /// The most that is read, in bytes.
        limit: u64,
    },
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            FileErrorKind::Read(error) => write!(f, "cannot read {path}: {error}"),
            FileErrorKind::Write(error) => write!(f, "cannot write {path}: {error}"),
            FileErrorKind::NotAFile => write!(f, "{path} is not an ordinary file"),
            FileErrorKind::NoFolder => {
                write!(f, "cannot write {path}: there is no folder {}", folder(&self.path).display())
            }
            FileErrorKind::TooLarge { limit } => {
                write!(f, "{path} unpacks to more than {}, the most that is read of so small a file", in_gib(*limit))
            }
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            FileErrorKind::Read(error) | FileErrorKind::Write(error) => Some(error),
            FileErrorKind::NotAFile | FileErrorKind::NoFolder | FileErrorKind::TooLarge { .. } => None,
        }
    }
}

impl Coded for FileError {
    fn code(&self) -> Code {
        match self.kind {
            FileErrorKind::TooLarge { .. } => codes::TOO_MUCH_DATA,
            FileErrorKind::Read(_) | FileErrorKind::Write(_) | FileErrorKind::NotAFile | FileErrorKind::NoFolder => {
                codes::FILE_ACCESS
            }
        }
    }
}

impl FileError {
    pub(crate) fn read(path: &Path, error: io::Error) -> FileError {
        FileError { path: path.to_owned(), kind: FileErrorKind::Read(error) }
    }

    fn write(path: &Path, error: io::Error) -> FileError {
        FileError { path: path.to_owned(), kind: FileErrorKind::Write(error) }
    }
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes sure that there is a folder to write a file to, for those who would find out late.
///
/// # Errors
/// Where there is none.
pub fn ensure_folder(path: &Path) -> Result<(), FileError> {
    if folder(path).is_dir() {
        return Ok(());
    }
    Err(FileError { path: path.to_owned(), kind: FileErrorKind::NoFolder })
}

/// Opens an ordinary file and says how long it is.
pub(crate) fn open(path: &Path) -> Result<(File, u64), FileError> {
    let metadata = std::fs::metadata(path).map_err(|error| FileError::read(path, error))?;
    if !metadata.is_file() {
        return Err(FileError { path: path.to_owned(), kind: FileErrorKind::NotAFile });
    }
    let file = File::open(path).map_err(|error| FileError::read(path, error))?;
    Ok((file, metadata.len()))
}

/// Whether a file begins with these bytes.
pub(crate) fn starts_with(path: &Path, magic: &[u8]) -> Result<bool, FileError> {
    let (file, _) = open(path)?;
    let mut start = Vec::new();
    file.take(magic.len() as u64).read_to_end(&mut start).map_err(|error| FileError::read(path, error))?;
    Ok(start == magic)
}

/// The bytes of a file, unpacked if they begin as gzip does.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    read_up_to(path, most_unpacked)
}

fn read_up_to(path: &Path, most_unpacked: fn(u64) -> u64) -> Result<Vec<u8>, FileError> {
    let (file, length) = open(path)?;
    let limit = most_unpacked(length);
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    let gzip =
        io::BufRead::fill_buf(&mut reader).map_err(|error| FileError::read(path, error))?.starts_with(&GZIP_MAGIC);
    let outcome = if gzip {
        MultiGzDecoder::new(reader).take(limit + 1).read_to_end(&mut bytes)
    } else {
        reader.take(length).read_to_end(&mut bytes)
    };
    outcome.map_err(|error| FileError::read(path, error))?;
    if gzip && bytes.len() as u64 > limit {
        return Err(FileError { path: path.to_owned(), kind: FileErrorKind::TooLarge { limit } });
    }
    Ok(bytes)
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Writes a file by way of a temporary one beside it, which takes its name only when it is whole and on the disk: a
/// reader sees the old file or the new one, and an interruption leaves the old one. A link stays one: what it leads to is
/// replaced. A device or a pipe is written into.
pub(crate) fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    attempt_write(path, write).map_err(|error| FileError::write(path, error))
}

/// Writes a file that appears whole or not at all.
///
/// # Errors
/// Where it cannot be written.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_atomically(path, |writer| writer.write_all(bytes))
}

fn attempt_write(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let mut writer = BufWriter::new(File::options().write(true).open(path)?);
        write(&mut writer)?;
        return writer.flush();
    }
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = create_beside(folder(path))?;
    let mut writer = BufWriter::new(temporary.as_file().try_clone()?);
    write(&mut writer)?;
    writer.flush()?;
    temporary.as_file().sync_all()?;
    temporary.persist(path)?;
    Ok(())
}

fn create_beside(directory: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gradc-");
    // Temporary files are private by default; this one becomes an ordinary file, for the umask to restrict.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use tempfile::tempdir;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("w");
        write_atomically(&path, |writer| writer.write_all(b"old")).unwrap();
        let error = write_atomically(&path, |writer| {
            writer.write_all(b"half of the n")?;
            Err(io::Error::other("disk full"))
        });
        assert_eq!(error.unwrap_err().to_string(), format!("cannot write {}: disk full", path.display()));
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(names(directory.path()), ["w"]);
        write_atomically(&path, |writer| writer.write_all(b"new")).unwrap();
        assert_eq!(read(&path).unwrap(), b"new");
        assert_eq!(names(directory.path()), ["w"]);
    }

    #[test]
    fn a_small_file_may_not_unpack_to_a_large_one() {
        assert_eq!(
            [0, 1 << 20, 100 << 20, 1 << 40].map(|packed| most_unpacked(packed) >> 20),
            [1024, 1024, 10_000, 16_384]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_written_file_is_as_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempdir().unwrap();
        let (ours, plain) = (directory.path().join("a"), directory.path().join("b"));
        write_atomically(&ours, |writer| writer.write_all(b"x")).unwrap();
        std::fs::write(&plain, b"x").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_stay_what_they_are() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let directory = tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        std::fs::write(&target, b"old").unwrap();
        symlink("target", &link).unwrap();
        write_file(&link, b"new").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&target).unwrap(), b"new");
        // A device reached by a link: one that is replaced after all is the link, not the device.
        let null = directory.path().join("null");
        symlink("/dev/null", &null).unwrap();
        write_file(&null, b"gone").unwrap();
        assert!(std::fs::symlink_metadata(&null).unwrap().is_symlink());
        assert!(std::fs::metadata(&null).unwrap().file_type().is_char_device());
    }

    #[test]
    fn gzip_is_recognised_by_its_first_bytes() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("anything");
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::default());
        encoder.write_all(b"hello").unwrap();
        encoder.finish().unwrap();
        assert_eq!(read(&path).unwrap(), b"hello");
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let directory = tempdir().unwrap();
        let path = directory.path().join("bomb.gz");
        let mut encoder = GzEncoder::new(File::create(&path).unwrap(), Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        encoder.finish().unwrap();
        assert!(matches!(read_up_to(&path, |_| 1 << 19).unwrap_err().kind, FileErrorKind::TooLarge { .. }));
        assert_eq!(read_up_to(&path, |_| 1 << 20).unwrap().len(), 1 << 20);
    }

    #[test]
    fn a_missing_file_and_a_directory_are_errors() {
        let directory = tempdir().unwrap();
        assert!(matches!(read(directory.path()).unwrap_err().kind, FileErrorKind::NotAFile));
        let error = read(&directory.path().join("none")).unwrap_err();
        assert!(error.to_string().starts_with("cannot read "), "{error}");
        #[cfg(unix)]
        assert!(matches!(read(Path::new("/dev/zero")).unwrap_err().kind, FileErrorKind::NotAFile));
    }
}
