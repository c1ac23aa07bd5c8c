//! `airlift images load`.

use super::only;
use crate::cli::args::{Engine, LoadImagesArgs};
use crate::cli::commands::export::failure_of;
use crate::cli::commands::name_of;
use crate::cli::failure::Failure;
use crate::cli::opening::{TrustFiles, open_trusted};
use crate::cli::progress::Shown;
use crate::cli::remedy;
use crate::cli::report::Report;
use crate::cli::size::{Count, Size};
use airlift::error::Class;
use airlift::format::OneLine;
use airlift::machine::{Machine, MachineFile};
use airlift::pipeline::export::{ExportError, ExportReport};
use airlift::pipeline::inspect::Opened;
use airlift::pipeline::progress::Progress as _;
use airlift::pipeline::volumes::Volumes;
use airlift::tao::images::carried::CarriedImages;
use airlift::tao::images::image_name::ImageName;
use airlift::tao::images::load::{saved_list, write_archive};
use airlift::tao::images::saved::{SAVED_NAME, SavedDirectory};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::process::{Command, Stdio};

/// Where an archive lies until it is whole.
const UNFINISHED: &str = ".airlift-load";

pub(crate) fn run(args: &LoadImagesArgs, report: &Report) -> Result<(), Failure> {
    let is_stream = args.compat.is_none() && args.to == Engine::Stdout;
    if is_stream && (report.is_json() || io::stdout().is_terminal()) {
        let message = "a stream of images goes neither to a terminal nor beside a JSON document";
        return Err(Failure::new(Class::Usage, message, "redirect standard output, and leave --json out"));
    }
    let opened = open_trusted(&args.places.places, &args.trust, &TrustFiles::read(&args.trust)?, report)?;
    let volumes = Volumes::new(opened.media().to_vec());
    let progress = Shown::new(report);
    let carried = only(CarriedImages::find(&opened, &volumes, &progress)?, &args.only)?;
    let loading = Loading { opened: &opened, volumes: &volumes, progress: &progress, report };
    let loaded = match (&args.compat, args.to) {
        (Some(dir), _) => loading.compat(&carried, dir),
        (None, Engine::Stdout) => {
            let mut out = io::BufWriter::with_capacity(1 << 20, io::stdout().lock());
            write_archive(&opened, &volumes, &carried, &mut out, &progress).map_err(Failure::from)
        }
        (None, Engine::Docker) => loading.engine(&carried, "docker", &["load"]),
        (None, Engine::Containerd) => loading.engine(&carried, "ctr", &["images", "import", "-"]),
    };
    progress.finish();
    let loaded = loaded?;
    if !is_stream {
        let to = args.compat.as_deref().map_or_else(|| engine_name(args.to), |dir| dir.to_string_lossy().into_owned());
        print(&carried, &loaded, &to, report)?;
    }
    failure_of(&opened, &loaded, &name_of(opened.head()), report).map_or(Ok(()), Err)
}

fn engine_name(engine: Engine) -> String {
    if engine == Engine::Containerd { "containerd".to_owned() } else { "docker".to_owned() }
}

struct Loading<'a> {
    opened: &'a Opened,
    volumes: &'a Volumes,
    progress: &'a Shown,
    report: &'a Report,
}

impl Loading<'_> {
    /// Lets a program read the archive while it comes out of the bundle.
    fn engine(&self, carried: &CarriedImages, program: &str, words: &[&str]) -> Result<ExportReport, Failure> {
        let cannot = |error: &io::Error| {
            let message = format!("cannot run {program}: {error}");
            Failure::new(Class::Failed, message, "install it, or load the stream elsewhere with --to -")
        };
        // What it prints is for people; the result of this command is its own.
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::piped()).stdout(io::stderr());
        let mut child = command.spawn().map_err(|error| cannot(&error))?;
        let Some(stdin) = child.stdin.take() else { return Err(cannot(&io::ErrorKind::BrokenPipe.into())) };
        let mut out = io::BufWriter::with_capacity(1 << 20, stdin);
        let written = write_archive(self.opened, self.volumes, carried, &mut out, self.progress);
        let is_whole = written.as_ref().is_ok_and(|report| report.class().is_none());
        if !is_whole {
            // Half an archive must not pass for a whole one.
            let _ = child.kill();
        }
        drop(out);
        let status = child.wait().map_err(|error| cannot(&error))?;
        if self.progress.is_cancelled() {
            // The signal may have ended the engine first.
            return Err(Failure::interrupted());
        }
        match written {
            Err(ExportError::Output(_)) => {
                let message = format!("{program} stopped reading: {status}");
                Err(Failure::new(Class::Failed, message, "see what it said above, and repeat the command"))
            }
            Ok(_) if is_whole && !status.success() => {
                let message = format!("{program} did not take the images: {status}");
                Err(Failure::new(Class::Failed, message, "see what it said above, and repeat the command"))
            }
            written => Ok(written?),
        }
    }

    /// Writes one archive an image, and the list that names them last; what an earlier list names stays.
    fn compat(&self, carried: &CarriedImages, dir: &Path) -> Result<ExportReport, Failure> {
        let (machine, list) = (Machine::default(), dir.join(SAVED_NAME));
        machine.make_directories(dir, 0o777).map_err(|error| Failure::io("make", dir, &error))?;
        let lock = machine.lock_directory(dir).map_err(|error| Failure::io("lock", dir, &error))?;
        let Some(_lock) = lock else {
            let message = format!("another command works in {}", OneLine(dir.to_string_lossy()));
            return Err(Failure::new(Class::Unavailable, message, "wait until that is done"));
        };
        let earlier = if list.exists() { SavedDirectory::read(dir)?.archives } else { Vec::new() };
        let mut names: BTreeMap<String, &ImageName> = BTreeMap::new();
        for name in carried.images.iter().map(|one| &one.image.image_name) {
            if let Some(other) = names.insert(name.saved_name(), name) {
                let message = format!("{other} and {name} would both be {}", name.saved_name());
                return Err(Failure::new(Class::Refused, message, "write them to two directories, with --only"));
            }
        }
        let mut all = ExportReport::default();
        for one in &carried.images {
            let written = self.archive(carried, &one.image.image_name, dir, &machine)?;
            if written.class().is_some() {
                return Ok(written);
            }
            all.file_count += written.file_count;
            all.file_len += written.file_len;
        }
        let written = machine.write_durably(&dir.join(UNFINISHED), &list, &saved_list(carried, &earlier));
        written.map_err(|error| Failure::io("write", &list, &error))?;
        Ok(all)
    }

    fn archive(
        &self,
        carried: &CarriedImages,
        name: &ImageName,
        dir: &Path,
        machine: &Machine,
    ) -> Result<ExportReport, Failure> {
        let alone = carried.clone().only(std::slice::from_ref(name));
        let alone =
            alone.map_err(|_| Failure::new(Class::Bug, format!("{name} is lost"), remedy::of_class(Class::Bug)))?;
        let (path, part) = (dir.join(name.saved_name()), dir.join(UNFINISHED));
        let failed = |error: &io::Error| Failure::io("write", &path, error);
        let mut file: MachineFile = machine.create(&part, 0o666).map_err(|error| failed(&error))?;
        let written = write_archive(self.opened, self.volumes, &alone, &mut file, self.progress)?;
        if written.class().is_some() {
            machine.remove_file(&part).map_err(|error| failed(&error))?;
            return Ok(written);
        }
        let named = file.sync().and_then(|()| machine.rename(&part, &path));
        named.and_then(|()| machine.sync_directory(dir)).map_err(|error| failed(&error))?;
        self.report.note(&format!("wrote {}", path.display()));
        Ok(written)
    }
}

fn print(carried: &CarriedImages, loaded: &ExportReport, to: &str, report: &Report) -> Result<(), Failure> {
    let result = loaded.class().map_or("loaded", Class::name);
    let images: Vec<String> = carried.images.iter().map(|one| one.image.image_name.to_string()).collect();
    let document = json!({
        "result": result,
        "to": to,
        "images": images,
        "blobs": loaded.file_count,
        "bytes": loaded.file_len,
    });
    let mut text = images.iter().fold(String::new(), |text, image| text + image + "\n");
    let count = Count(images.len() as u64, "image");
    text += &format!("{result}: {count}, {}, to {}\n", Size(loaded.file_len), OneLine(to));
    report.result(&document, &text)
}
