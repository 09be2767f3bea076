//! Changes bytes as a fuzzer does, from a seed, so that every run can be repeated.

use fastrand::Rng;

/// What is put in now and then: the signs of the formats that are read, and numbers at the edge.
const WORDS: [&str; 40] = [
    "${",
    "}",
    "${resource.local_file.index.sha256}",
    "${file('x')}",
    "${json(\"x\").a}",
    "$${",
    "\0",
    "\n",
    "\"",
    "'''",
    "\"\"\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    "#",
    "null",
    "true",
    "-0.0",
    "9007199254740993",
    "1e999",
    "nan",
    "1979-05-27T07:32:00Z",
    "\u{1b}[2J",
    "\u{202e}",
    "é",
    "~1",
    "[resource.local_file.x]\n",
    "[defaults.local_file]\n",
    "depends_on = []\n",
    "lifecycle.",
    "Action=",
    "&",
    "%00",
    "%41",
    "X-Amz-Target: ",
    "Version=2014-10-31",
    "Authorization: x\n",
];

/// One to eight changes to `seed`, perhaps with a piece of `other` in it.
pub fn mutate(rng: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.usize(1..=8) {
        let at = rng.usize(0..=bytes.len());
        match rng.u8(0..10) {
            0 => flip(rng, &mut bytes),
            1 => drop(bytes.drain(at..bytes.len().min(at + rng.usize(0..40)))),
            2 => insert(&mut bytes, at, &[rng.u8(..)]),
            3 | 4 => insert(&mut bytes, at, rng.choice(WORDS).unwrap_or_default().as_bytes()),
            5 => {
                let piece = piece(rng, other).to_vec();
                insert(&mut bytes, at, &piece);
            }
            6 => {
                // A piece of itself, often a whole line, once more: duplicates and nesting.
                let piece = piece(rng, &bytes).to_vec();
                insert(&mut bytes, at, &piece);
            }
            7 => bytes.truncate(at),
            8 => {
                let nested = rng.choice(["[", "{\"a\":", "a.", "(", "\n[a."]).unwrap_or_default();
                insert(&mut bytes, at, nested.repeat(rng.usize(1..400)).as_bytes());
            }
            _ => replace_number(rng, &mut bytes),
        }
        bytes.truncate(1 << 18);
    }
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    bytes.splice(at..at, piece.iter().copied());
}

fn flip(rng: &mut Rng, bytes: &mut [u8]) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.usize(0..bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << rng.u8(0..8);
    }
}

/// A piece, from the beginning of a line as often as not.
fn piece<'a>(rng: &mut Rng, bytes: &'a [u8]) -> &'a [u8] {
    let start = rng.usize(0..=bytes.len());
    let start = if rng.bool() {
        bytes.iter().take(start).rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
    } else {
        start
    };
    let length = rng.usize(0..=200);
    bytes.get(start..bytes.len().min(start + length)).unwrap_or_default()
}

fn replace_number(rng: &mut Rng, bytes: &mut Vec<u8>) {
    let Some(start) = bytes.iter().position(u8::is_ascii_digit) else { return };
    let start = start + rng.usize(0..bytes.len() - start);
    let Some(start) = bytes.iter().skip(start).position(u8::is_ascii_digit).map(|n| n + start)
    else {
        return;
    };
    let length = bytes.iter().skip(start).take_while(|byte| byte.is_ascii_digit()).count();
    let number = rng.choice(["0", "-1", "4294967296", "9007199254740992", "18446744073709551615"]);
    bytes.splice(start..start + length, number.unwrap_or_default().bytes());
}
