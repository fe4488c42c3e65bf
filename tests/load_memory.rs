//! Loading takes little host memory beyond the mapped file: no tensor is ever whole on the heap.
//!
//! What Rust code allocates is counted, so neither the mapped file nor the driver's memory (which for a software adapter is the
//! device's) is in it. This is the only test of its file: others would be counted too.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use openelm::{Dtype, Model};

/// Bytes allocated now, and the most there ever were since that was reset.
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counted;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise is the system's demand.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

const CONFIG: &str = r#"{"model_type": "openelm", "vocab_size": 16000, "model_dim": 512, "num_transformer_layers": 2,
    "head_dim": 64, "num_query_heads": [8, 8], "num_gqa_groups": 4, "ffn_dim_divisor": 256, "ffn_multipliers": [4.0, 4.0],
    "max_context_length": 64, "normalize_qk_projections": true, "share_input_output_layers": true}"#;

#[test]
fn loading_takes_little_memory() {
    let folder = common::synthetic(CONFIG, &[Dtype::F32]);
    let largest = 16000 * 512 * 4;
    let small = 8 << 20;
    // As stored, narrowed and quantised: each has its own way from the file to the device.
    for dtype in [Dtype::F32, Dtype::F16, Dtype::Q8, Dtype::Q4] {
        let mut options = common::options(None, false);
        options.dtype = Some(dtype);
        let before = NOW.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let model = Model::load(&folder.path().to_string_lossy(), &options).unwrap();
        let peak = MOST.load(Ordering::Relaxed) - before;
        drop(model);
        assert!(
            peak < small,
            "{dtype}: {peak} bytes at most on the heap; the largest tensor has {largest}"
        );
    }
}
