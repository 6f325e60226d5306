//! Functions of `MonoPosixHelper` behind `System.IO.Compression.DeflateStream` and `GZipStream`: streams that compress or decompress,
//! deflate (RFC 1951) with or without the gzip container (RFC 1952), and reach the base stream through a callback.
//!
//! As Mono's helper, they read and write the base stream in pieces of [`BUFFER_SIZE`] and give zlib's error numbers. What can be
//! decompressed before damaged data is given before their error; only a byte right before a wrong code may be missing.
//!
//! An exception may leave the callback through these functions without running destructors, as it would through a C library. So nothing
//! that needs a drop, no lock and no reference into a stream lives across the callback, and the stream can be used and closed afterwards.

mod gzip;

use crate::pinvoke::{BuiltIn, built_in};
use gzip::{Header, TRAILER_SIZE, Trailer};
use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// `Z_STREAM_ERROR`: the stream goes the other way, or is in no state for the call.
const STREAM_ERROR: i32 = -2;
/// `Z_DATA_ERROR`
const DATA_ERROR: i32 = -3;
/// `Z_BUF_ERROR`: no progress is possible.
const BUFFER_ERROR: i32 = -5;
const BAD_ARGUMENT: i32 = -10;
/// The callback failed.
const CALLBACK_ERROR: i32 = -11;
/// The callback's result for an exception that the class library keeps to throw it again.
const CALLBACK_EXCEPTION: i32 = -12;

/// Bytes that are read from or written to the base stream at once.
const BUFFER_SIZE: usize = 4096;
/// The longest distance that a match of deflate goes back.
const WINDOW_SIZE: usize = 32 << 10;
/// zlib's default.
const COMPRESSION_LEVEL: i32 = 6;

/// `DeflateStreamNative.UnmanagedReadOrWrite`: buffer, its length, the stream's data; gives the number of bytes or a negative error.
type Callback = unsafe extern "C" fn(*mut u8, i32, isize) -> i32;

/// What a handle points to.
struct Stream {
    callback: Callback,
    data: isize,
    /// Compressed bytes: those of `start..end` are to be decompressed, or to be written.
    buffer: [u8; BUFFER_SIZE],
    start: usize,
    end: usize,
    direction: Direction,
}

enum Direction {
    Compress(Compressor),
    Decompress(Decompressor),
}

struct Compressor {
    deflate: Box<CompressorOxide>,
    /// With the gzip container, the checksum and length of what was compressed.
    trailer: Option<Trailer>,
    /// Header or trailer of the container, of which the first `container_given` bytes were put out.
    container: Vec<u8>,
    container_given: usize,
    /// Whether there was anything to compress.
    started: bool,
    /// Whether deflate has put out its end.
    ended: bool,
}

impl Compressor {
    fn new(gzip: bool) -> Compressor {
        // Negative window bits mean raw deflate; the strategy is the default.
        let flags = create_comp_flags_from_zip_params(COMPRESSION_LEVEL, -15, 0);
        Compressor {
            deflate: Box::new(CompressorOxide::new(flags)),
            trailer: gzip.then(Trailer::default),
            container: if gzip { gzip::HEADER.to_vec() } else { Vec::new() },
            container_given: 0,
            started: false,
            ended: false,
        }
    }

    /// Compresses what fits; gives how many bytes it took and put out.
    fn compress(&mut self, input: &[u8], output: &mut [u8], flush: TDEFLFlush) -> Result<(usize, usize), i32> {
        self.started = true;
        let container = self.put_container(output);
        let output = &mut output[container..];
        if self.ended {
            return Ok((0, container));
        }
        let (status, taken, put) = compress(&mut self.deflate, input, output, flush);
        match status {
            TDEFLStatus::Okay => {}
            TDEFLStatus::Done => self.ended = true,
            TDEFLStatus::BadParam | TDEFLStatus::PutBufFailed => return Err(STREAM_ERROR),
        }
        if let Some(trailer) = &mut self.trailer {
            trailer.add(&input[..taken]);
            if self.ended {
                self.container.extend(trailer.bytes());
            }
        }
        let rest = self.put_container(&mut output[put..]);
        Ok((taken, container + put + rest))
    }

    fn put_container(&mut self, output: &mut [u8]) -> usize {
        let rest = &self.container[self.container_given..];
        let count = rest.len().min(output.len());
        output[..count].copy_from_slice(&rest[..count]);
        self.container_given += count;
        count
    }

    /// Whether nothing is left to put out after the end.
    fn is_complete(&self) -> bool {
        self.ended && self.container_given == self.container.len()
    }
}

/// What comes next in compressed data.
enum Expected {
    Header(Header),
    Body,
    /// The trailer: how many bytes of it were read, and these.
    Trailer(usize, [u8; TRAILER_SIZE]),
    End,
    /// Damaged data.
    Corrupted,
}

struct Decompressor {
    inflate: Box<DecompressorOxide>,
    expected: Expected,
    /// With the gzip container, the checksum and length of what was decompressed.
    trailer: Option<Trailer>,
    /// The bytes decompressed last, put in turn from start to end; those of `given..position` have not been given to the reader.
    window: Box<[u8]>,
    given: usize,
    position: usize,
    /// Whether the window was full once. Until then no match may reach back beyond its start.
    wrapped: bool,
}

impl Decompressor {
    fn new(gzip: bool) -> Decompressor {
        Decompressor {
            inflate: Box::default(),
            expected: if gzip { Expected::Header(Header::new()) } else { Expected::Body },
            trailer: gzip.then(Trailer::default),
            window: vec![0; WINDOW_SIZE].into_boxed_slice(),
            given: 0,
            position: 0,
            wrapped: false,
        }
    }

    /// Gives decompressed bytes that are there; returns how many.
    fn give(&mut self, output: &mut [u8]) -> usize {
        let there = &self.window[self.given..self.position];
        let count = there.len().min(output.len());
        output[..count].copy_from_slice(&there[..count]);
        self.given += count;
        count
    }

    /// Takes compressed bytes, when all decompressed ones were given; returns how many, and whether anything came of it.
    fn take(&mut self, input: &[u8]) -> (usize, bool) {
        let taken = match &mut self.expected {
            Expected::Body => return self.inflate(input),
            Expected::Header(header) => {
                let mut taken = 0;
                for &byte in input {
                    taken += 1;
                    match header.accept(byte) {
                        Ok(false) => continue,
                        Ok(true) => self.expected = Expected::Body,
                        Err(gzip::Corrupted) => self.expected = Expected::Corrupted,
                    }
                    break;
                }
                taken
            }
            Expected::Trailer(read, bytes) => {
                let rest = &mut bytes[*read..];
                let count = rest.len().min(input.len());
                rest[..count].copy_from_slice(&input[..count]);
                *read += count;
                let right = self.trailer.as_ref().map(Trailer::bytes).unwrap_or_default();
                // The checksum is compared when it is there, the length when that is.
                let known = *read / 4 * 4;
                if bytes[..known] != right[..known] {
                    self.expected = Expected::Corrupted;
                } else if *read == TRAILER_SIZE {
                    self.expected = Expected::End;
                }
                count
            }
            Expected::End | Expected::Corrupted => 0,
        };
        (taken, taken != 0)
    }

    fn inflate(&mut self, input: &[u8]) -> (usize, bool) {
        if self.position == WINDOW_SIZE {
            self.position = 0;
            self.wrapped = true;
        }
        let mut flags = inflate_flags::TINFL_FLAG_HAS_MORE_INPUT | inflate_flags::TINFL_FLAG_IGNORE_ADLER32;
        if !self.wrapped {
            flags |= inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        }
        let (status, taken, put) = decompress(&mut self.inflate, input, &mut self.window, self.position, flags);
        self.given = self.position;
        self.position += put;
        if let Some(trailer) = &mut self.trailer {
            trailer.add(&self.window[self.given..self.position]);
        }
        match status {
            TINFLStatus::Done if self.trailer.is_some() => self.expected = Expected::Trailer(0, [0; TRAILER_SIZE]),
            TINFLStatus::Done => self.expected = Expected::End,
            TINFLStatus::NeedsMoreInput | TINFLStatus::HasMoreOutput => return (taken, taken != 0 || put != 0),
            _ => self.expected = Expected::Corrupted,
        }
        (taken, true)
    }
}

/// Makes a stream for `DeflateStreamNative`; `mode` is a `CompressionMode`. Null without a callback.
extern "C" fn create(mode: i32, gzip: u8, callback: Option<Callback>, data: isize) -> *mut Stream {
    let Some(callback) = callback else { return std::ptr::null_mut() };
    let gzip = gzip != 0;
    let direction =
        if mode != 0 { Direction::Compress(Compressor::new(gzip)) } else { Direction::Decompress(Decompressor::new(gzip)) };
    Box::into_raw(Box::new(Stream { callback, data, buffer: [0; BUFFER_SIZE], start: 0, end: 0, direction }))
}

/// Ends the compressed data, writes what is left of them, and frees the stream. Nothing is written if nothing was ever compressed.
extern "C" fn close(stream: *mut Stream) -> i32 {
    if stream.is_null() {
        return BAD_ARGUMENT;
    }
    // SAFETY: the class library's handle of a stream, which it uses no more afterwards; no reference into it is alive here.
    unsafe {
        let status = finish(stream);
        drop(Box::from_raw(stream));
        status
    }
}

/// # Safety
/// `stream` is one that [`create`] made, with no reference into it alive.
unsafe fn finish(stream: *mut Stream) -> i32 {
    loop {
        // SAFETY: the caller's promise; the reference is gone when the callback is called.
        let complete = match unsafe { compress_step(stream, &[], TDEFLFlush::Finish) } {
            Ok(Step { complete, .. }) => complete,
            Err(status) => return status,
        };
        // SAFETY: as above.
        let status = unsafe { write_out(stream) };
        if complete || status != 0 {
            return status;
        }
    }
}

struct Step {
    taken: usize,
    put: usize,
    /// Whether all is in the buffer that will ever come.
    complete: bool,
}

/// Compresses input into the rest of the buffer. Decompressing streams, and those that nothing was written to, are complete without an end.
///
/// # Safety
/// As [`finish`].
unsafe fn compress_step(stream: *mut Stream, input: &[u8], flush: TDEFLFlush) -> Result<Step, i32> {
    // SAFETY: the caller's promise.
    let stream = unsafe { &mut *stream };
    match &mut stream.direction {
        Direction::Compress(compressor) if compressor.started || !input.is_empty() => {
            let (taken, put) = compressor.compress(input, &mut stream.buffer[stream.end..], flush)?;
            stream.end += put;
            Ok(Step { taken, put, complete: compressor.is_complete() })
        }
        Direction::Decompress(_) if !input.is_empty() => Err(STREAM_ERROR),
        _ => Ok(Step { taken: 0, put: 0, complete: true }),
    }
}

/// Hands compressed bytes to the callback; gives 0 or an error. They count as written even then.
///
/// # Safety
/// As [`finish`].
unsafe fn write_out(stream: *mut Stream) -> i32 {
    // SAFETY: the caller's promise; the buffer stays where it is during the callback, which is the class library's for this purpose.
    unsafe {
        if !matches!((*stream).direction, Direction::Compress(_)) || (*stream).end == 0 {
            return 0;
        }
        let result = ((*stream).callback)((&raw mut (*stream).buffer).cast(), (*stream).end as i32, (*stream).data);
        (*stream).end = 0;
        match result {
            CALLBACK_EXCEPTION => CALLBACK_EXCEPTION,
            ..0 => CALLBACK_ERROR,
            _ => 0,
        }
    }
}

/// Reads compressed bytes into the buffer if it is empty. Neither the end nor an error of the base stream is an error.
///
/// # Safety
/// As [`finish`].
unsafe fn read_ahead(stream: *mut Stream) {
    // SAFETY: as in `write_out`.
    unsafe {
        if (*stream).start != (*stream).end {
            return;
        }
        let read = ((*stream).callback)((&raw mut (*stream).buffer).cast(), BUFFER_SIZE as i32, (*stream).data);
        (*stream).start = 0;
        (*stream).end = usize::try_from(read).unwrap_or(0).min(BUFFER_SIZE);
    }
}

/// Hands on what is compressed so far. As in Mono that is no more than what deflate has put out: a block in the making stays.
extern "C" fn flush(stream: *mut Stream) -> i32 {
    if stream.is_null() {
        return BAD_ARGUMENT;
    }
    // SAFETY: the class library's handle of a stream.
    unsafe { write_out(stream) }
}

/// What a reader gets next.
enum Next {
    /// So many bytes; none if more are there than fit.
    Given(usize),
    /// Nothing before compressed bytes are taken.
    Input,
    End,
}

/// Gives decompressed bytes that are there.
///
/// # Safety
/// As [`finish`].
unsafe fn give_step(stream: *mut Stream, output: &mut [u8]) -> Result<Next, i32> {
    // SAFETY: the caller's promise.
    let Direction::Decompress(decompressor) = (unsafe { &mut (*stream).direction }) else { return Err(STREAM_ERROR) };
    let count = decompressor.give(output);
    if count != 0 || decompressor.given != decompressor.position {
        return Ok(Next::Given(count));
    }
    match decompressor.expected {
        Expected::End => Ok(Next::End),
        Expected::Corrupted => Err(DATA_ERROR),
        _ => Ok(Next::Input),
    }
}

/// Takes compressed bytes from the buffer; gives whether anything came of it.
///
/// # Safety
/// As [`finish`].
unsafe fn take_step(stream: *mut Stream) -> bool {
    // SAFETY: the caller's promise.
    let stream = unsafe { &mut *stream };
    let Direction::Decompress(decompressor) = &mut stream.direction else { return false };
    let (taken, progress) = decompressor.take(&stream.buffer[stream.start..stream.end]);
    stream.start += taken;
    progress
}

/// Decompresses into the buffer; gives the number of bytes, less than wanted only at the end, or an error. Data that stop early
/// just end.
extern "C" fn read(stream: *mut Stream, buffer: *mut u8, length: i32) -> i32 {
    let Ok(wanted) = usize::try_from(length) else { return BAD_ARGUMENT };
    if stream.is_null() || buffer.is_null() {
        return BAD_ARGUMENT;
    }
    if wanted == 0 {
        return 0;
    }
    let mut count = 0;
    // As zlib, it goes on when the buffer is full, up to the next byte for it, as far as the compressed bytes at hand tell: damage after
    // the last byte is an error now.
    loop {
        // SAFETY: the class library's handle of a stream and its buffer of this length.
        let next = unsafe { give_step(stream, std::slice::from_raw_parts_mut(buffer.add(count), wanted - count)) };
        match next {
            Ok(Next::Given(0) | Next::End) => break,
            Ok(Next::Given(more)) => count += more,
            Ok(Next::Input) => {
                // SAFETY: as above; no reference into the stream is alive.
                unsafe {
                    if count < wanted {
                        read_ahead(stream);
                    }
                    if !take_step(stream) {
                        break;
                    }
                }
            }
            Err(status) => return status,
        }
    }
    count as i32
}

/// Compresses the bytes; gives their number or an error.
extern "C" fn write(stream: *mut Stream, bytes: *const u8, length: i32) -> i32 {
    let Ok(count) = usize::try_from(length) else { return BAD_ARGUMENT };
    if stream.is_null() || bytes.is_null() {
        return BAD_ARGUMENT;
    }
    // SAFETY: the class library's buffer of this length.
    let mut input = unsafe { std::slice::from_raw_parts(bytes, count) };
    while !input.is_empty() {
        // SAFETY: the class library's handle of a stream; no reference into it is alive in the callback.
        let step = match unsafe { compress_step(stream, input, TDEFLFlush::None) } {
            Ok(step) => step,
            Err(status) => return status,
        };
        input = &input[step.taken..];
        // SAFETY: as above.
        let full = unsafe { (*stream).end == BUFFER_SIZE };
        if full {
            // SAFETY: as above.
            let status = unsafe { write_out(stream) };
            if status != 0 {
                return status;
            }
        } else if step.taken == 0 && step.put == 0 {
            return BUFFER_ERROR;
        }
    }
    length
}

/// The functions by name.
pub const TABLE: &[BuiltIn] = &[
    built_in("CloseZStream", close as *const ()),
    built_in("CreateZStream", create as *const ()),
    built_in("Flush", flush as *const ()),
    built_in("ReadZStream", read as *const ()),
    built_in("WriteZStream", write as *const ()),
];

#[cfg(test)]
mod tests;
