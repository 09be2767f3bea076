//! Encryption at rest: snapshots, plans and journals are age files, everything else stays readable.
//!
//! It is one backend around another. Objects keep their names, which are digests of what is inside,
//! so that changing keys changes no history. What is encrypted is seen from its first bytes.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor};
use async_trait::async_trait;
use relctl_engine::{Holder, LedgerError, Lock as _};

use crate::backend::{Append, Backend, Guard, Object, Put, Version};
use crate::error::{damaged, io, moved, refused};
use crate::lock::{self, Wait};
use crate::store::LedgerStore;

/// How every age file begins.
const MAGIC: &[u8] = b"age-encryption.org/";

/// The kinds of objects that may hold what is not for everyone.
const ENCRYPTED: [&str; 3] = ["snapshots/", "plans/", "journal/"];

/// The largest object that is decrypted.
const MAX_DECRYPTED: u64 = 512 << 20;

/// How often one object is rewritten before giving up.
const ATTEMPTS: u32 = 5;

/// For whom is encrypted, and who reads.
#[derive(Clone, Default)]
pub struct Keys {
    recipients: Vec<Recipient>,
    identities: Vec<Identity>,
}

/// Identities are secrets.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recipients: Vec<_> = self.recipients.iter().map(ToString::to_string).collect();
        f.debug_struct("Keys").field("recipients", &recipients).finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads recipients (`age1…`) and the text of an identity file (`AGE-SECRET-KEY-1…`, one a
    /// line; empty lines and `#` comments are skipped).
    pub fn parse(recipients: &[String], identities: &str) -> Result<Self, LedgerError> {
        let recipients = recipients
            .iter()
            .map(|text| {
                text.parse().map_err(|e| {
                    refused(
                        format!("`{text}` is no age recipient: {e}"),
                        "`age-keygen -y FILE` prints one",
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        let identities = (1..)
            .zip(identities.lines().map(str::trim))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(number, line)| {
                // The line itself is a secret, even if it is none.
                line.parse().map_err(|e| {
                    refused(
                        format!("line {number} of the identities is no age identity: {e}"),
                        "`age-keygen` makes one",
                    )
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { recipients, identities })
    }

    /// Whether what is written is encrypted.
    pub(crate) fn encrypt(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// For whom is encrypted, sorted.
    pub fn recipients(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.recipients.iter().map(ToString::to_string).collect();
        texts.sort();
        texts.dedup();
        texts
    }

    /// The same identities, for other recipients.
    pub(crate) fn for_recipients(&self, recipients: &[String]) -> Result<Self, LedgerError> {
        let Self { recipients, .. } = Self::parse(recipients, "")?;
        Ok(Self { recipients, identities: self.identities.clone() })
    }

    /// `bytes` as an age file for the recipients; as they are where there are none.
    pub(crate) fn seal(&self, bytes: &[u8], place: &str) -> Result<Vec<u8>, LedgerError> {
        if !self.encrypt() {
            return Ok(bytes.to_vec());
        }
        let recipients = self.recipients.iter().map(|recipient| recipient as _);
        let encryptor =
            Encryptor::with_recipients(recipients).map_err(|e| io("encrypt", place, e))?;
        let write = || {
            let mut encrypted = Vec::new();
            let mut writer = encryptor.wrap_output(&mut encrypted)?;
            writer.write_all(bytes)?;
            writer.finish()?;
            Ok(encrypted)
        };
        write().map_err(|e: std::io::Error| io("encrypt", place, e))
    }

    /// What [`Keys::seal`] sealed.
    pub(crate) fn open(&self, bytes: Vec<u8>, place: &str) -> Result<Vec<u8>, LedgerError> {
        if !bytes.starts_with(MAGIC) {
            return Ok(bytes);
        }
        let read = || -> Result<Vec<u8>, DecryptError> {
            let identities = self.identities.iter().map(|identity| identity as _);
            let reader = Decryptor::new_buffered(bytes.as_slice())?.decrypt(identities)?;
            let mut plain = Vec::new();
            reader.take(MAX_DECRYPTED + 1).read_to_end(&mut plain)?;
            Ok(plain)
        };
        match read() {
            Ok(plain) if plain.len() as u64 > MAX_DECRYPTED => {
                Err(damaged(place, format_args!("it has more than {MAX_DECRYPTED} bytes")))
            }
            Ok(plain) => Ok(plain),
            Err(DecryptError::NoMatchingKeys) => {
                let which = if self.identities.is_empty() {
                    "no identity is given"
                } else {
                    "none of the identities that are given opens it"
                };
                Err(refused(
                    format!("`{place}` is encrypted, and {which}"),
                    "give the secret key of one of the ledger's recipients with RELCTL_AGE_IDENTITY, \
                     or its file with RELCTL_AGE_IDENTITY_FILE; if all of them are lost, what is \
                     encrypted is lost too, and only entries can be read",
                ))
            }
            Err(e) => Err(damaged(place, format_args!("it cannot be decrypted: {e}"))),
        }
    }
}

/// A backend that encrypts what it is given and decrypts what it finds.
#[derive(Debug)]
pub(crate) struct Encrypting {
    inner: Arc<dyn Backend>,
    keys: Keys,
}

impl Encrypting {
    pub(crate) fn new(inner: Arc<dyn Backend>, keys: Keys) -> Self {
        Self { inner, keys }
    }

    fn encrypt(&self, path: &str, bytes: &[u8]) -> Result<Vec<u8>, LedgerError> {
        if !may_be_encrypted(path) {
            return Ok(bytes.to_vec());
        }
        self.keys.seal(bytes, &self.locate(path))
    }

    fn decrypt(&self, path: &str, bytes: Vec<u8>) -> Result<Vec<u8>, LedgerError> {
        if may_be_encrypted(path) { self.keys.open(bytes, &self.locate(path)) } else { Ok(bytes) }
    }
}

pub(crate) fn may_be_encrypted(path: &str) -> bool {
    ENCRYPTED.iter().any(|kind| path.starts_with(kind))
}

#[async_trait]
impl Backend for Encrypting {
    fn locate(&self, path: &str) -> String {
        self.inner.locate(path)
    }

    async fn get(&self, path: &str) -> Result<Option<Object>, LedgerError> {
        let Some(Object { bytes, version }) = self.inner.get(path).await? else { return Ok(None) };
        Ok(Some(Object { bytes: self.decrypt(path, bytes)?, version }))
    }

    async fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<Put, LedgerError> {
        self.inner.put_if_absent(path, &self.encrypt(path, bytes)?).await
    }

    async fn put_if_match(
        &self,
        path: &str,
        bytes: &[u8],
        expected: &Version,
    ) -> Result<Put, LedgerError> {
        self.inner.put_if_match(path, &self.encrypt(path, bytes)?, expected).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        self.inner.list(folder).await
    }

    /// An age file does not grow.
    fn can_append(&self) -> bool {
        self.inner.can_append() && !self.keys.encrypt()
    }

    async fn appender(&self, path: &str, keep: u64) -> Result<Box<dyn Append>, LedgerError> {
        let there = self.inner.get(path).await?;
        if there.is_some_and(|object| object.bytes.starts_with(MAGIC)) {
            return Err(io("append to", &self.locate(path), "it is encrypted"));
        }
        self.inner.appender(path, keep).await
    }

    async fn guard(&self, path: &str) -> Result<Guard, LedgerError> {
        self.inner.guard(path).await
    }
}

impl LedgerStore {
    /// Writes every snapshot, plan and journal anew, for the recipients that this ledger was
    /// opened with, or in the clear if there are none. Returns how many objects were rewritten.
    ///
    /// What was there before is gone from here, but not from backups, nor from older versions that
    /// a bucket keeps.
    pub async fn rekey(&self, by: Holder) -> Result<u64, LedgerError> {
        let lock = lock::take(self, by, Wait::Rekey).await?;
        let result = self.rewrite(&lock).await;
        let released = lock.release().await;
        let rewritten = result?;
        released?;
        Ok(rewritten)
    }

    async fn rewrite(&self, lock: &lock::HeldLock) -> Result<u64, LedgerError> {
        if let Some(open) = lock.head().operation {
            return Err(refused(
                format!("operation {} was interrupted", open.id),
                "`relctl resume` or `relctl revert` first, then rekey",
            ));
        }
        let target = Encrypting::new(self.raw.clone(), self.keys.clone());
        let mut rewritten = 0;
        for path in self.raw.list("").await? {
            if may_be_encrypted(&path) {
                lock.check().await?;
                rewrite_one(&target, &path).await?;
                rewritten += 1;
            }
        }
        // Only now is everything as HEAD says.
        lock.set_recipients(self.keys.recipients()).await?;
        Ok(rewritten)
    }
}

async fn rewrite_one(target: &Encrypting, path: &str) -> Result<(), LedgerError> {
    for _ in 0..ATTEMPTS {
        let Some(object) = target.get(path).await? else { break };
        // Written twice does no harm: what is inside stays the same.
        let put = target.put_if_match(path, &object.bytes, &object.version).await?;
        if let Put::Done(_) = put {
            return Ok(());
        }
    }
    Err(moved(format!("`{}` changes while it is rewritten", target.locate(path))))
}
