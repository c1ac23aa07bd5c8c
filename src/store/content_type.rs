//! The media type of an object, chosen so that the server does not compress in vain.

/// Whether the bytes of an object would shrink if the server compressed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressibility {
    /// Text and the like.
    Compressible,
    /// Weights, images, archives.
    Incompressible,
}

/// Returns the media type for an object of this kind.
pub fn content_type_for(_: &super::Key, kind: Compressibility) -> &'static str {
    match kind {
        Compressibility::Compressible => "text/plain",
        Compressibility::Incompressible => "application/octet-stream",
    }
}
