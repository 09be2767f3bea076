//! How objects are written, and how each read proves that they are what was written.
//!
//! - *Named* objects (entries, plans, plugins) are named by the SHA-256 of their bytes.
//! - *Packed* objects (snapshots, history pages) are zstd; a skippable frame at the end, which
//!   every zstd tool skips, holds the SHA-256 of the bytes before it.
//! - *Sealed* objects (HEAD, lock, history pages inside) are one line of canonical JSON with their
//!   own digest in it.

use std::io::Read;

use relctl_engine::LedgerError;
use relctl_plan::{Digest, Map, Value, canonical_json, digest_of};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{damaged, newer};

/// The largest document that is unpacked. A snapshot of 10,000 objects takes some 30 MiB.
const MAX_UNPACKED: u64 = 256 << 20;

/// zstd's magic number of a skippable frame, and the length of the digest in it.
const SEAL_HEADER: [u8; 8] = [0x50, 0x2A, 0x4D, 0x18, 32, 0, 0, 0];
const SEAL_LENGTH: usize = SEAL_HEADER.len() + 32;

/// The canonical bytes of a document.
pub(crate) fn encode<T: Serialize>(value: &T, place: &str) -> Result<Vec<u8>, LedgerError> {
    canonical_json(value).map_err(|e| damaged(place, format_args!("it is not JSON: {e}")))
}

/// A document of which only the format is looked at.
#[derive(Deserialize)]
struct OfFormat {
    format: Option<Value>,
}

/// Reads a document of a format that this version knows: up to `newest`. `format` tells which one it
/// says it has.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    newest: u32,
    format: impl Fn(&T) -> u32,
    place: &str,
) -> Result<T, LedgerError> {
    let why = match serde_json::from_slice::<T>(bytes) {
        Ok(document) if (1..=newest).contains(&format(&document)) => return Ok(document),
        read => read.err().map(|error| error.to_string()).unwrap_or_default(),
    };
    // A newer one may look like none: that is to be said first.
    let OfFormat { format } = parse(bytes, place)?;
    check_format(format.as_ref(), newest, place)?;
    Err(damaged(place, format_args!("it is not what it should be: {why}")))
}

/// Checks that `bytes` are what `digest` names.
pub(crate) fn check_digest(bytes: &[u8], digest: &Digest, place: &str) -> Result<(), LedgerError> {
    if Digest::of(bytes) == *digest {
        return Ok(());
    }
    Err(damaged(place, "its content does not match the digest in its name"))
}

/// Seals a document: the digest of everything else goes into it.
pub(crate) fn seal(mut map: Map, place: &str) -> Result<Vec<u8>, LedgerError> {
    let digest = digest_of(&map)
        .map_err(|e| damaged(place, format_args!("it is not canonical JSON: {e}")))?;
    map.insert("digest".to_owned(), Value::from(digest.as_str()));
    let mut bytes = encode(&map, place)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Opens a sealed document: every byte of it is as it was sealed.
pub(crate) fn unseal(bytes: &[u8], newest: u32, place: &str) -> Result<Map, LedgerError> {
    let mut map: Map = parse(bytes, place)?;
    check_format(map.get("format"), newest, place)?;
    map.remove("digest");
    if seal(map.clone(), place)? != bytes {
        return Err(damaged(place, "its content does not match the digest in it"));
    }
    Ok(map)
}

/// Packs a document.
pub(crate) fn pack(json: &[u8], place: &str) -> Result<Vec<u8>, LedgerError> {
    let mut bytes = zstd::bulk::compress(json, 3)
        .map_err(|e| damaged(place, format_args!("it cannot be compressed: {e}")))?;
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&SEAL_HEADER);
    bytes.extend_from_slice(&digest);
    Ok(bytes)
}

/// Unpacks a document, after every byte of it was found to be as it was packed.
pub(crate) fn unpack(bytes: &[u8], place: &str) -> Result<Vec<u8>, LedgerError> {
    let cut = || damaged(place, "its content does not match the digest at its end");
    let at = bytes.len().checked_sub(SEAL_LENGTH).ok_or_else(cut)?;
    let (frame, seal) = bytes.split_at(at);
    if seal.strip_prefix(&SEAL_HEADER) != Some(Sha256::digest(frame).as_slice()) {
        return Err(cut());
    }
    // Older versions did not write how long it gets.
    let length = zstd::decompressed_size(frame).unwrap_or_default().min(MAX_UNPACKED);
    let mut json = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    zstd::Decoder::new(frame)
        .and_then(|decoder| decoder.take(MAX_UNPACKED + 1).read_to_end(&mut json))
        .map_err(|e| damaged(place, format_args!("it is not zstd: {e}")))?;
    if json.len() as u64 > MAX_UNPACKED {
        return Err(damaged(place, format_args!("it unpacks to more than {MAX_UNPACKED} bytes")));
    }
    Ok(json)
}

/// Turns a document into an object.
pub(crate) fn to_map<T: Serialize>(value: &T, place: &str) -> Result<Map, LedgerError> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(damaged(place, "it is not a JSON object")),
        Err(e) => Err(damaged(place, format_args!("it is not JSON: {e}"))),
    }
}

/// Turns an object into a document.
pub(crate) fn from_map<T: DeserializeOwned>(map: Map, place: &str) -> Result<T, LedgerError> {
    serde_json::from_value(Value::Object(map))
        .map_err(|e| damaged(place, format_args!("it is not what it should be: {e}")))
}

fn parse<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T, LedgerError> {
    if bytes.is_empty() {
        return Err(damaged(place, "it is empty"));
    }
    serde_json::from_slice(bytes).map_err(|e| damaged(place, format_args!("it is not JSON: {e}")))
}

fn check_format(format: Option<&Value>, newest: u32, place: &str) -> Result<(), LedgerError> {
    match format.and_then(Value::as_u64) {
        Some(format) if format > u64::from(newest) => Err(newer(place, format, newest)),
        Some(1..) => Ok(()),
        _ => Err(damaged(place, "it does not say which format it has")),
    }
}
