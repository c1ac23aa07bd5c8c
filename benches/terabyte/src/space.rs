//! Names and files that the program made.

use crate::tree::Tree;
use crate::written::Written;
use fuser::Errno;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The inode of the root directory.
pub(crate) const ROOT: u64 = 1;
/// The directory with the tree.
pub(crate) const INPUT: &str = "in";

/// Names and files.
pub(crate) struct Space {
    pub(crate) tree: Arc<Tree>,
    scratch: PathBuf,
    nodes: HashMap<u64, Node>,
    next: u64,
    counts: Counts,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Bytes of plain files that were removed: logs, lists.
    pub(crate) removed_len: u64,
    /// Bytes of those that lost their name while they were open: what was spilled.
    pub(crate) spilled_len: u64,
}

/// A file or directory.
pub(crate) struct Node {
    pub(crate) parent: u64,
    pub(crate) kind: Kind,
    pub(crate) mode: u16,
    pub(crate) changed_at: SystemTime,
    is_named: bool,
    is_spill: bool,
    open_count: u32,
}

/// What a node is.
pub(crate) enum Kind {
    Directory(BTreeMap<String, u64>),
    File(Arc<Mutex<Body>>),
}

/// The bytes of a file.
pub(crate) enum Body {
    /// Volumes: written once from start to end.
    Written(Written),
    /// All else, as it is.
    Plain { file: File, len: u64 },
}

impl Body {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Body::Written(written) => written.len(),
            Body::Plain { len, .. } => *len,
        }
    }

    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Body::Written(written) => written.read(offset, bytes),
            Body::Plain { file, len } => {
                let len = bytes.len().min(len.saturating_sub(offset) as usize);
                file.read_exact_at(&mut bytes[..len], offset).map(|()| len)
            }
        }
    }

    /// Writes bytes; a volume grows at its end and nowhere else.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8], scratch: &Path) -> io::Result<()> {
        match self {
            Body::Written(written) if written.len() == offset => written.append(bytes, scratch),
            Body::Written(_) => Err(io::ErrorKind::NotSeekable.into()),
            Body::Plain { file, len } => {
                *len = (*len).max(offset + bytes.len() as u64);
                file.write_all_at(bytes, offset)
            }
        }
    }

    pub(crate) fn resize(&mut self, wanted_len: u64) -> io::Result<()> {
        match self {
            Body::Written(written) if wanted_len == written.len() => Ok(()),
            Body::Written(written) if wanted_len == 0 => {
                *written = Written::default();
                Ok(())
            }
            Body::Written(_) => Err(io::ErrorKind::Unsupported.into()),
            Body::Plain { file, len } => {
                *len = wanted_len;
                file.set_len(wanted_len)
            }
        }
    }
}

/// Locks what no thread leaves half changed.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Space {
    pub(crate) fn new(tree: Tree, scratch: &Path) -> Space {
        let mut space = Space {
            tree: Arc::new(tree),
            scratch: scratch.to_owned(),
            nodes: HashMap::new(),
            next: ROOT,
            counts: Counts::default(),
        };
        space.add(Node::new(ROOT, Kind::Directory(BTreeMap::new()), 0o755));
        space
    }

    pub(crate) fn node(&self, inode: u64) -> Result<&Node, Errno> {
        self.nodes.get(&inode).ok_or(Errno::ENOENT)
    }

    pub(crate) fn body(&self, inode: u64) -> Result<Arc<Mutex<Body>>, Errno> {
        match &self.node(inode)?.kind {
            Kind::File(body) => Ok(body.clone()),
            Kind::Directory(_) => Err(Errno::EISDIR),
        }
    }

    /// Returns what was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        let spills = self.nodes.values().filter(|node| node.is_spill);
        let open_len: u64 = spills.map(Node::plain_len).sum();
        Counts { spilled_len: self.counts.spilled_len + open_len, ..self.counts.clone() }
    }

    pub(crate) fn names(&self, directory: u64) -> Result<&BTreeMap<String, u64>, Errno> {
        match &self.node(directory)?.kind {
            Kind::Directory(names) => Ok(names),
            Kind::File(_) => Err(Errno::ENOTDIR),
        }
    }

    pub(crate) fn make_directory(&mut self, parent: u64, name: &str, mode: u16) -> Result<u64, Errno> {
        if self.names(parent)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let node = Node::new(parent, Kind::Directory(BTreeMap::new()), mode);
        let inode = self.add(node);
        self.name(parent, name, inode)?;
        Ok(inode)
    }

    /// Makes a file; what is written once is told by its name.
    pub(crate) fn make_file(&mut self, parent: u64, name: &str, mode: u16) -> Result<u64, Errno> {
        if self.names(parent)?.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        let body = if name == "volume.part" {
            Body::Written(Written::default())
        } else {
            Body::Plain { file: tempfile::tempfile_in(&self.scratch)?, len: 0 }
        };
        let mut node = Node::new(parent, Kind::File(Arc::new(Mutex::new(body))), mode);
        node.open_count = 1;
        let inode = self.add(node);
        self.name(parent, name, inode)?;
        Ok(inode)
    }

    pub(crate) fn open(&mut self, inode: u64) -> Result<Arc<Mutex<Body>>, Errno> {
        self.nodes.get_mut(&inode).ok_or(Errno::ENOENT)?.open_count += 1;
        self.body(inode)
    }

    pub(crate) fn close(&mut self, inode: u64) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.open_count = node.open_count.saturating_sub(1);
            self.forget_unused(inode);
        }
    }

    pub(crate) fn remove(&mut self, parent: u64, name: &str, is_directory: bool) -> Result<(), Errno> {
        let inode = *self.names(parent)?.get(name).ok_or(Errno::ENOENT)?;
        match &self.node(inode)?.kind {
            Kind::Directory(_) if !is_directory => return Err(Errno::EISDIR),
            Kind::Directory(names) if !names.is_empty() => return Err(Errno::ENOTEMPTY),
            Kind::File(_) if is_directory => return Err(Errno::ENOTDIR),
            _ => {}
        }
        self.unname(parent, name)
    }

    pub(crate) fn rename(&mut self, from: (u64, &str), to: (u64, &str), replaces: bool) -> Result<(), Errno> {
        let inode = *self.names(from.0)?.get(from.1).ok_or(Errno::ENOENT)?;
        if self.names(to.0)?.contains_key(to.1) {
            if !replaces {
                return Err(Errno::EEXIST);
            }
            self.unname(to.0, to.1)?;
        }
        self.names_mut(from.0)?.remove(from.1);
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.parent = to.0;
        }
        self.names_mut(to.0)?.insert(to.1.to_owned(), inode);
        Ok(())
    }

    fn add(&mut self, node: Node) -> u64 {
        let inode = self.next;
        self.next += 1;
        self.nodes.insert(inode, node);
        inode
    }

    fn name(&mut self, parent: u64, name: &str, inode: u64) -> Result<(), Errno> {
        self.names_mut(parent)?.insert(name.to_owned(), inode);
        Ok(())
    }

    fn unname(&mut self, parent: u64, name: &str) -> Result<(), Errno> {
        if let Some(inode) = self.names_mut(parent)?.remove(name) {
            if let Some(node) = self.nodes.get_mut(&inode) {
                (node.is_named, node.is_spill) = (false, node.open_count > 0);
            }
            self.forget_unused(inode);
        }
        Ok(())
    }

    fn forget_unused(&mut self, inode: u64) {
        let is_unused = |node: &Node| !node.is_named && node.open_count == 0;
        if self.nodes.get(&inode).is_some_and(is_unused)
            && let Some(node) = self.nodes.remove(&inode)
        {
            let sum = if node.is_spill { &mut self.counts.spilled_len } else { &mut self.counts.removed_len };
            *sum += node.plain_len();
        }
    }

    fn names_mut(&mut self, directory: u64) -> Result<&mut BTreeMap<String, u64>, Errno> {
        match self.nodes.get_mut(&directory).map(|node| (&mut node.kind, &mut node.changed_at)) {
            Some((Kind::Directory(names), changed_at)) => {
                *changed_at = SystemTime::now();
                Ok(names)
            }
            Some((Kind::File(_), _)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }
}

impl Node {
    fn new(parent: u64, kind: Kind, mode: u16) -> Node {
        let changed_at = SystemTime::now();
        Node { parent, kind, mode, changed_at, is_named: true, is_spill: false, open_count: 0 }
    }

    pub(crate) fn is_named(&self) -> bool {
        self.is_named
    }

    fn plain_len(&self) -> u64 {
        match &self.kind {
            Kind::File(body) => match &*locked(body) {
                Body::Plain { len, .. } => *len,
                Body::Written(_) => 0,
            },
            Kind::Directory(_) => 0,
        }
    }
}
