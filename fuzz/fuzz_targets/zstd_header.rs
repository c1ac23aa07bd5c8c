//! Where our check of a zstd frame passes, zstd sees the same frame or refuses what it holds.
#![no_main]

use airlift::codec::zstd_header;
use libfuzzer_sys::fuzz_target;
use zstd::zstd_safe;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fuzz_target!(|input: (u16, bool, &[u8])| {
    let (raw_len, has_magic, bytes) = input;
    let raw_len = usize::from(raw_len);
    let bytes = if has_magic { [&MAGIC[..], bytes].concat() } else { bytes.to_vec() };
    if zstd_header::check(&bytes, raw_len).is_err() {
        return;
    }
    assert_eq!(zstd_safe::find_frame_compressed_size(&bytes), Ok(bytes.len()));
    assert!(matches!(zstd_safe::get_frame_content_size(&bytes), Ok(Some(len)) if len == raw_len as u64));
    let mut raw = vec![0; raw_len];
    if let Ok(len) = zstd_safe::decompress(raw.as_mut_slice(), &bytes) {
        assert_eq!(len, raw_len);
    }
});
