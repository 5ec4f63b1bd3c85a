//! The `handler` binary: started by the Functions host, by a person, or by itself to read one document behind a fence.

use std::process::ExitCode;

use knowledge_worker::cli;
use knowledge_worker::ingest::extract;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == extract::CHILD_COMMAND) {
        // Nothing else may run in this process: no runtime, no settings, no log.
        return extract::run_child();
    }
    match std::env::current_exe() {
        Ok(program) => cli::run(program),
        Err(e) => {
            eprintln!("error: cannot find the path of this program: {e}");
            ExitCode::FAILURE
        }
    }
}
