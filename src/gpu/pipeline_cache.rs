//! Compiled kernels on disk, for drivers that do not keep them on their own: one file an adapter, which begins with what it depends on
//! and a checksum. A file that is damaged, foreign or old is replaced.

use std::path::{Path, PathBuf};

use twox_hash::XxHash3_128;

use super::cache_file;
use crate::whole_file;

/// More than all kernels of several models take; what has grown beyond it is begun anew.
const MOST_BYTES: u64 = 64 << 20;

/// Drivers without anything to keep write a header of 32 bytes, which is not worth a file.
const LEAST_BYTES: usize = 256;

/// What a file begins with; raised when its form changes.
const MAGIC: [u8; 8] = *b"openelm1";

/// Bytes before the driver's own: magic, what it depends on, checksum.
const HEADER: usize = 8 + 16 + 16;

/// A device's compiled kernels, and the file they are kept in.
pub struct PipelineCache {
    cache: wgpu::PipelineCache,
    path: PathBuf,
    /// A number for what compiled kernels depend on.
    key: u128,
    /// Bytes that it had at the beginning: about those of the file, unless the driver has refused them.
    began_with: usize,
}

impl PipelineCache {
    /// A cache in `folder` for a device of `adapter`. `kernels` is a number that changes with the shaders. `None` where the device keeps
    /// no such thing.
    pub fn open(
        device: &wgpu::Device,
        adapter: &wgpu::AdapterInfo,
        folder: &Path,
        kernels: u128,
    ) -> Option<Self> {
        let name = wgpu::util::pipeline_cache_key(adapter)?;
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder.join(format!("{name}.bin"));
        let text = format!(
            "{} {} {} {} {kernels}",
            adapter.name, adapter.driver, adapter.driver_info, adapter.backend
        );
        let key = XxHash3_128::oneshot(text.as_bytes());
        let bytes = cache_file::read(&path, MOST_BYTES);
        let data = bytes.as_deref().and_then(|bytes| checked(bytes, key));
        let create = |data: Option<&[u8]>| {
            let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
            // SAFETY: `data` is what `get_data` gave for this adapter, driver and version of the kernels, by its key and its checksum: a file
            // that was damaged does not come this far. Whoever may write into this person's cache folder could as well replace the program.
            let cache = unsafe {
                device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                    label: Some("kernels"),
                    data,
                    fallback: true,
                })
            };
            pollster::block_on(scope.pop()).is_none().then_some(cache)
        };
        let cache = create(data).or_else(|| create(None))?;
        // A driver that was built anew may refuse what another of its version made, and begins with nothing without saying so.
        let began_with = cache.get_data().map_or(0, |data| data.len());
        Some(Self {
            cache,
            path,
            key,
            began_with,
        })
    }

    pub fn get(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes what has been compiled, if that is more than there was. Where it cannot be written the next start compiles again.
    pub fn keep(&self) {
        let Some(data) = self.cache.get_data() else {
            return;
        };
        // Drivers do not write the same twice, but about as much.
        if data.len() < LEAST_BYTES || data.len() <= self.began_with + self.began_with / 64 {
            return;
        }
        let checksum = XxHash3_128::oneshot(&data);
        if (data.len() + HEADER) as u64 > MOST_BYTES {
            let _ = std::fs::remove_file(&self.path);
            return;
        }
        let mut bytes = Vec::with_capacity(HEADER + data.len());
        bytes.extend(MAGIC);
        bytes.extend(self.key.to_le_bytes());
        bytes.extend(checksum.to_le_bytes());
        bytes.extend(data);
        let _ = whole_file::replace(&self.path, &bytes);
    }
}

/// The driver's part of a file, where it is whole and of `key`.
fn checked(bytes: &[u8], key: u128) -> Option<&[u8]> {
    let (header, data) = bytes.split_at_checked(HEADER)?;
    let (magic, numbers) = header.split_at_checked(MAGIC.len())?;
    let (for_key, checksum) = numbers.split_at_checked(16)?;
    let is_good = magic == MAGIC
        && for_key == key.to_le_bytes()
        && checksum == XxHash3_128::oneshot(data).to_le_bytes();
    is_good.then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_does_not_reach_the_driver() {
        let data = b"what the driver gave";
        let mut good = MAGIC.to_vec();
        good.extend(7u128.to_le_bytes());
        good.extend(XxHash3_128::oneshot(data).to_le_bytes());
        good.extend(data);
        assert_eq!(checked(&good, 7), Some(&data[..]));
        assert_eq!(checked(&good, 8), None);
        for len in 0..good.len() {
            assert_eq!(checked(&good[..len], 7), None, "{len} bytes");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(checked(&bad, 7), None, "byte {at}");
        }
        good.push(0);
        assert_eq!(checked(&good, 7), None);
    }
}
