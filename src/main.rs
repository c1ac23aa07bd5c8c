//! The program `airlift`: a thin layer that turns arguments into calls of the library and prints what
//! comes of them. `spec/cli.md` is the authority.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
