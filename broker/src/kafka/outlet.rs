//! Where answers go: a socket that can take a range of a file from the kernel itself (sendfile), or anything that can be
//! written to, which gets copies. In bounded steps, so that one large fetch does not keep a thread; pages that are not in
//! memory are brought there by a blocking thread first.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::tcp::OwnedWriteHalf;

use crate::clock::timeout;
use crate::limits::SEND_STEP_BYTES;
use crate::log::{FileSlice, Patience};
use crate::memory::Line;
use crate::tasks;

/// Something that answers are written to.
pub(super) trait Outlet: AsyncWrite + Unpin + Send {
    /// Sends up to `count` bytes from the beginning of `slice`, which are in memory; returns how many.
    fn send_file(&mut self, slice: &FileSlice, count: usize) -> impl Future<Output = io::Result<usize>> + Send;
}

impl Outlet for OwnedWriteHalf {
    async fn send_file(&mut self, slice: &FileSlice, count: usize) -> io::Result<usize> {
        let Some(file) = slice.descriptor() else { return copy(self, slice, count).await };
        let socket: &tokio::net::TcpStream = (*self).as_ref();
        socket
            .async_io(Interest::WRITABLE, || {
                let mut at = slice.position();
                Ok(rustix::fs::sendfile(socket, file, Some(&mut at), count)?)
            })
            .await
    }
}

#[cfg(test)]
impl Outlet for tokio::io::DuplexStream {
    async fn send_file(&mut self, slice: &FileSlice, count: usize) -> io::Result<usize> {
        copy(self, slice, count).await
    }
}

#[cfg(test)]
impl Outlet for tokio::io::WriteHalf<tokio::io::DuplexStream> {
    async fn send_file(&mut self, slice: &FileSlice, count: usize) -> io::Result<usize> {
        copy(self, slice, count).await
    }
}

/// Sends a whole range. `stall` is how long the peer may take no byte at all. A file that has become shorter is an error:
/// the length has been announced, the connection cannot go on. What the peer takes is told to `line`.
pub(super) async fn send_slice<W: Outlet>(
    stream: &mut W,
    mut slice: FileSlice,
    stall: Duration,
    line: &Line,
) -> io::Result<()> {
    while slice.len() > 0 {
        let step = slice.len().min(SEND_STEP_BYTES);
        if !slice.is_cached(step) {
            let cold = slice.clone();
            tasks::blocking("file-read-ahead", move || cold.warm(step)).await.map_err(io::Error::other)??;
        }
        let sent = timeout(stall, stream.send_file(&slice, step)).await??;
        if sent == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file is shorter than it was"));
        }
        line.moved(sent);
        slice.advance(sent);
    }
    Ok(())
}

/// The way through our own memory, for files that are none of the system's.
async fn copy<W: AsyncWrite + Unpin>(stream: &mut W, slice: &FileSlice, count: usize) -> io::Result<usize> {
    let mut piece = slice.clone();
    piece.shorten(count);
    let bytes = piece.read(Patience::Wait)?.unwrap_or_default();
    stream.write_all(&bytes).await?;
    Ok(bytes.len())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::log::io::faulty::FaultyDisk;
    use crate::log::io::{BufferedDisk, Disk};

    const MINUTE: Duration = Duration::from_secs(60);

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    async fn sent(disk: &dyn Disk, path: &Path) -> Vec<u8> {
        let bytes = content(1_000_000);
        let file = disk.create(path).unwrap();
        file.write_at(&bytes, &[], 0).unwrap();
        let slice = FileSlice::of(file, 7, 900_000);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let (_, mut far) = socket.accept().await.unwrap().0.into_split();
        let sending = tokio::spawn(async move { send_slice(&mut far, slice, MINUTE, &Line::default()).await });
        let mut got = Vec::new();
        near.read_to_end(&mut got).await.unwrap();
        sending.await.unwrap().unwrap();
        got
    }

    #[tokio::test]
    async fn a_range_arrives_as_it_is_from_a_file_of_the_system_and_from_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let expected = content(1_000_000)[7..900_007].to_vec();
        assert_eq!(sent(&BufferedDisk::default(), &dir.path().join("a")).await, expected);
        assert_eq!(sent(&FaultyDisk::new(), Path::new("/a")).await, expected);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_ends_the_connection_instead_of_sending_less() {
        let dir = tempfile::tempdir().unwrap();
        let disk = BufferedDisk::default();
        let file = disk.create(&dir.path().join("a")).unwrap();
        file.write_at(&content(100), &[], 0).unwrap();
        let slice = FileSlice::of(file.clone(), 0, 100);
        file.truncate(60).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _near = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let (_, mut far) = socket.accept().await.unwrap().0.into_split();
        let error = send_slice(&mut far, slice, MINUTE, &Line::default()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let file = BufferedDisk::default().create(&dir.path().join("a")).unwrap();
        file.write_at(&content(50_000_000), &[], 0).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _near = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let (_, mut far) = socket.accept().await.unwrap().0.into_split();
        let slice = FileSlice::of(file, 0, 50_000_000);
        let sent = send_slice(&mut far, slice, Duration::from_millis(50), &Line::default()).await;
        let error = sent.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
