//! The file system that the program is given: the tree below `in`, made while it is read, and files.

use crate::space::{Body, INPUT, Kind, ROOT, Space, locked};
use crate::tree::{Entry, Tree};
use fuser::{
    CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// Set in the inode of every entry of the tree.
const OF_TREE: u64 = 1 << 60;
const OF_MODEL: u64 = 1 << 50;
const OF_RECORDS: u64 = 1 << 51;
const OF_RECORD: u64 = 1 << 52;
const INDEX: u64 = OF_MODEL - 1;
const BLOCK_LEN: u32 = 4096;
/// How long the kernel may keep what does not change.
const LONG: Duration = Duration::from_secs(1 << 20);
/// Files of the program are renamed and dropped.
const SHORT: Duration = Duration::from_secs(1);
/// What the file system says is free, in blocks.
const FREE_COUNT: u64 = 1 << 40;

/// What threads and the runner share.
pub(crate) struct Shared {
    pub(crate) space: Mutex<Space>,
    pub(crate) tree: Arc<Tree>,
    /// Bytes of the tree that were read.
    pub(crate) read_len: AtomicU64,
    /// Bytes of volumes and objects that were written.
    pub(crate) written_len: AtomicU64,
    scratch: PathBuf,
    open: Mutex<HashMap<u64, Arc<Mutex<Body>>>>,
    next_handle: AtomicU64,
    began_at: SystemTime,
}

pub(crate) struct Mounted(pub(crate) Arc<Shared>);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Shared {
    pub(crate) fn new(space: Space, scratch: PathBuf) -> Shared {
        Shared {
            tree: space.tree.clone(),
            space: Mutex::new(space),
            read_len: AtomicU64::new(0),
            written_len: AtomicU64::new(0),
            scratch,
            open: Mutex::new(HashMap::new()),
            next_handle: AtomicU64::new(1),
            began_at: SystemTime::now(),
        }
    }

    fn entry_attr(&self, entry: Entry) -> FileAttr {
        let len = self.tree.len(entry);
        attr(inode_of(entry), len, 0o644, self.began_at)
    }

    fn attr_of(&self, space: &Space, inode: u64) -> Result<FileAttr, Errno> {
        if let Some(entry) = entry_of(inode) {
            return Ok(self.entry_attr(entry));
        }
        let node = space.node(inode)?;
        let len = match &node.kind {
            Kind::Directory(_) => None,
            Kind::File(body) => Some(locked(body).len()),
        };
        let mut attr = attr(inode, len, node.mode, node.changed_at);
        if len.is_some() {
            attr.nlink = u32::from(node.is_named());
        }
        Ok(attr)
    }

    fn find(&self, parent: u64, name: &str) -> Result<(FileAttr, Duration), Errno> {
        if parent == ROOT && name == INPUT {
            return Ok((self.entry_attr(Entry::Root), LONG));
        }
        if let Some(above) = entry_of(parent) {
            let entry = self.tree.child(above, name).ok_or(Errno::ENOENT)?;
            return Ok((self.entry_attr(entry), LONG));
        }
        let space = locked(&self.space);
        if let Some(inode) = space.names(parent)?.get(name) {
            let attr = self.attr_of(&space, *inode)?;
            return Ok((attr, if attr.kind == FileType::Directory { LONG } else { SHORT }));
        }
        Err(Errno::ENOENT)
    }

    fn handle(&self, body: Arc<Mutex<Body>>) -> (FileHandle, FopenFlags) {
        let is_plain = matches!(&*locked(&body), Body::Plain { .. });
        let flags = if is_plain { FopenFlags::FOPEN_KEEP_CACHE } else { FopenFlags::FOPEN_DIRECT_IO };
        let handle = self.next_handle.fetch_add(1, Ordering::Relaxed);
        locked(&self.open).insert(handle, body);
        (FileHandle(handle), flags)
    }

    fn body(&self, handle: FileHandle) -> Result<Arc<Mutex<Body>>, Errno> {
        locked(&self.open).get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    fn read(&self, inode: u64, handle: FileHandle, offset: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
        let Some(entry) = entry_of(inode) else {
            return Ok(locked(&*self.body(handle)?).read(offset, bytes)?);
        };
        let rest_len = self.tree.len(entry).ok_or(Errno::EISDIR)?.saturating_sub(offset);
        let len = (bytes.len() as u64).min(rest_len) as usize;
        self.tree.read(entry, offset, &mut bytes[..len]);
        self.read_len.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

impl Filesystem for Mounted {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // The kernel takes less where it wants less.
        let _ = config.set_max_write(1 << 20);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.0.find(parent.0, &name.to_string_lossy()) {
            Ok((attr, ttl)) => reply.entry(&ttl, &attr, Generation(0)),
            // Inode 0 with a time: the kernel may keep that there is nothing, until it makes it itself.
            Err(errno) if errno.code() == Errno::ENOENT.code() => {
                reply.entry(&SHORT, &attr(0, None, 0, self.0.began_at), Generation(0));
            }
            Err(errno) => reply.error(errno),
        }
    }

    /// The kernel does not ask again: directories are opened without a word.
    fn opendir(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.error(Errno::ENOSYS);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let ttl = if entry_of(inode.0).is_some() { LONG } else { SHORT };
        match self.0.attr_of(&locked(&self.0.space), inode.0) {
            Ok(attr) => reply.attr(&ttl, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let space = locked(&self.0.space);
        let resized = match size {
            Some(size) => space.body(inode.0).and_then(|body| Ok(locked(&body).resize(size)?)),
            None => Ok(()),
        };
        match resized.and_then(|()| self.0.attr_of(&space, inode.0)) {
            Ok(attr) => reply.attr(&SHORT, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let mut space = locked(&self.0.space);
        let made = space.make_directory(parent.0, &name.to_string_lossy(), (mode & !umask & 0o777) as u16);
        match made.and_then(|inode| self.0.attr_of(&space, inode)) {
            Ok(attr) => reply.entry(&LONG, &attr, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _: i32, reply: ReplyCreate) {
        let mut space = locked(&self.0.space);
        let made = space.make_file(parent.0, &name.to_string_lossy(), (mode & !umask & 0o777) as u16);
        match made.and_then(|inode| Ok((self.0.attr_of(&space, inode)?, space.body(inode)?))) {
            Ok((attr, body)) => {
                let (handle, flags) = self.0.handle(body);
                reply.created(&SHORT, &attr, Generation(0), handle, flags);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if entry_of(inode.0).is_some() {
            return reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_NOFLUSH);
        }
        let opened = locked(&self.0.space).open(inode.0);
        match opened {
            Ok(body) => {
                let (handle, flags) = self.0.handle(body);
                reply.opened(handle, flags);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        BUFFER.with_borrow_mut(|buffer| {
            if buffer.len() < size as usize {
                buffer.resize(size as usize, 0);
            }
            match self.0.read(inode.0, handle, offset, &mut buffer[..size as usize]) {
                Ok(len) => reply.data(&buffer[..len]),
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.0.body(handle).and_then(|body| {
            let mut body = locked(&body);
            if matches!(&*body, Body::Written(_)) {
                self.0.written_len.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            }
            Ok(body.write(offset, bytes, &self.0.scratch)?)
        });
        match written {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(errno) => reply.error(errno),
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        from: FileHandle,
        start: u64,
        _: INodeNo,
        to: FileHandle,
        offset: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let copied = self.0.body(from).and_then(|from| {
            let to = self.0.body(to)?;
            let (from, mut to) = (locked(&from), locked(&to));
            match (&*from, &mut *to) {
                (Body::Written(from), Body::Written(to)) if to.len() == offset => {
                    Ok(to.append_from(from, start, len.min(1 << 30), &self.0.scratch)?)
                }
                _ => Err(Errno::EXDEV),
            }
        });
        match copied {
            Ok(len) => reply.written(len as u32),
            Err(errno) => reply.error(errno),
        }
    }

    fn release(
        &self,
        _: &Request,
        inode: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        if entry_of(inode.0).is_none() {
            let closed = locked(&self.0.open).remove(&handle.0);
            drop(closed);
            locked(&self.0.space).close(inode.0);
        }
        reply.ok();
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(locked(&self.0.space).remove(parent.0, &name.to_string_lossy(), false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(locked(&self.0.space).remove(parent.0, &name.to_string_lossy(), true), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (name, new_name) = (name.to_string_lossy(), new_name.to_string_lossy());
        let replaces = !flags.contains(RenameFlags::RENAME_NOREPLACE);
        answer(locked(&self.0.space).rename((parent.0, &name), (new_parent.0, &new_name), replaces), reply);
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        if let Some(directory) = entry_of(inode.0) {
            for index in offset.. {
                let Some((name, entry)) = self.0.tree.nth(directory, index) else { break };
                let kind = if self.0.tree.len(entry).is_some() { FileType::RegularFile } else { FileType::Directory };
                if reply.add(INodeNo(inode_of(entry)), index + 1, kind, name) {
                    break;
                }
            }
            return reply.ok();
        }
        let space = locked(&self.0.space);
        let names = match space.names(inode.0) {
            Ok(names) => names,
            Err(errno) => return reply.error(errno),
        };
        for (index, (name, inode)) in (0..).zip(names).skip(offset as usize) {
            let is_file = space.body(*inode).is_ok();
            let kind = if is_file { FileType::RegularFile } else { FileType::Directory };
            if reply.add(INodeNo(*inode), index + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(FREE_COUNT, FREE_COUNT, FREE_COUNT, FREE_COUNT, FREE_COUNT, BLOCK_LEN, 255, BLOCK_LEN);
    }
}

fn answer(outcome: Result<(), Errno>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn inode_of(entry: Entry) -> u64 {
    OF_TREE
        | match entry {
            Entry::Root => 0,
            Entry::Model(index) => OF_MODEL | index as u64,
            Entry::Records(index) => OF_RECORDS | index,
            Entry::Record(index) => OF_RECORD | index,
        }
}

fn entry_of(inode: u64) -> Option<Entry> {
    let index = inode & INDEX;
    match inode - index {
        OF_TREE => Some(Entry::Root),
        kind if kind == OF_TREE | OF_MODEL => Some(Entry::Model(index as usize)),
        kind if kind == OF_TREE | OF_RECORDS => Some(Entry::Records(index)),
        kind if kind == OF_TREE | OF_RECORD => Some(Entry::Record(index)),
        _ => None,
    }
}

/// Returns what is said of a file, or of a directory where there is no length.
fn attr(inode: u64, len: Option<u64>, mode: u16, changed_at: SystemTime) -> FileAttr {
    let size = len.unwrap_or_default();
    FileAttr {
        ino: INodeNo(inode),
        size,
        blocks: size.div_ceil(512),
        atime: changed_at,
        mtime: changed_at,
        ctime: changed_at,
        crtime: changed_at,
        kind: if len.is_some() { FileType::RegularFile } else { FileType::Directory },
        perm: mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_LEN,
        flags: 0,
    }
}
