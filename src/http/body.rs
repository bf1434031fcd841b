//! Request bodies: bounded in size, in time, and in total memory.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use actix_web::{
    http::header::{CONTENT_LENGTH, HeaderMap},
    web,
};
use futures_util::StreamExt;
use tokio::sync::Semaphore;

use crate::{
    http::error::{ApiError, MALFORMED_BODY, OVERLOADED, PAYLOAD_TOO_LARGE, REQUEST_TIMEOUT},
    model::gzip::Gzip,
    platform,
};

/// Bytes decompressed between two checks of the limits.
const CHUNK_BYTES: usize = 64 * 1024;

/// The limits of bodies. Clones share one memory budget.
#[derive(Clone)]
pub struct BodyLimits {
    bytes_max: usize,
    read_within: Duration,
    memory_bytes_max: usize,
    pub(super) memory_bytes: Arc<AtomicUsize>,
    /// One per core: see [`BodyLimits::work`].
    work_permits: Arc<Semaphore>,
}

impl BodyLimits {
    /// Limits for bodies of at most `bytes_max` after decompression, read within `read_within`, with at most
    /// `memory_bytes_max` for all bodies together.
    pub fn new(bytes_max: usize, read_within: Duration, memory_bytes_max: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let work_permits = Arc::new(Semaphore::new(cores));
        Self { bytes_max, read_within, memory_bytes_max, memory_bytes: Arc::default(), work_permits }
    }

    /// The same budget with a smaller limit per body.
    pub(crate) fn at_most(&self, bytes_max: usize) -> Self {
        Self { bytes_max: bytes_max.min(self.bytes_max), ..self.clone() }
    }

    /// The same budget with a limit per body of `bytes_max` or more.
    pub(crate) fn at_least(&self, bytes_max: usize) -> Self {
        Self { bytes_max: bytes_max.max(self.bytes_max), ..self.clone() }
    }

    /// Reads a whole body and decodes its `Content-Encoding`.
    pub(crate) async fn read(&self, headers: &HeaderMap, payload: web::Payload) -> Result<Body, ApiError> {
        let body = self.read_beginning(headers, payload).await?;
        match body.cut_off {
            Some(name) => Err(ApiError::invalid(format!("body: is {name}, but cut off; send it again as a whole"))),
            None => Ok(body),
        }
    }

    /// The same. Of a compressed body that is cut off, reads the beginning.
    pub(crate) async fn read_beginning(&self, headers: &HeaderMap, payload: web::Payload) -> Result<Body, ApiError> {
        let encoding = Encoding::of(headers)?;
        if announced_bytes(headers).is_some_and(|bytes| bytes > self.bytes_max) {
            return Err(self.too_large());
        }
        let received = tokio::time::timeout(self.read_within, self.receive(payload));
        let body = received.await.map_err(|_| {
            let seconds = self.read_within.as_secs();
            ApiError::new(REQUEST_TIMEOUT, format!("the body did not arrive within {seconds} seconds"))
        })??;
        // No text begins like a compressed body, so one without the header is recognized.
        let encoding = if encoding == Encoding::Identity { Encoding::detect(&body.bytes) } else { encoding };
        if encoding == Encoding::Identity {
            return Ok(body);
        }
        let limits = self.clone();
        self.work(move || limits.decode(encoding, &body.bytes)).await?
    }

    /// Runs long work on a body on a blocking thread. At most one such task runs per core: more would finish no sooner
    /// and would take the cores from other requests.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = Arc::clone(&self.work_permits).acquire_owned().await.map_err(ApiError::internal)?;
        let done = web::block(move || {
            platform::thread::lower_priority();
            let done = work();
            drop(permit);
            done
        });
        done.await.map_err(ApiError::internal)
    }

    /// A body that did not arrive by HTTP.
    pub(crate) fn hold(&self, bytes: Vec<u8>) -> Result<Body, ApiError> {
        let mut share = Share::of(self);
        if !share.grow(bytes.len(), self.memory_bytes_max) {
            return Err(too_many_at_once());
        }
        Ok(Body { bytes, cut_off: None, share })
    }

    async fn receive(&self, mut payload: web::Payload) -> Result<Body, ApiError> {
        let mut body = Body { bytes: Vec::new(), cut_off: None, share: Share::of(self) };
        while let Some(chunk) = payload.next().await {
            let chunk =
                chunk.map_err(|error| ApiError::new(MALFORMED_BODY, format!("body: is incomplete: {error}")))?;
            self.append(&mut body, &chunk)?;
        }
        Ok(body)
    }

    pub(super) fn decode(&self, encoding: Encoding, encoded: &[u8]) -> Result<Body, ApiError> {
        let broken = |error: io::Error| ApiError::invalid(format!("body: is not {}: {error}", encoding.name()));
        let is_other = encoded.first().is_some_and(|first| match encoding {
            Encoding::Gzip => *first != 0x1f,
            // A frame, or one that is skipped (RFC 8878, section 3.1).
            Encoding::Zstd => !matches!(*first, 0x28 | 0x50..=0x5f),
            Encoding::Identity => false,
        });
        if is_other {
            return Err(broken(io::Error::other("it begins with other bytes")));
        }
        let mut reader: Box<dyn Read + '_> = match encoding {
            Encoding::Gzip => Box::new(Gzip::new(encoded)),
            Encoding::Zstd => Box::new(zstd::Decoder::new(encoded).map_err(broken)?),
            Encoding::Identity => Box::new(encoded),
        };
        let mut body = Body { bytes: Vec::new(), cut_off: None, share: Share::of(self) };
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(body),
                Ok(length) => self.append(&mut body, &chunk[..length])?,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    body.cut_off = Some(encoding.name());
                    return Ok(body);
                }
                Err(error) => return Err(broken(error)),
            }
        }
    }

    fn append(&self, body: &mut Body, chunk: &[u8]) -> Result<(), ApiError> {
        if body.bytes.len() + chunk.len() > self.bytes_max {
            return Err(self.too_large());
        }
        if !body.share.grow(chunk.len(), self.memory_bytes_max) {
            return Err(too_many_at_once());
        }
        body.bytes.extend_from_slice(chunk);
        Ok(())
    }

    fn too_large(&self) -> ApiError {
        ApiError::new(PAYLOAD_TOO_LARGE, format!("the body is larger than {} bytes", self.bytes_max))
    }
}

fn too_many_at_once() -> ApiError {
    let message = "too many large requests at once; send the request again";
    ApiError::later(OVERLOADED, message, Duration::from_secs(1))
}

/// The body's declared length. A body that declares too much is rejected before it is sent.
fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body, with its share of the memory budget.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// The name of its encoding, if it ends before the end of the compressed stream.
    pub(crate) cut_off: Option<&'static str>,
    share: Share,
}

/// Released on drop.
struct Share {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl Share {
    fn of(limits: &BodyLimits) -> Self {
        Self { all: Arc::clone(&limits.memory_bytes), bytes: 0 }
    }

    fn grow(&mut self, bytes: usize, all_max: usize) -> bool {
        self.bytes += bytes;
        self.all.fetch_add(bytes, Ordering::Relaxed) + bytes <= all_max
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get("content-encoding") else {
            return Ok(Self::Identity);
        };
        match value.to_str().map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            Ok("identity" | "") => Ok(Self::Identity),
            Ok("gzip" | "x-gzip") => Ok(Self::Gzip),
            Ok("zstd") => Ok(Self::Zstd),
            _ => Err(ApiError::invalid("Content-Encoding: must be gzip, zstd or identity")),
        }
    }

    /// The encoding of a body, by its first bytes (RFC 1952 section 2.3.1, RFC 8878 section 3.1).
    fn detect(body: &[u8]) -> Self {
        match body {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // A frame, or a skippable one, with which parallel compressors begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Identity,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Identity => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}
