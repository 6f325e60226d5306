//! The last line of defence: a panic while a method is compiled is an error of that method, and does not end the process.
//!
//! Bad metadata and bad IL are refused where they are read; what slips through meets an assertion somewhere behind. The
//! type system and the passes hold no state that a panic leaves half changed: tables are filled entry by entry, once.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

thread_local! {
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a compilation.
///
/// # Errors
/// The message and place of the panic that ended it.
pub fn guarded<T>(compile: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    let outer = ACTIVE.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(compile));
    ACTIVE.set(outer);
    result.map_err(|_| MESSAGE.take())
}

/// Keeps the message of panics in [`guarded`] from being printed; for all others the hook that was there goes on.
fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let outside = panic::take_hook();
        panic::set_hook(Box::new(move |info| match ACTIVE.get() {
            true => MESSAGE.set(describe(info)),
            false => outside(info),
        }));
    });
}

/// One line: what was wrong, and where.
pub fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("unknown error");
    match info.location() {
        Some(place) => format!("{text} ({}:{})", place.file(), place.line()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::guarded;

    #[test]
    fn a_panic_becomes_an_error() {
        assert_eq!(guarded(|| 7), Ok(7));
        let error = guarded(|| panic!("no such {}", "thing")).expect_err("it panics");
        assert!(error.starts_with("no such thing (") && error.contains("guard.rs"), "{error}");
    }
}
