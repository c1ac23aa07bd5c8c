//! What goes where, pure: entries into packs ([`packs`]), rows to where their bytes are
//! ([`sequence`]), rows that are carried into frames ([`frames`]), volumes onto media ([`media`]).

pub mod frames;
pub mod media;
pub mod packs;
pub mod sequence;
