//! Compressors: bytes in, bytes out, and what is held back let out by a flush. Mirrors the streams of Node's `zlib`.

use super::{Coding, Codings};
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use std::io::Write;

/// Room that is made for output at least.
const ROOM: usize = 4096;

/// The head of a gzip member: no name, no time, of an unknown system (RFC 1952, 2.3).
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The base two logarithm of brotli's window: 256 KiB, since several of those are held for each response.
const BROTLI_WINDOW: i32 = 18;

/// How much of the output is to be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flush {
    /// What is worth while.
    None,
    /// So much that all of the input can be decoded.
    All,
    /// All, with the end of the coding.
    End,
}

/// A compressor that broke. None is known to.
#[derive(Debug)]
pub(crate) struct Broken;

/// One body's compressor.
pub(crate) enum Coder {
    Gzip(Gzip),
    Deflate(Compress),
    /// `None` behind the end.
    Brotli(Option<Box<CompressorWriter<Vec<u8>>>>),
}

/// Deflate between the head and the checksum of RFC 1952.
pub(crate) struct Gzip {
    compress: Compress,
    crc: Crc,
    has_begun: bool,
}

impl Coder {
    pub(super) fn new(coding: Coding, options: &Codings) -> Self {
        let level = Compression::new(options.level.min(9));
        match coding {
            Coding::Gzip => {
                Self::Gzip(Gzip { compress: Compress::new(level, false), crc: Crc::new(), has_begun: false })
            }
            // RFC 9110, 8.4.1.2: the name stands for the zlib format.
            Coding::Deflate => Self::Deflate(Compress::new(level, true)),
            Coding::Brotli => {
                let quality = options.brotli_quality.min(11) as i32;
                let params = BrotliEncoderParams { quality, lgwin: BROTLI_WINDOW, ..Default::default() };
                Self::Brotli(Some(Box::new(CompressorWriter::with_params(Vec::new(), ROOM, &params))))
            }
        }
    }

    pub(super) fn coding(&self) -> Coding {
        match self {
            Self::Gzip(_) => Coding::Gzip,
            Self::Deflate(_) => Coding::Deflate,
            Self::Brotli(_) => Coding::Brotli,
        }
    }

    /// Forgets its body, to be used for another one. Returns whether it can: brotli cannot.
    pub(super) fn reset(&mut self) -> bool {
        match self {
            Self::Gzip(Gzip { compress, crc, has_begun }) => {
                compress.reset();
                crc.reset();
                *has_begun = false;
                true
            }
            Self::Deflate(compress) => {
                compress.reset();
                true
            }
            Self::Brotli(_) => false,
        }
    }

    /// Codes some of a body, and appends what comes of it to `out`.
    pub(crate) fn put(&mut self, data: &[u8], flush: Flush, out: &mut Vec<u8>) -> Result<(), Broken> {
        match self {
            Self::Gzip(gzip) => gzip.put(data, flush, out),
            Self::Deflate(compress) => deflate(compress, data, flush, out),
            Self::Brotli(writer) => {
                let mut ending = writer.take().ok_or(Broken)?;
                // Writing into a vector does not fail.
                ending.write_all(data).map_err(|_| Broken)?;
                match flush {
                    Flush::None => {}
                    Flush::All => ending.flush().map_err(|_| Broken)?,
                    Flush::End => {
                        out.extend_from_slice(&ending.into_inner());
                        return Ok(());
                    }
                }
                out.append(ending.get_mut());
                *writer = Some(ending);
                Ok(())
            }
        }
    }
}

impl Gzip {
    fn put(&mut self, data: &[u8], flush: Flush, out: &mut Vec<u8>) -> Result<(), Broken> {
        if !std::mem::replace(&mut self.has_begun, true) {
            out.extend_from_slice(&GZIP_HEAD);
        }
        self.crc.update(data);
        deflate(&mut self.compress, data, flush, out)?;
        if flush == Flush::End {
            out.extend_from_slice(&self.crc.sum().to_le_bytes());
            out.extend_from_slice(&self.crc.amount().to_le_bytes());
        }
        Ok(())
    }
}

/// Runs the compressor until it has taken all input, and has let out what `flush` demands.
fn deflate(compress: &mut Compress, data: &[u8], flush: Flush, out: &mut Vec<u8>) -> Result<(), Broken> {
    let mode = match flush {
        Flush::None => FlushCompress::None,
        Flush::All => FlushCompress::Sync,
        Flush::End => FlushCompress::Finish,
    };
    let mut left = data;
    loop {
        out.reserve(ROOM);
        let (taken_before, len_before) = (compress.total_in(), out.len());
        let status = compress.compress_vec(left, out, mode).map_err(|_| Broken)?;
        let taken = (compress.total_in() - taken_before) as usize;
        left = left.get(taken..).unwrap_or_default();
        // Room that is left means that nothing more comes of this input.
        let is_through =
            if flush == Flush::End { status == Status::StreamEnd } else { out.len() < out.capacity() };
        if left.is_empty() && is_through {
            return Ok(());
        }
        if taken == 0 && out.len() == len_before {
            return Err(Broken);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let read = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut all),
            Coding::Deflate => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut all),
            Coding::Brotli => brotli::Decompressor::new(bytes, ROOM).read_to_end(&mut all),
        };
        read.expect("a coded body");
        all
    }

    /// What can be decoded of a body that has no end yet.
    fn decoded_so_far(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        let mut reader: Box<dyn Read + '_> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Coding::Deflate => Box::new(flate2::read::ZlibDecoder::new(bytes)),
            Coding::Brotli => Box::new(brotli::Decompressor::new(bytes, ROOM)),
        };
        let mut byte = [0];
        while let Ok(1) = reader.read(&mut byte) {
            all.push(byte[0]);
        }
        all
    }

    /// Text that compresses, and bytes that do not.
    fn body(len: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let byte = |at: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at % 8192 < 4096 { b"hello, world\n"[at % 13] } else { (state >> 24) as u8 }
        };
        (0..len).map(byte).collect()
    }

    #[test]
    fn what_is_coded_is_decoded_however_it_is_cut() {
        for coding in Coding::ALL {
            let mut coder = Coder::new(coding, &Codings::default());
            for (len, piece) in [(0, 1), (1, 1), (3000, 7), (100_000, 1000), (300_000, 300_000)] {
                let (body, mut out) = (body(len), Vec::new());
                for piece in body.chunks(piece) {
                    coder.put(piece, Flush::None, &mut out).expect("it works");
                }
                coder.put(b"", Flush::End, &mut out).expect("it works");
                assert_eq!(decoded(coding, &out), body, "{coding:?} {len}");
                if !coder.reset() {
                    coder = Coder::new(coding, &Codings::default());
                }
            }
        }
    }

    #[test]
    fn a_flush_lets_out_all_that_was_put() {
        for coding in Coding::ALL {
            let mut coder = Coder::new(coding, &Codings::default());
            let (body, mut out) = (body(50_000), Vec::new());
            let mut put = 0;
            for piece in body.chunks(9001) {
                coder.put(piece, Flush::All, &mut out).expect("it works");
                put += piece.len();
                assert!(decoded_so_far(coding, &out) == body[..put], "{coding:?} {put}");
            }
            coder.put(b"", Flush::End, &mut out).expect("it works");
            assert!(decoded(coding, &out) == body);
        }
    }
}
