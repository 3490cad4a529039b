//! A cluster of real processes for tests, and the end-to-end tests.
