//! How much memory there is: the machine's, and an adapter's own.

/// Bytes of the machine's memory that are free for this program; `None` where that is not known.
pub(super) fn free() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let info = read("/proc/meminfo")?;
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // A container may be allowed less than the machine has.
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let allowed = number("/sys/fs/cgroup/memory.max")
        .zip(number("/sys/fs/cgroup/memory.current"))
        .map(|(most, now)| most.saturating_sub(now));
    Some((kib * 1024).min(allowed.unwrap_or(u64::MAX)))
}

/// Bytes of the largest memory that is the adapter's own, used or free; `None` where its API does not tell.
pub(super) fn own_memory(adapter: &wgpu::Adapter) -> Option<u64> {
    vulkan(adapter).or_else(|| dx12(adapter))
}

#[cfg(any(windows, target_os = "linux"))]
fn vulkan(adapter: &wgpu::Adapter) -> Option<u64> {
    /// `VK_MEMORY_HEAP_DEVICE_LOCAL_BIT`
    const DEVICE_LOCAL: u32 = 1;
    // SAFETY: nothing but what the driver says of its device is read, and nothing outlives the adapter.
    let memory = unsafe {
        let adapter = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = adapter.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(adapter.raw_physical_device())
    };
    let heaps = memory.memory_heaps.iter();
    let heaps = heaps.take(memory.memory_heap_count as usize);
    let own = heaps.filter(|heap| heap.flags.as_raw() & DEVICE_LOCAL != 0);
    own.map(|heap| heap.size).max()
}

#[cfg(not(any(windows, target_os = "linux")))]
fn vulkan(_: &wgpu::Adapter) -> Option<u64> {
    None
}

/// Of a card without memory of its own, as those within processors are, it is the machine's that it may use.
#[cfg(windows)]
fn dx12(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: as above.
    let description = unsafe {
        let adapter = adapter.as_hal::<wgpu::hal::api::Dx12>()?;
        adapter.raw_adapter().GetDesc1().ok()?
    };
    let [own, shared] = [
        description.DedicatedVideoMemory,
        description.SharedSystemMemory,
    ];
    Some(own.max(shared) as u64)
}

#[cfg(not(windows))]
fn dx12(_: &wgpu::Adapter) -> Option<u64> {
    None
}
