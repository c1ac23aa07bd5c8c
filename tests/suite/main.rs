//! Tests that need more than one module, or files beside the code.

mod codec_vectors;
