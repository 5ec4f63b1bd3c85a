//! What the fence of the product does with memory, for the targets of readers that are libraries: whoever asks for more in
//! one piece than a child of the product may have is ended, and libFuzzer is told that it was memory, not a crash.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, Ordering};

/// As `EXTRACT_MEMORY_MB` has it by default.
const MOST_BYTES: usize = 512 << 20;
/// libFuzzer's exit code for a target that is out of memory.
const OUT_OF_MEMORY: i32 = 71;

static IS_UP: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static FENCE: Fence = Fence;

struct Fence;

/// From now on too large a piece ends the process.
pub fn put_up() {
    IS_UP.store(true, Ordering::Relaxed);
}

fn check(size: usize) {
    unsafe extern "C" {
        fn _exit(code: i32) -> !;
    }
    if size > MOST_BYTES && IS_UP.load(Ordering::Relaxed) {
        eprintln!("a piece of {size} bytes is over the limit of the fence");
        // Not `std::process::exit`: libFuzzer takes an orderly exit for a crash.
        unsafe { _exit(OUT_OF_MEMORY) }
    }
}

unsafe impl GlobalAlloc for Fence {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        check(new_size);
        unsafe { System.realloc(old, layout, new_size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        unsafe { System.dealloc(old, layout) }
    }
}
