//! SIGINT and SIGTERM ask the work to stop where repeating resumes; a second one ends it at once.

use airlift::error::Class;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Returns a flag that a signal sets. Where the system takes no handler, signals keep ending the
/// program at once, from which repeating resumes too.
pub(crate) fn stop_flag() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds the flag unset here and sets it below.
        let code = i32::from(Class::Interrupted.exit_code());
        let _ = flag::register_conditional_shutdown(signal, code, Arc::clone(&stop));
        let _ = flag::register(signal, Arc::clone(&stop));
    }
    stop
}
