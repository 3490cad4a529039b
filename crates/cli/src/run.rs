//! The runtime of a command: one thread. The local proxy moves a request through tasks that wake each other at every
//! step, and on several threads most of these steps would be offered to another core.

use crate::failure::{Failure, OrFail as _};

/// Runs a command to its end.
pub(crate) fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .or_fail("could not start the runtime")?;
    let result = runtime.block_on(command);
    // What still blocks (a read of the terminal) must not hold up the end.
    runtime.shutdown_background();
    result
}
