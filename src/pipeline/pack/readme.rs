//! README.txt: for the person who holds a medium and knows nothing of it.

use super::PackOptions;
use crate::format::Time;
use crate::format::head::{Totals, Volumes};

/// Returns the text. It names no key and no fingerprint: those who could change the one could change
/// the other.
pub(super) fn readme(options: &PackOptions, created_at: Time, volumes: &Volumes, totals: &Totals) -> String {
    let PackOptions { stream, counter, .. } = options;
    let Volumes { count, length } = volumes;
    let Totals { files, bytes, .. } = totals;
    let audience = options.audience.as_ref().map(|name| format!("It is meant for {name}.\n")).unwrap_or_default();
    let plural = if *count == 1 { "" } else { "s" };
    format!(
        "This is release {counter} of {stream}, packed by Airlift at {created_at}.\n\
         {audience}\
         \n\
         It carries {files} files with {bytes} bytes in {count} volume{plural} with {length} bytes.\n\
         The volumes are volumes/000001.vol to volumes/{count:06}.vol. They may be spread over several\n\
         media, in any order; all other files belong on each of them.\n\
         \n\
         To check what is here:     airlift verify DIRECTORY --allowed-signers FILE\n\
         To bring it into a store:  airlift import DIRECTORY --allowed-signers FILE --stream {stream} ...\n\
         \n\
         FILE says whose signatures count. It is the receiver's own and never comes on a medium.\n\
         Who made it is proven by the files in signatures/, over head.json, and by nothing else: not by\n\
         this text, and not by a key that came on the same medium. If a volume is missing or damaged,\n\
         the commands name it; another copy of that file alone is enough.\n"
    )
}
