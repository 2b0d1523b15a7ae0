//! The zip, compressed on a thread of its own between two bounded channels: whoever is slow slows the others down instead of filling the memory.

use bytes::Bytes;
use std::io::{self, ErrorKind, Write};
use tokio::sync::mpsc::{Receiver, Sender};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// What goes out at once.
const CHUNK_BYTES: usize = 128 << 10;

/// What goes in.
pub enum Part {
    /// The next file's name.
    File(String),
    /// More of it.
    Data(Vec<u8>),
}

/// Compresses until no part comes any more. Blocks: for a thread that may.
pub fn compress(mut parts: Receiver<Part>, chunks: Sender<Bytes>) -> io::Result<()> {
    let mut zip = ZipWriter::new_stream(ChunkWriter { chunks, buffer: Vec::with_capacity(CHUNK_BYTES) });
    // Its size isn't known when a file begins: room for more than 4 GiB.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(true);
    while let Some(part) = parts.blocking_recv() {
        match part {
            Part::File(name) => zip.start_file(name, options)?,
            Part::Data(bytes) => zip.write_all(&bytes)?,
        }
    }
    zip.finish()?.flush()
}

/// Passes on what is written, in pieces.
struct ChunkWriter {
    chunks: Sender<Bytes>,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    fn send(&mut self) -> io::Result<()> {
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES));
        self.chunks.blocking_send(Bytes::from(full)).map_err(|_| ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() { Ok(()) } else { self.send() }
    }
}
