//! How the process gets its memory.

use std::path::Path;

/// Plans are made of many small maps and strings: a third of a plan's time went into the system's
/// allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From this size of a file on, in bytes, memory may come in huge pages: thousands of objects.
/// Chosen between 50 kB, where they are not worth their memory, and 250 kB, where they are.
const LARGE: u64 = 128 << 10;

/// Memory comes in pages of 4 KiB: what is small stays small.
pub(crate) fn start_small() {
    huge_pages::hold_back();
}

/// Names a file that is about to be read. Of the time that a large release takes, much would go into
/// asking the kernel for one page after the other; huge pages cost some 35 MiB instead.
pub(crate) fn expect_file(file: &Path) {
    if std::fs::metadata(file).is_ok_and(|file| file.len() >= LARGE) {
        huge_pages::allow();
    }
}

#[cfg(target_os = "linux")]
mod huge_pages {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

    /// Whether it was relctl that did without them, and not whoever started it.
    static HELD_BACK: AtomicBool = AtomicBool::new(false);

    pub(super) fn hold_back() {
        let held = transparent_huge_pages_are_disabled() == Ok(false)
            && disable_transparent_huge_pages(true).is_ok();
        HELD_BACK.store(held, Ordering::Relaxed);
    }

    pub(super) fn allow() {
        if HELD_BACK.load(Ordering::Relaxed) {
            // Where it fails, nothing is lost but some time.
            disable_transparent_huge_pages(false).ok();
        }
    }
}

/// Elsewhere the system decides.
#[cfg(not(target_os = "linux"))]
mod huge_pages {
    pub(super) fn hold_back() {}

    pub(super) fn allow() {}
}
