//! Streams over memory, driven as the class library does.

use super::*;

const COMPRESS: i32 = 1;
const DECOMPRESS: i32 = 0;

/// A base stream in memory that gives at most `piece` bytes at once, or fails.
struct Base {
    bytes: Vec<u8>,
    position: usize,
    piece: usize,
    result: Option<i32>,
}

impl Base {
    fn of(bytes: &[u8], piece: usize) -> Base {
        Base { bytes: bytes.to_vec(), position: 0, piece, result: None }
    }

    fn open(&mut self, mode: i32, gzip: bool) -> *mut Stream {
        let callback = if mode == COMPRESS { append } else { next };
        create(mode, gzip.into(), Some(callback), (&raw mut *self) as isize)
    }
}

unsafe extern "C" fn append(buffer: *mut u8, length: i32, data: isize) -> i32 {
    // SAFETY: the base stream that the test opened the stream with, and the stream's buffer.
    let (base, bytes) = unsafe { (&mut *(data as *mut Base), std::slice::from_raw_parts(buffer, length as usize)) };
    base.bytes.extend(bytes);
    base.result.unwrap_or(length)
}

unsafe extern "C" fn next(buffer: *mut u8, length: i32, data: isize) -> i32 {
    // SAFETY: as above.
    let (base, bytes) = unsafe { (&mut *(data as *mut Base), std::slice::from_raw_parts_mut(buffer, length as usize)) };
    let rest = &base.bytes[base.position..];
    let count = rest.len().min(bytes.len()).min(base.piece);
    bytes[..count].copy_from_slice(&rest[..count]);
    base.position += count;
    base.result.unwrap_or(count as i32)
}

fn compressed(data: &[u8], gzip: bool) -> Vec<u8> {
    let mut base = Base::of(&[], 0);
    let stream = base.open(COMPRESS, gzip);
    for part in data.chunks(1000) {
        assert_eq!(write(stream, part.as_ptr(), part.len() as i32), part.len() as i32);
    }
    assert_eq!(flush(stream), 0);
    assert_eq!(close(stream), 0);
    base.bytes
}

/// What can be read, in pieces of `step`, and the last result.
fn decompressed(base: &mut Base, gzip: bool, step: usize) -> (Vec<u8>, i32) {
    let stream = base.open(DECOMPRESS, gzip);
    let mut data = Vec::new();
    let mut buffer = vec![0; step];
    let last = loop {
        let count = read(stream, buffer.as_mut_ptr(), step as i32);
        if count <= 0 {
            break count;
        }
        data.extend(&buffer[..count as usize]);
    };
    assert_eq!(close(stream), 0);
    (data, last)
}

fn text(length: usize) -> Vec<u8> {
    let mut seed = 1u32;
    let mut word = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{} ", seed >> 22)
    };
    let mut data = Vec::new();
    while data.len() < length {
        data.extend(word().bytes());
    }
    data.truncate(length);
    data
}

#[test]
fn data_survive_both_ways_however_they_are_cut() {
    for gzip in [false, true] {
        for length in [1, 100, 4096, 100_000] {
            let data = text(length);
            let bytes = compressed(&data, gzip);
            for (piece, step) in [(usize::MAX, 1), (usize::MAX, 70_000), (1, 4096), (7, 13), (4096, length)] {
                let mut base = Base::of(&bytes, piece);
                assert!(decompressed(&mut base, gzip, step) == (data.clone(), 0), "{length} bytes, {piece}, {step}");
            }
        }
    }
}

#[test]
fn nothing_is_written_for_nothing() {
    assert_eq!(compressed(&[], true), []);
    assert_eq!(compressed(&[], false), []);
}

#[test]
fn damage_is_found_after_the_bytes_before_it() {
    let data = text(50_000);
    let mut bytes = compressed(&data, true);
    let length = bytes.len();
    for (index, whole) in [(0, false), (2, false), (3, false), (length - 1, true), (length - 8, true)] {
        bytes[index] ^= 0x80;
        let (read, last) = decompressed(&mut Base::of(&bytes, usize::MAX), true, 1);
        assert_eq!(last, DATA_ERROR, "byte {index}");
        // The last byte goes with the error.
        assert_eq!(read.len(), if whole { data.len() - 1 } else { 0 });
        bytes[index] ^= 0x80;
    }
}

#[test]
fn data_that_stop_early_just_end() {
    let data = text(3000);
    for gzip in [false, true] {
        let bytes = compressed(&data, gzip);
        for length in 0..bytes.len() {
            let (read, last) = decompressed(&mut Base::of(&bytes[..length], usize::MAX), gzip, 999);
            assert_eq!(last, 0, "{length} of {}", bytes.len());
            assert!(data.starts_with(&read));
        }
    }
}

#[test]
fn match_before_the_start_is_damage() {
    // A last block with the fixed codes that begins with a match of length 3 and distance 1.
    let mut base = Base::of(&[0b0000_0011, 0b0000_0010, 0, 0], usize::MAX);
    assert_eq!(decompressed(&mut base, false, 10), (Vec::new(), DATA_ERROR));
}

#[test]
fn any_bytes_are_survived() {
    let data = text(2000);
    for gzip in [false, true] {
        let bytes = compressed(&data, gzip);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (_, last) = decompressed(&mut Base::of(&damaged, 100), gzip, 777);
            assert!(last == 0 || last == DATA_ERROR);
        }
    }
}

#[test]
fn failures_of_the_callback_are_told() {
    let noise: Vec<u8> = (0..20_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (result, expected) in [(-1, CALLBACK_ERROR), (CALLBACK_EXCEPTION, CALLBACK_EXCEPTION)] {
        let mut base = Base::of(&[], 0);
        base.result = Some(result);
        let stream = base.open(COMPRESS, true);
        assert_eq!(write(stream, noise.as_ptr(), 10), 10);
        assert_eq!(flush(stream), expected);
        assert_eq!(write(stream, noise.as_ptr(), 10), 10);
        assert_eq!(close(stream), expected);

        let mut base = Base::of(&noise, 100);
        base.result = Some(result);
        assert_eq!(decompressed(&mut base, false, 10), (Vec::new(), 0));
    }
}

#[test]
fn bad_arguments_are_errors() {
    let null = std::ptr::null_mut();
    let mut byte = 0;
    assert!(create(COMPRESS, 0, None, 0).is_null());
    assert_eq!(close(null), BAD_ARGUMENT);
    assert_eq!(flush(null), BAD_ARGUMENT);
    assert_eq!(read(null, &mut byte, 1), BAD_ARGUMENT);
    assert_eq!(write(null, &byte, 1), BAD_ARGUMENT);
    let mut base = Base::of(&[], 0);
    let compress = base.open(COMPRESS, false);
    assert_eq!(write(compress, &byte, -1), BAD_ARGUMENT);
    assert_eq!(write(compress, std::ptr::null(), 1), BAD_ARGUMENT);
    assert_eq!(read(compress, &mut byte, 1), STREAM_ERROR);
    assert_eq!(close(compress), 0);
    let decompress = base.open(DECOMPRESS, false);
    assert_eq!(read(decompress, &mut byte, -1), BAD_ARGUMENT);
    assert_eq!(read(decompress, std::ptr::null_mut(), 1), BAD_ARGUMENT);
    assert_eq!(write(decompress, &byte, 1), STREAM_ERROR);
    assert_eq!(flush(decompress), 0);
    assert_eq!(close(decompress), 0);
}
