//! Faults by enumeration and by seed: whatever fails, comes late, comes twice, lies or dies, nothing
//! unproven is ever visible, and repeating ends where a clean run ends.

mod crash;
mod disk;
mod enumerate;
mod scene;
mod simulate;
mod unruly;
