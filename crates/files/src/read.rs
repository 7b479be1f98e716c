//! Regular files opened in place: nothing here waits for the other end of a pipe, or reads a device
//! that never ends.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Opens a regular file for reading. A named pipe, which would wait for a writer, a device, which
/// may never end, a socket and a folder are refused.
///
/// # Errors
/// If the path leads to anything but a regular file, or the system refuses to open it.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    open_regular(File::options().read(true), path.as_ref())
}

/// Opens a regular file for appending, and creates it if it does not exist: logs, partial
/// downloads, lock files.
///
/// # Errors
/// If the path leads to anything but a regular file, or the system refuses to open it.
pub fn open_to_append(path: impl AsRef<Path>) -> io::Result<File> {
    open_regular(File::options().create(true).append(true), path.as_ref())
}

/// Creates a file, or empties the regular one that is there: working files of a store, which it
/// renames itself.
///
/// # Errors
/// If the path leads to anything but a regular file, or the system refuses to open it.
pub fn create_or_empty(path: impl AsRef<Path>) -> io::Result<File> {
    let file = open_regular(File::options().write(true).create(true).truncate(false), path.as_ref())?;
    file.set_len(0)?;
    Ok(file)
}

/// Reads a regular file as [`open`] opens it.
///
/// # Errors
/// Those of [`open`], and what the disk reports.
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut file = open(path)?;
    let mut bytes = Vec::with_capacity(file.metadata().map_or(0, |metadata| metadata.len().min(1 << 30) as usize));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads a regular file as [`read`] does. Returns nothing if there is no such file.
///
/// # Errors
/// Those of [`read`].
pub fn read_optional(path: impl AsRef<Path>) -> io::Result<Option<Vec<u8>>> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a regular file of text as [`open`] opens it.
///
/// # Errors
/// Those of [`read`], and `InvalidData` if the content is not UTF-8.
pub fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "the content is not text in UTF-8"))
}

/// Opens a file or folder of any kind for reading, without waiting for the other end of a pipe.
pub(crate) fn open_any(path: &Path) -> io::Result<File> {
    without_waiting(File::options().read(true)).open(path)
}

fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // Opening a device may already have an effect, so that the path is looked at first. The opened
    // file is looked at once more, for the path may lead elsewhere by then.
    match std::fs::metadata(path) {
        Ok(found) => refuse_irregular(&found)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let file = without_waiting(options).open(path)?;
    refuse_irregular(&file.metadata()?)?;
    Ok(file)
}

fn refuse_irregular(found: &Metadata) -> io::Result<()> {
    const REMEDY: &str = "name a regular file, or - where the command reads standard input";
    if found.is_file() {
        return Ok(());
    }
    let (kind, what) = match found.is_dir() {
        true => (ErrorKind::IsADirectory, "a folder"),
        false => (ErrorKind::InvalidInput, "a pipe, a device or a socket"),
    };
    Err(io::Error::new(kind, format!("is {what}, not a file; {REMEDY}")))
}

/// Opens a pipe, a terminal or a device for writing. A named pipe that nobody reads is refused
/// after [`READER_WAIT`] instead of waiting for ever.
pub(crate) fn open_to_write(path: &Path) -> io::Result<File> {
    // Held until the file is open: a reader whose last writer leaves is at its end.
    #[cfg(unix)]
    let _writer = reader_of(path)?;
    File::options().write(true).open(path)
}

/// Waits for the reader of a named pipe.
#[cfg(unix)]
fn reader_of(path: &Path) -> io::Result<File> {
    let begin = std::time::Instant::now();
    loop {
        match without_waiting(File::options().write(true)).open(path) {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) && begin.elapsed() < READER_WAIT => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                let reason = "is a pipe that nobody reads; start its reader first, or name a file";
                return Err(io::Error::new(ErrorKind::TimedOut, reason));
            }
            opened => return opened,
        }
    }
}

/// Time that the reader of a named pipe has to open it.
#[cfg(unix)]
const READER_WAIT: std::time::Duration = std::time::Duration::from_secs(3);

#[cfg(unix)]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
}

#[cfg(not(unix))]
fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_are_read_and_appended_to() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(open(&path).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(read_optional(&path).unwrap(), None);
        create_or_empty(&path).unwrap().write_all(b"earlier").unwrap();
        create_or_empty(&path).unwrap();
        open_to_append(&path).unwrap().write_all(b"one").unwrap();
        open_to_append(&path).unwrap().write_all(b"two\xff").unwrap();
        assert_eq!(read(&path).unwrap(), b"onetwo\xff");
        assert_eq!(read_to_string(&path).unwrap_err().kind(), ErrorKind::InvalidData);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_written_to_while_it_is_read_and_refused_when_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let error = crate::write(&pipe, "text").unwrap_err();
        assert!(error.to_string().starts_with("is a pipe that nobody reads"), "{error}");
        let reader = std::process::Command::new("cat").arg(&pipe).stdout(std::process::Stdio::piped()).spawn().unwrap();
        crate::write(&pipe, "text").unwrap();
        assert_eq!(reader.wait_with_output().unwrap().stdout, b"text");
    }

    #[cfg(unix)]
    #[test]
    fn pipes_devices_and_folders_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, what) in [(&*pipe, "a pipe"), (Path::new("/dev/zero"), "a pipe"), (folder.path(), "a folder")] {
            for error in [open(path), open_to_append(path), create_or_empty(path)].map(Result::unwrap_err) {
                assert!(error.to_string().starts_with(&format!("is {what}")), "{error}");
            }
            assert!(open_any(path).is_ok(), "{}", path.display());
        }
    }
}
