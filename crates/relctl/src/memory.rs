//! How the process gets its memory.

use std::path::Path;

use rustix::thread::disable_transparent_huge_pages;

/// Plans are made of many small maps and strings: a third of a plan's time went into the system's
/// allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// From this size of a file on, in bytes, memory comes in huge pages: thousands of objects.
const LARGE: u64 = 128 << 10;

/// Memory comes in pages of 4 KiB: what is small stays small.
pub(crate) fn start_small() {
    // Where the system cannot say, nothing is lost but some memory.
    disable_transparent_huge_pages(true).ok();
}

/// Names a file that is about to be read. Of the time that a large release takes a quarter would go
/// into asking the kernel for one page after the other; huge pages cost some 20 MiB instead.
pub(crate) fn expect(file: &Path) {
    if std::fs::metadata(file).is_ok_and(|file| file.len() >= LARGE) {
        disable_transparent_huge_pages(false).ok();
    }
}
