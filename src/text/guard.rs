//! Calls into a library whose rules come from a file: some that make no sense are found out only where it panics.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local!(static IS_GUARDED: Cell<bool> = const { Cell::new(false) });

/// What `run` returns; `None` where it panics, of which nobody is told.
pub fn guarded<T>(run: impl FnOnce() -> T) -> Option<T> {
    static QUIET: Once = Once::new();
    if std::thread::panicking() {
        return Some(run());
    }
    // Whatever is told of other panics is told as before.
    QUIET.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                before(info);
            }
        }));
    });
    let outer = IS_GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(run));
    IS_GUARDED.set(outer);
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_in_nothing() {
        assert_eq!(guarded(|| 7), Some(7));
        assert!(guarded::<()>(|| panic!("nobody is told")).is_none());
        let inner = || guarded::<()>(|| panic!("nor here")).is_none();
        assert_eq!(guarded(inner), Some(true));
        assert!(!IS_GUARDED.get());
    }
}
