//! The tests that see freshql from outside.

mod demo;
