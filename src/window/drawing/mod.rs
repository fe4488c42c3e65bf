//! The adapter that draws: the best that gives a device, not just the best that there is. Where that is a program, frames are drawn by `software.rs`.

mod software;
mod textures;

use std::sync::Arc;

use eframe::egui_wgpu::{NativeAdapterSelectorMethod, WgpuSetup, WgpuSetupCreateNew};
use eframe::wgpu;

use crate::error::{Error, Result};
use crate::gpu::{first_that_works, rank};
use crate::threads::block_on;

pub use software::SoftwarePainter;

/// How egui gets at what it draws with.
pub fn setup() -> WgpuSetup {
    let mut setup = WgpuSetupCreateNew::without_display_handle();
    let descriptor = Arc::clone(&setup.device_descriptor);
    let select: NativeAdapterSelectorMethod = Arc::new(move |all, surface| {
        let suits = |adapter: &&wgpu::Adapter| {
            surface.is_none_or(|surface| adapter.is_surface_supported(surface))
        };
        let mut adapters: Vec<_> = all.iter().filter(suits).cloned().collect();
        adapters.sort_by_key(rank);
        let opens = |adapter: &wgpu::Adapter| -> Result<()> {
            let asked = block_on(adapter.request_device(&descriptor(adapter)))?;
            asked.map(drop).map_err(|error| Error::NoDevice {
                adapter: adapter.get_info().name,
                cause: error.to_string(),
            })
        };
        first(adapters, |adapter| adapter.get_info().name, opens).map_err(|error| error.to_string())
    });
    setup.native_adapter_selector = Some(select);
    WgpuSetup::CreateNew(setup)
}

/// The first that opens. One alone is not tried: egui will, and says why it cannot.
fn first<A>(
    mut all: Vec<A>,
    name: impl Fn(&A) -> String,
    opens: impl Fn(&A) -> Result<()>,
) -> Result<A> {
    if all.len() > 1 {
        let indices: Vec<usize> = (0..all.len()).collect();
        let named = |at: &usize| name(&all[*at]);
        let (at, _) = first_that_works(&indices, named, |at| opens(&all[*at]).map(|()| *at))?;
        return Ok(all.swap_remove(at));
    }
    all.pop().ok_or(Error::NoAdapter {
        requested: None,
        found: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_that_gives_no_device_is_passed_over() {
        let opens = |adapter: &&str| match adapter.starts_with("broken") {
            true => Err(Error::NoDevice {
                adapter: (*adapter).to_owned(),
                cause: "lost".to_owned(),
            }),
            false => Ok(()),
        };
        let chosen = |all: &[&'static str]| first(all.to_vec(), |name| (*name).to_owned(), opens);
        assert_eq!(chosen(&["broken", "works", "other"]).unwrap(), "works");
        assert_eq!(chosen(&["broken"]).unwrap(), "broken", "egui says why");
        assert!(
            chosen(&["broken", "broken too"])
                .unwrap_err()
                .to_string()
                .contains("`broken`")
        );
        assert!(chosen(&[]).is_err());
    }
}
