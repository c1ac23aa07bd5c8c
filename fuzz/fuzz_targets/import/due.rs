//! What a signed head leads to, read without the importer.

use crate::forge::Files;
use airlift::format::manifest::{FileFacts, ManifestRoot, PageReader, Record, Row};
use airlift::format::{Digest, Head, Sha256, Structure};
use std::collections::BTreeMap;

/// What an object has to be.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    file: FileFacts,
    rows: Vec<Row>,
}

impl Due {
    /// Tells whether these bytes are the file, and the chunks that it is said to have.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        let has_chunks = self.rows.iter().all(|row| match rest.split_at_checked(row.len as usize) {
            Some((chunk, behind)) => {
                rest = behind;
                Digest::of(chunk) == row.digest
            }
            None => false,
        });
        has_chunks && rest.is_empty() && bytes.len() as u64 == self.file.len && Sha256::of(bytes) == self.file.sha256
    }
}

/// Returns the key of a file: where the roots of the bundles here land.
pub(crate) fn key_of(path: &str) -> Option<String> {
    let models = path.strip_prefix("models/").map(|below| format!("registry/models/{below}"));
    models.or_else(|| path.strip_prefix("datasets/").map(|below| format!("data/{below}")))
}

/// Returns the objects that the manifest in these files makes, by key; nothing where it is not the one
/// that the head leads to.
pub(crate) fn objects_of(head: &Head, files: &Files) -> Option<BTreeMap<String, Due>> {
    let (root, mut pages) = files.get("manifest")?.split_at_checked(head.manifest.root_length as usize)?;
    if Digest::of_structure(Structure::ManifestRoot, root) != head.content_id {
        return None;
    }
    let mut files: Vec<(String, Due)> = Vec::new();
    for facts in ManifestRoot::decode(root).ok()?.pages {
        let (page, behind) = pages.split_at_checked(facts.len as usize)?;
        pages = behind;
        if Digest::of_structure(Structure::ManifestPage, page) != facts.digest {
            return None;
        }
        for record in PageReader::new(page).ok()? {
            match record.ok()? {
                Record::File(path, file) => files.push((path.as_str().to_owned(), Due { file, rows: Vec::new() })),
                Record::Row(row) => files.last_mut()?.1.rows.push(row),
                Record::Directory(_) | Record::Mark(..) => {}
            }
        }
    }
    files.into_iter().map(|(path, due)| Some((key_of(&path)?, due))).collect()
}
