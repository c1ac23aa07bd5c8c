//! The media type of an object, chosen so that the server does not compress in vain.

use super::Key;

/// Whether the bytes of an object would shrink if the server compressed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressibility {
    /// Text and the like.
    Compressible,
    /// Weights, images, archives.
    Incompressible,
}

/// Returns the media type to put an object under.
///
/// SeaweedFS 4.48 compresses what comes as `application/octet-stream` and shrinks in a sample:
/// text then costs it 1.5 times the CPU. Under `text/*` it costs twice as much, and even what does
/// not shrink is tried. `binary/octet-stream`, which S3 has for bytes of no stated type, and
/// `application/json` are stored as they come, so text takes up to three times the room of the
/// compressed. Weights cost the same either way. Figures: `benches/results/2026-11-24/store.md`.
pub fn content_type_for(key: &Key, kind: Compressibility) -> &'static str {
    match kind {
        Compressibility::Compressible if key.as_str().ends_with(".json") => "application/json",
        Compressibility::Compressible => "binary/octet-stream",
        Compressibility::Incompressible => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_shrinks_has_a_type_that_the_server_compresses() {
        for (text, kind, expected) in [
            ("m/config.json", Compressibility::Compressible, "application/json"),
            ("m/README.txt", Compressibility::Compressible, "binary/octet-stream"),
            ("m/json", Compressibility::Compressible, "binary/octet-stream"),
            ("m/model.safetensors", Compressibility::Incompressible, "application/octet-stream"),
        ] {
            assert_eq!(content_type_for(&Key::parse(text).expect(text), kind), expected);
        }
    }
}
