//! The pure core of gatun.
#![no_std]
extern crate alloc;
