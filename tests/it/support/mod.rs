//! Starts and stops the real servers that tests run against.
